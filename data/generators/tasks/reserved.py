"""Which operations are held out from every stage, and whether a text works one of them out."""

from __future__ import annotations

import re

from data.generators.tasks.core import operand_key, split_of, unordered_key

SYMMETRIC_KINDS = ("+", "×", "<")


def _key(kind: str, *operands: int) -> str:
    return (unordered_key if kind in SYMMETRIC_KINDS else operand_key)(kind, *operands)


def is_reserved(kind: str, *operands: int) -> bool:
    """Whether an operation on these operands is held out from every stage, by the same key as the tasks use."""
    return split_of(_key(kind, *operands)) == "heldout"


def operation_key(operator: str, first: int, second: int) -> str:
    """The key under which the task families reserve an operation; a division that leaves a rest is a remainder."""
    return _key("%" if operator == "÷" and first % second else operator, first, second)


def shows_reserved(text: str) -> bool:
    """Whether ``text`` works out, as in ``37+48：…`` or ``12和21：…``, an operation that is held out."""
    operations = re.findall(r"(\d+)([-+×÷和])(\d+)：", text)
    keys = (operation_key("<" if word == "和" else word, int(a), int(b)) for a, word, b in operations)
    return any(split_of(key) == "heldout" for key in keys)
