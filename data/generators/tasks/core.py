"""What a generated task is, and how tasks are divided between training and held-out data."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

SPLITS = ("sft", "rlvf", "heldout")
# Upper ends of the shares in hundredths: 60 % supervised, 25 % verified reward, 15 % held out.
_SHARE_ENDS = (60, 85, 100)


@dataclass(frozen=True)
class Task:
    """One question with a checkable answer and its worked solution.

    ``type`` is "math" (the answer is a number) or "logic" (the answer is one of a few words), ``keywords`` the
    spellings of a logic answer, ``level`` 1 (easy) to 3 (hard), ``working`` what the assistant should write:
    the steps, ending in ``答案是…。``. ``keys`` are the canonical operands or entities, which decide the split:
    two tasks that share a key are always on the same side.
    """

    type: str
    prompt: str
    expected_answer: str
    keywords: tuple[str, ...] | None
    family: str
    level: int
    working: str
    keys: tuple[str, ...]


def operand_key(kind: str, *operands: object) -> str:
    """Canonical spelling of an operation and its operands, the same for every phrasing of the question."""
    return kind + ":" + ",".join(str(operand) for operand in operands)


def unordered_key(kind: str, *operands: int) -> str:
    """Like ``operand_key``, for operations in which the order of the operands does not matter."""
    return operand_key(kind, *sorted(operands))


def split_of(key: str) -> str:
    """The split that a key belongs to, by SHA-256: stable over runs, platforms and Python versions."""
    bucket = int.from_bytes(hashlib.sha256(key.encode("utf-8")).digest()[:8], "big") % 100
    return SPLITS[next(index for index, end in enumerate(_SHARE_ENDS) if bucket < end)]


def in_split(keys: Sequence[str], split: str) -> bool:
    """Whether every key belongs to ``split``."""
    return all(split_of(key) == split for key in keys)
