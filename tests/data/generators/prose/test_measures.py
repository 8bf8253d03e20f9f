"""Measures: compared in the right order, grouped and numbered."""

from __future__ import annotations

import random
import re

from data.generators.prose.measures import MeasureWriter
from data.generators.prose.weave import Weaver
from data.source_files import load_table


def test_comparisons_of_measures_subtract_the_smaller():
    written = MeasureWriter(Weaver(random.Random(28), heldout=False))
    for _ in range(100):
        for larger, smaller in re.findall(r"(\d+)-(\d+)=", written.comparison()):
            assert int(larger) > int(smaller)


def test_measures_are_grouped_and_numbered():
    for group in load_table("prose_measures")["groups"]:
        names = [name for name, _ in group["items"]]
        assert len(set(names)) == len(names) >= 8 and all(number > 0 for _, number in group["items"])
