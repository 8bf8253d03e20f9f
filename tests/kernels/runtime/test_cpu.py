"""The table of CPUs: every row makes a tile that the kernels can work with, and the right row is found."""

import math

import pytest

from scratchgpt.kernels.matrix.packing import DEPTH_BLOCK
from scratchgpt.kernels.runtime import cpu
from scratchgpt.kernels.runtime.cpu import CPUS, find, machine_name

SSE = {"sse", "sse2", "sse4.1"}
AVX2 = SSE | {"avx", "avx2", "fma"}
AVX512 = AVX2 | {"avx512f", "avx512bw", "avx512vl"}
BF16 = AVX512 | {"avx512bf16"}


@pytest.mark.parametrize("row", CPUS, ids=lambda row: row.name)
def test_the_tile_of_every_row_fits_its_registers(row):
    assert row.tile_rows * row.tile_vectors + row.tile_vectors + 1 <= row.registers
    lanes = row.register_bytes // 8  # of float64; float32 has twice as many
    assert lanes >= 2 and math.log2(lanes).is_integer()  # squares of vectors are turned by halving
    for itemsize in (4, 8):  # what is packed at a time is turned in squares as wide as the tile
        assert DEPTH_BLOCK % (row.tile_vectors * row.register_bytes // itemsize) == 0
    if row.bf16_instruction is not None:
        assert row.bf16_instruction.endswith(f".{8 * row.register_bytes}")
    assert row.bf16_instruction is not None or not row.bf16_is_faster


@pytest.mark.parametrize(
    ("machine", "features", "name", "found", "register_bytes", "tile_rows", "bf16", "fast"),
    [
        ("x86_64", BF16, "znver5", "AMD AVX-512 with bf16", 64, 8, True, True),
        ("x86_64", AVX512, "znver4", "AMD AVX-512", 64, 8, False, False),
        ("x86_64", BF16, "sapphirerapids", "AVX-512 with bf16", 64, 8, True, False),
        ("x86_64", BF16 - {"avx512vl"}, "", "AVX-512", 64, 8, False, False),
        ("x86_64", AVX512, "skylake-avx512", "AVX-512", 64, 8, False, False),
        ("x86_64", AVX2, "haswell", "AVX", 32, 4, False, False),
        ("x86_64", AVX2, "znver3", "AVX", 32, 4, False, False),
        ("x86_64", SSE | {"avx"}, "sandybridge", "AVX", 32, 4, False, False),
        ("x86_64", SSE, "x86-64-v2", "SSE and all others", 16, 4, False, False),
        ("arm64", {"neon", "bf16"}, "apple-m1", "arm64", 16, 8, False, False),
        ("x86_64", set(), "generic", "SSE and all others", 16, 4, False, False),
        ("ppc64le", {"vsx"}, "pwr9", "SSE and all others", 16, 4, False, False),
    ],
)
def test_the_row_of_a_cpu_is_found(machine, features, name, found, register_bytes, tile_rows, bf16, fast):
    row = find(machine, features, name)
    assert (row.name, row.register_bytes, row.tile_rows) == (found, register_bytes, tile_rows)
    assert (row.bf16_instruction is not None, row.bf16_is_faster) == (bf16, fast)


def test_no_row_hides_one_that_stands_below_it():
    for row in CPUS:
        assert find(row.machine, row.features, row.maker) is row


def test_one_spelling_of_an_architecture_for_all_systems():
    names = {"AMD64": "x86_64", "x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64", "ppc64le": "ppc64le"}
    assert {name: machine_name(name) for name in names} == names


def test_a_cpu_that_llvm_does_not_know_gets_the_last_row(monkeypatch):
    def unknown():
        raise RuntimeError("no features")

    monkeypatch.setattr(cpu.llvm, "get_host_cpu_features", unknown)
    monkeypatch.setattr(cpu.platform, "machine", lambda: "riscv64")
    assert cpu.host() is CPUS[-1]
