"""The split of tasks: the same for operands in any order, in the promised shares, never moving."""

from __future__ import annotations

from data.generators.tasks.core import SPLITS, split_of, unordered_key


def test_the_order_of_commutative_operands_does_not_change_the_split():
    assert all(
        split_of(unordered_key("+", a, b)) == split_of(unordered_key("+", b, a))
        for a in range(1, 40)
        for b in range(1, 40)
    )


def test_splits_have_the_promised_shares_and_never_move():
    shares = [split_of(unordered_key("+", a, b)) for a in range(100) for b in range(a, 100)]
    for split, share in zip(SPLITS, (0.60, 0.25, 0.15), strict=True):
        assert abs(shares.count(split) / len(shares) - share) < 0.02
    assert [split_of(f"+:{a},7") for a in range(1, 8)] == ["heldout", "rlvf", "rlvf", "rlvf", "sft", "sft", "sft"]
