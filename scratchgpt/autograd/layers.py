"""The operations a transformer is made of: matmul, linear, layernorm, embedding, attention, the losses.

These are the hot ones: each calls one kernel forward and one back (see ``scratchgpt.kernels``).
"""

from __future__ import annotations

import numpy as np

from scratchgpt import kernels
from scratchgpt.autograd.tensor import Array, Gradients, Tensor, VectorJacobianProduct, operation, unbroadcast

Result = tuple[Array, VectorJacobianProduct]
IGNORE_INDEX = -100
"""The target that takes no part in a loss (PyTorch's convention)."""
HEAD_ROWS = 1024
"""Rows of logits that ``linear_cross_entropy`` holds at a time: 26 MB at a vocabulary of 6,400."""


@operation
def matmul(a: Array, b: Array) -> Result:
    """a @ b over the last two axes, the leading ones broadcast; vectors as in NumPy.

    C = A B gives dA = dC B^T and dB = A^T dC.
    """

    def vjp(grad: Array) -> Gradients:
        left = a[None, :] if a.ndim == 1 else a
        right = b[:, None] if b.ndim == 1 else b
        if b.ndim == 1:
            grad = grad[..., None]
        if a.ndim == 1:
            grad = grad[..., None, :]
        if one_matrix:
            rows, grad_rows = left.reshape(-1, left.shape[-1]), grad.reshape(-1, grad.shape[-1])
            grad_left, grad_right = kernels.matmul(grad_rows, right.T), kernels.matmul(rows.T, grad_rows)
        else:
            grad_left = unbroadcast(grad @ np.swapaxes(right, -1, -2), left.shape)
            grad_right = unbroadcast(np.swapaxes(left, -1, -2) @ grad, right.shape)
        return grad_left.reshape(a.shape), grad_right.reshape(b.shape)

    # One matrix on the right, however many on the left: a single product for the kernel.
    one_matrix = a.ndim >= 2 and b.ndim == 2 and a.shape[-1] == len(b) and a.size and b.size and a.dtype == b.dtype
    if one_matrix:
        return kernels.matmul(a.reshape(-1, a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[1]), vjp
    return np.matmul(a, b), vjp


@operation
def linear(x: Array, weight: Array, bias: Array | None = None) -> Result:
    """x @ weight + bias.  x (..., K), weight (K, N) as GPT-2 stores it, bias (N,) or None -> (..., N)"""
    rows = x.reshape(-1, x.shape[-1])
    y = kernels.matmul(rows, weight, bias)

    def vjp(grad: Array) -> Gradients:
        grad_rows = np.ascontiguousarray(grad).reshape(-1, weight.shape[1])
        grad_weight, grad_bias = kernels.weight_gradient(rows, grad_rows)
        return kernels.matmul(grad_rows, weight.T).reshape(x.shape), grad_weight, grad_bias

    return y.reshape(*x.shape[:-1], weight.shape[1]), vjp


@operation
def feed_forward(x: Array, weight_in: Array, bias_in: Array, weight_out: Array, bias_out: Array) -> Result:
    """gelu(x @ weight_in + bias_in) @ weight_out + bias_out: both linear layers of a block (Radford et al. 2019).

    x (..., C), weight_in (C, F), bias_in (F,), weight_out (F, C'), bias_out (C',) -> (..., C'). GELU and its
    derivative are applied where the products leave their results, which saves three passes over (..., F).
    """
    rows = x.reshape(-1, x.shape[-1])
    pre, hidden = kernels.matmul_gelu(rows, weight_in, bias_in)
    y = kernels.matmul(hidden, weight_out, bias_out)

    def vjp(grad: Array) -> Gradients:
        grad_rows = np.ascontiguousarray(grad).reshape(-1, weight_out.shape[1])
        grad_pre, hidden = kernels.matmul_gelu_backward(grad_rows, weight_out.T, pre)
        grad_out = kernels.weight_gradient(hidden, grad_rows)
        grad_in = kernels.weight_gradient(rows, grad_pre)
        return kernels.matmul(grad_pre, weight_in.T).reshape(x.shape), *grad_in, *grad_out

    return y.reshape(*x.shape[:-1], weight_out.shape[1]), vjp


@operation
def layernorm(x: Array, weight: Array, bias: Array, *, eps: float = 1e-5) -> Result:
    """(x - mean) / sqrt(var + eps) * weight + bias over the last axis (Ba et al. 2016, eq. 4).

    x (..., C), weight (C,), bias (C,) -> (..., C)
    """
    if weight.shape != x.shape[-1:] or bias.shape != x.shape[-1:]:
        raise ValueError("weight and bias must have the length of the last axis of x")
    rows = np.ascontiguousarray(x).reshape(-1, x.shape[-1])
    weight = np.ascontiguousarray(weight)
    y, mean, rstd = kernels.layernorm_forward(rows, weight, np.ascontiguousarray(bias), eps)

    def vjp(grad: Array) -> Gradients:
        grad_rows = np.ascontiguousarray(grad).reshape(rows.shape)
        grad_x, grad_weight, grad_bias = kernels.layernorm_backward(grad_rows, rows, weight, mean, rstd)
        return grad_x.reshape(x.shape), grad_weight, grad_bias

    return y.reshape(x.shape), vjp


@operation
def embedding(weight: Array, ids: Array) -> Result:
    """weight[ids]: one row of the table for every id.  weight (V, C), ids (...) integers -> (..., C)

    The gradient adds each row's gradient into the row it was read from.

    Raises:
        IndexError: if an id is negative or not below V.
    """
    ids = np.asarray(ids)
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
    """
    if qkv.ndim != 3 or qkv.shape[-1] % (3 * num_heads):
        raise ValueError(f"qkv must be (B, T, 3C) with C divisible by num_heads = {num_heads}")
    qkv = np.ascontiguousarray(qkv)
    out, logsumexp = kernels.attention_forward(qkv, num_heads)

    def vjp(grad: Array) -> Gradients:
        return (kernels.attention_backward(np.ascontiguousarray(grad), qkv, out, logsumexp, num_heads),)

    return out, vjp


@operation
def token_losses(logits: Array, targets: Array, *, ignore_index: int = IGNORE_INDEX) -> Result:
    """-log softmax(logits)[target] at every position, 0 where the target is ``ignore_index``.

    logits (..., V), targets (...) integers -> (...). The gradient is softmax minus one-hot.
    """
    _check_targets(logits.shape[:-1], logits.shape[-1], targets, ignore_index)
    rows = np.ascontiguousarray(logits).reshape(-1, logits.shape[-1])
    flat = np.ascontiguousarray(targets, dtype=np.int64).reshape(-1)
    losses, logsumexp = kernels.cross_entropy_forward(rows, flat, ignore_index)

    def vjp(grad: Array) -> Gradients:
        grad_losses = np.ascontiguousarray(grad).reshape(-1)
        grad_logits = kernels.cross_entropy_backward(grad_losses, rows, flat, logsumexp, ignore_index)
        return grad_logits.reshape(logits.shape), None

    return losses.reshape(logits.shape[:-1]), vjp


def cross_entropy(
    logits: Tensor, targets: Array, weights: Array | None = None, ignore_index: int = IGNORE_INDEX
) -> Tensor:
    """Mean of :func:`token_losses`, weighted by ``weights`` (...) where they are given.

    The mean is over the tokens that are not ignored: sum(weights * losses) / sum(weights). It is 0 when
    nothing is left to average.
    """
    normalised = _normalised_weights(np.asarray(targets), weights, ignore_index, logits.dtype)
    losses: Tensor = token_losses(logits, targets, ignore_index=ignore_index)
    return (losses * normalised).sum()


@operation
def linear_cross_entropy(
    hidden: Array, weight: Array, targets: Array, weights: Array | None = None, *, ignore_index: int = IGNORE_INDEX
) -> Result:
    """cross_entropy(hidden @ weight.T, targets, weights) without ever holding all the logits.

    hidden (..., C), weight (V, C), targets (...), weights (...) or None -> scalar.

    A block of rows at a time makes its logits, their losses and at once the gradients that depend on
    them, because both need the softmax and the logits are the largest array of the whole step
    (Hsu et al. 2024, "Liger Kernel", section 3.2). The way back has only to scale them.
    """
    _check_targets(hidden.shape[:-1], len(weight), targets, ignore_index)
    share = _normalised_weights(np.asarray(targets), weights, ignore_index, hidden.dtype).reshape(-1)
    rows = np.ascontiguousarray(hidden).reshape(-1, hidden.shape[-1])
    flat = np.ascontiguousarray(targets, dtype=np.int64).reshape(-1)
    grad_rows, grad_weight = np.zeros_like(rows), np.zeros_like(weight)
    loss = np.zeros((), dtype=hidden.dtype)
    (taking_part,) = np.nonzero(share)  # in SFT most positions are prompt: their logits are never needed
    head, head_turned = kernels.pack(weight.T), kernels.pack(weight)  # once for all blocks
    for start in range(0, len(taking_part), HEAD_ROWS):
        block = taking_part[start : start + HEAD_ROWS]
        logits = kernels.matmul(rows[block], head)
        losses = kernels.cross_entropy_gradient(logits, flat[block], share[block], ignore_index)
        loss += losses @ share[block]
        # The logits have become their own gradient.
        grad_rows[block] = kernels.matmul(logits, head_turned)
        kernels.add_matmul(grad_weight, logits.T, rows[block])

    def vjp(grad: Array) -> Gradients:
        if grad == 1:
            return grad_rows.reshape(hidden.shape), grad_weight, None, None
        return (grad_rows * grad).reshape(hidden.shape), grad_weight * grad, None, None

    return loss, vjp


def _normalised_weights(targets: Array, weights: Array | None, ignore_index: int, dtype: np.dtype) -> Array:
    share = (targets != ignore_index).astype(dtype)
    if weights is not None:
        if np.shape(weights) != targets.shape:
            raise ValueError(f"weights of shape {np.shape(weights)} for targets of shape {targets.shape}")
        share *= weights
    total = share.sum()
    return share / total if total else share


def _check_targets(shape: tuple[int, ...], vocab_size: int, targets: Array, ignore_index: int) -> None:
    targets = np.asarray(targets)
    if targets.shape != shape:
        raise ValueError(f"targets must have shape {shape}, not {targets.shape}")
    counted = targets[targets != ignore_index]
    if counted.size and (counted.min() < 0 or counted.max() >= vocab_size):
        raise ValueError(f"targets from {counted.min()} to {counted.max()}, the vocabulary has {vocab_size} entries")
