"""Every operation under a name that can be typed, with the numbers that the recorder has."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from scratchgpt import kernels
from scratchgpt.errors import UserError
from scratchgpt.inside.recorder import Recording, record
from scratchgpt.inside.trace import ALSO, Traced, find_step, traced_steps
from scratchgpt.inside.walkthrough.subject import fresh_subject


@pytest.fixture(scope="module")
def recording() -> Iterator[Recording]:
    """A sentence of four tokens through a fresh model of two layers, and back."""
    before = kernels.backend()
    kernels.use("numpy")
    subject = fresh_subject(["小猫睡觉"], 0)
    ids = np.array([subject.tokenizer.encode("小猫睡觉")])
    with record(subject.model.eval()) as recorded:
        subject.model.loss(ids[:, :-1], ids[:, 1:]).backward()
    yield recorded
    kernels.use(before)


@pytest.fixture
def steps(recording: Recording) -> list[Traced]:
    return traced_steps(recording, 1)


def test_names_are_unique_and_every_operation_of_the_layer_has_one(recording: Recording, steps: list[Traced]) -> None:
    names = [step.name for step in steps]
    assert len(set(names)) == len(names)
    there = {step.number for step in recording.steps if "h.0" not in step.module}
    assert {step.step.number for step in steps if not step.back} == there
    assert {step.step.number for step in steps if step.back} == there
    assert not any("h.0" in step.step.module for step in steps)


def test_the_numbers_are_the_recorders(recording: Recording, steps: list[Traced]) -> None:
    attention = recording.step("causal_attention", "transformer.h.1.attn")
    hidden = {one.name: one.array for one in attention.hidden()}
    np.testing.assert_array_equal(find_step(steps, "attn.weights").array, hidden["weights"])
    np.testing.assert_array_equal(find_step(steps, "attn.causal_attention").array, attention.output)
    back = {one.name: one.array for one in attention.hidden_backward()}
    np.testing.assert_array_equal(find_step(steps, "attn.grad_scores").array, back["grad_scores"])
    layernorm = recording.step("layernorm", "transformer.ln_f")
    np.testing.assert_array_equal(find_step(steps, "ln_f.grad_weight").array, layernorm.argument("weight").gradient)
    hidden_gradient = layernorm.hidden_backward()[-1].array
    np.testing.assert_array_equal(find_step(steps, "ln_f.grad_x").array, hidden_gradient)
    np.testing.assert_allclose(hidden_gradient, layernorm.argument("x").gradient, atol=1e-7)
    second = recording.find("add", "transformer.h.1")[1]
    assert find_step(steps, "block.add.2").step is second


@pytest.mark.parametrize("name", ALSO)
def test_other_words_find_the_same_step(steps: list[Traced], name: str) -> None:
    assert find_step(steps, name) is find_step(steps, ALSO[name])


def test_softmax_rows_are_probabilities(steps: list[Traced]) -> None:
    np.testing.assert_allclose(find_step(steps, "attn.softmax").array.sum(axis=-1), 1, rtol=1e-6)


def test_a_name_that_there_is_not_is_answered_with_those_that_come_closest(steps: list[Traced]) -> None:
    with pytest.raises(UserError, match=r"--step attn\.softmx: there is no such step; perhaps attn\.softmax"):
        find_step(steps, "attn.softmx")
    with pytest.raises(UserError, match="no such step; the command steps lists all"):
        find_step(steps, "§§§§")
