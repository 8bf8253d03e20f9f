"""``walkthrough``: its flags, and all the pages they lead to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from scratchgpt import kernels
from scratchgpt.cli.commands.walkthrough import Arguments, pages_of, run
from scratchgpt.errors import UserError
from scratchgpt.inside.walkthrough.page import Page
from tests.inside.walkthrough.printing import SENTENCE, printed
from tests.tiny import files_in, save_checkpoint


@pytest.fixture(autouse=True)
def no_compilation_and_no_checkpoint_of_mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The NumPy kernels, away from whatever the repository's own folder of checkpoints holds."""
    monkeypatch.chdir(tmp_path)
    before = kernels.backend()
    kernels.use("numpy")
    yield
    kernels.use(before)


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
    run(Arguments(lang="en"))
    assert "34/34  All operations at a glance" in capsys.readouterr().out
    monkeypatch.setattr("builtins.input", lambda prompt: "q")
    run(Arguments(lang="en", steps=True))
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
