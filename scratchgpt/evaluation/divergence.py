"""How far one policy is from another, estimated from tokens that one of them wrote.

    KL(q || p) = E_q[log q - log p]

What to take the mean of, for tokens drawn from q: Schulman 2020, "Approximating KL Divergence".
"""

from __future__ import annotations

import numpy as np

from scratchgpt import autograd as ag
from scratchgpt.autograd import Tensor


def kl_k1(log_ratio: np.ndarray) -> np.ndarray:
    """-log r: an unbiased estimate of KL(q || p) from tokens drawn from q, with log r = log p - log q.

    It may be negative for a token; summed over a response
    it estimates the divergence of the whole response.
    """
    return -log_ratio


def kl_k3(log_ratio: Tensor | np.ndarray) -> Tensor:
    """(r - 1) - log r: as :func:`kl_k1`, unbiased, never negative and of less variance (Schulman 2020)."""
    return ag.exp(log_ratio) - 1 - log_ratio
