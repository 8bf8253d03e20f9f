"""Operations that act on every element by itself, with NumPy's broadcasting.

Each function returns the value and, beside it, the vector-Jacobian product: the gradient of the result
times the local derivative, summed over the axes along which an argument was stretched. A function of two
arguments computes only the gradients that are needed (``needs``; the other is often a constant). Derivatives: any
calculus book; GELU: Hendrycks & Gimpel 2016, section 2 (tanh form).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scratchgpt import kernels
from scratchgpt.autograd.tensor import Array, Gradients, Needs, Result, check_broadcast, operation, unbroadcast


@operation
def add(a: Array, b: Array, *, needs: Needs) -> Result:
    """a + b"""
    check_broadcast(a, b)

    def vjp(grad: Array) -> Gradients:
        grad_a = unbroadcast(grad, np.shape(a)) if needs[0] else None
        grad_b = unbroadcast(grad, np.shape(b)) if needs[1] else None
        return grad_a, grad_b

    return a + b, vjp


@operation
def sub(a: Array, b: Array, *, needs: Needs) -> Result:
    """a - b"""
    check_broadcast(a, b)

    def vjp(grad: Array) -> Gradients:
        grad_a = unbroadcast(grad, np.shape(a)) if needs[0] else None
        grad_b = unbroadcast(-grad, np.shape(b)) if needs[1] else None
        return grad_a, grad_b

    return a - b, vjp


@operation
def mul(a: Array, b: Array, *, needs: Needs) -> Result:
    """a * b"""
    check_broadcast(a, b)

    def vjp(grad: Array) -> Gradients:
        grad_a = unbroadcast(grad * b, np.shape(a)) if needs[0] else None
        grad_b = unbroadcast(grad * a, np.shape(b)) if needs[1] else None
        return grad_a, grad_b

    return a * b, vjp


@operation
def div(a: Array, b: Array, *, needs: Needs) -> Result:
    """a / b"""
    check_broadcast(a, b)
    quotient = a / b

    def vjp(grad: Array) -> Gradients:
        scaled = grad / b
        grad_a = unbroadcast(scaled, np.shape(a)) if needs[0] else None
        grad_b = unbroadcast(-scaled * quotient, np.shape(b)) if needs[1] else None
        return grad_a, grad_b

    return quotient, vjp


@operation
def pow(a: Array, b: Array, *, needs: Needs) -> Result:
    """a ** b; the gradient with respect to b is 0 where a is 0 and undefined where a is negative."""
    check_broadcast(a, b)
    power = a**b

    def vjp(grad: Array) -> Gradients:
        grad_a = grad_b = None
        if needs[0]:
            grad_a = unbroadcast(grad * b * a ** np.subtract(b, 1, dtype=np.result_type(b, power)), np.shape(a))
        if needs[1]:
            log_a = np.log(np.where(np.equal(a, 0), 1, a))
            grad_b = unbroadcast(grad * power * log_a, np.shape(b))
        return grad_a, grad_b

    return power, vjp


@operation
def neg(x: Array) -> Result:
    """-x"""
    return -x, lambda grad: (-grad,)


@operation
def exp(x: Array) -> Result:
    """e ** x; (e ** x)' = e ** x"""
    y = np.exp(x)
    return y, lambda grad: (grad * y,)


@operation
def log(x: Array) -> Result:
    """Natural logarithm; (log x)' = 1 / x"""
    return np.log(x), lambda grad: (grad / x,)


@operation
def sqrt(x: Array) -> Result:
    """Square root; (sqrt x)' = 1 / (2 sqrt x)"""
    y = np.sqrt(x)
    return y, lambda grad: (grad / (2 * y),)


@operation
def tanh(x: Array) -> Result:
    """Hyperbolic tangent; tanh' = 1 - tanh^2"""
    y = np.tanh(x)
    return y, lambda grad: (grad * (1 - y * y),)


@operation
def sigmoid(x: Array) -> Result:
    """1 / (1 + e ** -x), computed through tanh so that it never overflows; s' = s (1 - s)"""
    y = 0.5 * (1 + np.tanh(0.5 * x))
    return y, lambda grad: (grad * y * (1 - y),)


@operation
def relu(x: Array) -> Result:
    """max(x, 0); the derivative at 0 is taken as 0, as PyTorch does"""
    return np.maximum(x, 0), lambda grad: (grad * (x > 0),)


@operation
def gelu(x: Array) -> Result:
    """x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))): GPT-2's form, one fused kernel each way."""
    x = np.ascontiguousarray(x)

    def vjp(grad: Array) -> Gradients:
        return (kernels.gelu_backward(np.ascontiguousarray(grad), x),)

    return kernels.gelu_forward(x), vjp


@operation
def dropout(x: Array, *, p: float, seed: int) -> Result:
    """Zero each element with probability p and divide the rest by 1 - p (Srivastava et al. 2014).

    The mask is a hash of ``seed`` and the element's position, so the way back computes it again
    instead of keeping it.

    Raises:
        ValueError: if p is not in [0, 1).
    """
    if not 0 <= p < 1:
        raise ValueError(f"p must be in [0, 1), not {p}")
    x = np.ascontiguousarray(x)

    def vjp(grad: Array) -> Gradients:
        return (kernels.dropout_backward(np.ascontiguousarray(grad), p, seed),)

    return kernels.dropout_forward(x, p, seed), vjp


@operation
def minimum(a: Array, b: Array, *, needs: Needs) -> Result:
    """The smaller of the two; equal elements share the gradient."""
    check_broadcast(a, b)

    def vjp(grad: Array) -> Gradients:
        share = _share(np.less(a, b), np.equal(a, b), grad.dtype)
        grad_a = unbroadcast(grad * share, np.shape(a)) if needs[0] else None
        grad_b = unbroadcast(grad * (1 - share), np.shape(b)) if needs[1] else None
        return grad_a, grad_b

    return np.minimum(a, b), vjp


@operation
def maximum(a: Array, b: Array, *, needs: Needs) -> Result:
    """The larger of the two; equal elements share the gradient."""
    check_broadcast(a, b)

    def vjp(grad: Array) -> Gradients:
        share = _share(np.greater(a, b), np.equal(a, b), grad.dtype)
        grad_a = unbroadcast(grad * share, np.shape(a)) if needs[0] else None
        grad_b = unbroadcast(grad * (1 - share), np.shape(b)) if needs[1] else None
        return grad_a, grad_b

    return np.maximum(a, b), vjp


def _share(wins: Array, ties: Array, dtype: np.dtype[Any]) -> Array:
    return wins.astype(dtype) + ties.astype(dtype) / 2


@operation
def clip(x: Array, *, low: float | None = None, high: float | None = None) -> Result:
    """x held between low and high; no gradient where it was held.

    Raises:
        ValueError: if low is above high.
    """
    if low is not None and high is not None and low > high:
        raise ValueError(f"low = {low} is above high = {high}")
    inside = np.ones(np.shape(x), dtype=bool)
    if low is not None:
        inside &= np.greater_equal(x, low)
    if high is not None:
        inside &= np.less_equal(x, high)
    return np.clip(x, low, high), lambda grad: (grad * inside,)


@operation
def where(condition: Array, a: Array, b: Array, *, needs: Needs) -> Result:
    """a where the condition holds, b elsewhere; the condition gets no gradient."""
    check_broadcast(condition, a, b)

    def vjp(grad: Array) -> Gradients:
        grad_a = unbroadcast(np.where(condition, grad, 0), np.shape(a)) if needs[1] else None
        grad_b = unbroadcast(np.where(condition, 0, grad), np.shape(b)) if needs[2] else None
        return None, grad_a, grad_b

    return np.where(condition, a, b), vjp
