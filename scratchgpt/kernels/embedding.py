"""The gradient of an embedding lookup.

    out[i] = weight[ids[i]]   gives   grad_weight[v] = sum of grad[i] over the rows with ids[i] == v
"""

from __future__ import annotations

import numpy as np
from numba import prange

from scratchgpt.kernels.runtime.dispatch import compiled, dense, parallel_loop, require

CHANNEL_BLOCK = 64


def embedding_backward_reference(grad: np.ndarray, ids: np.ndarray, num_embeddings: int) -> np.ndarray:
    """The sum above in NumPy; see ``embedding_backward``."""
    grad_weight = np.zeros((num_embeddings, grad.shape[1]), grad.dtype)
    np.add.at(grad_weight, ids, grad)
    return grad_weight


# Why this is fast and exact: the threads share out the channels, not the rows. No two of them add to one
# place, and every sum runs in the order of the rows, so the result does not depend on the thread count.


@parallel_loop
def _scatter_add(grad, ids, grad_weight):
    channels = grad.shape[1]
    for block in prange((channels + CHANNEL_BLOCK - 1) // CHANNEL_BLOCK):
        for i in range(ids.size):
            source = grad[i, block * CHANNEL_BLOCK : (block + 1) * CHANNEL_BLOCK]
            target = grad_weight[ids[i], block * CHANNEL_BLOCK : (block + 1) * CHANNEL_BLOCK]
            for c in range(source.size):
                target[c] += source[c]


@compiled(reference=embedding_backward_reference)
def embedding_backward(grad: np.ndarray, ids: np.ndarray, num_embeddings: int) -> np.ndarray:
    """Scatter-add grad (N, C) to the rows ids (N,) of a zero array (num_embeddings, C).

    Raises:
        ValueError: if the shapes do not fit and on an id outside 0 .. num_embeddings - 1.
    """
    require(grad.ndim == 2 and ids.shape == grad.shape[:1], f"embedding: grad {grad.shape} and ids {ids.shape}")
    if ids.size and not (ids.min() >= 0 and ids.max() < num_embeddings):
        raise ValueError(f"embedding: ids must lie in 0..{num_embeddings - 1}")
    grad_weight = np.zeros((num_embeddings, grad.shape[1]), grad.dtype)
    _scatter_add(dense(grad), dense(ids.astype(np.int64, copy=False)), grad_weight)
    return grad_weight
