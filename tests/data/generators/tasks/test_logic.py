"""The wordings of the logic tasks: forms of syllogism whose answers can be judged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from data.generators.tasks.logic import Wordings
from data.source_files import load_source


def test_an_answer_without_its_spellings_is_refused() -> None:
    wordings = load_source("task_logic", Wordings)
    assert {form.answer for form in wordings.syllogisms.values()} == set(wordings.verdicts)
    with pytest.raises(ValueError, match=r"syllogisms\.celarent\.answer should be one of 是"):
        replace(wordings, verdicts={"是": ("是",)})


def test_every_level_has_forms() -> None:
    forms = load_source("task_logic", Wordings).syllogisms.values()
    assert {level for form in forms for level in form.levels} == {1, 2, 3}
