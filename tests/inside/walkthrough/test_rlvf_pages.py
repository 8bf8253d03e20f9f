"""The walk through RLVF: the group it shows is what the trainer made of it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from scratchgpt.datasets.sources import DataSources
from scratchgpt.evaluation.rollouts import Rollouts, encode_prompt, token_logprobs
from scratchgpt.inside.walkthrough import rlvf_pages
from scratchgpt.inside.walkthrough.subject import fresh_subject
from scratchgpt.stages import rlvf
from scratchgpt.tokenizer import IM_END_ID
from tests.inside.walkthrough.printing import printed
from tests.inside.walkthrough.stage_walks import pages

pytestmark = pytest.mark.usefixtures("quick")


def test_rlvf_shows_the_first_group_that_teaches_and_what_the_trainer_made_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokenizer = fresh_subject(["计算等于？"], 0, 256).tokenizer
    tasks = [{"type": "math", "prompt": f"{i} + 1 = ?", "expected_answer": str(i + 1)} for i in range(2)]
    say = {text: [*tokenizer.encode(text), IM_END_ID] for text in ("1", "2", "3")}
    written = iter([[say["1"]] * 3, [say["2"], say["3"], tokenizer.encode("2")]])  # all right; then one of three
    monkeypatch.setattr(rlvf, "sample_responses", lambda model, prompts, *rest: Rollouts(prompts, next(written)))
    monkeypatch.setattr(DataSources, "tasks", lambda self: (tasks, []))
    monkeypatch.setattr(rlvf_pages, "fresh_subject", lambda *_, **__: fresh_subject(["计算等于？"], 0, 256))
    text = printed(pages("rlvf", lang="en"), "en", 120)
    assert "all answers to example 0 are right, or all wrong" in text.replace("\n", " ")
    assert re.findall(r"^(\d) +(.) +([+-][\d.]+) +([+-][\d.]+) +(\d)$", text, re.MULTILINE) == [
        ("0", "✓", "+1.00", "+1.000", "2"),
        ("1", "✗", "-0.50", "-0.500", "3"),
        ("2", "✗", "-0.50", "-0.500", "2"),  # right, but it never ended
    ]
    moved = re.findall(r"^\d +. +([+-][\d.]+) +(-[\d.]+) +(-[\d.]+) +×([\d.]+)$", text, re.MULTILINE)
    advantages, before, after, factors = np.array(moved, float).T
    np.testing.assert_allclose(advantages, [1.0, -0.5, -0.5])
    assert (after - before)[0] > 0 > (after - before)[1] and "updates made: 1" in text
    np.testing.assert_allclose(factors, np.exp(after - before), atol=2e-3)
    fresh = fresh_subject(["计算等于？"], 0, 256)
    prompt = encode_prompt(fresh.tokenizer, tasks[1]["prompt"], 256)
    rollouts = Rollouts([prompt] * 3, [say["2"], say["3"], fresh.tokenizer.encode("2")])
    logprobs = token_logprobs(fresh.model, rollouts, rlvf_pages.SETTINGS.temperature)
    np.testing.assert_allclose(before, rollouts.sum_per_response(logprobs), atol=6e-4)


def test_a_group_without_difference_says_that_it_teaches_nothing(small_data: DataSources, finished_run: Path) -> None:
    assert "什么也教不了" in printed(pages("rlvf", checkpoint=finished_run)).replace("\n", "")
