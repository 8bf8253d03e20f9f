"""Gradients against central differences, element by element, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scratchgpt.autograd.tensor import Tensor, no_grad


class GradientError(AssertionError):
    """A gradient that central differences contradict; names the worst input and element."""


def gradcheck(
    function: Callable[..., Tensor], *inputs: Any, eps: float = 1e-6, atol: float = 1e-6, rtol: float = 1e-5
) -> bool:
    """Compare the gradient of ``function`` with (f(x + eps) - f(x - eps)) / (2 eps).

    The output is contracted with a fixed random array first, so that one number depends on every element
    of it and no gradient can hide behind symmetry (a softmax sums to one whatever its input).

    Args:
        function: takes Tensors, returns one Tensor; must be deterministic.
        inputs: floating arrays or Tensors; they are copied to float64, their strides kept.
        eps: half the width of the difference; the error of the method is O(eps^2).
        atol, rtol: a gradient g passes against a difference d if |g - d| <= atol + rtol * |d|.

    Returns:
        True.

    Raises:
        GradientError: naming the input, the element, and the two values, at the largest deviation.
    """
    tensors = [Tensor(_copy_with_strides(x.data if isinstance(x, Tensor) else np.asarray(x)), True) for x in inputs]
    output = function(*tensors)
    projection = np.random.default_rng(0).uniform(0.5, 1.5, output.shape) * np.where(
        np.random.default_rng(1).random(output.shape) < 0.5, -1.0, 1.0
    )
    output.backward(projection)

    def objective() -> float:
        with no_grad():
            return float((function(*tensors).data * projection).sum())

    worst_excess, worst = 0.0, ""
    for position, tensor in enumerate(tensors):
        gradient = np.zeros_like(tensor.data) if tensor.grad is None else tensor.grad
        for index in np.ndindex(tensor.shape):
            value = tensor.data[index]
            tensor.data[index] = value + eps
            above = objective()
            tensor.data[index] = value - eps
            below = objective()
            tensor.data[index] = value
            difference = (above - below) / (2 * eps)
            excess = float(abs(gradient[index] - difference) / (atol + rtol * abs(difference)))
            if not np.isfinite(excess):  # a NaN on either side is the worst deviation there is
                excess = np.inf
            if excess > max(1.0, worst_excess):
                worst_excess = excess
                worst = (
                    f"input {position}, element {index}: backward gives {gradient[index]:.8g}, "
                    f"central differences give {difference:.8g} ({excess:.1f} times the tolerance)"
                )
    if worst:
        raise GradientError(f"gradcheck: {worst}")
    return True


def _copy_with_strides(array: np.ndarray) -> np.ndarray:
    """A float64 copy laid out in memory as the original was, so that strided inputs stay strided."""
    if array.flags.c_contiguous or array.size == 0:
        return array.astype(np.float64)
    spread = np.empty(tuple(2 * n for n in array.shape), dtype=np.float64)
    view = spread[tuple(slice(None, None, 2) for _ in array.shape)]
    view[...] = array
    return view
