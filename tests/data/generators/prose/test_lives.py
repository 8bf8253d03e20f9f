"""Lives: ages that follow from the year of birth."""

from __future__ import annotations

import random

from data.generators.prose.lives import LifeWriter
from data.generators.prose.weave import Weaver


def test_lives_reckon_ages_from_the_year_of_birth():
    written = LifeWriter(Weaver(random.Random(29), heldout=False))
    for _ in range(60):
        (birth, *years), _ = written._years()
        assert years == sorted(years) and 5 <= years[0] - birth <= 9 and years[-1] - birth <= 80
