"""The pages of the backward pass: loss, gradients and the optimizer's step are those of the walk, and fit together."""

from __future__ import annotations

import re

import numpy as np
import pytest

from scratchgpt import kernels
from scratchgpt.inference.sampling import SamplingConfig
from scratchgpt.inside.walkthrough.backward_pages import backward_pages
from scratchgpt.inside.walkthrough.numbers import number_format, percent
from scratchgpt.inside.walkthrough.sentence import Walk
from tests.inside.walkthrough.printing import cells, page_text, walked

NUMBER = r"(-?[\d.]+(?:e-\d+)?)"


@pytest.fixture
def walk() -> Walk:
    return walked(head=2, sampling=SamplingConfig(1.0, 10))


def shown(walk: Walk, key: str) -> str:
    return page_text(backward_pages(walk), key)


def test_the_loss_is_the_mean_of_minus_the_logarithms(walk: Walk) -> None:
    text = shown(walk, "loss")
    rows = re.findall(rf"^(\d) +(\S+) +(\S+) +{NUMBER}% +{NUMBER}$", text, re.MULTILINE)
    assert [label for _, label, *_ in rows] == walk.labels
    assert [target for _, _, target, *_ in rows] == [walk.label(target) for target in walk.targets]
    np.testing.assert_allclose([float(p) for *_, p, _ in rows], [100 * np.exp(-float(x)) for *_, x in rows], rtol=0.06)
    assert np.mean([float(x) for *_, x in rows]) == pytest.approx(walk.loss, abs=1e-3)
    assert f"/ 3 = {walk.loss:.4f}\n" in text


def test_the_target_is_said_to_be_drawn_or_given(walk: Walk) -> None:
    assert f"“{walk.label(walk.sampled)}”, the one just drawn" in " ".join(shown(walk, "loss").split())
    assert "“我” (--target)" in " ".join(shown(walked(target="我"), "loss").split())


def test_the_gradient_of_the_logits_is_p_minus_one_hot_over_the_positions(walk: Walk) -> None:
    text = shown(walk, "grad_logits")
    rows = re.findall(rf"^(\S+) +(\d\.\d+) +([01]) +{NUMBER}$", text, re.MULTILINE)
    assert rows[0][0] == walk.label(walk.targets[-1]) and [hit for *_, hit, _ in rows] == ["1", *"0" * (len(rows) - 1)]
    for _, probability, hit, gradient in rows:
        assert float(gradient) == pytest.approx((float(probability) - int(hit)) / 3, abs=6e-4)


def test_the_backward_pass_goes_through_every_step(walk: Walk) -> None:
    rows = re.findall(r"^(\d+) +(\w+) .* (\S+)$", shown(walk, "backward_pass"), re.MULTILINE)
    backward = walk.recording.backward
    assert [(int(number), operation) for number, operation, _ in rows] == [
        (number, step.operation) for number, step in enumerate(backward, 1)
    ]
    assert len(rows) == len(walk.recording.steps)
    assert [length for *_, length in rows] == [f"{np.linalg.norm(step.gradient):.3g}" for step in backward]


def test_the_bend_passes_a_gradient_times_its_slope(walk: Walk) -> None:
    text = shown(walk, "back_feed_forward")
    rows = np.array(re.findall(rf"^ *{NUMBER} +{NUMBER} +{NUMBER} +{NUMBER}$", text, re.MULTILINE), float)
    assert rows.shape == (7, 4)
    pre, grad, slope, passed = rows.T
    np.testing.assert_allclose(slope, kernels.gelu_backward.reference(np.ones(7), pre), atol=2e-3)
    np.testing.assert_allclose(passed, grad * slope, atol=2e-3)
    for argument in walk.recording.step("feed_forward", "transformer.h.0.mlp").arguments[1:]:
        assert cells(text, str(argument.origin))[-1] == f"{np.linalg.norm(argument.gradient):.3g}"


def test_the_gradients_of_the_scores_add_up_to_nothing(walk: Walk) -> None:
    text = shown(walk, "back_attention")
    attention = walk.recording.step("causal_attention", "transformer.h.0.attn")
    hidden = {step.name: step.array for step in attention.hidden_backward()}
    weights, scores = text[text.index("\ndP\n") : text.index("\ndS\n")], text[text.index("\ndS\n") :]
    form = number_format(np.tril(hidden["grad_weights"][0, 2]))
    assert cells(weights, "爱") == [form(x) for x in hidden["grad_weights"][0, 2, -1]]
    assert cells(weights, "我")[1:] == ["0.000", "0.000"]  # what is not seen has no say
    for label in walk.labels:
        assert sum(float(x) for x in cells(scores, label)) == pytest.approx(0, abs=2e-3)
    lengths = [f"{np.linalg.norm(hidden[f'grad_{name}'][0, 2]):.3g}" for name in ("queries", "keys", "values")]
    assert scores.rstrip().splitlines()[-1].split() == lengths


def test_the_gradient_of_a_layernorms_input_adds_up_to_nothing(walk: Walk) -> None:
    text = shown(walk, "back_layernorm")
    gradient = walk.recording.step("layernorm", "transformer.h.0.ln_1").argument("x").gradient
    assert cells(text, "爱")[:3] == [number_format(gradient)(x) for x in gradient[0, -1, :3]]
    total = re.search(r"Σ dx\[爱\] = (\S+)$", text, re.MULTILINE)
    assert total is not None and abs(float(total[1])) < 1e-5


def test_the_row_of_the_token_table_receives_two_gradients(walk: Walk) -> None:
    text = shown(walk, "embedding_gradient")
    gradient = walk.recording.step("embedding", "transformer.wte").argument("weight").gradient[walk.ids[-1]]
    scored = walk.recording.step("transpose", "").argument("x").gradient[walk.ids[-1]]
    assert re.search(rf"^as input\s+{gradient[0]:.3f}\s", text, re.MULTILINE)
    assert re.search(rf"^as output\s+{scored[0]:.3f}\s", text, re.MULTILINE)
    assert re.search(rf"^sum\s+{gradient[0] + scored[0]:.3f}\s", text, re.MULTILINE)
    clipped = (gradient + scored) / walk.update.norm
    exp_avg = walk.update.optimizer.exp_avg["transformer.wte.weight"][walk.ids[-1]]
    np.testing.assert_allclose(exp_avg, 0.1 * clipped, rtol=1e-3)


def test_the_optimizers_step_can_be_followed_from_row_to_row(walk: Walk) -> None:
    text = shown(walk, "adamw")
    labels = ("w", "g (clipped)", "m", "m̂", "√v̂", "Δw", "new w")
    row = {label: np.array(cells(text, label), float) for label in labels}
    lr = walk.update.optimizer.lr
    np.testing.assert_allclose(row["m"], 0.1 * row["g (clipped)"], rtol=0.06, atol=6e-5)
    np.testing.assert_allclose(row["m̂"], row["g (clipped)"], atol=1e-3)
    np.testing.assert_allclose(row["√v̂"], abs(row["g (clipped)"]), atol=1e-3)
    np.testing.assert_allclose(row["new w"], row["w"] + row["Δw"], atol=6e-5)
    np.testing.assert_allclose(row["Δw"], -lr * (np.sign(row["m"]) + 0.1 * row["w"]), atol=6e-5)
    after = walk.subject.model.transformer.wte.weight.data[walk.ids[-1]]
    assert cells(text, "new w") == [f"{x:.6f}" for x in after[:5]]
    assert f"module    transformer.wte.weight[{walk.ids[-1]}]" in text and "above 1.0" in text


def test_the_probability_of_the_target_has_moved(walk: Walk) -> None:
    text, target = shown(walk, "moved"), int(walk.targets[-1])
    before, after = walk.probabilities[target], walk.update.probabilities[target]
    assert cells(text, walk.label(target)) == [percent(before), percent(after), f"×{after / before:.2f}"]
    said = " ".join(text.split())
    assert f"went from {percent(before)} to {percent(after)}" in said
    assert f"the loss from {walk.loss:.4f} to {walk.update.loss:.4f}." in said


def test_all_operations_are_listed_with_their_source(walk: Walk) -> None:
    text = shown(walk, "all_steps")
    steps = walk.recording.steps
    hidden = sum(len(step.hidden()) + len(step.hidden_backward()) for step in steps)
    assert f"{2 * len(steps) + hidden} steps in all" in " ".join(text.split())
    rows = re.findall(r"^(\d+) +(\w+) .*?(\w+\.py:\d+) +\d+ +\d+$", text, re.MULTILINE)
    assert [(int(number), operation) for number, operation, _ in rows] == [(s.number + 1, s.operation) for s in steps]
    assert [f"scratchgpt/autograd/{source}" for *_, source in rows] == [str(step.source) for step in steps]
    assert "the sources below are in scratchgpt/autograd/." in " ".join(text.split())
