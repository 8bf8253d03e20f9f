"""``python -m scratchgpt``: the right module is run with the right arguments, and mistakes are one line."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from dataclasses import is_dataclass

import pytest

from scratchgpt import __main__ as commands
from scratchgpt.cli.commands import walkthrough as walkthrough


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_every_command_has_arguments_and_a_run(name: str) -> None:
    module = importlib.import_module(commands.COMMANDS[name][0])
    assert is_dataclass(module.Arguments) and module.Arguments.__dataclass_params__.frozen
    assert callable(module.run)


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"]])
def test_without_a_command_all_are_listed(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(argv) == 0
    out = capsys.readouterr().out
    assert all(f"  {name}  " in out.replace("    ", "  ") or f"  {name} " in out for name in [*commands.PROGRAMS, *commands.COMMANDS])


@pytest.mark.parametrize("name", commands.PROGRAMS)
def test_a_program_gets_its_flags(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main([name, "--help"]) == 0
    assert f"usage: python {name}.py" in capsys.readouterr().out
    assert commands.main([name, "--nothing"]) == 2
    assert "--nothing" in capsys.readouterr().err


def test_flags_become_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(walkthrough, "run", seen.append)
    flags = ["我 爱", "--layer", "3", "--head", "2", "--lang", "en", "--steps", "--target", "你", "--top_k", "5"]
    assert commands.main(["walkthrough", *flags]) == 0
    assert seen == [walkthrough.Arguments("我 爱", layer=3, head=2, lang="en", steps=True, target="你", top_k=5)]
    assert commands.main(["walkthrough", "--stage", "ppo"]) == 0
    assert seen[-1] == walkthrough.Arguments(stage="ppo")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["nothing"], "there is no command 'nothing'; choose one of train, chat, walkthrough, "),
        (["walkthrough", "--nothing"], "--nothing"),
        (["walkthrough", "--layer", "two"], "Error parsing --layer"),
        (["walkthrough", "--lang", "fr"], "--lang"),
        (["walkthrough", "--stage", "dpo"], "--stage dpo: there is no such stage"),
        (["walkthrough", "", "--fresh"], "the sentence is empty"),
        (["walkthrough", "--checkpoint", "nowhere"], "nowhere: no checkpoint yet"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert commands.main(argv) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and message in lines[0]


def test_as_a_process(tmp_path) -> None:
    environment = {
        **os.environ,
        "SCRATCHGPT_KERNELS": "numpy",
        "COLUMNS": "80",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-m", "scratchgpt", "walkthrough", "我 爱", "--fresh", "--steps"],
        input="\n\nq\n", capture_output=True, text=True, encoding="utf-8", env=environment, cwd=tmp_path, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0 and done.stderr == ""
    assert "3/34" in done.stdout and "4/34" not in done.stdout
