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
from tests.kernels.conftest import TOLERANCE

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


@pytest.mark.parametrize("cpu", CPUS)
def test_kernels_equal_their_references_on(cpu, tmp_path):
    host = host_features()
    if platform.machine() not in ("x86_64", "AMD64") or not all(host.get(flag) for flag in features(cpu)):
        pytest.skip(f"this CPU cannot run the code of a {cpu}")
    settings = {
        **os.environ,
        "NUMBA_CPU_NAME": cpu,
        "NUMBA_CPU_FEATURES": CPUS[cpu],
        "NUMBA_CACHE_DIR": str(tmp_path),
        "SCRATCHGPT_KERNELS": "numba",
    }
    command = [sys.executable, "-m", "tests.kernels.test_other_cpus", cpu]
    done = subprocess.run(command, env=settings, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


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


def agree(kernel, *args) -> tuple:
    """The compiled kernel equals its reference, relative to the largest element of each result."""
    got, want = kernel.compiled(*args), kernel.reference(*args)
    pairs = zip(got, want, strict=True) if isinstance(got, tuple) else [(got, want)]
    for ours, theirs in pairs:
        limit = 5 * TOLERANCE[ours.dtype] * np.abs(theirs).max()
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=limit, err_msg=kernel.__name__)
    return got


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
    agree(kernels.matmul_gelu, x, normal(50, 45), normal(45))
    agree(kernels.matmul_gelu_backward, normal(37, 45), normal(45, 50), x)

    _, mean, rstd = agree(kernels.layernorm_forward, x, weight, bias, 1e-5)
    agree(kernels.layernorm_backward, grad, x, weight, mean, rstd)
    agree(kernels.gelu_forward, x)
    agree(kernels.gelu_backward, grad, x)

    targets = rng.integers(0, 50, 37)
    _, logsumexp = agree(kernels.cross_entropy_forward, x, targets, -100)
    agree(kernels.cross_entropy_backward, normal(37), x, targets, logsumexp, -100)
    agree(kernels.embedding_backward, grad, targets, 50)
    agree(kernels.dropout_forward, x, 0.3, 12345)

    ours = [normal(333), normal(333), normal(333), np.abs(normal(333))]
    theirs = [array.copy() for array in ours]
    settings = (1e-2, 0.9, 0.95, 1e-8, 0.1, 3, 0.5)
    kernels.adamw_step.compiled(*ours, *settings)
    kernels.adamw_step.reference(*theirs, *settings)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def check_instructions(cpu: str) -> None:
    """What was compiled keeps to the registers of that CPU: the process really was on it."""
    loops = [loop for loop in vars(attention).values() if hasattr(loop, "inspect_asm")]
    code = "".join(text for loop in loops for text in loop.inspect_asm().values())
    assert "xmm" in code
    assert ("ymm" in code) == (WIDTHS[cpu] == 32)
    assert "zmm" not in code


if __name__ == "__main__":
    main(sys.argv[1])
