"""A stage's log as a picture: one panel a quantity, against the step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from scratchgpt.trainer import History

COLUMNS = 3
PANEL = (4.0, 2.7)
"""Width and height of a panel in inches."""
TRAINING, HELD_OUT = "#2a78b5", "#d1602a"
BOOKKEEPING = {"kind", "step", "seconds", "tokens", "items", "lr"}
"""Entries of a log line that are no measurement."""
FIRST = ("loss", "bits_per_character", "perplexity", "accuracy", "reward", "kl", "entropy")
"""Quantities that lead, in this order; the others follow in the order of the log."""


def draw_curves(history: History, stage: str, path: Path) -> None:
    """Draw everything that the history measured into a PNG file.

    The training steps are a line (faint: every step; strong: their running mean), the measurements on
    held-out data are dots. Labels are English, so that no other font is needed. A measure of a part of the
    data ("accuracy/addition") gets no panel of its own, nor does a minor one that never changed.
    """
    series = {
        "training": {name: _points(history.steps, name) for name in _names(history.steps)},
        "held out": {name: _points(history.evaluations, name) for name in _names(history.evaluations)},
    }
    names = sorted(dict.fromkeys([*series["training"], *series["held out"]]), key=_rank)
    names = [name for name in names if _worth_a_panel(name, [s[name][1] for s in series.values() if name in s])]
    columns = min(COLUMNS, max(1, len(names)))
    rows = max(1, math.ceil(len(names) / columns))
    figure = Figure(figsize=(PANEL[0] * columns, PANEL[1] * rows + 0.3), layout="constrained")
    figure.suptitle(stage, fontsize=11, fontweight="bold")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, name in zip(panels, names, strict=False):
        _draw_panel(panel, name, series["training"].get(name), series["held out"].get(name))
    for panel in panels[len(names) :]:
        panel.set_axis_off()
    figure.savefig(path, dpi=110)


def _draw_panel(panel: Axes, name: str, training: Any, held_out: Any) -> None:
    if training is not None:
        steps, values = training
        window = max(1, len(values) // 40)
        if window > 1:
            panel.plot(steps, values, color=TRAINING, alpha=0.25, linewidth=0.8)
        means = _running_mean(values, window)
        centre = (window - 1) // 2
        panel.plot(steps[centre : centre + len(means)], means, color=TRAINING, linewidth=1.5, label="training")
        _ignore_outliers(panel, values, None if held_out is None else held_out[1])
    if held_out is not None:
        panel.plot(*held_out, color=HELD_OUT, marker="o", markersize=3.5, linewidth=1.2, label="held out")
    if name == "perplexity":  # falls by orders of magnitude: a straight scale would show the first fall alone
        panel.set_yscale("log")
    panel.set_title(name.replace("_", " "), fontsize=9, loc="left")
    panel.set_xlabel("step", fontsize=8)
    panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    panel.tick_params(labelsize=8)
    panel.grid(alpha=0.25, linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(fontsize=7, frameon=False)


def _ignore_outliers(panel: Axes, values: np.ndarray, others: np.ndarray | None) -> None:
    """Let the first steps' extremes run out of the picture when they would flatten all the rest."""
    shown = values if others is None else np.concatenate([values, others])
    low, high = np.percentile(shown, [1, 99])
    if len(values) >= 100 and np.ptp(shown) > 3 * (high - low) > 0:
        margin = 0.1 * (high - low)
        panel.set_ylim(low - margin, high + margin)


def _running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """(N,) -> (N - window + 1,)"""
    return np.convolve(values, np.full(window, 1 / window), mode="valid")


def _names(records: Sequence[dict[str, Any]]) -> list[str]:
    names = dict.fromkeys(name for record in records for name in record)
    return [name for name in names if name not in BOOKKEEPING and not name.startswith("accuracy/")]


def _points(records: Sequence[dict[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of the records that hold a finite number of that name."""
    pairs = [(r["step"], r[name]) for r in records if isinstance(r.get(name), int | float) and math.isfinite(r[name])]
    steps, values = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    return steps, values


def _worth_a_panel(name: str, values: Sequence[np.ndarray]) -> bool:
    seen = np.concatenate(values)
    return len(seen) > 0 and (_rank(name) < len(FIRST) or bool(np.ptp(seen) > 0))


def _rank(name: str) -> int:
    last = name.rpartition("/")[2]
    return FIRST.index(last) if last in FIRST else len(FIRST)
