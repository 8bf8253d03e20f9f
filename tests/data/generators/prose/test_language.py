"""Idioms: used as they are, hidden where they are asked for."""

from __future__ import annotations

import random
import re

from data.generators.prose.language import LanguageWriter
from data.generators.prose.weave import Weaver
from data.source_files import load_table


def test_idioms_are_used_as_they_are():
    for idiom, meaning, *examples in load_table("prose_language")["idioms"]:
        assert len(idiom) == 4 and meaning and len(examples) == 2
        assert all(idiom in example for example in examples), idiom


def test_an_idiom_question_hides_the_idiom():
    written = LanguageWriter(Weaver(random.Random(30), heldout=False))
    for _ in range(50):
        question, answer = written.idiom_choice().split("\n")
        idiom = re.search(r"答案是(.{4})。", answer)[1]
        assert "某某某某" in question and question.count(idiom) == 1
