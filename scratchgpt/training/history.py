"""What a stage's training tells of itself: its log, a record a line, and what the log says."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scratchgpt.training.checkpoints import full_disk_is_a_user_error

Metrics = dict[str, float]


@dataclass
class History:
    """What a stage's log says.

    Attributes:
        steps: one record a step; evaluations: one record a measurement, with "step".
        samples: (step, text) pairs.
        warnings: one record a warning sign, when it first showed, with "step", "sign" and "text".
        seconds: time of the training steps alone; tokens: what they worked on.
    """

    steps: list[dict[str, Any]] = field(default_factory=list)
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    samples: list[tuple[int, str]] = field(default_factory=list)
    warnings: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    tokens: float = 0.0

    def add(self, record: dict[str, Any]) -> None:
        """File one line of the log where it belongs.

        Args:
            record: with "kind" (step, evaluation, sample or warning) and "step", and what such a line holds.
        """
        if record["kind"] == "step":
            self.steps.append(record)
            self.seconds += record["seconds"]
            self.tokens += record["tokens"]
        elif record["kind"] == "evaluation":
            self.evaluations.append(record)
        elif record["kind"] == "warning":
            self.warnings.append(record)
        else:
            self.samples.append((record["step"], record["text"]))

    @property
    def tokens_per_second(self) -> float:
        """Tokens worked on per second of training."""
        return self.tokens / self.seconds if self.seconds else 0.0


def read_history(log: Path) -> History:
    """The history that a stage's log tells; empty if there is none.

    Raises:
        ValueError, KeyError: if the log is damaged.
    """
    history = History()
    if log.is_file():
        for line in log.read_text(encoding="utf-8").splitlines():
            history.add(json.loads(line))
    return history


def history_until(log: Path, steps: int) -> History:
    """Cut the log where training goes on, and read what is left of it.

    Args:
        log: the file; made anew if there is none.
        steps: how many steps the saved state has made: what was written after that save is dropped.

    Raises:
        UserError: if the disk is full or may not be written.
    """
    kept = History()
    lines = []
    if steps and log.is_file():
        for line in log.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            if record["step"] <= steps:
                kept.add(record)
                lines.append(line + "\n")
    with full_disk_is_a_user_error(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("".join(lines), encoding="utf-8")
    return kept
