"""``generate``: the text and nothing else on standard output, and every mistake is one line."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from scratchgpt.cli.commands.generate import Arguments, run
from scratchgpt.config import GPTConfig
from scratchgpt.errors import UserError
from scratchgpt.inference.text import TextGenerator
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.reward import RewardModel
from scratchgpt.stages.run_folder import load_model
from tests.tiny import save_checkpoint, tiny_tokenizer

SAMPLED = Arguments("小猫", max_length=12, temperature=0.8, top_k=10, top_p=0.9, seed=3)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Two stages that write differently."""
    save_checkpoint(tmp_path, "pretrain", seed=1)
    save_checkpoint(tmp_path, "sft", seed=2)
    return tmp_path


def written(arguments: Arguments, capsys: pytest.CaptureFixture[str]) -> str:
    run(arguments)
    return capsys.readouterr().out.removesuffix("\n")


@pytest.mark.parametrize("stage", ["pretrain", "sft"])
def test_sampling_is_that_of_the_text_generator(out: Path, stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = written(dataclasses.replace(SAMPLED, checkpoint=out, stage=stage), capsys)
    expected = TextGenerator(*load_model(out, stage)).generate("小猫", 12, 0.8, 10, 0.9, seed=3)
    assert shown == expected and len(shown) > 2


def test_the_pretrained_model_is_the_default_and_a_models_own_folder_will_do(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def text(place: Path, stage: str | None) -> str:
        return written(dataclasses.replace(SAMPLED, checkpoint=place, stage=stage), capsys)

    assert text(out, None) == text(out, "pretrain") == text(out / "pretrain", None)
    assert text(out, "sft") == text(out / "sft", None) != text(out, None)
    (out / "pretrain").rename(tmp_path / "elsewhere")  # without it the latest model there is
    assert text(out, None) == text(out, "sft")


def test_nothing_is_shown_before_the_second_token_is_there(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling may begin with the second token, and is announced on the same terminal."""
    shown: list[int] = []
    monkeypatch.setattr("builtins.print", lambda *text, **how: shown.append(drawn[0]))
    drawn = [0]

    def pieces(*anything: object, **settings: object) -> Iterator[str]:
        for drawn[0] in (1, 2, 3):
            yield "字"

    monkeypatch.setattr(TextGenerator, "stream", pieces)
    run(dataclasses.replace(SAMPLED, checkpoint=out))
    assert shown[0] == 2


def test_beams(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(dataclasses.replace(SAMPLED, checkpoint=out, num_beams=4))
    said = capsys.readouterr()
    assert said.out == TextGenerator(*load_model(out, "pretrain")).generate("小猫", 12, num_beams=4) + "\n"
    assert said.err == "note: a beam search leaves nothing to chance: temperature, top_k, top_p take no part\n"
    run(Arguments("小猫", max_length=3, checkpoint=out, num_beams=2))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt": ""}, "--prompt is empty"),
        ({"prompt": "小" * 65}, "the prompt is 65 tokens long, the model's context only 64"),
        ({"max_length": 0}, "--max_length must be at least 1, not 0"),
        ({"num_beams": 0}, "--num_beams must be at least 1, not 0"),
        ({"seed": -1}, "--seed must be at least 0, not -1"),
        ({"temperature": -1.0}, "temperature must be 0"),
        ({"top_p": 0.0}, "top_p must be above 0"),
        ({"stage": "rlvf"}, "rlvf: no checkpoint here yet"),
    ],
)
@pytest.mark.parametrize("num_beams", [1, 3])
def test_mistakes(out: Path, changes: dict, message: str, num_beams: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=message):
        run(dataclasses.replace(SAMPLED, **{"checkpoint": out, "num_beams": num_beams, **changes}))
    assert capsys.readouterr().out == ""


def test_folders_that_hold_no_model_that_writes(out: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no checkpoint yet; train one with"):
        run(dataclasses.replace(SAMPLED, checkpoint=tmp_path / "nowhere"))
    with pytest.raises(UserError, match="--stage sft has no effect"):
        run(dataclasses.replace(SAMPLED, checkpoint=out / "sft", stage="sft"))
    config = GPTConfig(tiny_tokenizer().vocab_size, emb_dim=8, num_heads=2, num_layers=1, context_size=16)
    RewardModel(config).save_pretrained(tmp_path / "reward_model")
    with pytest.raises(UserError, match="reward_model: a reward model scores texts and writes none"):
        run(dataclasses.replace(SAMPLED, checkpoint=tmp_path / "reward_model"))


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    directory = save_checkpoint(tmp_path, "sft")
    GPT(GPTConfig(10, emb_dim=8, num_heads=2, num_layers=1, context_size=16)).save_pretrained(directory)
    with pytest.raises(UserError, match="they are not of one run"):
        run(dataclasses.replace(SAMPLED, checkpoint=directory))


def test_a_diverged_model_is_one_line(tmp_path: Path) -> None:
    directory = save_checkpoint(tmp_path, "sft")
    model = GPT.from_pretrained(directory)
    model.transformer.wte.weight.data[...] = np.nan
    model.save_pretrained(directory)
    with pytest.raises(UserError, match="logits are not finite"):
        run(dataclasses.replace(SAMPLED, checkpoint=tmp_path))


def test_control_characters_are_shown_and_not_obeyed(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TextGenerator, "stream", lambda self, *_, **settings: iter(["\x1b[2J", "\x07", "猫\r"]))
    assert written(dataclasses.replace(SAMPLED, checkpoint=out, prompt="狗"), capsys) == "狗␛[2J␇猫␍"


def test_what_nobody_sees_in_a_prompt_is_left_out_and_said(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(dataclasses.replace(SAMPLED, checkpoint=out, prompt="\x1b小\u200b猫"))
    shown = capsys.readouterr()
    assert shown.out == written(dataclasses.replace(SAMPLED, checkpoint=out), capsys) + "\n"
    assert "left out of the prompt: 2 invisible characters (1 U+001B control, 1 U+200B" in shown.err
