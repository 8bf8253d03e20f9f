"""A stage's log as pictures: one panel a quantity, against the step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from scratchgpt.training.history import History

COLUMNS = 3
PANEL = (4.0, 2.7)
"""Width and height of a panel in inches."""
TRAINING, HELD_OUT = "#2a78b5", "#d1602a"
BOOKKEEPING = {"kind", "step", "seconds", "tokens", "items", "lr"}
"""Entries of a log line that are no measurement."""
FIRST = ("loss", "bits_per_character", "perplexity", "accuracy", "reward", "kl", "entropy")
"""Quantities that lead, in this order; the others follow in the order of the log."""
PART = "accuracy/"
"""What the name of a measure on a part of the data begins with."""

Points = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Series:
    """What a log says about one quantity.

    Attributes:
        name: as in the log.
        training: (steps, values) in training, or None if it was not measured there.
        held_out: (steps, values) on held-out data, or None.
    """

    name: str
    training: Points | None
    held_out: Points | None

    @property
    def leads(self) -> bool:
        """Whether it is one of the quantities that a reader looks at first."""
        return _rank(self.name) < len(FIRST)


def quantities(history: History) -> list[Series]:
    """Everything that the history measured, the leading quantities first.

    A measure of a part of the data ("accuracy/addition") is left out, and so is a minor one that never changed.
    """
    found = [series for series in _all_series(history) if not series.name.startswith(PART)]
    return sorted((series for series in found if _worth_a_panel(series)), key=lambda series: _rank(series.name))


def parts_of_the_data(history: History) -> list[Series]:
    """The accuracy on every part of the data (a family of tasks, a kind of pair), named after the part."""
    found = [series for series in _all_series(history) if series.name.startswith(PART)]
    return [Series(s.name.removeprefix(PART), s.training, s.held_out) for s in sorted(found, key=lambda s: s.name)]


def draw_curves(history: History, stage: str, path: Path, best_step: int | None = None) -> None:
    """Draw all :func:`quantities` of the history into a PNG file.

    The training steps are a line (faint: every step; strong: their running mean), the measurements on
    held-out data are dots. Labels are English, so that no other font is needed.

    Args:
        history: what the stage's log says; without a measurement the picture is empty.
        stage: the stage's name, the title.
        path: the file, which is replaced.
        best_step: where the stage was better than in the end, if it was; it is marked in every panel.
    """
    shown = quantities(history)
    columns = min(COLUMNS, max(1, len(shown)))
    rows = max(1, math.ceil(len(shown) / columns))
    figure = Figure(figsize=(PANEL[0] * columns, PANEL[1] * rows + 0.3), layout="constrained")
    figure.suptitle(stage, fontsize=11, fontweight="bold")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, series in zip(panels, shown, strict=False):
        draw_series(panel, series)
        mark_best(panel, best_step)
        panel.set_title(series.name.replace("_", " "), fontsize=9, loc="left")
        panel.set_xlabel("step", fontsize=8)
        panel.legend(loc="best", fontsize=7, frameon=False)  # named, or Matplotlib complains of a machine that is busy
    for panel in panels[len(shown) :]:
        panel.set_axis_off()
    figure.savefig(path, dpi=110, format="png")  # whatever the path ends with


def draw_series(panel: Axes, series: Series) -> None:
    """Draw one quantity into a panel, without a title: its place on the page says what it is."""
    if series.training is not None:
        steps, values = series.training
        window = max(1, len(values) // 40)
        if window > 1:
            panel.plot(steps, values, color=TRAINING, alpha=0.25, linewidth=0.8)
        means = _running_mean(values, window)
        centre = (window - 1) // 2
        panel.plot(steps[centre : centre + len(means)], means, color=TRAINING, linewidth=1.5, label="training")
        _ignore_outliers(panel, values, None if series.held_out is None else series.held_out[1])
    if series.held_out is not None:
        panel.plot(*series.held_out, color=HELD_OUT, marker="o", markersize=3.5, linewidth=1.2, label="held out")
    if series.name == "perplexity":  # falls by orders of magnitude: a straight scale would show the first fall alone
        panel.set_yscale("log")
    panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    panel.tick_params(labelsize=8)
    panel.grid(alpha=0.25, linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)


def mark_best(panel: Axes, best_step: int | None) -> None:
    """Mark the step at which a stage was better than in the end, if it was."""
    if best_step is not None:
        panel.axvline(best_step, color=HELD_OUT, linestyle="--", linewidth=1.0, label="best")


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


def _all_series(history: History) -> list[Series]:
    names = dict.fromkeys(name for record in [*history.steps, *history.evaluations] for name in record)
    measured = [name for name in names if name not in BOOKKEEPING]
    found = [Series(name, _points(history.steps, name), _points(history.evaluations, name)) for name in measured]
    return [series for series in found if series.training is not None or series.held_out is not None]


def _points(records: Sequence[dict[str, Any]], name: str) -> Points | None:
    """Steps and values of the records that hold a finite number of that name; None if there is none."""
    pairs = [(r["step"], r[name]) for r in records if isinstance(r.get(name), int | float) and math.isfinite(r[name])]
    if not pairs:
        return None
    steps, values = np.array(pairs, dtype=np.float64).T
    return steps, values


def _worth_a_panel(series: Series) -> bool:
    seen = np.concatenate([points[1] for points in (series.training, series.held_out) if points is not None])
    return series.leads or bool(np.ptp(seen) > 0)


def _rank(name: str) -> int:
    last = name.rpartition("/")[2]
    return FIRST.index(last) if last in FIRST else len(FIRST)
