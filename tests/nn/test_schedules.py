"""Learning rates by step: where they start, peak and end."""

from __future__ import annotations

import pytest

from scratchgpt.nn.schedules import cosine_schedule, linear_schedule, total_steps


def test_a_cosine_rises_in_a_line_and_falls_to_a_tenth() -> None:
    assert cosine_schedule(0, 100, 1.0, warmup=10) == pytest.approx(0.1)
    assert cosine_schedule(9, 100, 1.0, warmup=10) == cosine_schedule(10, 100, 1.0, warmup=10) == 1.0
    assert cosine_schedule(55, 100, 1.0, warmup=10) == pytest.approx(0.55)
    assert cosine_schedule(100, 100, 1.0, warmup=10) == pytest.approx(0.1)
    assert cosine_schedule(200, 100, 1.0, warmup=10) == pytest.approx(0.1)
    assert cosine_schedule(50, 100, 1.0, final_ratio=0.5) == pytest.approx(0.75)


def test_a_line_rises_and_falls_to_nothing() -> None:
    assert linear_schedule(0, 100, 1.0, warmup=10) == pytest.approx(0.1)
    assert linear_schedule(9, 100, 1.0, warmup=10) == linear_schedule(10, 100, 1.0, warmup=10) == 1.0
    assert linear_schedule(55, 100, 1.0, warmup=10) == pytest.approx(0.5)
    assert linear_schedule(200, 100, 1.0, warmup=10) == 0.0


@pytest.mark.parametrize(("epochs", "steps"), [(2, 20), (0.25, 3), (0.01, 1), (0, 1)])
def test_a_part_of_an_epoch_is_a_whole_number_of_steps(epochs: float, steps: int) -> None:
    assert total_steps(epochs, 10) == steps
