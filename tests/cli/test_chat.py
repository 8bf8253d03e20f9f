"""``chat.py``: its flags reach the conversation, and every mistake gives one line and exit code 2."""

from __future__ import annotations

import sys

import pytest

from scratchgpt import kernels
from scratchgpt.cli.chat import ChatFlags, chat
from scratchgpt.cli.conversation import Conversation
from scratchgpt.inference.sampling import SamplingConfig

pytestmark = pytest.mark.usefixtures("numpy_kernels")
TOO_LONG = "猫" * 80


def test_one_answer_is_all_that_is_printed(out, capsys):
    settings = ["--stage", "sft", "--temperature", "0", "--max-length", "6"]
    assert chat(["--out", str(out), *settings, "--prompt", "你好"]) == 0
    captured = capsys.readouterr()
    talker = Conversation(out, "sft", SamplingConfig(temperature=0.0), max_length=6)
    assert captured.out == "".join(talker.say("你好")) + "\n"
    assert captured.err == ""


@pytest.mark.parametrize(
    ("argv", "fragment"),
    [
        (["--prompt", TOO_LONG], "the model's context only 64"),
        (["--prompt", " "], "--prompt is empty"),
        (["--stage", "rlvf"], "python train.py --stage rlvf"),
        (["--stage", "reward"], "invalid choice 'reward'"),
        (["--temperature", "-1"], "temperature"),
        (["--top-p", "0"], "top_p"),
        (["--top_k", "-2"], "top_k"),
        (["--repetition-penalty", "0"], "repetition_penalty"),
        (["--max-length", "0"], "max_length must be at least 1"),
        (["--seed", "-3"], "seed must not be negative"),
        (["--lr", "1"], "--lr"),
    ],
)
def test_mistakes_are_one_line(out, capsys, argv, fragment):
    assert chat(["--out", str(out), *argv]) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("error: ") and fragment in line
    assert captured.out == ""


def test_no_checkpoint_names_the_command_that_makes_one(tmp_path, capsys):
    assert chat(["--out", str(tmp_path / "none")]) == 2
    assert "python train.py --stage all" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_without_a_prompt_it_talks_with_what_the_flags_say(out, monkeypatch):
    module, met = sys.modules["scratchgpt.cli.chat"], []
    monkeypatch.setattr(module, "talk", met.append)
    settings = ["--temperature", "0.5", "--top-k", "7", "--top-p", "0.9", "--repetition-penalty", "1.5"]
    assert chat(["--out", str(out), "--stage", "sft", *settings, "--max-length", "9", "--seed", "3"]) == 0
    assert chat(["--out", str(out), "--kernels", "numpy", "--threads", "1"]) == 0
    told, default = met
    assert told.sampling == SamplingConfig(0.5, 7, 0.9, 1.5)
    assert (told.stage, told.max_length, told.seed) == ("sft", 9, 3)
    assert default.sampling == SamplingConfig(ChatFlags.temperature)
    assert (default.stage, default.max_length, default.seed) == ("rlhf", ChatFlags.max_length, 0)
    assert (kernels.backend(), kernels.num_threads()) == ("numpy", 1)
