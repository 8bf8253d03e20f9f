"""In which precision the matrix products of a run multiply: float32, or bfloat16 where the CPU has it.

A bfloat16 is the upper half of a float32: the same range, 8 bits of mantissa instead of 24. With `bf16` the
products round their operands to it, two to a 32-bit word, and an instruction multiplies and adds both at once,
in float32; everything else, weights, gradients, reductions and the optimiser, stays float32 (Micikevicius et al.
2018, "Mixed Precision Training", section 3; Kalamkar et al. 2019, "A Study of BFLOAT16"). float64 is never touched.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from scratchgpt.errors import UserError
from scratchgpt.kernels.runtime import cpu

PRECISIONS = ("float32", "bf16", "auto")


def has_bf16() -> bool:
    """Whether the CPU that Numba compiles for multiplies pairs of bfloat16 in its vector registers."""
    return cpu.target().bf16_instruction is not None


def _fast_bf16() -> bool:
    return has_bf16() and cpu.target().bf16_is_faster


_precision = "float32"


def set_precision(name: str) -> str:
    """Let every float32 matrix product multiply in `name`, "float32", "bf16" or "auto", from now on.

    Returns the precision in force, "float32" or "bf16"; "auto" takes bf16 where it is faster. Raises UserError
    for another name, or for "bf16" on a CPU without it."""
    global _precision
    if name not in PRECISIONS:
        raise UserError(f"precision: no {name!r}; choose one of {', '.join(PRECISIONS)}")
    if name == "bf16" and not has_bf16():
        raise UserError("precision: this CPU cannot multiply bf16 (it has no avx512_bf16); use float32 or auto")
    if name == "auto":
        name = "bf16" if _fast_bf16() else "float32"
    _precision = name
    return name


def precision() -> str:
    """The precision in force, "float32" or "bf16"."""
    return _precision


def precision_reason() -> str:
    """A phrase on the precision in force and the CPU, for a run to print."""
    if _precision == "bf16":
        return "matrix products in bf16 (this CPU has avx512_bf16), everything else in float32"
    if _fast_bf16():
        return "float32 as asked; this CPU could multiply in bf16 (avx512_bf16)"
    return "float32: this CPU has no fast bf16 products"


def rounded(a: np.ndarray) -> np.ndarray:
    """float32 array -> the same with every element rounded to the nearest bfloat16, ties to even.

    The reference for what the compiled kernels do to their operands."""
    bits = np.ascontiguousarray(a, np.float32).view(np.uint32)
    nearest = (bits + (0x7FFF + ((bits >> 16) & 1)).astype(np.uint32)) & np.uint32(0xFFFF0000)
    return np.where(np.isfinite(a), nearest.view(np.float32), a).astype(np.float32)


class BFloat(ir.types.Type):
    """LLVM's bfloat type, which llvmlite does not name."""

    intrinsic_name = "bf16"

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BFloat)

    def __hash__(self) -> int:
        return hash(BFloat)


@intrinsic
def bf16_pair(typing_context: Any, low: Any, high: Any) -> Any:
    """Two float32 rounded to bfloat16 in one 32-bit word, `low` in the lower half."""
    signature = types.uint32(types.float32, types.float32)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(32)
        halves = [builder.bitcast(builder.fptrunc(x, BFloat()), ir.IntType(16)) for x in args]
        low, high = (builder.zext(half, word) for half in halves)
        return builder.or_(low, builder.shl(high, ir.Constant(word, 16)))

    return signature, codegen
