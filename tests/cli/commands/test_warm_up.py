"""``python -m scratchgpt warm-up``: says how far it is, and what stands in its way."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest

from scratchgpt import kernels
from scratchgpt.__main__ import main
from scratchgpt.cli.commands import warm_up as command
from scratchgpt.kernels.runtime import cache


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The numbers of processes that were asked for; nothing is compiled."""
    asked: list[Any] = []

    def warm_up(jobs: list[tuple[str, str]], processes: int | None) -> Iterator[str]:
        asked.append(processes)
        yield from (name for name, _ in jobs)

    monkeypatch.setattr(command, "warm_up", warm_up)
    monkeypatch.setattr(command, "everything", lambda: [("decode", "float32"), ("encode", "float32")])
    monkeypatch.setattr(kernels, "backend", lambda: "numba")
    monkeypatch.setattr(cache, "is_kept", lambda: True)
    return asked


def test_every_share_is_a_line(begun: list, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["warm-up"]) == 0 and main(["warm-up", "--processes", "3"]) == 0
    assert begun == [None, 3]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1/2  decode  ") and lines[1].startswith("2/2  encode  ")
    assert lines[2].startswith("compiled: ")


def test_what_stands_in_its_way_is_one_line(begun: list, monkeypatch: pytest.MonkeyPatch, mistake) -> None:
    assert "--processes must be at least 1, not 0" in mistake(main, "warm-up", "--processes", "0")
    monkeypatch.setattr(cache, "is_kept", lambda: False)
    assert "NUMBA_CACHE_DIR names one" in mistake(main, "warm-up")
    monkeypatch.setattr(kernels, "backend", lambda: "numpy")
    assert "leave the variable out" in mistake(main, "warm-up")
    assert begun == []


def test_a_process_that_was_killed_is_said(begun: list, monkeypatch: pytest.MonkeyPatch, mistake) -> None:
    def killed(jobs: object, processes: object) -> Iterator[str]:
        raise BrokenProcessPool

    monkeypatch.setattr(command, "warm_up", killed)
    assert "was killed" in mistake(main, "warm-up")
