"""The one update: backward, clip, step."""

from __future__ import annotations

from scratchgpt.datasets.batches import TokenBatch
from scratchgpt.models.base import LanguageModel
from scratchgpt.nn.optimizers import Optimizer
from scratchgpt.training.history import Metrics


def language_model_step(
    model: LanguageModel, optimizer: Optimizer, batch: TokenBatch, lr: float, max_grad_norm: float
) -> Metrics:
    """Forward, backward, clip, update: one step of next-token training."""
    model.train()
    loss = model.loss(batch.input_ids, batch.targets)
    loss.backward()
    optimizer.lr = lr
    norm = optimizer.step(max_grad_norm)
    optimizer.zero_grad()
    return {"loss": loss.item(), "grad_norm": norm, "lr": lr, "tokens": float(batch.tokens)}
