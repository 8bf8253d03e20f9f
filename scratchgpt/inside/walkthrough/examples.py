"""Training examples for the walk through a stage: the records of the project's data that fit the model."""

from __future__ import annotations

from collections.abc import Sequence

from scratchgpt.datasets.records import Record
from scratchgpt.errors import UserError


def choose(records: Sequence[Record], number: int, stage: str) -> Record:
    """The training record of that number.

    Raises:
        UserError: if there is none.
    """
    if not 0 <= number < len(records):
        raise UserError(f"--example {number}: the training data of {stage} holds the examples 0 to {len(records) - 1}")
    return records[number]


def require_room(length: int, context_size: int, number: int) -> None:
    """Raise UserError if an example of ``length`` tokens does not fit the context."""
    if length > context_size:
        raise UserError(
            f"--example {number}: is {length} tokens long, the model's context only {context_size}; choose another"
        )


def starting_with(records: Sequence[Record], number: int, most: int) -> list[int]:
    """The numbers of at most ``most`` records with different prompts, from ``number`` on; the end goes on at 0."""
    chosen: dict[str, int] = {}
    for offset in range(len(records)):
        index = (number + offset) % len(records)
        chosen.setdefault(records[index]["prompt"], index)
        if len(chosen) == most:
            break
    return list(chosen.values())
