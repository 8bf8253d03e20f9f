"""One sentence: the numbers shown are the model's own, forward, back and after the step."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from scratchgpt.autograd import no_grad
from scratchgpt.autograd.watch import observers
from scratchgpt.cli.commands.walkthrough import Arguments, pages_of, run
from scratchgpt.errors import UserError
from scratchgpt.inference.sampling import SamplingConfig
from scratchgpt.inside.walkthrough import subject as subject_module
from scratchgpt.inside.walkthrough.page import Page
from scratchgpt.inside.walkthrough.sentence import walk_sentence
from scratchgpt.inside.walkthrough.subject import Subject, fresh_subject, load_subject
from scratchgpt.inside.walkthrough.texts import Speech
from scratchgpt.models.gpt2 import GPT
from scratchgpt.nn.optimizers import AdamW
from tests.inside.walkthrough.conftest import printed
from tests.tiny import files_in, save_checkpoint

SENTENCE = "我 爱"


@pytest.fixture
def subject() -> Subject:
    return fresh_subject([SENTENCE], seed=1)


def parameters(model: GPT) -> dict[str, np.ndarray]:
    return {name: p.data.copy() for name, p in model.named_parameters()}


# -- the computation ----------------------------------------------------------------------------------------
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


# -- the pages ----------------------------------------------------------------------------------------------
def pages(**flags: object) -> list[Page]:
    return pages_of(Arguments(**flags))


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("width", [80, 120])
def test_all_pages_fit_the_terminal(language: str, width: int) -> None:
    text = printed(pages(sentence=SENTENCE, layer=1, head=3, lang=language), language, width)
    titles = re.findall(r"^(\d+)/34  ", text, re.MULTILINE)
    assert titles == [str(i) for i in range(1, 35)]
    assert "nan" not in text and "{" not in text.replace("{ v :", "")
    assert text.count("scratchgpt/autograd/layers.py:") > 8 and "scratchgpt/kernels/attention.py:" in text


def test_the_pages_hold_the_numbers_of_the_walk() -> None:
    text = printed(pages(sentence=SENTENCE, head=2, lang="en"), "en", 120)
    walk = walk_sentence(
        fresh_subject([SENTENCE, ""], 0), SENTENCE, Speech("en"), head=2, sampling=SamplingConfig(1.0, 10)
    )
    attention = {s.name: s.array for s in walk.recording.step("causal_attention", "transformer.h.0.attn").hidden()}
    for name in ("queries", "keys", "values", "scores", "weights", "mixed"):
        row = "  ".join(rf"\s*{value:.3f}".replace("-0.000", "0.000") for value in attention[name][0, 2, -1])
        assert re.search(rf"^爱\s+{row}$", text, re.MULTILINE), name
    said = " ".join(text.split())
    assert f"the loss from {walk.loss:.4f} to {walk.update.loss:.4f}." in said
    target = walk.targets[-1]
    assert f"went from {100 * walk.probabilities[target]:.2g}% to" in said
    # The row's two gradients add up to what the optimizer saw.
    gradient = walk.recording.step("embedding", "transformer.wte").argument("weight").gradient[walk.ids[-1]]
    scored = walk.recording.step("transpose", "").argument("x").gradient[walk.ids[-1]]
    assert re.search(rf"^as input\s+{gradient[0]:.3f}\s", text, re.MULTILINE)
    assert re.search(rf"^sum\s+{gradient[0] + scored[0]:.3f}\s", text, re.MULTILINE)
    optimizer = walk.update.optimizer
    clipped = (gradient + scored) / walk.update.norm
    np.testing.assert_allclose(optimizer.exp_avg["transformer.wte.weight"][walk.ids[-1]], 0.1 * clipped, rtol=1e-3)


def test_another_layer_shows_what_came_before_and_after(tmp_path: Path) -> None:
    first, last = (printed(pages(sentence=SENTENCE, layer=layer)) for layer in (0, 1))
    assert "后面的层" in first and "前面的层" not in first
    assert "前面的层" in last and "后面的层" not in last
    assert "transformer.h.1.attn.c_attn" in last and "模块  transformer.h.1.ln_1" in last


def test_at_temperature_0_nothing_is_drawn() -> None:
    text = printed(pages(sentence=SENTENCE, temperature=0.0, lang="en"), "en")
    assert "Take the likeliest token" in text and "argmax" in text and "--seed" not in text


def test_the_lengths_of_the_residual_stream_are_whole_numbers_of_its_rows() -> None:
    sentence = "今天天气很好，我们一起出去走走"
    text = printed(pages(sentence=sentence, layer=1, lang="en"), "en")
    walk = walk_sentence(fresh_subject([sentence, ""], 0), sentence, Speech("en"), layer=1)
    for place, step in (
        ("wte + wpe", walk.recording.step("add", "transformer")),
        (r"h\.0 \+ attn", walk.recording.find("add", "transformer.h.0")[0]),
        (r"h\.0 \+ mlp", walk.recording.find("add", "transformer.h.0")[1]),
    ):
        shown = re.search(rf"^{place.replace(' + w', r' [+] w')} +(.*)$", text, re.MULTILINE)[1].split()  # type: ignore[index]
        lengths = [f"{np.linalg.norm(row):.3f}" for row in step.output[0]]
        assert shown[:4] == lengths[:4] and shown[-2:] == ["…", lengths[-1]]


@pytest.mark.parametrize(
    "sentence", ["[/bold] [red]", "一", "a\nb\t😀", "今天天气很好，我们一起出去走走，看看花，看看草"]
)
def test_any_sentence_can_be_shown(sentence: str) -> None:
    text = printed(pages(sentence=sentence, target="[/x]"))
    assert f"“{sentence.split(chr(10))[0][:4]}" in text


def test_a_trained_checkpoint_is_shown_and_left_alone(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "run", "pretrain", seed=1)
    save_checkpoint(tmp_path / "run", "sft", seed=2)
    before = files_in(tmp_path)
    text = printed(pages(sentence="小猫", checkpoint=tmp_path / "run"), width=120)
    assert f"{tmp_path / 'run' / 'pretrain'}，" in text.replace("\n", "") and files_in(tmp_path) == before
    one = printed(pages(sentence="小猫", checkpoint=tmp_path / "run" / "sft"), width=120)
    assert f"{tmp_path / 'run' / 'sft'}，" in one.replace("\n", "")


def test_the_default_folder_is_used_if_it_holds_a_model(tmp_path: Path) -> None:
    assert load_subject(None, ["我"], 0).directory is None
    save_checkpoint(subject_module.DEFAULT_RUN, "sft")
    assert load_subject(None, ["我"], 0).directory == subject_module.DEFAULT_RUN / "sft"


def test_without_the_projects_data_the_sentence_makes_the_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject_module, "DATA", Path("nowhere"))
    fresh = fresh_subject(["我 爱"], 0)
    assert len(fresh.tokenizer) < 50 and fresh.tokenizer.decode(fresh.tokenizer.encode("我 爱")) == "我 爱"


def test_run_prints_the_pages(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    run(Arguments(lang="en"))
    assert "34/34  All operations at a glance" in capsys.readouterr().out
    monkeypatch.setattr("builtins.input", lambda prompt: "q")
    run(Arguments(lang="en", steps=True))
    out = capsys.readouterr().out
    assert "1/34" in out and "2/34" not in out


# -- mistakes -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"sentence": ""}, "the sentence is empty"),
        ({"sentence": " \n"}, "the sentence is empty"),
        ({"sentence": "我" * 65}, "65 tokens long, the model's context only 64"),
        ({"layer": 2}, r"--layer 2: there is no such layer; this model's are 0 to 1"),
        ({"layer": -1}, r"--layer -1: there is no such layer"),
        ({"head": 4}, r"--head 4: there is no such head; this model's are 0 to 3"),
        ({"target": ""}, "--target is empty"),
        ({"seed": -1}, "--seed must not be negative"),
        ({"temperature": -1.0}, "temperature must be 0"),
        ({"top_k": -1}, "top_k must be 0"),
        ({"example": 2}, "--example chooses a training example of a stage"),
        ({"stage": "pretrain"}, "leave --stage out"),
        ({"stage": "dpo"}, "--stage dpo: there is no such stage"),
        ({"stage": "sft", "sentence": "我"}, "leave the sentence out"),
        ({"stage": "sft", "target": "我"}, "leave the target out"),
        ({"stage": "ppo", "layer": 1}, "leave the layer out"),
        ({"stage": "ppo", "head": 1}, "leave the head out"),
        ({"checkpoint": Path("nowhere")}, "nowhere: no checkpoint yet"),
    ],
)
def test_a_mistake_is_one_clear_line(flags: dict, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        pages(**flags)
    assert "\n" not in str(caught.value)
