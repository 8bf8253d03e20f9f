"""One sentence: what was recorded is what the model computes, forward, back and after the step."""

from __future__ import annotations

import numpy as np
import pytest

from scratchgpt.autograd import no_grad
from scratchgpt.autograd.watch import observers
from scratchgpt.errors import UserError
from scratchgpt.inference.sampling import SamplingConfig
from scratchgpt.inside.walkthrough.sentence import walk_sentence
from scratchgpt.inside.walkthrough.subject import Subject, fresh_subject
from scratchgpt.inside.walkthrough.texts import Speech
from scratchgpt.nn.optimizers import AdamW
from tests.inside.walkthrough.printing import SENTENCE, walked


@pytest.fixture
def subject() -> Subject:
    return fresh_subject([SENTENCE], seed=1)


def test_the_walk_is_what_the_model_computes(subject: Subject) -> None:
    twin = fresh_subject([SENTENCE], seed=1).model.eval()
    walk = walk_sentence(subject, SENTENCE, Speech("zh"), target="我")
    assert observers() == ()
    assert walk.labels == ["我", "␣", "爱"] and list(walk.targets[:2]) == list(walk.ids[1:])
    assert walk.label(walk.targets[-1]) == "我" and walk.chosen_target

    logits, loss = twin(walk.ids[None], walk.targets[None])
    np.testing.assert_array_equal(walk.logits, logits.data[0, -1])
    assert walk.loss == loss.item()
    exponentials = np.exp(logits.data[0, -1] - logits.data[0, -1].max())
    np.testing.assert_allclose(walk.probabilities, exponentials / exponentials.sum(), rtol=1e-5)

    loss.backward()
    optimizer = AdamW(twin.named_parameters(), subject.learning_rate)
    assert walk.update.norm == optimizer.step(1.0)
    for (name, ours), theirs in zip(subject.model.named_parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(ours.data, theirs.data, err_msg=name)
    with no_grad():
        logits, after = twin(walk.ids[None], walk.targets[None])
    assert walk.update.loss == after.item() < walk.loss
    exponentials = np.exp(logits.data[0, -1] - logits.data[0, -1].max())
    np.testing.assert_allclose(walk.update.probabilities, exponentials / exponentials.sum(), rtol=1e-5)
    assert walk.update.probabilities[walk.targets[-1]] > walk.probabilities[walk.targets[-1]]


def test_the_drawn_token_is_the_target_where_none_is_given(subject: Subject) -> None:
    walk = walk_sentence(subject, SENTENCE, Speech("zh"), sampling=SamplingConfig(temperature=0.0))
    assert walk.sampled == walk.logits.argmax() == walk.targets[-1] and not walk.chosen_target


def test_the_same_seed_draws_the_same_token() -> None:
    drawn = [walk_sentence(fresh_subject([], 1), SENTENCE, Speech("zh"), seed=seed).sampled for seed in (3, 3, 4)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"sentence": ""}, "the sentence is empty"),
        ({"sentence": " \n"}, "the sentence is empty"),
        ({"sentence": "我" * 65}, "65 tokens long, the model's context only 64"),
        ({"layer": 2}, r"--layer 2: there is no such layer; this model's are 0 to 1"),
        ({"layer": -1}, r"--layer -1: there is no such layer"),
        ({"head": 4}, r"--head 4: there is no such head; this model's are 0 to 3"),
        ({"target": ""}, "--target is empty"),
    ],
)
def test_a_mistake_is_one_clear_line(where: dict, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        walked(**where)
    assert "\n" not in str(caught.value)


def test_a_mistake_leaves_the_model_as_it_was(subject: Subject) -> None:
    before = [p.data.copy() for p in subject.model.parameters()]
    with pytest.raises(UserError):
        walk_sentence(subject, SENTENCE, Speech("zh"), target="")
    for kept, parameter in zip(before, subject.model.parameters(), strict=True):
        np.testing.assert_array_equal(kept, parameter.data)


def test_the_layer_that_is_shown_is_named_by_its_path() -> None:
    assert walked(layer=1).block == "transformer.h.1"
