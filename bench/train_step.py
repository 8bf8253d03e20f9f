"""How fast is one training step, how much memory does it need, and how near is it to what the machine can do?

    python bench/train_step.py [--shapes mini base gpt2] [--precisions float32 bf16] [--pairs N] [--threads N]
    python bench/train_step.py --memory       # peak memory of a step, ours and PyTorch's
    python bench/train_step.py --scaling      # speed over width, layers, context and threads, ours alone
    python bench/train_step.py --overhead     # our step against the same kernels called by hand
    python bench/train_step.py --frozen       # our step against one with every weight but one frozen
    any of them with --json FILE

A step is forward, backward, clipping to norm 1, AdamW, zero_grad, without dropout. Both sides start from the same
weights and train on the same batch, and their losses are compared before anything is timed. PyTorch runs eagerly
with scaled_dot_product_attention and its fused AdamW; "torch bf16" is torch.autocast around forward. Each side runs
in a process of its own with the user's environment; steps are timed in turn, after three to warm up.

GFLOP/s counts 6 a token for every parameter that takes part in a product (2 forward, 4 back; the tied head counts,
looking up an embedding does not) and for causal attention 12 C a visible pair of query and key (4 forward, 8 back).
The peak is the fastest large square product seen in the same run, ours or PyTorch's, in that precision.
"""

from __future__ import annotations

import argparse
import functools
import os
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from common import (
    Comparison,
    comparison_table,
    importable,
    interleave,
    machine_line,
    new_table,
    serve,
    write_records,
)
from rich.console import Console
from rich.table import Table
from step_scaling import scaling
from step_workers import PRECISIONS, SHAPES, FrozenWorker, OurWorker, Peaks, Shape, TorchWorker, Worker, running

FIGURES = (("float32", "float32"), ("bf16", "float32"), ("bf16", "bf16"))
"""Our precision and PyTorch's in the three comparisons of a shape."""
LOSS_TOLERANCE = {"float32": 1e-3, "bf16": 1e-2}
"""Relative difference of the losses of three steps above which the two sides cannot be doing the same."""
MEMORY_RUNS = 3

Records = list[dict[str, Any]]


def worker(name: str, threads: int) -> Worker:
    """The worker called "ours-float32", "torch-bf16", "hand-bf16", "frozen-float32" and so on: side and precision."""
    side, precision = name.split("-")
    if side == "hand":
        # It imports the engine, which sets what thread pools read: nothing for PyTorch's process.
        from handwritten_step import HandWorker

        return HandWorker(precision, threads)
    return {"ours": OurWorker, "frozen": FrozenWorker, "torch": TorchWorker}[side](precision, threads)


def figures_of(precisions: list[str]) -> list[tuple[str, str | None]]:
    """Our precision and PyTorch's in the comparisons of a shape; None where there is no PyTorch."""
    if not importable("torch"):
        return [(precision, None) for precision in precisions]
    return [(ours, theirs) for ours, theirs in FIGURES if ours in precisions]


def compare(shape: Shape, ours: str, theirs: str, threads: int, pairs: int, budget: float, peaks: Peaks) -> Comparison:
    """Our step in precision `ours` against PyTorch's in precision `theirs`.

    Raises RuntimeError if the losses show that the two sides do not train the same model."""
    comparison = Comparison(
        f"training step {shape.name} {ours}", f"{shape.name} {ours}", f"torch {theirs}", shape.tokens, "tokens/s"
    )
    names = f"ours-{ours}", f"torch-{theirs}"
    with running(names[0], threads) as left, running(names[1], threads) as right, TemporaryDirectory() as folder:
        build = {"do": "build", "shape": asdict(shape), "weights": str(Path(folder) / "weights.safetensors")}
        losses = np.array([left.ask(**build), right.ask(**build)])
        difference = float(np.max(np.abs(losses[0] / losses[1] - 1)))
        tolerance = max(LOSS_TOLERANCE[ours], LOSS_TOLERANCE[theirs])
        if not difference < tolerance:
            raise RuntimeError(f"{comparison.work}: losses {losses[0]} and PyTorch's {losses[1]} differ")
        interleave(lambda: left.ask(do="step"), lambda: right.ask(do="step"), comparison, pairs, budget)
        for name, process in zip(names, (left, right), strict=True):
            peaks.measure(name, process)
    return comparison


def alone(shape: Shape, precision: str, threads: int, steps: int, peaks: Peaks) -> Comparison:
    """Our step where there is no PyTorch to compare with; `theirs` stays empty."""
    work, label = f"training step {shape.name} {precision}", f"{shape.name} {precision}"
    comparison = Comparison(work, label, "", shape.tokens, "tokens/s")
    with running(f"ours-{precision}", threads) as process:
        process.ask(do="build", shape=asdict(shape))
        comparison.ours += [process.ask(do="step") for _ in range(steps)]
        peaks.measure(f"ours-{precision}", process)
    return comparison


def speed_table(comparisons: list[Comparison], peaks: Peaks) -> Table:
    """Every side in every precision: its speed in GFLOP/s and as a share of the peak."""
    seconds: dict[tuple[str, str], list[float]] = {}
    for c in comparisons:
        shape, precision = c.label.split()
        seconds.setdefault((shape, f"ours {precision}"), []).extend(c.ours)
        if c.theirs:
            seconds.setdefault((shape, c.peer), []).extend(c.theirs)
    heads = ("shape", "side", "ms", "middle half", "tokens/s", "GFLOP/s", "% of peak")
    table = new_table("how near the machine's matrix-product peak", str(peaks), *heads, texts=2)
    previous = None
    for (name, side), times in sorted(seconds.items(), key=lambda item: list(SHAPES).index(item[0][0])):
        if previous not in (None, name):
            table.add_section()
        low, middle, high = np.percentile(times, [25, 50, 75])
        rate = SHAPES[name].gflop / middle
        table.add_row(
            "" if previous == name else name,
            side,
            f"{1e3 * middle:.1f}",
            f"{1e3 * low:.1f}-{1e3 * high:.1f}",
            f"{SHAPES[name].tokens / middle:.0f}",
            f"{rate:.0f}",
            f"{100 * rate / peaks.best(side.split()[1]):.0f}",
        )
        previous = name
    return table


def lesson(comparison: Comparison, peaks: Peaks) -> str:
    """What a reader can take away from the first row."""
    name, precision = comparison.label.split()
    shape, peak = SHAPES[name], peaks.best(precision)
    took, ideal = 1e3 * float(np.median(comparison.ours)), 1e3 * shape.gflop / peak
    attention = 100 * shape.attention_gflop / shape.gflop
    return (
        f"A {name} step of {shape.tokens} tokens is {shape.gflop:.1f} GFLOP: {100 - attention:.0f}% products with "
        f"weights, {attention:.0f}% attention. At the peak it would take {ideal:.1f} ms in {precision}; ours takes "
        f"{took:.1f}. The rest goes to what reads and writes memory and multiplies little (layernorm, GELU, softmax, "
        f"loss, AdamW), to products too narrow for the peak, and to the engine (--overhead)."
    )


def training(
    shapes: list[Shape], precisions: list[str], threads: int, pairs: int, budget: float, console: Console
) -> Records:
    """The main table: our step against PyTorch's."""
    peaks = Peaks()
    comparisons = []
    for shape in shapes:
        for ours, theirs in figures_of(precisions):
            if theirs is None:
                comparisons.append(alone(shape, ours, threads, pairs, peaks))
            else:
                comparisons.append(compare(shape, ours, theirs, threads, pairs, budget, peaks))
    if importable("torch"):
        console.print(comparison_table("one training step (ratio > 1: we lead)", comparisons))
    console.print(speed_table(comparisons, peaks))
    console.print(lesson(comparisons[0], peaks), highlight=False)
    return [c.record() for c in comparisons if c.theirs]


def memory(shapes: list[Shape], precisions: list[str], threads: int, console: Console) -> Records:
    """Peak memory of a step: each figure the median of fresh processes, over what the libraries hold."""
    if not Path("/proc/self/clear_refs").exists():
        raise SystemExit("--memory reads peak memory from /proc, which this system does not have; run it on Linux")

    @functools.cache
    def megabytes(side: str, shape: Shape) -> float:
        figures = []
        for _ in range(MEMORY_RUNS):
            with running(side, threads) as process:
                figures.append(process.ask(do="memory", shape=asdict(shape)))
        return float(np.median(figures)) / 1e6

    heads = ("shape", "against", "ours\nMB", "theirs\nMB", "ratio", "ours /\ntheirs", "state\nMB")
    caption = (
        "highest resident memory of three steps less what the imported libraries hold, median of "
        f"{MEMORY_RUNS} processes; state: weights, gradients and AdamW's two moments, 16 bytes a parameter"
    )
    table = new_table("memory of a training step (ratio > 1: we need less)", caption, *heads, texts=2)
    records: Records = []
    for shape in shapes:
        state = f"{16e-6 * shape.parameters:.0f}"
        for precision, theirs in figures_of(precisions):
            mine = megabytes(f"ours-{precision}", shape)
            if theirs is None:
                table.add_row(f"{shape.name} {precision}", "", f"{mine:.0f}", "", "", "", state)
                continue
            other = megabytes(f"torch-{theirs}", shape)
            numbers = f"{mine:.0f}", f"{other:.0f}", f"[bold]{other / mine:.2f}[/bold]", f"{mine / other:.2f}", state
            table.add_row(f"{shape.name} {precision}", f"torch {theirs}", *numbers)
            record = {"work": f"memory of a training step {shape.name} {precision}", "peer": f"torch {theirs}"}
            figures = {"ratio": round(other / mine, 3), "ours": round(mine, 1), "theirs": round(other, 1)}
            records.append({**record, **figures, "unit": "MB", "pairs": MEMORY_RUNS})
    console.print(table)
    return records


def overhead(
    shapes: list[Shape], precisions: list[str], threads: int, pairs: int, budget: float, console: Console
) -> Records:
    """What graph, Tensors and modules cost: our step against the same kernels called by hand, in one process."""
    heads = ("shape", "engine\nms", "by hand\nms", "difference\nms", "overhead\n%", "middle\nhalf")
    caption = (
        f"medians of {pairs} pairs in turn; difference and overhead pair by pair. The graph's cost hardly depends on "
        "the size of the arrays: the difference of the tiny model is the clearer figure, that of the mini the target"
    )
    table = new_table("the engine's overhead in a training step", caption, *heads)
    records: Records = []
    for shape in shapes:
        for precision in precisions:
            label = f"{shape.name} {precision}"
            comparison = Comparison(f"engine overhead {label}", label, "kernels by hand", shape.tokens, "tokens/s")
            with running(f"hand-{precision}", threads) as process:
                process.ask(do="build", shape=asdict(shape))
                engine, hand = lambda p=process: p.ask(do="engine step"), lambda p=process: p.ask(do="step")
                interleave(engine, hand, comparison, pairs, budget)
            low, middle, high = np.percentile(100 * (1 / comparison.ratios - 1), [25, 50, 75])
            difference = np.median(np.subtract(comparison.ours, comparison.theirs))
            times = np.median(comparison.ours), np.median(comparison.theirs), difference
            cells = [f"{1e3 * seconds:.1f}" for seconds in times]
            table.add_row(label, *cells, f"[bold]{middle:.1f}[/bold]", f"{low:.1f} to {high:.1f}")
            records.append(comparison.record())
    console.print(table)
    return records


def frozen(
    shapes: list[Shape], precisions: list[str], threads: int, pairs: int, budget: float, console: Console
) -> Records:
    """What freezing saves: a step that trains one weight against one that trains all, in a process each.

    The first choice is the easiest, near the end of the way forward; a weight of the first layer asks for the whole
    way back but its other weights' gradients, and the tied token table stands at both ends.
    """
    heads = ("shape", "weight\ntrained", "all\nms", "one\nms", "one / all", "middle\nhalf")
    caption = f"medians of {pairs} pairs in turn; the ratio pair by pair"
    table = new_table("a training step with every weight but one frozen", caption, *heads, texts=2)
    records: Records = []
    for shape in shapes:
        last = shape.num_layers - 1
        names = (
            f"transformer.h.{last}.mlp.c_proj.weight",
            "transformer.h.0.attn.c_attn.weight",
            "transformer.wte.weight",
        )
        for precision in precisions:
            for name in names:
                work = f"training step {shape.name} {precision}, only {name} trained"
                comparison = Comparison(work, f"{shape.name} {precision}", "all trained", shape.tokens, "tokens/s")
                with (
                    running(f"frozen-{precision}", threads) as one,
                    running(f"ours-{precision}", threads) as whole,
                ):
                    one.ask(do="train only", shape=asdict(shape), name=name)
                    whole.ask(do="build", shape=asdict(shape))
                    one_step, whole_step = lambda p=one: p.ask(do="step"), lambda p=whole: p.ask(do="step")
                    interleave(one_step, whole_step, comparison, pairs, budget)
                low, middle, high = np.percentile(1 / comparison.ratios, [25, 50, 75])
                times = [f"{1e3 * np.median(seconds):.1f}" for seconds in (comparison.theirs, comparison.ours)]
                weight = name.removeprefix("transformer.").removesuffix(".weight")
                table.add_row(
                    comparison.label, weight, *times, f"[bold]{middle:.2f}[/bold]", f"{low:.2f} to {high:.2f}"
                )
                records.append(comparison.record())
    console.print(table)
    return records


def available(precisions: list[str], console: Console) -> list[str]:
    """Those of the precisions that this CPU has; says why where one is left out."""
    from scratchgpt import kernels
    from scratchgpt.errors import UserError

    found = []
    for precision in precisions:
        try:
            found.append(kernels.set_precision(precision))
        except UserError as error:
            console.print(f"left out: {error}", highlight=False, soft_wrap=True)
    return found


def main() -> None:
    """Run what the flags ask for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="also write the figures to FILE")
    parser.add_argument("--threads", type=int, help="threads for us and for PyTorch (default: all)")
    parser.add_argument("--pairs", type=int, help="measured pairs a comparison (default: 11; --overhead: 41)")
    parser.add_argument("--seconds", type=float, default=120, help="most for the pairs of a comparison (default: 120)")
    parser.add_argument(
        "--shapes", nargs="+", choices=SHAPES, help="(default: mini base gpt2; --overhead: tiny mini; --frozen: mini)"
    )
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--memory", action="store_true", help="peak memory instead of time")
    mode.add_argument("--scaling", action="store_true", help="our speed over width, layers, context and threads")
    mode.add_argument("--overhead", action="store_true", help="our step against the same kernels called by hand")
    mode.add_argument("--frozen", action="store_true", help="our step against one with every weight but one frozen")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.serve:
        serve(worker(flags.serve, flags.threads).answer)
        return
    from scratchgpt import kernels

    threads = flags.threads or kernels.num_threads()
    console = Console()
    console.print(machine_line(threads, "torch"), highlight=False, soft_wrap=True)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > 0.5:
        # PyTorch's threads spin where they wait for each other, ours sleep: a program that takes a core now and
        # then costs PyTorch far more, up to tens of times on a small model.
        console.print(
            f"load average {load:.1f}: other programs use the CPUs, which flatters our ratios", highlight=False
        )
    precisions = available(flags.precisions, console)
    defaults = ["tiny", "mini"] if flags.overhead else ["mini"] if flags.frozen else ["mini", "base", "gpt2"]
    shapes = [SHAPES[name] for name in flags.shapes or defaults]
    if flags.memory:
        records = memory(shapes, precisions, threads, console)
    elif flags.scaling:
        records = scaling(precisions, threads, console)
    elif flags.overhead:
        records = overhead(shapes, precisions, threads, flags.pairs or 41, flags.seconds, console)
    elif flags.frozen:
        records = frozen(shapes, precisions, threads, flags.pairs or 11, flags.seconds, console)
    else:
        records = training(shapes, precisions, threads, flags.pairs or 11, flags.seconds, console)
    if flags.json:
        write_records(flags.json, records)


if __name__ == "__main__":
    main()
