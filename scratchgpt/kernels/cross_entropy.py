"""Cross-entropy of a softmax, each row of V logits on its own:

    loss_i = logsumexp_i - logits[i, target_i],    logsumexp_i = log sum_v exp(logits[i, v])
    grad_logits[i, v] = grad_loss_i * (exp(logits[i, v] - logsumexp_i) - [v == target_i])

Rows whose target is ``ignore_index`` have loss 0 and gradient 0.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from scratchgpt.kernels.runtime.dispatch import compiled, dense, loop, parallel_loop, require
from scratchgpt.kernels.runtime.vector_math import exp, maximum


def cross_entropy_forward_reference(
    logits: np.ndarray, targets: np.ndarray, ignore_index: int
) -> tuple[np.ndarray, np.ndarray]:
    """The equation above in NumPy; see ``cross_entropy_forward``."""
    top = logits.max(axis=1)
    logsumexp = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    counted = targets != ignore_index
    picked = logits[np.arange(len(targets)), np.where(counted, targets, 0)]
    return np.where(counted, logsumexp - picked, 0).astype(logits.dtype), logsumexp


def cross_entropy_backward_reference(
    grad_losses: np.ndarray, logits: np.ndarray, targets: np.ndarray, logsumexp: np.ndarray, ignore_index: int
) -> np.ndarray:
    """The equation above in NumPy; see ``cross_entropy_backward``."""
    counted = targets != ignore_index
    grad = np.exp(logits - logsumexp[:, None])
    grad[np.arange(len(targets)), np.where(counted, targets, 0)] -= 1
    return grad * np.where(counted, grad_losses, 0).astype(logits.dtype)[:, None]


def cross_entropy_gradient_reference(
    logits: np.ndarray, targets: np.ndarray, grad_losses: np.ndarray, ignore_index: int
) -> np.ndarray:
    """Both equations above in NumPy; see ``cross_entropy_gradient``."""
    losses, logsumexp = cross_entropy_forward_reference(logits, targets, ignore_index)
    logits[...] = cross_entropy_backward_reference(grad_losses, logits, targets, logsumexp, ignore_index)
    return losses


# Why this is fast: maximum and sum of exponentials are vectorised loops over a row that is in cache, and
# the probabilities are never stored: backward computes them again from the one number logsumexp.


@loop
def _logsumexp(row):
    top = row[0]
    for v in range(row.size):
        top = maximum(top, row[v])
    total = row.dtype.type(0)
    for v in range(row.size):
        total += exp(row[v] - top)
    return top + np.log(total)


@loop
def _gradient_row(row, target, logsumexp, grad_loss, grad):
    for v in range(row.size):
        grad[v] = grad_loss * exp(row[v] - logsumexp)
    grad[target] -= grad_loss


@loop
def _losses_and_gradient_row(row, target, grad_loss):
    """The loss of a row, which becomes its gradient: one exponential an element serves both."""
    top = row[0]
    for v in range(row.size):
        top = maximum(top, row[v])
    total = row.dtype.type(0)
    wanted = row[target]
    for v in range(row.size):
        row[v] = exp(row[v] - top)
        total += row[v]
    scale = grad_loss / total
    for v in range(row.size):
        row[v] *= scale
    row[target] -= grad_loss
    return top + np.log(total) - wanted


@parallel_loop
def _forward(logits, targets, ignore_index, losses, logsumexp):
    for i in prange(logits.shape[0]):
        logsumexp[i] = _logsumexp(logits[i])
        losses[i] = logits.dtype.type(0) if targets[i] == ignore_index else logsumexp[i] - logits[i, targets[i]]


@parallel_loop
def _backward(grad_losses, logits, targets, logsumexp, ignore_index, grad_logits):
    for i in prange(logits.shape[0]):
        if targets[i] == ignore_index:
            grad_logits[i, :] = 0
        else:
            _gradient_row(logits[i], targets[i], logsumexp[i], grad_losses[i], grad_logits[i])


@parallel_loop
def _gradient(logits, targets, grad_losses, ignore_index, losses):
    for i in prange(logits.shape[0]):
        if targets[i] == ignore_index:
            logits[i, :] = 0
            losses[i] = 0
        else:
            losses[i] = _losses_and_gradient_row(logits[i], targets[i], grad_losses[i])


def _check(logits: np.ndarray, targets: np.ndarray, ignore_index: int) -> None:
    require(
        logits.ndim == 2 and targets.shape == logits.shape[:1] and logits.shape[1] > 0,
        f"cross_entropy: logits {logits.shape} and targets {targets.shape}; expected (N, V) and (N,)",
    )
    counted = targets[targets != ignore_index]
    if counted.size and not (counted.min() >= 0 and counted.max() < logits.shape[1]):
        raise ValueError(f"cross_entropy: targets must lie in 0..{logits.shape[1] - 1} or be {ignore_index}")


@compiled(reference=cross_entropy_forward_reference)
def cross_entropy_forward(
    logits: np.ndarray, targets: np.ndarray, ignore_index: int
) -> tuple[np.ndarray, np.ndarray]:
    """Losses (N,) and logsumexp (N,) of logits (N, V) against integer targets (N,).

    Raises:
        ValueError: if the shapes do not fit and on a target outside the vocabulary.
    """
    _check(logits, targets, ignore_index)
    losses = np.empty(logits.shape[0], logits.dtype)
    logsumexp = np.empty(logits.shape[0], logits.dtype)
    _forward(dense(logits), dense(targets.astype(np.int64, copy=False)), ignore_index, losses, logsumexp)
    return losses, logsumexp


@compiled(reference=cross_entropy_backward_reference)
def cross_entropy_backward(
    grad_losses: np.ndarray, logits: np.ndarray, targets: np.ndarray, logsumexp: np.ndarray, ignore_index: int
) -> np.ndarray:
    """The gradient (N, V) of ``cross_entropy_forward`` for grad_losses (N,); raises as it does."""
    _check(logits, targets, ignore_index)
    require(grad_losses.shape == logsumexp.shape == targets.shape, "cross_entropy: one gradient and logsumexp a row")
    grad_logits = np.empty_like(logits, order="C")
    targets = dense(targets.astype(np.int64, copy=False))
    grad_losses = dense(grad_losses.astype(logits.dtype, copy=False))
    _backward(grad_losses, dense(logits), targets, dense(logsumexp), ignore_index, grad_logits)
    return grad_logits


@compiled(reference=cross_entropy_gradient_reference)
def cross_entropy_gradient(
    logits: np.ndarray, targets: np.ndarray, grad_losses: np.ndarray, ignore_index: int
) -> np.ndarray:
    """Losses (N,) of logits (N, V), which are overwritten by their gradient for grad_losses (N,).

    For a head whose losses' gradients are known beforehand. Raises as ``cross_entropy_forward`` does, and ValueError
    if the logits are not contiguous.
    """
    _check(logits, targets, ignore_index)
    require(grad_losses.shape == targets.shape, "cross_entropy: one gradient a row")
    require(logits.flags.c_contiguous and logits.flags.writeable, "cross_entropy: the logits are overwritten in place")
    losses = np.empty(logits.shape[0], logits.dtype)
    targets = dense(targets.astype(np.int64, copy=False))
    _gradient(logits, targets, dense(grad_losses.astype(logits.dtype, copy=False)), ignore_index, losses)
    return losses
