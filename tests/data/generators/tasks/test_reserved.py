"""Operations that are held out: the same ones everywhere, noticed in a working."""

from __future__ import annotations

from data.generators.tasks.core import operand_key, split_of
from data.generators.tasks.reserved import is_reserved, shows_reserved


def test_a_reserved_operation_is_noticed_in_a_working() -> None:
    for kind, sign in (("+", "+"), ("-", "-"), ("×", "×"), ("%", "÷"), ("<", "和")):
        noticed = 0
        for first, second in ((a, b) for a in range(12, 60) for b in (5, 7, 11) if a % b):
            reserved = is_reserved(kind, first, second)
            noticed += reserved
            assert shows_reserved(f"先算{first}{sign}{second}：…，得…；再算") == reserved, (first, sign, second)
            assert not shows_reserved(f"{first}{sign}{second}=?")
        assert noticed > 5
    assert [a for a in range(20, 90, 5) if shows_reserved(f"{a}÷5：…")] == [a for a in range(20, 90, 5) if is_reserved("÷", a, 5)]


def test_reserved_operands_are_those_of_the_tasks():
    assert is_reserved("+", 12, 30) == is_reserved("+", 30, 12)
    for a in range(20):
        assert is_reserved("-", a + 50, a) == (split_of(operand_key("-", a + 50, a)) == "heldout")
    share = sum(is_reserved("+", a, b) for a in range(100) for b in range(a, 100)) / 5050
    assert 0.1 < share < 0.2
