"""What `bench/attention.py` compares: our kernel and three other ways to compute causal attention, forward and back.

All start from the same qkv (B, T, 3C) and gradient (B, T, C) and end with the gradient of qkv, float32. The NumPy
sides run in the benchmark's process, PyTorch in one of its own that answers the requests of `common.PeerProcess`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from common import PeerProcess, seconds_of

SAMPLES = 1000
"""Elements of each result that are compared with PyTorch's."""

Shape = tuple[int, int, int, int]
"""Batch, time, heads, head size."""
Forward = Callable[[np.ndarray, int], tuple[np.ndarray, Any]]
Backward = Callable[[np.ndarray, np.ndarray, np.ndarray, Any, int], np.ndarray]


def inputs(batch: int, time: int, heads: int, head_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Random qkv (B, T, 3C) and gradient of the output (B, T, C); the same in every process."""
    rng = np.random.default_rng(0)
    qkv = rng.standard_normal((batch, time, 3 * heads * head_size), np.float32)
    return qkv, rng.standard_normal((batch, time, heads * head_size), np.float32)


def textbook_forward(qkv: np.ndarray, num_heads: int) -> tuple[np.ndarray, np.ndarray]:
    """Attention as it is taught: the output (B, T, C) and the whole matrix of probabilities (B, H, T, T)."""
    batch, time, three_channels = qkv.shape
    q, k, v = qkv.reshape(batch, time, 3, num_heads, -1).transpose(2, 0, 3, 1, 4)
    scores = q @ k.swapaxes(-1, -2)
    scores /= np.float32(math.sqrt(q.shape[-1]))
    scores[..., np.triu(np.ones((time, time), bool), 1)] = -np.inf
    scores -= scores.max(axis=-1, keepdims=True)
    probabilities = np.exp(scores, out=scores)
    probabilities /= probabilities.sum(axis=-1, keepdims=True)
    return (probabilities @ v).transpose(0, 2, 1, 3).reshape(batch, time, three_channels // 3), probabilities


PASSES_OF_TEXTBOOK = 12
"""How often `textbook_forward` reads or writes the matrix: the product writes it, the division by sqrt(D) reads and
writes, the mask writes half, the maximum reads, subtraction and exponential read and write, the sum reads, the
division reads and writes, the last product reads. Rounded down."""


def textbook_backward(
    grad_out: np.ndarray, qkv: np.ndarray, out: np.ndarray, probabilities: np.ndarray, num_heads: int
) -> np.ndarray:
    """The gradient of `textbook_forward` from the matrix it kept."""
    batch, time, channels = grad_out.shape
    q, k, v = qkv.reshape(batch, time, 3, num_heads, -1).transpose(2, 0, 3, 1, 4)
    grad = grad_out.reshape(batch, time, num_heads, -1).transpose(0, 2, 1, 3)
    grad_scores = grad @ v.swapaxes(-1, -2)
    grad_scores -= (grad_scores * probabilities).sum(axis=-1, keepdims=True)
    grad_scores *= probabilities
    grad_scores /= np.float32(math.sqrt(q.shape[-1]))
    parts = (grad_scores @ k, grad_scores.swapaxes(-1, -2) @ q, probabilities.swapaxes(-1, -2) @ grad)
    return np.stack(parts).transpose(1, 3, 0, 2, 4).reshape(batch, time, 3 * channels)


class Side:
    """One way to compute attention at work on one input: each `run` is timed, its results are kept."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seconds: list[tuple[float, float]] = []

    def once(self) -> tuple[float, float]:
        """Forward and backward once; the seconds of each."""
        raise NotImplementedError

    def samples(self) -> tuple[np.ndarray, np.ndarray]:
        """Some elements of the last run's output and of its gradient."""
        raise NotImplementedError

    def run(self) -> float:
        """Forward and backward once; keeps the seconds of each and returns their sum."""
        self.seconds.append(self.once())
        return sum(self.seconds[-1])


def sampled(array: np.ndarray) -> np.ndarray:
    """At most SAMPLES elements, evenly spread."""
    return array.reshape(-1)[:: max(1, array.size // SAMPLES)]


class ArraySide(Side):
    """Functions on NumPy arrays."""

    def __init__(self, name: str, forward: Forward, backward: Backward, shape: Shape) -> None:
        super().__init__(name)
        self.forward, self.backward, self.heads = forward, backward, shape[2]
        self.qkv, self.grad_out = inputs(*shape)

    def once(self) -> tuple[float, float]:
        """Forward and backward once; the seconds of each."""
        forward_seconds = seconds_of(self.run_forward)
        return forward_seconds, seconds_of(self.run_backward)

    def run_forward(self) -> None:
        """The output and what backward needs."""
        self.out, self.saved = self.forward(self.qkv, self.heads)

    def run_backward(self) -> None:
        """The gradient of qkv, after `run_forward`."""
        self.grad_qkv = self.backward(self.grad_out, self.qkv, self.out, self.saved, self.heads)

    def samples(self) -> tuple[np.ndarray, np.ndarray]:
        """Some elements of the last run's output and of its gradient."""
        return sampled(self.out), sampled(self.grad_qkv)


def array_side(name: str, shape: Shape) -> ArraySide:
    """The side called "ours", "reference" or "textbook" on an input of `shape` (batch, time, heads, head size)."""
    if name == "textbook":
        return ArraySide(name, textbook_forward, textbook_backward, shape)
    from scratchgpt import kernels

    forward, backward = kernels.attention_forward, kernels.attention_backward
    if name == "reference":
        return ArraySide(name, forward.reference, backward.reference, shape)
    return ArraySide(name, forward.compiled, backward.compiled, shape)


class TorchSide(Side):
    """PyTorch in its own process."""

    def __init__(self, process: PeerProcess, shape: Shape) -> None:
        super().__init__("torch")
        self.process, self.shape = process, shape

    def once(self) -> tuple[float, float]:
        """Forward and backward once; the seconds of each."""
        forward, backward = self.process.ask(do="time", shape=self.shape)
        return forward, backward

    def samples(self) -> tuple[np.ndarray, np.ndarray]:
        """Some elements of the last run's output and of its gradient."""
        out, grad = self.process.ask(do="samples", shape=self.shape)
        return np.array(out), np.array(grad)


# -- in PyTorch's process -------------------------------------------------------------------------------------
def torch_worker(threads: int) -> Callable[..., Any]:
    """Answers "time" and "samples" with PyTorch's scaled_dot_product_attention."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    torch.set_num_threads(threads)
    state: dict[str, Any] = {"shape": None}

    def forward() -> None:
        batch, time, heads, head_size = state["shape"]
        state["qkv"].grad = None
        parts = state["qkv"].split(heads * head_size, dim=-1)
        q, k, v = (x.view(batch, time, heads, head_size).transpose(1, 2) for x in parts)
        out = scaled_dot_product_attention(q, k, v, is_causal=True)
        state["out"] = out.transpose(1, 2).reshape(batch, time, heads * head_size)

    def answer(do: str, shape: list[int]) -> list[Any]:
        if do == "samples":
            return [sampled(x.detach().numpy()).tolist() for x in (state["out"], state["qkv"].grad)]
        if state["shape"] != shape:
            qkv, grad_out = (torch.from_numpy(array) for array in inputs(*shape))
            state.update(shape=shape, qkv=qkv.requires_grad_(), grad_out=grad_out)
        return [seconds_of(forward), seconds_of(lambda: state["out"].backward(state["grad_out"]))]

    return answer
