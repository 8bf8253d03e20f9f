"""The CPUs that the kernels know, a row of a table each. Nothing else in `kernels/` asks which CPU it runs on.

A new kind of CPU, or a better tile for an old one, is a row here: blocks and buffers are cut to what the row says.
"""

from __future__ import annotations

import functools
import platform
from collections.abc import Iterable
from typing import NamedTuple

import llvmlite.binding as llvm


class CPU(NamedTuple):
    """One kind of CPU: by what it is recognised, and what follows for the kernels."""

    name: str
    machine: str
    """The architecture, as `machine_name` spells it; "" stands for any."""
    features: frozenset[str]
    """Instruction sets it must have, by LLVM's names."""
    maker: str
    """What LLVM's name of the CPU begins with; "" stands for any."""
    registers: int
    """How many vector registers it has; a tile's sums, a row of B and one vector of A must fit in them."""
    register_bytes: int
    tile_rows: int
    """Rows of the register tile."""
    tile_vectors: int
    """Vectors that a row of the register tile is made of."""
    bf16_instruction: str | None = None
    """LLVM's name of the instruction that multiplies pairs of bfloat16 and adds them to float32 sums."""
    bf16_is_faster: bool = False
    """Whether that instruction gains time over float32."""
    blas_core: str | None = None
    """Which kernels OpenBLAS should take, where it would choose slower ones by itself."""
    compiler_flags: str = ""
    """What LLVM is told besides the instruction sets."""


AVX512 = frozenset({"avx512f"})
AVX512_BF16 = frozenset({"avx512f", "avx512bw", "avx512vl", "avx512bf16"})
DPBF16 = "llvm.x86.avx512bf16.dpbf16ps.512"
# LLVM tunes for 256-bit vectors on Intel's AVX-512 CPUs; these kernels are long enough to gain from 512.
WIDE = "-prefer-256-bit"
# OpenBLAS 0.3.31 does not know AMD's Zen 5 and falls back to its AVX2 kernels, half as fast as the CPU's AVX-512;
# those written for Skylake run on every CPU that has it.
SKYLAKE = "SkylakeX"

# AMD's cores do two bfloat16 products in the time of one in float32. Intel's do not: their vector instruction is
# there for conversion's sake, the speed is in AMX. CPUs with AVX and no more have 16 registers: half the rows.
CPUS = (
    CPU("AMD AVX-512 with bf16", "x86_64", AVX512_BF16, "znver", 32, 64, 8, 2, DPBF16, True, SKYLAKE, WIDE),
    CPU("AMD AVX-512", "x86_64", AVX512, "znver", 32, 64, 8, 2, blas_core=SKYLAKE, compiler_flags=WIDE),
    CPU("AVX-512 with bf16", "x86_64", AVX512_BF16, "", 32, 64, 8, 2, DPBF16, compiler_flags=WIDE),
    CPU("AVX-512", "x86_64", AVX512, "", 32, 64, 8, 2, compiler_flags=WIDE),
    CPU("AVX", "x86_64", frozenset({"avx"}), "", 16, 32, 4, 2),
    CPU("arm64", "arm64", frozenset(), "", 32, 16, 8, 2),
    CPU("SSE and all others", "", frozenset(), "", 16, 16, 4, 2),
)
"""The first row that fits is taken, so a special case stands before the general one."""


def find(machine: str, features: Iterable[str], cpu_name: str) -> CPU:
    """The row for an architecture, instruction sets and a CPU's name, the latter two as LLVM spells them."""
    have = frozenset(features)
    return next(
        row for row in CPUS if row.machine in ("", machine) and row.features <= have and cpu_name.startswith(row.maker)
    )


def machine_name(name: str) -> str:
    """One spelling of an architecture for all systems: "x86_64", "arm64", or `name` in lower case."""
    return {"amd64": "x86_64", "aarch64": "arm64"}.get(name.lower(), name.lower())


def host_features() -> dict[str, bool]:
    """The instruction sets of this CPU as LLVM names them, {"avx2": True, ...}; empty where LLVM cannot tell."""
    try:
        return dict(llvm.get_host_cpu_features())
    except RuntimeError:
        return {}


def host() -> CPU:
    """The row of the CPU that this process runs on."""
    features = (name for name, on in host_features().items() if on)
    return find(machine_name(platform.machine()), features, llvm.get_host_cpu_name())


@functools.cache
def target() -> CPU:
    """The row of the CPU that Numba compiles for: this one, unless NUMBA_CPU_FEATURES or the like say otherwise."""
    # Numba reads its variables when it is imported, and environment.py, which sets them, needs this module first.
    from numba.core.registry import cpu_target

    triple, _, flags = cpu_target.target_context.codegen().magic_tuple()
    features = (flag[1:] for flag in flags.split(",") if flag.startswith("+"))
    # Speed is a property of the CPU that runs the code, so its maker is asked of the host.
    return find(machine_name(triple.split("-")[0]), features, llvm.get_host_cpu_name())
