"""Operations that move elements without computing: reshape, transpose, concatenate, index."""

from __future__ import annotations

from typing import Any

import numpy as np

from scratchgpt.autograd.tensor import Array, Gradients, Needs, Result, ShapeError, operation


@operation
def reshape(x: Array, *, shape: Any) -> Result:
    """The same elements in another shape (one length may be -1)."""
    try:
        y = x.reshape(shape)
    except ValueError as error:
        raise ShapeError(str(error)) from None
    return y, lambda grad: (grad.reshape(x.shape),)


@operation
def transpose(x: Array, *, axes: tuple[int, ...] | None = None) -> Result:
    """Axes in the order ``axes``; without it, reversed."""
    inverse = None if axes is None else tuple(np.argsort([axis % x.ndim for axis in axes]))
    return x.transpose(axes), lambda grad: (grad.transpose(inverse),)


@operation
def concatenate(*arrays: Array, axis: int = 0, needs: Needs) -> Result:
    """The arrays one after the other along ``axis``; every other length must agree."""
    if not arrays:
        raise ValueError("there are no arrays to concatenate")
    try:
        joined = np.concatenate(arrays, axis=axis)
    except np.exceptions.AxisError:  # a ValueError too, but not about the shapes
        raise
    except ValueError as error:
        raise ShapeError(str(error)) from None
    ends = np.cumsum([array.shape[axis] for array in arrays])[:-1]

    def vjp(grad: Array) -> Gradients:
        parts = np.split(grad, ends, axis=axis)  # views: nothing is computed
        return tuple(part if needed else None for part, needed in zip(parts, needs, strict=True))

    return joined, vjp


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
