"""The kernels on a CPU that is older than this one: Numba is told to compile for it, in a process of its own.

What that process runs is :func:`main` below: every family of kernels against its reference.
"""

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scratchgpt import kernels
from scratchgpt.errors import UserError
from scratchgpt.kernels import attention
from scratchgpt.kernels.matrix import register_tile
from scratchgpt.kernels.matrix.packing import pack_weights
from scratchgpt.kernels.matrix.panels import linear
from scratchgpt.kernels.runtime.cpu import host_features
from tests.kernels import agreement
from tests.kernels.agreement import agree

ROOT = Path(__file__).resolve().parent.parent.parent
SSE = "+cx16,+fxsr,+mmx,+popcnt,+sahf,+sse,+sse2,+sse3,+sse4.1,+sse4.2,+ssse3"
CPUS = {
    "haswell": f"{SSE},+avx,+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe",
    "x86-64-v2": SSE,
    "generic": "",  # a choice as well: what every CPU of this architecture has
}
WIDTHS = {"haswell": 32, "x86-64-v2": 16, "generic": 16}
"""Bytes of a vector register."""


def features(cpu: str) -> list[str]:
    """The instruction sets of a CPU of the table."""
    return [flag[1:] for flag in CPUS[cpu].split(",") if flag]


@pytest.fixture
def process(tmp_path):
    """process(cpu, *arguments): run Python with these arguments, Numba compiling for `cpu`, and expect success."""

    def run(cpu, *arguments):
        settings = {
            **os.environ,
            "NUMBA_CPU_NAME": cpu,
            "NUMBA_CPU_FEATURES": CPUS[cpu],
            "NUMBA_CACHE_DIR": str(tmp_path),
            "SCRATCHGPT_KERNELS": "numba",
        }
        done = subprocess.run([sys.executable, *arguments], env=settings, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    return run


def needs(cpu: str) -> None:
    """Skip the test where this CPU cannot run the code of that one."""
    host = host_features()
    if platform.machine() not in ("x86_64", "AMD64") or not all(host.get(flag) for flag in features(cpu)):
        pytest.skip(f"this CPU cannot run the code of a {cpu}")


@pytest.mark.parametrize("cpu", CPUS)
def test_kernels_equal_their_references_on(cpu, process):
    needs(cpu)
    process(cpu, "-m", "tests.kernels.test_other_cpus", cpu)


ANOTHER_TILE = """
import importlib.util, sys

name, place = "scratchgpt.kernels.runtime.cpu", "scratchgpt/kernels/runtime/cpu.py"
spec = importlib.util.spec_from_file_location(name, place)
cpu = sys.modules[name] = importlib.util.module_from_spec(spec)  # before the package imports its own
spec.loader.exec_module(cpu)
cpu.CPUS = tuple(row._replace(tile_rows=6) for row in cpu.CPUS)

import numpy as np
from scratchgpt.kernels.matrix import register_tile
from tests.kernels.test_other_cpus import check_attention, check_products

assert register_tile.TILE_ROWS == 6
check_products(np.dtype(np.float32))
for dtype in (np.float32, np.float64):  # whose blocks of queries differ
    check_attention(np.dtype(dtype))
"""


def test_a_tile_whose_rows_divide_no_block_is_only_another_row_of_the_table(process):
    needs("haswell")
    process("haswell", "-c", ANOTHER_TILE)


# -- in the other process -----------------------------------------------------------------------------------
def main(cpu: str) -> None:
    """Compile for ``cpu`` and compare."""
    assert WIDTHS[cpu] == register_tile.VECTOR_BYTES
    check_precision()
    check_products(np.dtype(np.float32))
    if cpu == "generic":  # the same row of the table as x86-64-v2
        return
    check_attention(np.dtype(np.float32))
    check_instructions(cpu)
    if cpu == "haswell":  # without AVX only what depends on the width of the registers: compiling takes long
        check_products(np.dtype(np.float64))
        check_the_rest(np.dtype(np.float32))


def check_precision() -> None:
    """There is no bf16 here: auto says float32, and asking for it is a mistake of the user's."""
    assert kernels.set_precision("auto") == "float32" == kernels.precision()
    with pytest.raises(UserError, match="bf16"):
        kernels.set_precision("bf16")
    assert kernels.precision() == "float32"


def check_products(dtype: np.dtype) -> None:
    """Edges in every direction: no size is a multiple of a tile."""
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((70, 300)).astype(dtype), rng.standard_normal((300, 45)).astype(dtype)
    agree(kernels.matmul, a, b)
    agree(kernels.matmul, b.T, a.T)
    for rows in (1, 70):  # the products of generating text; a single row has a tile of its own
        agree(linear, a[:rows].copy(), pack_weights([b])[0], b[0].copy())


def check_attention(dtype: np.dtype) -> None:
    """Several heads, a length and a head size that are not multiples of a tile."""
    rng = np.random.default_rng(2)
    qkv, grad = rng.standard_normal((2, 70, 3 * 2 * 24)).astype(dtype), rng.standard_normal((2, 70, 48)).astype(dtype)
    out, logsumexp = agree(kernels.attention_forward, qkv, 2)
    agree(kernels.attention_backward, grad, qkv, out, logsumexp, 2)


def check_the_rest(dtype: np.dtype) -> None:
    """The fused products, layernorm, GELU, cross-entropy, embedding, dropout and AdamW."""
    rng = np.random.default_rng(3)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(dtype)

    x, weight, bias, grad = normal(37, 50), normal(50), normal(50), normal(37, 50)
    agree(kernels.weight_gradient, x, grad)
    lost = 4 * np.finfo(dtype).eps  # by the reference of GELU, whose 1 + tanh cancels far below zero
    w, b, back = normal(50, 45), normal(45), normal(37, 45)
    agree(kernels.matmul_gelu, x, w, b, floor=(0.0, lost * np.abs(x @ w + b)))
    floors = lost * np.abs(back @ w.T) * (1 + x**2), lost * np.abs(x)
    agree(kernels.matmul_gelu_backward, back, w.T, x, floor=floors)

    _, mean, rstd = agree(kernels.layernorm_forward, x, weight, bias, 1e-5)
    agree(kernels.layernorm_backward, grad, x, weight, mean, rstd)
    agree(kernels.gelu_forward, x, floor=lost * np.abs(x))
    agree(kernels.gelu_backward, grad, x, floor=lost * np.abs(grad) * (1 + x**2))

    targets = rng.integers(0, 50, 37)
    _, logsumexp = agree(kernels.cross_entropy_forward, x, targets, -100)
    agree(kernels.cross_entropy_backward, normal(37), x, targets, logsumexp, -100)
    agree(kernels.embedding_backward, grad, targets, 50)
    agree(kernels.dropout_forward, x, 0.3, 12345)

    def updated(step, *arrays):
        param, grad, m, v = (array.copy() for array in arrays)
        step(param, grad, m, v, 1e-2, 0.9, 0.95, 1e-8, 0.1, 3, 0.5)
        return param, m, v

    arrays = normal(333), normal(333), normal(333), np.abs(normal(333))
    scales = agreement.sensitivity(lambda *given: updated(kernels.adamw_step.reference, *given), *arrays)
    sides = updated(kernels.adamw_step.compiled, *arrays), updated(kernels.adamw_step.reference, *arrays)
    for parts in zip(*sides, scales, strict=True):
        agreement.assert_near(*parts)


def check_instructions(cpu: str) -> None:
    """What was compiled keeps to the registers of that CPU: the process really was on it."""
    loops = [loop for loop in vars(attention).values() if hasattr(loop, "inspect_asm")]
    code = "".join(text for loop in loops for text in loop.inspect_asm().values())
    assert "xmm" in code
    assert ("ymm" in code) == (WIDTHS[cpu] == 32)
    assert "zmm" not in code


if __name__ == "__main__":
    main(sys.argv[1])
