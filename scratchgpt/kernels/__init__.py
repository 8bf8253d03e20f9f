"""The hot loops: arrays in, arrays out. Each module holds the mathematics in NumPy and the compiled kernel.

`use("numpy")` (or the variable SCRATCHGPT_KERNELS=numpy) runs everything on the NumPy references.
"""

from __future__ import annotations

from scratchgpt.kernels import environment as environment  # isort: split  -- first: it sets what Numba reads
from scratchgpt.kernels.adamw import adamw_step
from scratchgpt.kernels.attention import attention_backward, attention_forward
from scratchgpt.kernels.attention_decode import attention_decode
from scratchgpt.kernels.cross_entropy import cross_entropy_backward, cross_entropy_forward
from scratchgpt.kernels.dispatch import backend, use
from scratchgpt.kernels.dropout import dropout_backward, dropout_forward
from scratchgpt.kernels.embedding import embedding_backward
from scratchgpt.kernels.gelu import gelu_backward, gelu_forward
from scratchgpt.kernels.layernorm import layernorm_backward, layernorm_forward
from scratchgpt.kernels.matmul import matmul, matmul_bias_gelu
from scratchgpt.kernels.threads import num_threads, set_threads

__all__ = [
    "adamw_step",
    "attention_backward",
    "attention_decode",
    "attention_forward",
    "backend",
    "cross_entropy_backward",
    "cross_entropy_forward",
    "dropout_backward",
    "dropout_forward",
    "embedding_backward",
    "gelu_backward",
    "gelu_forward",
    "layernorm_backward",
    "layernorm_forward",
    "matmul",
    "matmul_bias_gelu",
    "num_threads",
    "set_threads",
    "use",
]
