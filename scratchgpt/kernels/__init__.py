"""The hot loops: arrays in, arrays out. Each module holds the mathematics in NumPy and the compiled kernel.

``use("numpy")`` (or the variable SCRATCHGPT_KERNELS=numpy) runs everything on the NumPy references.
"""

from __future__ import annotations

from scratchgpt.kernels.runtime import environment as environment  # first: it sets what Numba reads

# isort: split
from scratchgpt.kernels.adamw import adamw_step
from scratchgpt.kernels.attention import attention_backward, attention_forward
from scratchgpt.kernels.attention_decode import attention_decode
from scratchgpt.kernels.cross_entropy import cross_entropy_backward, cross_entropy_forward, cross_entropy_gradient
from scratchgpt.kernels.dropout import dropout_backward, dropout_forward
from scratchgpt.kernels.embedding import embedding_backward
from scratchgpt.kernels.gelu import gelu_backward, gelu_forward
from scratchgpt.kernels.layernorm import layernorm_backward, layernorm_forward
from scratchgpt.kernels.matrix.matmul import (
    PackedMatrix,
    add_matmul,
    matmul,
    matmul_gelu,
    matmul_gelu_backward,
    pack,
    weight_gradient,
)
from scratchgpt.kernels.runtime.dispatch import backend, use
from scratchgpt.kernels.runtime.precision import precision, precision_reason, set_precision
from scratchgpt.kernels.runtime.threads import num_threads, set_threads

__all__ = [
    "PackedMatrix",
    "adamw_step",
    "add_matmul",
    "attention_backward",
    "attention_decode",
    "attention_forward",
    "backend",
    "cross_entropy_backward",
    "cross_entropy_forward",
    "cross_entropy_gradient",
    "dropout_backward",
    "dropout_forward",
    "embedding_backward",
    "gelu_backward",
    "gelu_forward",
    "layernorm_backward",
    "layernorm_forward",
    "matmul",
    "matmul_gelu",
    "matmul_gelu_backward",
    "num_threads",
    "pack",
    "precision",
    "precision_reason",
    "set_precision",
    "set_threads",
    "use",
    "weight_gradient",
]
