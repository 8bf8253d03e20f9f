"""Our matrix product against NumPy's BLAS, on the products of one training step of the mini model.

    python bench/matmul.py [--json FILE] [--threads N] [--pairs N]

Forward (x @ W), the gradient of the input (dy @ W^T) and of the weight (x^T @ dy, with the bias's), in float32
and, where the CPU has it, in bf16, and the product fused with bias and GELU against the same in three steps.
OpenBLAS takes the kernels that OPENBLAS_CORETYPE names; without it, those it knows the CPU by.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from common import Comparison, comparison_table, interleave, machine_line, seconds_of, write_json
from rich.console import Console

TOKENS = 4096
SHAPES = {"c_attn": (256, 768), "c_fc": (256, 1024), "c_proj": (1024, 256), "head": (256, 6400)}
"""Depth and width of the layers of the mini model."""
SECONDS_A_COMPARISON = 4.0


def compare(name: str, depth: int, width: int, rows: int, pairs: int) -> list[Comparison]:
    """The three products of one linear layer, and the fused one where the model has a GELU."""
    from scratchgpt import kernels

    rng = np.random.default_rng(0)
    x, weight, grad = (rng.standard_normal(s, np.float32) for s in ((rows, depth), (depth, width), (rows, width)))
    bias = rng.standard_normal(width, np.float32)
    works: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "x @ W": (lambda: kernels.matmul(x, weight), lambda: x @ weight),
        "dy @ W.T": (lambda: kernels.matmul(grad, weight.T), lambda: grad @ weight.T),
        "x.T @ dy": (lambda: kernels.weight_gradient(x, grad), lambda: (x.T @ grad, grad.sum(axis=0))),
    }
    if name == "c_fc":
        works["gelu(x @ W + b)"] = (
            lambda: kernels.matmul_gelu(x, weight, bias),
            lambda: kernels.gelu_forward(x @ weight + bias),
        )
    comparisons = []
    for product, (ours, theirs) in works.items():
        work = f"matmul {name} {product}, {rows} rows, {kernels.precision()}"
        comparison = Comparison(work, f"{name} {product}", "BLAS float32", 2e-9 * rows * depth * width)
        timed = (lambda run=ours: seconds_of(run)), (lambda run=theirs: seconds_of(run))
        comparisons.append(interleave(*timed, comparison, pairs, SECONDS_A_COMPARISON))
    return comparisons


def main() -> None:
    """Run the comparisons and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="also write the figures to FILE")
    parser.add_argument("--threads", type=int, help="threads for us and for BLAS (default: all)")
    parser.add_argument("--pairs", type=int, default=11, help="measured pairs a comparison (default: 11)")
    flags = parser.parse_args()
    from scratchgpt import kernels
    from scratchgpt.kernels.runtime.precision import has_bf16

    if flags.threads:
        kernels.set_threads(flags.threads)
    console = Console()
    console.print(machine_line(kernels.num_threads()), highlight=False, soft_wrap=True)
    everything = []
    for precision in ("float32", "bf16") if has_bf16() else ("float32",):
        kernels.set_precision(precision)
        comparisons = []
        for name, (depth, width) in SHAPES.items():
            comparisons += compare(name, depth, width, TOKENS // 4 if name == "head" else TOKENS, flags.pairs)
        title = f"matrix products of the mini model, {precision} (ratio > 1: we lead)"
        console.print(comparison_table(title, comparisons))
        everything += comparisons
    if flags.json:
        write_json(flags.json, everything)


if __name__ == "__main__":
    main()
