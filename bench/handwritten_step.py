"""One training step of the GPT written out by hand: the engine's kernels in the engine's order, without the engine.

What `bench/train_step.py --overhead` measures our step against. No Tensor, no graph, no module: forward leaves
what backward needs in a list, backward takes it from the end. Readable as the whole of backpropagation through a
transformer in one file; `Handwritten.check` holds it equal to the engine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from common import seconds_of
from step_workers import LEARNING_RATE, MAX_GRAD_NORM, WEIGHT_DECAY, OurWorker, Shape, batch_of

from scratchgpt import kernels
from scratchgpt.autograd.layers import HEAD_ROWS, IGNORE_INDEX
from scratchgpt.models.gpt2 import GPT

EPSILON = 1e-5
BETAS = (0.9, 0.95)
ADAM_EPSILON = 1e-8

Arrays = dict[str, np.ndarray]
Statistics = tuple[np.ndarray, np.ndarray]


class Handwritten:
    """Weights, gradients and moments by name, and the step on them, for one fixed batch.

    Args:
        weights: arrays with the names of `GPT.named_parameters`; they are updated in place.
        shape: the model's sizes. input_ids, targets: (B, T) integers, none of them ignored.
    """

    def __init__(self, weights: Arrays, shape: Shape, input_ids: np.ndarray, targets: np.ndarray) -> None:
        self.weights = weights
        self.shape = shape
        self.input_ids, self.targets = input_ids.reshape(-1), targets.reshape(-1)
        self.gradients: Arrays = {}
        self.moments = {name: (np.zeros_like(w), np.zeros_like(w)) for name, w in weights.items()}
        self.step_count = 0

    def step(self) -> float:
        """Forward, backward, clip, AdamW; returns the loss."""
        loss = self.loss_and_gradients()
        norm = math.sqrt(sum(float(g.reshape(-1) @ g.reshape(-1)) for g in self.gradients.values()))
        scale = min(1.0, MAX_GRAD_NORM / (norm + 1e-6))
        self.step_count += 1
        for name, weight in self.weights.items():
            arrays = [array.reshape(-1) for array in (weight, self.gradients[name], *self.moments[name])]
            decay = WEIGHT_DECAY if weight.ndim > 1 else 0.0
            kernels.adamw_step(*arrays, LEARNING_RATE, *BETAS, ADAM_EPSILON, decay, self.step_count, scale)
        self.gradients = {}
        return loss

    def loss_and_gradients(self) -> float:
        """Forward and backward; fills `gradients`."""
        w, g = self.weights, self.gradients
        time, channels = self.shape.context_size, self.shape.emb_dim
        tokens = w["transformer.wte.weight"][self.input_ids].reshape(-1, time, channels)
        x = (tokens + w["transformer.wpe.weight"][:time]).reshape(-1, channels)
        saved = []
        for layer in range(self.shape.num_layers):
            x, kept = self.block(x, f"transformer.h.{layer}.")
            saved.append(kept)
        hidden, statistics = self.layernorm(x, "transformer.ln_f.")
        loss, grad = self.head(hidden)
        grad = self.layernorm_backward(grad, x, statistics, "transformer.ln_f.")
        for layer in reversed(range(self.shape.num_layers)):
            grad = self.block_backward(grad, saved.pop(), f"transformer.h.{layer}.")
        g["transformer.wpe.weight"] = grad.reshape(-1, time, channels).sum(axis=0)
        g["transformer.wte.weight"] += kernels.embedding_backward(grad, self.input_ids, self.shape.vocab_size)
        return loss

    def block(self, x: np.ndarray, path: str) -> tuple[np.ndarray, tuple[Any, ...]]:
        """x (B T, C) -> the same after attention and feed-forward layer, and what the way back needs."""
        w = self.weights
        normed, first = self.layernorm(x, path + "ln_1.")
        qkv = kernels.matmul(normed, w[path + "attn.c_attn.weight"], w[path + "attn.c_attn.bias"])
        qkv = qkv.reshape(-1, self.shape.context_size, qkv.shape[1])
        mixed, logsumexp = kernels.attention_forward(qkv, self.shape.num_heads)
        middle = kernels.matmul(mixed.reshape(x.shape), w[path + "attn.c_proj.weight"], w[path + "attn.c_proj.bias"])
        middle += x
        middle_normed, second = self.layernorm(middle, path + "ln_2.")
        pre, active = kernels.matmul_gelu(middle_normed, w[path + "mlp.c_fc.weight"], w[path + "mlp.c_fc.bias"])
        out = kernels.matmul(active, w[path + "mlp.c_proj.weight"], w[path + "mlp.c_proj.bias"])
        out += middle
        return out, (x, first, normed, qkv, mixed, logsumexp, middle, second, middle_normed, pre)

    def block_backward(self, grad: np.ndarray, saved: tuple[Any, ...], path: str) -> np.ndarray:
        """dL/d(out) (B T, C) -> dL/dx; the residual branches add up."""
        w = self.weights
        x, first, normed, qkv, mixed, logsumexp, middle, second, middle_normed, pre = saved
        grad_pre, active = kernels.matmul_gelu_backward(grad, w[path + "mlp.c_proj.weight"].T, pre)
        self.linear_gradients(active, grad, path + "mlp.c_proj.")
        self.linear_gradients(middle_normed, grad_pre, path + "mlp.c_fc.")
        grad_normed = kernels.matmul(grad_pre, w[path + "mlp.c_fc.weight"].T)
        grad_middle = self.layernorm_backward(grad_normed, middle, second, path + "ln_2.")
        grad_middle += grad
        self.linear_gradients(mixed.reshape(x.shape), grad_middle, path + "attn.c_proj.")
        grad_mixed = kernels.matmul(grad_middle, w[path + "attn.c_proj.weight"].T).reshape(mixed.shape)
        grad_qkv = kernels.attention_backward(grad_mixed, qkv, mixed, logsumexp, self.shape.num_heads)
        grad_qkv = grad_qkv.reshape(len(x), -1)
        self.linear_gradients(normed, grad_qkv, path + "attn.c_attn.")
        grad_normed = kernels.matmul(grad_qkv, w[path + "attn.c_attn.weight"].T)
        grad_x = self.layernorm_backward(grad_normed, x, first, path + "ln_1.")
        grad_x += grad_middle
        return grad_x

    def head(self, hidden: np.ndarray) -> tuple[float, np.ndarray]:
        """Logits, loss and their gradients, `HEAD_ROWS` positions at a time: the loss and dL/d(hidden)."""
        weight = self.weights["transformer.wte.weight"]
        forward, back = kernels.pack(weight.T), kernels.pack(weight)
        grad_hidden, grad_weight = np.empty_like(hidden), np.zeros_like(weight)
        share = np.full(len(hidden), 1 / len(hidden), hidden.dtype)
        loss = 0.0
        for start in range(0, len(hidden), HEAD_ROWS):
            rows = slice(start, start + HEAD_ROWS)
            logits = kernels.matmul(hidden[rows], forward)
            losses = kernels.cross_entropy_gradient(logits, self.targets[rows], share[rows], IGNORE_INDEX)
            loss += float(losses @ share[rows])
            # The logits have become their own gradient.
            grad_hidden[rows] = kernels.matmul(logits, back)
            kernels.add_matmul(grad_weight, logits.T, hidden[rows])
        self.gradients["transformer.wte.weight"] = grad_weight
        return loss, grad_hidden

    def layernorm(self, x: np.ndarray, path: str) -> tuple[np.ndarray, Statistics]:
        """The normalised rows, and their means and reciprocal standard deviations."""
        weight, bias = self.weights[path + "weight"], self.weights[path + "bias"]
        normed, mean, rstd = kernels.layernorm_forward(x, weight, bias, EPSILON)
        return normed, (mean, rstd)

    def layernorm_backward(self, grad: np.ndarray, x: np.ndarray, statistics: Statistics, path: str) -> np.ndarray:
        """dL/dx; keeps the gradients of weight and bias."""
        grad_x, *own = kernels.layernorm_backward(grad, x, self.weights[path + "weight"], *statistics)
        self.gradients[path + "weight"], self.gradients[path + "bias"] = own
        return grad_x

    def linear_gradients(self, x: np.ndarray, grad: np.ndarray, path: str) -> None:
        """Keep the gradients of a linear layer's weight and bias."""
        self.gradients[path + "weight"], self.gradients[path + "bias"] = kernels.weight_gradient(x, grad)

    def check(self, model: GPT) -> None:
        """Raise RuntimeError unless loss and every gradient equal those of a model with the same weights."""
        ids, targets = (a.reshape(-1, self.shape.context_size) for a in (self.input_ids, self.targets))
        loss = model.loss(ids, targets)
        loss.backward()
        ours = self.loss_and_gradients()
        worst = abs(ours - loss.item()) / loss.item()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None
            error = np.abs(self.gradients[name] - parameter.grad).max() / np.abs(parameter.grad).max()
            worst = max(worst, float(error))
        model.zero_grad()
        self.gradients = {}
        if not worst < 1e-5:
            raise RuntimeError(f"the handwritten step differs from the engine by {worst:.1e} of the largest element")


class HandWorker(OurWorker):
    """Our engine and the handwritten step side by side in one process: `engine_step` and `step`."""

    engine_step: Callable[[], float]

    def build(self, shape: Shape) -> None:
        """Make both, hold them equal on the first batch, then let them train their own copies of the weights."""
        super().build(shape)
        self.engine_step = self.step
        hand = Handwritten(self.model.state_dict(), shape, *batch_of(shape))
        hand.check(self.model)
        self.step = hand.step

    def answer(self, do: str, **request: Any) -> Any:
        """As `Worker.answer`, and "engine step": seconds of one step of the engine."""
        return seconds_of(self.engine_step) if do == "engine step" else super().answer(do, **request)
