"""Operations that move elements without computing: reshape, transpose, concatenate, index."""

from __future__ import annotations

from typing import Any

import numpy as np

from scratchgpt.autograd.tensor import Array, Gradients, VectorJacobianProduct, operation

Result = tuple[Array, VectorJacobianProduct]


@operation
def reshape(x: Array, *, shape: Any) -> Result:
    """The same elements in another shape (one length may be -1)."""
    return x.reshape(shape), lambda grad: (grad.reshape(x.shape),)


@operation
def transpose(x: Array, *, axes: tuple[int, ...] | None = None) -> Result:
    """Axes in the order ``axes``; without it, reversed."""
    inverse = None if axes is None else tuple(np.argsort([axis % x.ndim for axis in axes]))
    return x.transpose(axes), lambda grad: (grad.transpose(inverse),)


@operation
def concatenate(*arrays: Array, axis: int = 0) -> Result:
    """The arrays one after the other along ``axis``; every other length must agree."""
    ends = np.cumsum([array.shape[axis] for array in arrays])[:-1]

    def vjp(grad: Array) -> Gradients:
        return tuple(np.split(grad, ends, axis=axis))

    return np.concatenate(arrays, axis=axis), vjp


@operation
def getitem(x: Array, *, index: Any) -> Result:
    """x[index] with NumPy's slices, integers, integer arrays and boolean masks.

    An element picked several times receives the sum of its gradients.
    """
    parts = index if isinstance(index, tuple) else (index,)
    basic = all(part is None or part is Ellipsis or isinstance(part, int | slice | np.integer) for part in parts)

    def vjp(grad: Array) -> Gradients:
        grad_x = np.zeros(x.shape, dtype=grad.dtype)
        if basic:
            grad_x[index] = grad
        else:
            np.add.at(grad_x, index, grad)  # `grad_x[index] += grad` would drop repeated indices
        return (grad_x,)

    return x[index], vjp
