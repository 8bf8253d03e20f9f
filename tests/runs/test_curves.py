"""Curves: every quantity of a log gets its panel, and what is drawn is what was measured."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from matplotlib.figure import Figure

from scratchgpt.runs import curves
from scratchgpt.training.history import History

STEPS = np.arange(1.0, 201.0)


def test_every_quantity_gets_one_panel_and_the_leading_ones_come_first(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(curves, "draw_series", lambda panel, series: (drawn.append(series), panel.plot([0], label="x")))
    history = History()
    for step in (1, 2, 3):
        loss = float("nan") if step == 2 else float(step)
        quantities = {"lr": 1.0, "grad_norm": 2.0 * step, "val/clipfrac": 0.0, "objective/kl": 0.5, "loss": loss}
        history.add({"kind": "step", "step": step, "tokens": 1.0, "seconds": 1.0, **quantities})
    for step in (0, 3):
        measured = {"loss": 7.0, "accuracy": 0.5, "accuracy/parity": 0.1 * step, "items": 9.0}
        history.add({"kind": "evaluation", "step": step, **measured})
    curves.draw_curves(history, "rlhf", tmp_path / "x.png")
    assert [series.name for series in drawn] == ["loss", "accuracy", "objective/kl", "grad_norm"]
    assert [list(axis) for axis in drawn[0].training] == [[1, 3], [1, 3]]  # a diverged step is left out
    assert [list(axis) for axis in drawn[0].held_out] == [[0, 3], [7, 7]]
    assert drawn[1].training is None and drawn[2].held_out is None
    parity = curves.parts_of_the_data(history)
    assert [(part.name, list(part.held_out[1])) for part in parity] == [("parity", [0.0, 0.1 * 3])]


def test_running_mean():
    assert np.allclose(curves._running_mean(np.array([1.0, 2.0, 6.0, 4.0]), 2), [1.5, 4.0, 5.0])


def drawn_alone(series: curves.Series):
    panel = Figure().subplots()
    curves.draw_series(panel, series)
    return panel


def test_training_is_a_line_with_its_running_mean_and_held_out_data_are_dots():
    values = np.linspace(4, 1, 200)
    panel = drawn_alone(curves.Series("loss", (STEPS, values), (STEPS[::50], values[::50])))
    faint, mean, dots = panel.get_lines()
    assert faint.get_alpha() < 0.5 and list(faint.get_ydata()) == list(values)
    assert (mean.get_label(), dots.get_label()) == ("training", "held out")
    assert len(mean.get_xdata()) == 196  # a window of five
    np.testing.assert_allclose(mean.get_xdata()[0], STEPS[2])
    np.testing.assert_allclose(mean.get_ydata()[0], values[2])  # of a straight line the middle is the mean
    assert dots.get_marker() == "o" and list(dots.get_ydata()) == list(values[::50])


def test_a_short_training_is_its_own_mean_and_one_side_may_be_missing():
    panel = drawn_alone(curves.Series("loss", (STEPS[:3], np.array([3.0, 1.0, 2.0])), None))
    assert [list(line.get_ydata()) for line in panel.get_lines()] == [[3.0, 1.0, 2.0]]
    panel = drawn_alone(curves.Series("loss", None, (STEPS[:3], np.array([3.0, 1.0, 2.0]))))
    assert [line.get_label() for line in panel.get_lines()] == ["held out"]


@pytest.mark.parametrize(("name", "scale"), [("perplexity", "log"), ("loss", "linear")])
def test_a_perplexity_falls_by_orders_of_magnitude(name, scale):
    assert drawn_alone(curves.Series(name, None, (STEPS[:2], np.array([900.0, 9.0])))).get_yscale() == scale


def test_the_first_steps_extremes_do_not_flatten_the_rest():
    values = np.linspace(2, 1, 200)
    values[0] = 1000.0
    assert drawn_alone(curves.Series("grad_norm", (STEPS, values), None)).get_ylim()[1] < 3
    held_out = STEPS[:100], np.full(100, 1000.0)  # half of what is shown is as high: no extreme
    assert drawn_alone(curves.Series("grad_norm", (STEPS, values), held_out)).get_ylim()[1] > 1000


def test_a_log_without_a_measurement_is_an_empty_picture(tmp_path):
    curves.draw_curves(History(), "sft", tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 1000


def test_the_best_step_is_a_line_across_the_panel():
    panel = Figure().subplots()
    curves.mark_best(panel, None)
    assert not panel.get_lines()
    curves.mark_best(panel, 40)
    (line,) = panel.get_lines()
    assert list(line.get_xdata()) == [40, 40] and line.get_label() == "best" and line.get_linestyle() == "--"


def test_a_busy_machine_is_not_complained_of(tmp_path, monkeypatch):
    """Where placing a legend takes over a second; the run's output is no place for a warning of Matplotlib's."""
    monkeypatch.setattr("matplotlib.legend.time.perf_counter", itertools.count(step=5).__next__)
    history = History()
    for step in (1, 2):
        history.add({"kind": "step", "step": step, "tokens": 1.0, "seconds": 1.0, "loss": 1.0 * step})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curves.draw_curves(history, "sft", tmp_path / "x.png")
