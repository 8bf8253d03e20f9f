"""The operations a transformer is made of: matmul, linear, layernorm, embedding, attention, the losses.

These are the hot ones: each calls one kernel forward and one back (see ``scratchgpt.kernels``).
"""

from __future__ import annotations

import numpy as np

from scratchgpt import kernels
from scratchgpt.autograd.tensor import (
    Array,
    Gradients,
    Needs,
    Result,
    ShapeError,
    Tensor,
    operation,
    unbroadcast,
)

IGNORE_INDEX = -100
"""The target that takes no part in a loss (PyTorch's convention)."""
HEAD_ROWS = 1024
"""Rows of logits that ``linear_cross_entropy`` holds at a time: 26 MB at a vocabulary of 6,400."""


@operation
def matmul(a: Array, b: Array, *, needs: Needs) -> Result:
    """a @ b over the last two axes, the leading ones broadcast; vectors as in NumPy.

    C = A B gives dA = dC B^T and dB = A^T dC.
    """
    needs_a, needs_b = needs
    if a.ndim == 0 or b.ndim == 0 or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ShapeError("the last axis of the first must be as long as the last but one of the second")

    def vjp(grad: Array) -> Gradients:
        left = a[None, :] if a.ndim == 1 else a
        right = b[:, None] if b.ndim == 1 else b
        if b.ndim == 1:
            grad = grad[..., None]
        if a.ndim == 1:
            grad = grad[..., None, :]
        grad_a = grad_b = None
        if one_matrix:
            rows, grad_rows = left.reshape(-1, left.shape[-1]), grad.reshape(-1, grad.shape[-1])
            if needs_a:
                grad_a = kernels.matmul(grad_rows, right.T).reshape(a.shape)
            if needs_b:
                grad_b = kernels.matmul(rows.T, grad_rows).reshape(b.shape)
        else:
            if needs_a:
                grad_a = unbroadcast(grad @ np.swapaxes(right, -1, -2), left.shape).reshape(a.shape)
            if needs_b:
                grad_b = unbroadcast(np.swapaxes(left, -1, -2) @ grad, right.shape).reshape(b.shape)
        return grad_a, grad_b

    # One matrix on the right, however many on the left: a single product for the kernel.
    one_matrix = a.ndim >= 2 and b.ndim == 2 and a.size and b.size and a.dtype == b.dtype
    if one_matrix:
        return kernels.matmul(a.reshape(-1, a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[1]), vjp
    try:
        return np.matmul(a, b), vjp
    except ValueError as error:
        raise ShapeError(str(error)) from None


def _check_linear(x_shape: tuple[int, ...], weight: Array, bias: Array | None) -> None:
    if not x_shape or weight.ndim != 2 or x_shape[-1] != weight.shape[0]:
        raise ShapeError(f"a weight of shape {weight.shape} cannot multiply the last axis of {x_shape}")
    if bias is not None and bias.shape != weight.shape[1:]:
        raise ShapeError(f"the bias must have shape {weight.shape[1:]}, not {bias.shape}")


def _parameter_gradients(
    rows: Array, grad_rows: Array, needs_weight: bool, needs_bias: bool
) -> tuple[Array | None, Array | None]:
    """The gradients of weight and bias of y = rows @ weight + bias."""
    if needs_weight:
        grad_weight, grad_bias = kernels.weight_gradient(rows, grad_rows)
        return grad_weight, grad_bias if needs_bias else None
    return None, grad_rows.sum(axis=0) if needs_bias else None


@operation
def linear(x: Array, weight: Array, bias: Array | None = None, *, needs: Needs) -> Result:
    """x @ weight + bias.  x (..., K), weight (K, N) as GPT-2 stores it, bias (N,) or None -> (..., N)"""
    needs_x, needs_weight, needs_bias = needs
    _check_linear(x.shape, weight, bias)
    rows = x.reshape(-1, x.shape[-1])
    y = kernels.matmul(rows, weight, bias)

    def vjp(grad: Array) -> Gradients:
        grad_rows = np.ascontiguousarray(grad).reshape(-1, weight.shape[1])
        grad_parameters = _parameter_gradients(rows, grad_rows, needs_weight, needs_bias)
        grad_x = kernels.matmul(grad_rows, weight.T).reshape(x.shape) if needs_x else None
        return grad_x, *grad_parameters

    return y.reshape(*x.shape[:-1], weight.shape[1]), vjp


@operation
def feed_forward(
    x: Array, weight_in: Array, bias_in: Array, weight_out: Array, bias_out: Array, *, needs: Needs
) -> Result:
    """gelu(x @ weight_in + bias_in) @ weight_out + bias_out: both linear layers of a block (Radford et al. 2019).

    x (..., C), weight_in (C, F), bias_in (F,), weight_out (F, C'), bias_out (C',) -> (..., C'). GELU and its
    derivative are applied where the products leave their results, which saves three passes over (..., F).
    """
    needs_x, needs_weight_in, needs_bias_in, needs_weight_out, needs_bias_out = needs
    _check_linear(x.shape, weight_in, bias_in)
    _check_linear((*x.shape[:-1], weight_in.shape[1]), weight_out, bias_out)
    rows = x.reshape(-1, x.shape[-1])
    pre, hidden = kernels.matmul_gelu(rows, weight_in, bias_in)
    y = kernels.matmul(hidden, weight_out, bias_out)

    def vjp(grad: Array) -> Gradients:
        grad_rows = np.ascontiguousarray(grad).reshape(-1, weight_out.shape[1])
        grad_x = grad_weight_in = grad_bias_in = None
        if needs_x or needs_weight_in or needs_bias_in:
            grad_pre, hidden = kernels.matmul_gelu_backward(grad_rows, weight_out.T, pre)
            grad_weight_in, grad_bias_in = _parameter_gradients(rows, grad_pre, needs_weight_in, needs_bias_in)
            grad_x = kernels.matmul(grad_pre, weight_in.T).reshape(x.shape) if needs_x else None
        else:
            hidden = kernels.gelu_forward(pre)
        grad_out = _parameter_gradients(hidden, grad_rows, needs_weight_out, needs_bias_out)
        return grad_x, grad_weight_in, grad_bias_in, *grad_out

    return y.reshape(*x.shape[:-1], weight_out.shape[1]), vjp


@operation
def layernorm(x: Array, weight: Array, bias: Array, *, eps: float = 1e-5, needs: Needs) -> Result:
    """(x - mean) / sqrt(var + eps) * weight + bias over the last axis (Ba et al. 2016, eq. 4).

    x (..., C), weight (C,), bias (C,) -> (..., C)

    Raises:
        ValueError: if eps is negative.
    """
    if not x.shape or not x.shape[-1] or weight.shape != x.shape[-1:] or bias.shape != x.shape[-1:]:
        raise ShapeError("weight and bias must have the length of the last axis of x, which must have elements")
    if not eps >= 0:
        raise ValueError(f"eps must not be negative, it is {eps}")
    rows = np.ascontiguousarray(x).reshape(-1, x.shape[-1])
    weight = np.ascontiguousarray(weight)
    y, mean, rstd = kernels.layernorm_forward(rows, weight, np.ascontiguousarray(bias), eps)

    def vjp(grad: Array) -> Gradients:
        grad_rows = np.ascontiguousarray(grad).reshape(rows.shape)
        if not needs[0]:
            normed = (rows - mean[:, None]) * rstd[:, None]
            grad_weight = (grad_rows * normed).sum(axis=0) if needs[1] else None
            return None, grad_weight, grad_rows.sum(axis=0) if needs[2] else None
        # The kernel makes all three in one pass over memory; to leave the sums out would save next to nothing.
        grad_x, grad_weight, grad_bias = kernels.layernorm_backward(grad_rows, rows, weight, mean, rstd)
        return grad_x.reshape(x.shape), grad_weight if needs[1] else None, grad_bias if needs[2] else None

    return y.reshape(x.shape), vjp


@operation
def embedding(weight: Array, ids: Array) -> Result:
    """weight[ids]: one row of the table for every id.  weight (V, C), ids (...) integers -> (..., C)

    The gradient adds each row's gradient into the row it was read from.

    Raises:
        TypeError: if the ids are not integers.
        IndexError: if an id is negative or not below V.
    """
    if weight.ndim != 2:
        raise ShapeError("the table must be (V, C)")
    ids = _integers("embedding: ids", ids)
    if ids.size and (ids.min() < 0 or ids.max() >= len(weight)):
        raise IndexError(f"embedding: ids from {ids.min()} to {ids.max()}, the table has rows 0 to {len(weight) - 1}")
    flat = np.ascontiguousarray(ids, dtype=np.int64).reshape(-1)

    def vjp(grad: Array) -> Gradients:
        grad_rows = np.ascontiguousarray(grad).reshape(-1, weight.shape[1])
        return kernels.embedding_backward(grad_rows, flat, len(weight)), None

    return weight[ids], vjp


@operation
def causal_attention(qkv: Array, *, num_heads: int) -> Result:
    """softmax(Q K^T / sqrt(D) + causal mask) V for every head (Vaswani et al. 2017, eq. 1).

    qkv (B, T, 3C) holds queries, keys and values side by side as GPT-2's ``c_attn`` leaves them, head h
    in the channels h*D to (h+1)*D of each -> (B, T, C). Memory is linear in T (Dao 2023).

    Raises:
        ValueError: if num_heads is not positive.
    """
    if num_heads < 1:
        raise ValueError(f"num_heads must be positive, it is {num_heads}")
    if qkv.ndim != 3 or not qkv.shape[-1] or qkv.shape[-1] % (3 * num_heads):
        raise ShapeError(f"qkv must be (B, T, 3C) with C divisible by num_heads = {num_heads}")
    qkv = np.ascontiguousarray(qkv)
    out, logsumexp = kernels.attention_forward(qkv, num_heads)

    def vjp(grad: Array) -> Gradients:
        return (kernels.attention_backward(np.ascontiguousarray(grad), qkv, out, logsumexp, num_heads),)

    return out, vjp


@operation
def token_losses(logits: Array, targets: Array, *, ignore_index: int = IGNORE_INDEX) -> Result:
    """-log softmax(logits)[target] at every position, 0 where the target is ``ignore_index``.

    logits (..., V), targets (...) integers -> (...). The gradient is softmax minus one-hot.

    Raises:
        TypeError: if the targets are not integers.
        ValueError: if one is neither below V nor ``ignore_index``.
    """
    if not logits.shape:
        raise ShapeError("logits must be (..., V)")
    targets = _checked_targets("token_losses", targets, logits.shape[:-1], logits.shape[-1], ignore_index)
    rows = np.ascontiguousarray(logits).reshape(-1, logits.shape[-1])
    flat = np.ascontiguousarray(targets, dtype=np.int64).reshape(-1)
    losses, logsumexp = kernels.cross_entropy_forward(rows, flat, ignore_index)

    def vjp(grad: Array) -> Gradients:
        grad_losses = np.ascontiguousarray(grad).reshape(-1)
        grad_logits = kernels.cross_entropy_backward(grad_losses, rows, flat, logsumexp, ignore_index)
        return grad_logits.reshape(logits.shape), None

    return losses.reshape(logits.shape[:-1]), vjp


def cross_entropy(
    logits: Tensor, targets: Array, *, count: int | None = None, ignore_index: int = IGNORE_INDEX
) -> Tensor:
    """The sum of :func:`token_losses`, divided by a count.

    Args:
        logits: (..., V).
        targets: (...) integers; ``ignore_index`` takes no part.
        count: what the sum is divided by; None for the number of targets that take part, which makes it their
            mean (0 if there are none). A part of a larger batch is given the number in the whole: then the losses
            of the parts, and their gradients, add up to those of the whole.
        ignore_index: the target that takes no part.

    Raises:
        TypeError, ValueError: as :func:`token_losses`; ValueError if the count is not positive.
    """
    share = _shares(np.asarray(targets), count, ignore_index, logits.dtype)
    losses: Tensor = token_losses(logits, targets, ignore_index=ignore_index)
    return (losses * share).sum()


@operation
def linear_cross_entropy(
    hidden: Array,
    weight: Array,
    targets: Array,
    *,
    count: int | None = None,
    ignore_index: int = IGNORE_INDEX,
    needs: Needs,
) -> Result:
    """cross_entropy(hidden @ weight.T, targets, count=count) without ever holding all the logits.

    hidden (..., C), weight (V, C), targets (...) integers -> scalar: a sum over the targets that are not
    ``ignore_index``, divided by ``count`` (None: their number), which must be known here, before the way back.

    A block of rows at a time makes its logits, their losses and at once the gradients that depend on
    them, because both need the softmax and the logits are the largest array of the whole step
    (Hsu et al. 2024, "Liger Kernel", section 3.2). The way back has only to scale them.

    Raises:
        TypeError, ValueError: as :func:`cross_entropy`.
    """
    needs_hidden, needs_weight, _ = needs
    if not hidden.shape or weight.ndim != 2 or hidden.shape[-1] != weight.shape[1]:
        raise ShapeError("hidden must be (..., C) and weight (V, C)")
    targets = _checked_targets("linear_cross_entropy", targets, hidden.shape[:-1], len(weight), ignore_index)
    share = _shares(targets, count, ignore_index, hidden.dtype).reshape(-1)
    rows = np.ascontiguousarray(hidden).reshape(-1, hidden.shape[-1])
    flat = np.ascontiguousarray(targets, dtype=np.int64).reshape(-1)
    grad_rows = np.zeros_like(rows) if needs_hidden else None
    grad_weight = np.zeros_like(weight) if needs_weight else None
    loss = np.zeros((), dtype=hidden.dtype)
    (taking_part,) = np.nonzero(share)  # in SFT most positions are prompt: their logits are never needed
    head = kernels.pack(weight.T)  # once for all blocks
    head_turned = kernels.pack(weight) if needs_hidden else None
    for start in range(0, len(taking_part), HEAD_ROWS):
        block = taking_part[start : start + HEAD_ROWS]
        logits = kernels.matmul(rows[block], head)
        losses = kernels.cross_entropy_gradient(logits, flat[block], share[block], ignore_index)
        loss += losses @ share[block]
        # The logits have become their own gradient.
        if grad_rows is not None and head_turned is not None:
            grad_rows[block] = kernels.matmul(logits, head_turned)
        if grad_weight is not None:
            kernels.add_matmul(grad_weight, logits.T, rows[block])

    def vjp(grad: Array) -> Gradients:
        grad_hidden = None if grad_rows is None else grad_rows.reshape(hidden.shape)
        gradients = grad_hidden, grad_weight, None
        return gradients if grad == 1 else tuple(None if g is None else g * grad for g in gradients)

    return loss, vjp


def _shares(targets: Array, count: int | None, ignore_index: int, dtype: np.dtype) -> Array:
    """What each target's loss counts: 1 / count, and 0 where it takes no part."""
    share = (targets != ignore_index).astype(dtype)
    if count is not None and count < 1:
        raise ValueError(f"count must be positive, it is {count}")
    total = share.sum() if count is None else dtype.type(count)
    return share / total if total else share


def _integers(name: str, values: Array) -> Array:
    values = np.asarray(values)
    if not np.issubdtype(values.dtype, np.integer):
        raise TypeError(f"{name} must be integers, not {values.dtype}")
    return values


def _checked_targets(name: str, targets: Array, shape: tuple[int, ...], vocab_size: int, ignore_index: int) -> Array:
    targets = _integers(f"{name}: targets", targets)
    if targets.shape != shape:
        raise ShapeError(f"targets must have shape {shape}, not {targets.shape}")
    counted = targets[targets != ignore_index]
    if counted.size and (counted.min() < 0 or counted.max() >= vocab_size):
        raise ValueError(f"targets from {counted.min()} to {counted.max()}, the vocabulary has {vocab_size} entries")
    return targets
