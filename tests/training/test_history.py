"""The log of a stage: what a line becomes, and what a run that goes on keeps of it."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from scratchgpt.errors import UserError
from scratchgpt.training.history import History, Log, history_until, read_history

RECORDS = [
    {"kind": "evaluation", "step": 0, "loss": 3.0},
    {"kind": "sample", "step": 0, "text": "从前"},
    {"kind": "step", "step": 1, "loss": 2.5, "tokens": 100.0, "seconds": 0.5},
    {"kind": "step", "step": 2, "loss": 2.0, "tokens": 140.0, "seconds": 0.25},
    {"kind": "warning", "step": 2, "sign": "KL blow-up", "text": "12 nats"},
    {"kind": "step", "step": 3, "loss": 1.5, "tokens": 60.0, "seconds": 0.25},
    {"kind": "evaluation", "step": 3, "loss": 1.75},
]


def told(records: list[dict]) -> History:
    history = History()
    for record in records:
        history.add(record)
    return history


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The records as lines of a file."""
    path = tmp_path / "logs" / "sft.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in RECORDS), encoding="utf-8")
    return path


def test_every_kind_of_line_is_filed_where_it_belongs() -> None:
    history = told(RECORDS)
    assert [record["loss"] for record in history.steps] == [2.5, 2.0, 1.5]
    assert [record["step"] for record in history.evaluations] == [0, 3]
    assert history.samples == [(0, "从前")]
    assert history.warnings == [RECORDS[4]]
    assert (history.tokens, history.seconds) == (300.0, 1.0) and history.tokens_per_second == 300.0


def test_without_a_step_there_is_no_speed() -> None:
    assert told(RECORDS[:2]).tokens_per_second == 0.0


def test_a_log_is_read_as_it_was_told(log: Path) -> None:
    assert read_history(log) == told(RECORDS)
    assert read_history(log.with_name("none.jsonl")) == History()


@pytest.mark.parametrize(("steps", "lines"), [(None, 0), (0, 2), (1, 3), (2, 5), (3, 7), (9, 7)])
def test_what_was_written_after_the_last_save_is_dropped(log: Path, steps: int | None, lines: int) -> None:
    assert history_until(log, steps) == told(RECORDS[:lines])
    assert read_history(log) == told(RECORDS[:lines])


def test_a_stage_without_a_log_begins_one(tmp_path: Path) -> None:
    log = tmp_path / "out" / "logs" / "sft.jsonl"
    for steps in (None, 0):
        assert history_until(log, steps) == History() and log.read_text(encoding="utf-8") == ""
        assert not history_until(log, steps).notes


def test_a_full_disk_is_one_line(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(self: Path, *args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", no_space)
    with pytest.raises(UserError, match=r"sft\.jsonl: cannot be written \(No space left on device\)"):
        history_until(log, 2)


# -- whatever a text holds ------------------------------------------------------------------------------------
@pytest.mark.parametrize("text", ["a\x85b", "a\u2028b\u2029c", "a\x0b\x0c\x1c\x1d\x1eb\r\nc\rd", "\ud800猫\udfff", "\0"])
def test_a_text_survives_whatever_it_holds(log: Path, text: str) -> None:
    with Log(log, 3) as open_log:
        open_log.write({"kind": "sample", "step": 3, "text": text})
    assert read_history(log).samples[-1] == (3, text) and not read_history(log).notes
    assert history_until(log, 3).samples[-1] == (3, text)  # and again, once it was written anew
    assert read_history(log).samples[-1] == (3, text)


def test_characters_are_written_as_they_are(log: Path) -> None:
    with Log(log, 3) as open_log:
        open_log.write({"kind": "sample", "step": 3, "text": "猫\u2028"})
    assert "猫\u2028" in log.read_text(encoding="utf-8")


def test_a_measure_that_is_not_finite_is_no_damage(log: Path) -> None:
    with Log(log, 3) as open_log:
        open_log.write({"kind": "evaluation", "step": 3, "loss": np.float32(np.inf)})
    assert read_history(log).evaluations[-1]["loss"] == np.inf


def test_lines_are_only_added(log: Path) -> None:
    before = log.read_bytes()
    with Log(log, 9) as open_log:
        file = log.stat().st_ino
        for _ in range(2):
            open_log.write({"kind": "sample", "step": 3, "text": "从前"})
            assert read_history(log) == open_log.history  # nothing waits in a buffer
    assert log.read_bytes().startswith(before) and log.stat().st_ino == file


# -- damage ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kept", range(1, 72))
def test_a_last_line_that_was_cut_off_is_left_out_and_said(log: Path, kept: int) -> None:
    line = json.dumps({"kind": "sample", "step": 3, "text": "从前有一只小猫，它住在山里。"}, ensure_ascii=False).encode()
    assert len(line) > 72
    with log.open("ab") as file:
        file.write(line[:kept])
    history = read_history(log)
    assert history == told(RECORDS)
    assert history.notes == ["sft.jsonl: the last line was cut off while it was written, it is left out"]
    history = history_until(log, 3)
    assert history == told(RECORDS) and len(history.notes) == 1
    assert read_history(log) == told(RECORDS) and not read_history(log).notes


def test_a_last_line_that_lacks_only_its_end_is_kept(log: Path) -> None:
    log.write_bytes(log.read_bytes().rstrip())
    assert read_history(log) == told(RECORDS) and not read_history(log).notes
    with Log(log, 3) as open_log:
        open_log.write(RECORDS[1])
    assert read_history(log) == told([*RECORDS, RECORDS[1]])


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{",
        b'{"kind": "st',
        b"\0\0\0",
        b'{"kind": "sample", "step": 2, "text": "\xff"}',
        b"[]",
        b"5",
        b"null",
        b"[" * 100_000,
        b"{}",
        b'{"kind": "sleep", "step": 1}',
        b'{"kind": ["step"], "step": 1}',
        b'{"kind": "step", "tokens": 1.0, "seconds": 1.0}',
        b'{"kind": "step", "step": 2, "tokens": 1.0}',
        b'{"kind": "step", "step": "2", "tokens": 1.0, "seconds": 1.0}',
        b'{"kind": "step", "step": 2.5, "tokens": 1.0, "seconds": 1.0}',
        b'{"kind": "step", "step": -2, "tokens": 1.0, "seconds": 1.0}',
        b'{"kind": "step", "step": 2, "tokens": null, "seconds": 1.0}',
        b'{"kind": "evaluation", "step": 2, "loss": "3"}',
        b'{"kind": "evaluation", "step": 2, "loss": 1' + b"0" * 400 + b"}",
        b'{"kind": "evaluation", "step": 2, "loss": 1' + b"0" * 5000 + b"}",
        b'{"kind": "sample", "step": 2}',
        b'{"kind": "sample", "step": 2, "text": 2}',
        b'{"kind": "warning", "step": 2, "sign": "x"}',
    ],
    ids=lambda line: line[:60].decode(errors="replace"),
)
def test_any_other_damage_is_one_line_with_its_place(log: Path, damaged: bytes) -> None:
    lines = log.read_bytes().split(b"\n")
    log.write_bytes(b"\n".join([*lines[:3], damaged, *lines[3:]]))
    before = log.read_bytes()
    for read in (read_history, lambda log: history_until(log, 3)):
        with pytest.raises(UserError, match=r"sft\.jsonl, line 4: damaged \(.*\); delete this line, or run") as caught:
            read(log)
        assert len(str(caught.value).splitlines()) == 1 and len(str(caught.value)) < 400
    assert log.read_bytes() == before
    assert history_until(log, None) == History()  # who starts anew is not stopped by it


@pytest.mark.parametrize(("dropped", "missing"), [([2], 1), ([3, 5], 2), ([2, 3, 5], 3)])
def test_a_log_that_lacks_steps_is_said(log: Path, dropped: list[int], missing: int) -> None:
    lines = log.read_text(encoding="utf-8").split("\n")
    log.write_text("\n".join(line for i, line in enumerate(lines) if i not in dropped), encoding="utf-8")
    note = f"sft.jsonl: {missing} of the first 3 steps are missing from the log"
    assert history_until(log, 3).notes == [note]
    assert read_history(log).notes == [note]  # and for ever: the report says it too


def test_a_log_shorter_than_its_checkpoint_is_said(log: Path) -> None:
    assert history_until(log, 9).notes == ["sft.jsonl: 6 of the first 9 steps are missing from the log"]
    log.unlink()
    assert history_until(log, 4).notes == ["sft.jsonl: 4 of the first 4 steps are missing from the log"]


def test_a_step_that_was_skipped_is_not_missing(log: Path) -> None:
    with Log(log, 3) as open_log:
        open_log.write({"kind": "skipped", "step": 4, "text": "the loss is nan"})
    history = read_history(log)
    assert history.skipped == [{"kind": "skipped", "step": 4, "text": "the loss is nan"}] and not history.notes
    assert len(history.steps) == 3 and history.seconds == 1.0


def test_an_open_log_is_cut_and_goes_on(log: Path) -> None:
    with Log(log, 3) as open_log:
        open_log.cut(1)
        assert open_log.history == told(RECORDS[:3])
        open_log.write(RECORDS[3])
        assert read_history(log) == open_log.history == told(RECORDS[:4])


@pytest.mark.parametrize("call", ["write_text", "replace"])
def test_a_crash_while_the_log_is_cut_loses_nothing(log: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    before = log.read_bytes()

    def killed(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path if call == "write_text" else os, call, killed)
    with pytest.raises(KeyboardInterrupt):
        history_until(log, 1)
    assert log.read_bytes() == before
