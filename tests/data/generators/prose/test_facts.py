"""Popular science: complete entities, compared by the same key."""

from __future__ import annotations

import random

from data.generators.prose.facts import FactWriter, categories
from data.generators.prose.weave import Weaver, split_table


def test_entities_are_complete():
    names = [entity[0] for category in categories() for entity in category["entities"]]
    assert len(names) >= 150 and len(set(names)) == len(names)
    for category in categories():
        assert len(category["questions"]) == len(category["keys"])
        assert all(len(entity) == len(category["keys"]) + 1 for entity in category["entities"]), category["category"]
        assert len(split_table(category["entities"], heldout=True)) >= 2, category["category"]


def test_comparison_takes_the_same_key_of_both():
    writer = FactWriter(Weaver(random.Random(1), heldout=False))
    for _ in range(50):
        assert "{" not in writer.comparison()
