"""The same GPT and the same training step in PyTorch: the peer that `bench/train_step.py` measures against.

Written as a PyTorch user would write it for speed on a CPU, eager: fused attention, fused AdamW, gradients
set to None. Names and layouts of the parameters are ours, so that both sides start from the same file.
"""

from __future__ import annotations

import safetensors.torch
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import nn


class Attention(nn.Module):
    """Causal multi-head attention, queries, keys and values out of one product."""

    def __init__(self, channels: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.c_attn = nn.Linear(channels, 3 * channels)
        self.c_proj = nn.Linear(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (B, T, C) -> (B, T, C)"""
        batch, time, channels = x.shape
        shape = (batch, time, self.num_heads, channels // self.num_heads)
        q, k, v = (part.view(shape).transpose(1, 2) for part in self.c_attn(x).split(channels, dim=-1))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(mixed.transpose(1, 2).reshape(batch, time, channels))


class FeedForward(nn.Module):
    """Two linear layers with a GELU (tanh form) between them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(channels, 4 * channels)
        self.c_proj = nn.Linear(4 * channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (B, T, C) -> (B, T, C)"""
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, channels: int, num_heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(channels)
        self.attn = Attention(channels, num_heads)
        self.ln_2 = nn.LayerNorm(channels)
        self.mlp = FeedForward(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (B, T, C) -> (B, T, C)"""
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class TorchGPT(nn.Module):
    """GPT-2 with a tied head and no dropout."""

    def __init__(self, vocab_size: int, emb_dim: int, num_heads: int, num_layers: int, context_size: int) -> None:
        super().__init__()
        self.wte = nn.Embedding(vocab_size, emb_dim)
        self.wpe = nn.Embedding(context_size, emb_dim)
        self.h = nn.ModuleList(Block(emb_dim, num_heads) for _ in range(num_layers))
        self.ln_f = nn.LayerNorm(emb_dim)

    def forward(self, input_ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """input_ids and targets (B, T) -> the mean loss"""
        x = self.wte(input_ids) + self.wpe(torch.arange(input_ids.shape[1]))
        for block in self.h:
            x = block(x)
        logits = F.linear(self.ln_f(x), self.wte.weight)
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.reshape(-1))

    @torch.no_grad()
    def load(self, path: str) -> None:
        """Copy the weights of one of our checkpoints; a linear layer lies there as (in, out), here as (out, in)."""
        state = safetensors.torch.load_file(path)
        turned = {f"{name}.weight" for name, module in self.named_modules() if isinstance(module, nn.Linear)}
        for name, parameter in self.named_parameters():
            tensor = state.pop(f"transformer.{name}")
            parameter.copy_(tensor.T if name in turned else tensor)
        if state:
            raise ValueError(f"{path}: no place for {', '.join(state)}")


def optimizer_of(model: nn.Module, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    """PyTorch's fused AdamW with the settings of ours: decay on matrices only."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95), eps=1e-8, fused=True)


def train_step(
    model: TorchGPT,
    optimizer: torch.optim.Optimizer,
    input_ids: torch.Tensor,
    targets: torch.Tensor,
    precision: str,
    max_grad_norm: float,
) -> float:
    """Forward, backward, clip, AdamW, zero_grad; returns the loss. `precision` "bf16" is autocast around forward."""
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
        loss = model(input_ids, targets)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.item()
