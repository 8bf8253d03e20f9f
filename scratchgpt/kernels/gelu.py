"""GELU, tanh form (Hendrycks & Gimpel 2016), as in GPT-2:

    y = x/2 * (1 + tanh(u)) = x * s,    u = sqrt(2/pi) * (x + 0.044715 x^3),    s = sigmoid(2u)
    dy/dx = s + x * s * (1 - s) * 2 du/dx
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from scratchgpt.kernels.runtime.dispatch import compiled, dense, loop, parallel_loop, require
from scratchgpt.kernels.runtime.vector_math import sigmoid

LINEAR = 2 * math.sqrt(2 / math.pi)  # 2u = LINEAR * x + CUBIC * x^3
CUBIC = LINEAR * 0.044715
BLOCK = 4096


def gelu_forward_reference(x: np.ndarray) -> np.ndarray:
    """The equation above in NumPy; see ``gelu_forward``."""
    return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu_backward_reference(grad: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The equation above in NumPy; see ``gelu_backward``."""
    t = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    du = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)
    return grad * ((1 + t) / 2 + x / 2 * (1 - t**2) * du)


# Why this is fast: one pass over memory, and the sigmoid form costs one vectorised exponential an element.


@loop
def gelu_into(x, y):
    """y[i] = gelu(x[i]) for 1-d arrays; used inside other kernels as well."""
    linear = x.dtype.type(LINEAR)
    cubic = x.dtype.type(CUBIC)
    for i in range(x.size):
        y[i] = x[i] * sigmoid(x[i] * (linear + cubic * x[i] * x[i]))


@loop
def gelu_backward_into(grad, x, grad_x):
    """grad_x[i] = grad[i] * gelu'(x[i]) for 1-d arrays; used inside other kernels as well."""
    one = x.dtype.type(1)
    linear = x.dtype.type(LINEAR)
    cubic = x.dtype.type(CUBIC)
    three = x.dtype.type(3)
    for i in range(x.size):
        square = x[i] * x[i]
        s = sigmoid(x[i] * (linear + cubic * square))
        grad_x[i] = grad[i] * (s + x[i] * s * (one - s) * (linear + three * cubic * square))


@loop
def gelu_again_into(grad, x, grad_x, y):
    """Both of the above at once: y[i] = gelu(x[i]) costs a product when its derivative is computed anyway."""
    one = x.dtype.type(1)
    linear = x.dtype.type(LINEAR)
    cubic = x.dtype.type(CUBIC)
    three = x.dtype.type(3)
    for i in range(x.size):
        square = x[i] * x[i]
        s = sigmoid(x[i] * (linear + cubic * square))
        y[i] = x[i] * s
        grad_x[i] = grad[i] * (s + x[i] * s * (one - s) * (linear + three * cubic * square))


@parallel_loop
def _forward(x, y):
    for block in prange((x.size + BLOCK - 1) // BLOCK):
        part = slice(block * BLOCK, (block + 1) * BLOCK)
        gelu_into(x[part], y[part])


@parallel_loop
def _backward(grad, x, grad_x):
    for block in prange((x.size + BLOCK - 1) // BLOCK):
        part = slice(block * BLOCK, (block + 1) * BLOCK)
        gelu_backward_into(grad[part], x[part], grad_x[part])


@compiled(reference=gelu_forward_reference)
def gelu_forward(x: np.ndarray) -> np.ndarray:
    """gelu(x) for an array of any shape."""
    y = np.empty_like(x, order="C")
    _forward(dense(x).reshape(-1), y.reshape(-1))
    return y


@compiled(reference=gelu_backward_reference)
def gelu_backward(grad: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The gradient of ``gelu_forward`` at x; grad has the shape of x (ValueError otherwise)."""
    require(grad.shape == x.shape, f"gelu: grad {grad.shape} and x {x.shape} differ in shape")
    grad_x = np.empty_like(x, order="C")
    _backward(dense(grad).reshape(-1), dense(x).reshape(-1), grad_x.reshape(-1))
    return grad_x
