"""What a stage's training tells of itself: its log, a record a line, and what the log says."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from scratchgpt.errors import UserError
from scratchgpt.files import write_text
from scratchgpt.training.checkpoints import full_disk_is_a_user_error

Metrics = dict[str, float]

TEXTS = {"warning": {"sign", "text"}, "sample": {"text"}, "skipped": {"text"}, "stopped": {"text"}}
"""What is text in a record of a kind; all else is a number."""
REQUIRED: dict[str, set[str]] = {"step": {"seconds", "tokens"}, "evaluation": set(), **TEXTS}
"""What each kind of record must hold, beside "kind" and "step"."""


@dataclass
class History:
    """What a stage's log says.

    Attributes:
        steps: one record a step; evaluations: one record a measurement, with "step".
        samples: (step, text) pairs.
        warnings: one record a warning sign, when it first showed, with "step", "sign" and "text".
        skipped: one record a step that was not made, with "step" and "text", why not.
        stopped: a record if the stage ended before its last step, with "step" and "text", why.
        seconds: time of the training steps alone; tokens: what they worked on.
        notes: what the log should have told and does not, a line each.
    """

    steps: list[dict[str, Any]] = field(default_factory=list)
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    samples: list[tuple[int, str]] = field(default_factory=list)
    warnings: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    stopped: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    tokens: float = 0.0
    notes: list[str] = field(default_factory=list, compare=False)

    def add(self, record: dict[str, Any]) -> None:
        """File one line of the log where it belongs.

        Args:
            record: with "kind" (step, skipped, evaluation, sample, warning or stopped) and "step", and what such a line
                holds.
        """
        if record["kind"] == "step":
            self.steps.append(record)
            self.seconds += record["seconds"]
            self.tokens += record["tokens"]
        elif record["kind"] == "evaluation":
            self.evaluations.append(record)
        elif record["kind"] == "warning":
            self.warnings.append(record)
        elif record["kind"] == "skipped":
            self.skipped.append(record)
        elif record["kind"] == "stopped":
            self.stopped.append(record)
        else:
            self.samples.append((record["step"], record["text"]))

    @property
    def tokens_per_second(self) -> float:
        """Tokens worked on per second of training."""
        return self.tokens / self.seconds if self.seconds else 0.0


class Log:
    """A stage's log while the stage runs: lines are added at its end, and taken back only through a rename.

    Args:
        path: the file.
        steps: how many steps the saved state has made; None for a stage that starts anew.

    Attributes:
        history: what the log says.

    Raises:
        UserError: if the log is damaged, or the disk is full or may not be written.
    """

    def __init__(self, path: Path, steps: int | None) -> None:
        self.path = path
        self._open(steps)

    def _open(self, steps: int | None) -> None:
        self.history = history_until(self.path, steps)
        with full_disk_is_a_user_error(self.path):
            # A lone surrogate has no UTF-8, but Python's escape of it is JSON's.
            self._file = self.path.open("a", encoding="utf-8", errors="backslashreplace", newline="\n")

    def cut(self, steps: int) -> None:
        """Go back to where so many steps were made, as :func:`history_until` does."""
        self._file.close()
        self._open(steps)

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, record: dict[str, Any]) -> None:
        """Add a record, as :meth:`History.add` takes it; it is in the file when this returns.

        Raises:
            UserError: if the disk is full or may not be written.
        """
        record = {name: float(value) if isinstance(value, np.floating) else value for name, value in record.items()}
        self.history.add(record)
        with full_disk_is_a_user_error(self.path):
            self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
            self._file.flush()


def read_history(log: Path) -> History:
    """The history that a stage's log tells; empty if there is none.

    Raises:
        UserError: if a line of it is damaged, other than a last one that a crash cut off.
    """
    return _read(log)[0]


def history_until(log: Path, steps: int | None) -> History:
    """Cut the log where training goes on, and read what is left of it.

    Args:
        log: the file; made anew if there is none.
        steps: how many steps the saved state has made: what was written after that save is dropped. None for a stage
            that starts anew: it has no use for what lies there, and is not stopped by damage.

    Raises:
        UserError: if the log is damaged, or the disk is full or may not be written.
    """
    history, lines = (History(), []) if steps is None else _read(log, steps)
    with full_disk_is_a_user_error(log):
        write_text(log, "".join(line + "\n" for line in lines))
    return history


def _read(log: Path, steps: int | None = None) -> tuple[History, list[str]]:
    """The log, or its beginning, in which ``steps`` steps are known to have been made; and its lines."""
    history, kept, last_step = History(), [], steps or 0
    # Not splitlines(): a text may hold other characters that it takes for the end of a line, as U+2028.
    lines = log.read_bytes().split(b"\n") if log.is_file() else [b""]
    for number, line in enumerate(lines, 1):
        ended = number < len(lines)
        if not line and not ended:
            break
        try:
            record = _record(line)
        except (ValueError, RecursionError) as error:
            if ended:
                mend = "delete this line, or run the stage again without --resume"
                raise UserError(f"{log}, line {number}: damaged ({error}); {mend}") from None
            history.notes.append(f"{log.name}: the last line was cut off while it was written, it is left out")
            break
        if steps is None or record["step"] <= steps:
            history.add(record)
            kept.append(line.decode())
            last_step = max(last_step, record["step"])
    missing = last_step - len({record["step"] for record in [*history.steps, *history.skipped]})
    if missing:
        history.notes.append(f"{log.name}: {missing} of the first {last_step} steps are missing from the log")
    return history, kept


def _record(line: bytes) -> dict[str, Any]:
    """A line of a log, checked.

    Raises:
        ValueError: saying what is wrong with it; RecursionError: if it is nested without end.
    """
    record = json.loads(line.decode())
    if not isinstance(record, dict) or record.get("kind") not in list(REQUIRED):
        raise ValueError("no record of a log")
    kind = record["kind"]
    for name in ("step", *sorted(REQUIRED[kind])):
        if name not in record:
            raise ValueError(f"there is no {name!r}")
    for name, value in record.items():
        text = name == "kind" or name in TEXTS.get(kind, ())
        if not (isinstance(value, str) if text else _is_number(value)):
            raise ValueError(f"{name!r} is no {'text' if text else 'number'}")
    if not isinstance(record["step"], int) or record["step"] < 0:
        raise ValueError("'step' is no number of steps")
    return record


def _is_number(value: Any) -> bool:
    """What a float can hold, NaN and infinity too: they are what a run that diverged has measured."""
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63)
