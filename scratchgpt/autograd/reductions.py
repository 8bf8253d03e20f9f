"""Operations that fold an axis: sum, mean, max, logsumexp, and the softmaxes that divide by such a fold.

``axis`` is None (all), an integer or a tuple of them; ``keepdims`` as in NumPy.
"""

from __future__ import annotations

import numpy as np

from scratchgpt.autograd.tensor import Array, Gradients, Result, ShapeError, operation

Axis = int | tuple[int, ...] | None


def _expand(folded: Array, shape: tuple[int, ...], axis: Axis) -> Array:
    """Put the folded axes back as length 1, whether or not they had been kept."""
    axes = range(len(shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
    kept = [1 if i in {a % len(shape) for a in axes} else length for i, length in enumerate(shape)]
    return np.reshape(folded, kept)


def _largest(x: Array, axis: Axis, keepdims: bool = True) -> Array:
    """The largest element over the axes, which no elements do not have."""
    if x.size == 0 and x.sum(axis=axis).size:
        raise ShapeError(f"axis {axis} has no elements")
    largest: Array = x.max(axis=axis, keepdims=keepdims)
    return largest


@operation
def sum(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Result:
    """Sum over the axes."""

    def vjp(grad: Array) -> Gradients:
        return (np.broadcast_to(_expand(grad, x.shape, axis), x.shape),)

    return x.sum(axis=axis, keepdims=keepdims), vjp


@operation
def mean(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Result:
    """Arithmetic mean over the axes."""
    y = x.mean(axis=axis, keepdims=keepdims)
    count = x.size / y.size if y.size else 1

    def vjp(grad: Array) -> Gradients:
        return (np.broadcast_to(_expand(grad / np.asarray(count, grad.dtype), x.shape, axis), x.shape),)

    return y, vjp


@operation
def max(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Result:
    """Largest element over the axes; equal largest elements share the gradient."""
    y = _largest(x, axis, keepdims)

    def vjp(grad: Array) -> Gradients:
        hits = (x == _expand(y, x.shape, axis)).astype(grad.dtype)
        shares = hits / hits.sum(axis=axis, keepdims=True)
        return (shares * _expand(grad, x.shape, axis),)

    return y, vjp


@operation
def logsumexp(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Result:
    """log(sum(exp(x))) with the largest element taken out first, so that nothing overflows."""
    largest = _largest(x, axis)
    kept = largest + np.log(np.exp(x - largest).sum(axis=axis, keepdims=True))
    y = kept if keepdims else kept.reshape(np.sum(x, axis=axis).shape)

    def vjp(grad: Array) -> Gradients:
        return (np.exp(x - kept) * _expand(grad, x.shape, axis),)

    return y, vjp


@operation
def softmax(x: Array, *, axis: int = -1) -> Result:
    """exp(x) / sum(exp(x)); vjp: y (g - sum(g y))"""
    shifted = np.exp(x - _largest(x, axis))
    y = shifted / shifted.sum(axis=axis, keepdims=True)

    def vjp(grad: Array) -> Gradients:
        return (y * (grad - (grad * y).sum(axis=axis, keepdims=True)),)

    return y, vjp


@operation
def log_softmax(x: Array, *, axis: int = -1) -> Result:
    """x - logsumexp(x); vjp: g - softmax(x) sum(g)"""
    shifted = x - _largest(x, axis)
    y = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))

    def vjp(grad: Array) -> Gradients:
        return (grad - np.exp(y) * grad.sum(axis=axis, keepdims=True),)

    return y, vjp
