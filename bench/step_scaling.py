"""`bench/train_step.py --scaling`: our speed around the mini shape, one size changed at a time, ours alone."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
from common import importable, new_table
from rich.console import Console
from step_workers import SHAPES, Peaks, Shape, running

STEPS = 3
"""Timed steps a row, after one to warm up."""

Row = tuple[str, int, Shape, int]
"""What is varied, its value, the shape and the number of threads."""


def scaled_shapes(threads: int) -> list[Row]:
    """The rows of the table: 4096 tokens a step, heads of 64 channels."""
    mini = SHAPES["mini"]
    rows = [("width", n, replace(mini, emb_dim=n, num_heads=n // 64), threads) for n in (128, 256, 512, 1024)]
    rows += [("layers", n, replace(mini, num_layers=n), threads) for n in (2, 4, 8, 12)]
    for n in (128, 256, 512, 1024, 2048):
        rows.append(("context", n, replace(mini, context_size=n, batch=mini.tokens // n), threads))
    return rows + [("threads", n, mini, n) for n in sorted({1, 2, threads}) if n <= threads]


def measure(rows: list[Row], precision: str, peaks: dict[int, Peaks]) -> list[float]:
    """Median seconds of a step for every row; adds to the peaks, which are kept by number of threads."""
    seconds: dict[Row, float] = {}
    for threads in sorted({row[3] for row in rows}, reverse=True):
        found = peaks.setdefault(threads, Peaks())
        if importable("torch"):
            with running(f"torch-{precision}", threads) as process:
                found.measure(f"torch-{precision}", process)
        with running(f"ours-{precision}", threads) as process:
            for row in (row for row in rows if row[3] == threads):
                process.ask(do="build", shape=asdict(row[2]), warm_up=1)
                seconds[row] = float(np.median([process.ask(do="step") for _ in range(STEPS)]))
                found.measure(f"ours-{precision}", process)
    return [seconds[row] for row in rows]


def head_share(shape: Shape) -> float:
    """Part of a step's GFLOP that is the output head's."""
    return 6e-9 * shape.vocab_size * shape.emb_dim * shape.tokens / shape.gflop


def lesson(rows: list[Row], seconds: list[float], peaks: dict[int, Peaks], precision: str) -> str:
    """Where the share of the peak falls off, and why."""

    def ends(varied: str) -> tuple[str, list[Shape], list[float]]:
        chosen = [(row, time) for row, time in zip(rows, seconds, strict=True) if row[0] == varied]
        pair = chosen[0], chosen[-1]
        shares = [f"{100 * row[2].gflop / time / peaks[row[3]].best(precision):.0f}%" for row, time in pair]
        values = " to ".join(str(row[1]) for row, _ in pair)
        return f"{varied} {values}: {' to '.join(shares)}", [row[2] for row, _ in pair], [time for _, time in pair]

    def percent(parts: list[float]) -> str:
        return ", then ".join(f"{100 * part:.0f}%" for part in parts)

    width, (narrow, wide), _ = ends("width")
    layers, depths, _ = ends("layers")
    context, lengths, _ = ends("context")
    reasons = [
        f"{width}. Products grow with the square of the width, what only reads and writes memory (layernorm, GELU, "
        f"residuals, loss) with the width: {narrow.gflop:.0f} GFLOP at one end, {wide.gflop:.0f} at the other.",
        f"{layers}. The head is one large product and runs nearer the peak than a layer's narrow ones; it is "
        f"{percent([head_share(shape) for shape in depths])} of the work.",
        f"{context}. Attention is {percent([s.attention_gflop / s.gflop for s in lengths])} of the work; its products "
        "are only 64 deep, and exponentials count as no work at all.",
    ]
    if len(peaks) > 1:
        threads, _, times = ends("threads")
        growth = peaks[max(peaks)].best(precision) / peaks[min(peaks)].best(precision)
        reasons.append(
            f"{threads}, {times[0] / times[-1]:.2f} times as fast, the peak {growth:.2f} times. Every core brings its "
            "arithmetic along, the memory and the last cache they share; and NumPy's part of a step has one thread."
        )
    return f"Share of the {precision} peak:\n" + "\n".join(f"- {reason}" for reason in reasons)


def scaling(precisions: list[str], threads: int, console: Console) -> list[dict[str, Any]]:
    """Measure and print all rows in all precisions; returns the records for the JSON file."""
    rows = scaled_shapes(threads)
    peaks: dict[int, Peaks] = {}
    medians = {precision: measure(rows, precision, peaks) for precision in precisions}
    heads = ["mini with", "GFLOP", "of them\nattention %", "of them\nhead %"]
    heads += [f"{precision}\n{what}" for precision in precisions for what in ("tokens/s", "GFLOP/s", "% of peak")]
    caption = f"medians of {STEPS} steps; {peaks[threads]}"
    table = new_table("training step, one size changed at a time, 4096 tokens a step", caption, *heads)
    records = []
    for i, (varied, value, shape, count) in enumerate(rows):
        if i and rows[i - 1][0] != varied:
            table.add_section()
        parts = shape.attention_gflop / shape.gflop, head_share(shape)
        cells = [f"{varied} {value}", f"{shape.gflop:.0f}", *(f"{100 * part:.0f}" for part in parts)]
        for precision in precisions:
            time, peak = medians[precision][i], peaks[count].best(precision)
            rate = shape.gflop / time
            cells += [f"{shape.tokens / time:.0f}", f"{rate:.0f}", f"{100 * rate / peak:.0f}"]
            record = {"work": f"scaling {varied} {value} {precision}", "peer": "matrix-product peak"}
            figures = {"ratio": round(rate / peak, 3), "ours": round(rate, 3), "theirs": round(peak, 3)}
            records.append({**record, **figures, "unit": "GFLOP/s", "pairs": STEPS})
        table.add_row(*cells)
    console.print(table)
    for precision in precisions:
        console.print(lesson(rows, medians[precision], peaks, precision), highlight=False)
    return records
