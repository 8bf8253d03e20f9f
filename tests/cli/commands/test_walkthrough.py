"""``walkthrough``: its flags decide which pages are shown, and what does not go together is refused.

What the pages hold is tested in ``tests/inside/walkthrough``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from scratchgpt import kernels
from scratchgpt.cli.commands import walkthrough
from scratchgpt.cli.commands.walkthrough import Arguments, pages_of, run
from scratchgpt.errors import UserError
from scratchgpt.inference.sampling import SamplingConfig
from scratchgpt.inside.walkthrough.page import Page
from scratchgpt.inside.walkthrough.texts import Speech
from scratchgpt.stages import run_folder
from tests.inside.walkthrough.printing import SENTENCE, printed
from tests.tiny import files_in, save_checkpoint

PARTS = ("opening_pages", "attention_pages", "feed_forward_pages", "layers_after", "closing_pages", "backward_pages")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the flags ask for; nothing is computed, and each part of the walk is a page of its name."""
    seen = SimpleNamespace(subject=None, walk=None, stage=None)

    def subject(*arguments: object) -> str:
        seen.subject = arguments
        return "a subject"

    def walk(*arguments: object) -> str:
        seen.walk = arguments
        return "a walk"

    def stage_pages(name: str):
        def pages(*arguments: object) -> list[str]:
            seen.stage = name, *arguments
            return [name]

        return pages

    monkeypatch.setattr(walkthrough, "load_subject", subject)
    monkeypatch.setattr(walkthrough, "walk_sentence", walk)
    for part in PARTS:
        monkeypatch.setattr(walkthrough, part, lambda walk, part=part: [part])
    stages = {name: stage_pages(name) for name in walkthrough.STAGE_PAGES}
    monkeypatch.setattr(walkthrough, "STAGE_PAGES", stages)
    return seen


def test_without_flags_the_example_sentence_is_walked(asked: SimpleNamespace) -> None:
    assert pages_of(Arguments(fresh=True)) == list(PARTS)
    assert asked.subject == (None, [walkthrough.SENTENCE, ""], 0)
    assert asked.walk == ("a subject", "我 爱", Speech("zh"), 0, 0, None, SamplingConfig(1.0, 10), 0)


def test_without_a_checkpoint_the_default_run_is_walked_or_the_one_that_travels(
    asked: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tmp_path / "travels", "rlvf")
    monkeypatch.setattr(run_folder, "SHIPPED_RUN", tmp_path / "travels")
    pages_of(Arguments())
    assert asked.subject[0] == tmp_path / "travels"
    save_checkpoint(run_folder.DEFAULT_RUN, "sft")
    pages_of(Arguments())
    assert asked.subject[0] == run_folder.DEFAULT_RUN


def test_the_flags_of_a_sentence_reach_the_walk(asked: SimpleNamespace) -> None:
    flags = {"layer": 1, "head": 3, "target": "你", "temperature": 0.5, "top_k": 4, "lang": "en", "seed": 7}
    pages_of(Arguments("小猫", checkpoint=Path("here"), **flags))
    assert asked.subject == (Path("here"), ["小猫", "你"], 7)
    assert asked.walk == ("a subject", "小猫", Speech("en"), 1, 3, "你", SamplingConfig(0.5, 4), 7)


@pytest.mark.parametrize("stage", walkthrough.STAGE_PAGES)
def test_the_flags_of_a_stage_reach_its_pages(asked: SimpleNamespace, stage: str) -> None:
    assert pages_of(Arguments(stage=stage, checkpoint=Path("here"), example=4, lang="en", seed=7)) == [stage]
    assert asked.stage == (stage, Path("here"), 4, 7, Speech("en"))


def test_rlhf_is_another_name_of_ppo() -> None:
    assert walkthrough.STAGE_PAGES["rlhf"] is walkthrough.STAGE_PAGES["ppo"]
    assert set(walkthrough.STAGE_PAGES) == {"sft", "reward", "ppo", "rlhf", "rlvf"}


def test_pages_are_shown_one_by_one_if_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = [Page("mask"), Page("softmax"), Page("mix")]
    titles = [Speech("en").title(page.key) for page in pages]
    monkeypatch.setattr(walkthrough, "pages_of", lambda arguments: pages)
    monkeypatch.setattr("builtins.input", lambda prompt: "q")
    run(Arguments(lang="en"))
    shown = capsys.readouterr().out
    assert all(f"{number}/3  {title}" in shown for number, title in enumerate(titles, 1))
    run(Arguments(lang="en", steps=True))
    shown = capsys.readouterr().out
    assert f"1/3  {titles[0]}" in shown and "2/3" not in shown


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"seed": -1}, "--seed must not be negative, not -1"),
        ({"example": 2}, "--example chooses a training example of a stage; say which with --stage"),
        ({"fresh": True, "checkpoint": Path("here")}, "leave one of them out"),
        ({"stage": "pretrain"}, "the walk through a sentence shows its loss and its step; leave --stage out"),
        ({"stage": "dpo"}, "--stage dpo: there is no such stage to walk through; choose sft, reward, ppo or rlvf"),
        ({"stage": "sft", "sentence": "我"}, "leave the sentence out"),
        ({"stage": "sft", "target": "我"}, "leave the target out"),
        ({"stage": "ppo", "layer": 1}, "leave the layer out"),
        ({"stage": "ppo", "head": 1}, "leave the head out"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_computed(
    asked: SimpleNamespace, flags: dict, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        pages_of(Arguments(**flags))
    assert asked == SimpleNamespace(subject=None, walk=None, stage=None)


@pytest.fixture(autouse=True)
def no_compilation_and_no_checkpoint_of_mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The NumPy kernels, away from whatever the repository's own folder of checkpoints holds."""
    monkeypatch.chdir(tmp_path)
    before = kernels.backend()
    kernels.use("numpy")
    yield
    kernels.use(before)


def pages(**flags: object) -> list[Page]:
    return pages_of(Arguments(fresh="checkpoint" not in flags, **flags))


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("width", [80, 120])
def test_all_pages_fit_the_terminal(language: str, width: int) -> None:
    text = printed(pages(sentence=SENTENCE, layer=1, head=3, lang=language), language, width)
    titles = re.findall(r"^(\d+)/34  ", text, re.MULTILINE)
    assert titles == [str(i) for i in range(1, 35)]
    assert "nan" not in text and "{" not in text.replace("{ v :", "")
    assert text.count("scratchgpt/autograd/layers.py:") > 8 and "scratchgpt/kernels/attention.py:" in text


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


def test_run_prints_the_pages(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    run(Arguments(fresh=True, lang="en"))
    assert "34/34  All operations at a glance" in capsys.readouterr().out
    monkeypatch.setattr("builtins.input", lambda prompt: "q")
    run(Arguments(fresh=True, lang="en", steps=True))
    out = capsys.readouterr().out
    assert "1/34" in out and "2/34" not in out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
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
