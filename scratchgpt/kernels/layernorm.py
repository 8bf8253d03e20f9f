"""Layer normalisation (Ba, Kiros & Hinton 2016), each row of C channels on its own:

    y = (x - mean) * rstd * weight + bias,    rstd = 1 / sqrt(var + eps)

With g = grad * weight and n = (x - mean) * rstd the gradient is

    grad_x = rstd * (g - mean(g) - n * mean(g * n)),   grad_weight = sum_rows grad * n,   grad_bias = sum_rows grad
"""

from __future__ import annotations

import numpy as np
from numba import prange

from scratchgpt.kernels.runtime.dispatch import compiled, dense, loop, parallel_loop, require

ROW_BLOCK = 64


def layernorm_forward_reference(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The equation above in NumPy; see ``layernorm_forward``."""
    mean = x.mean(axis=1)
    rstd = 1 / np.sqrt(x.var(axis=1) + x.dtype.type(eps))
    return (x - mean[:, None]) * rstd[:, None] * weight + bias, mean, rstd


def layernorm_backward_reference(
    grad: np.ndarray, x: np.ndarray, weight: np.ndarray, mean: np.ndarray, rstd: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The equation above in NumPy; see ``layernorm_backward``."""
    normed = (x - mean[:, None]) * rstd[:, None]
    g = grad * weight
    along = g.mean(axis=1, keepdims=True) + normed * (g * normed).mean(axis=1, keepdims=True)
    return rstd[:, None] * (g - along), (grad * normed).sum(axis=0), grad.sum(axis=0)


# Why this is fast: a row stays in the first-level cache for its three passes (mean, variance, output), so
# memory is read once and written once, where NumPy goes through it once an operation.


@loop
def _forward_row(x, weight, bias, eps, y):
    channels = x.size
    total = x[0] - x[0]
    for c in range(channels):
        total += x[c]
    mean = total / x.dtype.type(channels)
    squares = x[0] - x[0]
    for c in range(channels):
        squares += (x[c] - mean) * (x[c] - mean)
    rstd = x.dtype.type(1) / np.sqrt(squares / x.dtype.type(channels) + eps)
    for c in range(channels):
        y[c] = (x[c] - mean) * rstd * weight[c] + bias[c]
    return mean, rstd


@parallel_loop
def _forward(x, weight, bias, eps, y, mean, rstd):
    for i in prange(x.shape[0]):
        mean[i], rstd[i] = _forward_row(x[i], weight, bias, eps, y[i])


@loop
def _backward_row(grad, x, weight, mean, rstd, grad_x, grad_weight, grad_bias):
    channels = x.size
    sum_g = x.dtype.type(0)
    sum_gn = x.dtype.type(0)
    for c in range(channels):
        normed = (x[c] - mean) * rstd
        sum_g += grad[c] * weight[c]
        sum_gn += grad[c] * weight[c] * normed
        grad_weight[c] += grad[c] * normed
        grad_bias[c] += grad[c]
    mean_g = sum_g / x.dtype.type(channels)
    mean_gn = sum_gn / x.dtype.type(channels)
    for c in range(channels):
        normed = (x[c] - mean) * rstd
        grad_x[c] = rstd * (grad[c] * weight[c] - mean_g - normed * mean_gn)


@parallel_loop
def _backward(grad, x, weight, mean, rstd, grad_x, partial_weight, partial_bias):
    # Every block of rows has its own sums of the parameters' gradients: no two threads add to one place, and
    # the result is the same bit for bit with any number of threads.
    for block in prange(partial_weight.shape[0]):
        for i in range(block * ROW_BLOCK, min((block + 1) * ROW_BLOCK, x.shape[0])):
            _backward_row(
                grad[i], x[i], weight, mean[i], rstd[i], grad_x[i], partial_weight[block], partial_bias[block]
            )


@compiled(reference=layernorm_forward_reference)
def layernorm_forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normalise the rows of x (N, C); weight and bias (C,). Returns y (N, C), mean (N,), rstd (N,).

    Raises:
        ValueError: if the shapes do not fit.
    """
    require(
        x.ndim == 2 and weight.shape == bias.shape == x.shape[1:] and x.shape[1] > 0,
        f"layernorm: x {x.shape} needs weight and bias of shape (C,), not {weight.shape} and {bias.shape}",
    )
    y = np.empty_like(x, order="C")
    mean = np.empty(x.shape[0], x.dtype)
    rstd = np.empty(x.shape[0], x.dtype)
    _forward(dense(x), dense(weight), dense(bias), x.dtype.type(eps), y, mean, rstd)
    return y, mean, rstd


@compiled(reference=layernorm_backward_reference)
def layernorm_backward(
    grad: np.ndarray, x: np.ndarray, weight: np.ndarray, mean: np.ndarray, rstd: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of ``layernorm_forward`` from grad (N, C) and what it returned: grad_x (N, C), grad_weight (C,),
    grad_bias (C,).

    Raises:
        ValueError: if the shapes do not fit.
    """
    require(
        x.ndim == 2 and grad.shape == x.shape and weight.shape == x.shape[1:] and x.shape[1] > 0,
        f"layernorm: grad {grad.shape}, x {x.shape} and weight {weight.shape} do not fit",
    )
    require(mean.shape == rstd.shape == x.shape[:1], "layernorm: mean and rstd need one value a row")
    blocks = -(-x.shape[0] // ROW_BLOCK)
    grad_x = np.empty_like(x, order="C")
    partial_weight = np.zeros((blocks, x.shape[1]), x.dtype)
    partial_bias = np.zeros((blocks, x.shape[1]), x.dtype)
    _backward(dense(grad), dense(x), dense(weight), mean, rstd, grad_x, partial_weight, partial_bias)
    return grad_x, partial_weight.sum(axis=0), partial_bias.sum(axis=0)
