"""The log of a stage: what a line becomes, and what a run that goes on keeps of it."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from scratchgpt.errors import UserError
from scratchgpt.training.history import History, history_until, read_history

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


@pytest.mark.parametrize(("steps", "lines"), [(0, 0), (1, 3), (2, 5), (3, 7), (9, 7)])
def test_what_was_written_after_the_last_save_is_dropped(log: Path, steps: int, lines: int) -> None:
    assert history_until(log, steps) == told(RECORDS[:lines])
    assert read_history(log) == told(RECORDS[:lines])


def test_a_stage_without_a_log_begins_one(tmp_path: Path) -> None:
    log = tmp_path / "out" / "logs" / "sft.jsonl"
    assert history_until(log, 4) == History()
    assert log.read_text(encoding="utf-8") == ""


def test_a_full_disk_is_one_line(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(self: Path, *args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", no_space)
    with pytest.raises(UserError, match=r"sft\.jsonl: cannot be written \(No space left on device\)"):
        history_until(log, 2)
