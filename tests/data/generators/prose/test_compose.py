"""Composed pretraining text: determinism, true arithmetic, clean split, variety."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from data.generators.prose.compose import WRITER_MIXTURE, compose_documents, heldout_documents
from data.generators.prose.lives import LifeWriter
from data.generators.prose.measures import MeasureWriter
from data.generators.prose.novelty import MAX_LINE_REPEATS
from data.generators.prose.number_puzzles import NumberPuzzleWriter
from data.generators.prose.reports import ReportWriter
from data.generators.prose.schedules import ScheduleWriter
from data.generators.prose.weave import Weaver, split_table
from data.generators.prose.worlds import WorldWriter
from data.generators.tasks.reserved import is_reserved
from data.source_files import load_table
from data.statistics import duplicate_windows
from tests.data.helpers import EQUATION, false_equations

WRITERS = tuple(WRITER_MIXTURE)


@pytest.fixture(scope="module")
def documents() -> list[str]:
    return compose_documents(11, 3000)


@pytest.fixture(scope="module")
def heldout() -> list[str]:
    return heldout_documents(11, 500)


def test_the_checker_sees_a_false_equation():
    assert false_equations("个位7+8=16，写6") == ["7+8=16"]
    assert false_equations("97÷4=24余2") == ["97÷4=24余2"]
    assert false_equations("所以38>47") == ["38>47"]


def test_same_seed_same_text():
    assert compose_documents(3, 60) == compose_documents(3, 60)
    assert compose_documents(3, 60) != compose_documents(4, 60)
    assert heldout_documents(3, 20) == heldout_documents(3, 20)


def test_documents_are_clean(documents, heldout):
    for document in documents + heldout:
        lines = document.split("\n")
        assert 1 <= len(lines) <= 8
        assert all(line and line == line.strip() for line in lines)
        assert not re.search(r"[\[\]{}|#_]|。。|，。|，，|：。|；。|？。|！。|[（(][)）]", document), document
        assert len(document) >= 20


def test_every_equation_holds(documents, heldout):
    text = "\n".join(documents + heldout)
    assert len(EQUATION.findall(text)) > 3000
    assert false_equations(text) == []


def test_stated_answers_agree_with_the_last_equation():
    for document in compose_documents(5, 1500):
        for result, answer in re.findall(r"=(\d+)。(?:所以)?答案是(\d+)。", document):
            assert result == answer, document


def test_no_line_is_repeated_often(documents):
    counts = Counter(line for document in documents for line in document.split("\n"))
    assert max(counts.values()) <= MAX_LINE_REPEATS


def test_repeated_windows_are_rare(documents):
    assert duplicate_windows(documents) < 0.04  # of 3,000 documents; the share grows with their number


def test_heldout_reuses_no_document_or_long_line(documents, heldout):
    lines = {line for document in documents for line in document.split("\n") if len(line) > 20}
    assert not any(line in lines for document in heldout for line in document.split("\n"))


def test_heldout_uses_reserved_names_and_places_only(documents, heldout):
    names = load_table("prose_names")
    surname = f"[{''.join(names['surnames'])}]"
    training, held = "\n".join(documents), "\n".join(heldout)
    for text, half in ((training, False), (held, True)):
        other = [name for kind in ("girls", "boys") for name in split_table(names[kind], heldout=not half)]
        places = [place for place, _ in split_table(load_table("prose_places"), heldout=not half)]
        own = [name for kind in ("girls", "boys") for name in split_table(names[kind], heldout=half)]
        assert any(name in text for name in own)
        assert not re.search(f"{surname}(?:{'|'.join(other)})", text)
        assert not [place for place in places if place in text]


def test_heldout_operands_never_meet_in_training(documents, heldout):
    for text, reserved in (("\n".join(documents), False), ("\n".join(heldout), True)):
        asked = re.findall(r"(?<![\d+\-×÷])(\d+)([+\-×])(\d+)(?:=？|等于几|等于多少|是多少|得几)", text)
        pairs = [(kind, a, b) for a, kind, b in asked]
        pairs += [("-", a, b) for a, b in re.findall(r"(?<!\d)(\d+)减去(\d+)是多少", text)]
        assert pairs
        assert all(is_reserved(kind, int(a), int(b)) == reserved for kind, a, b in pairs)


@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.__name__)
@pytest.mark.parametrize("heldout", [False, True], ids=["training", "heldout"])
def test_every_writer_writes_true_and_clean_documents(writer, heldout):
    weaver = Weaver(random.Random(21), heldout)
    written = writer(weaver)
    for _ in range(60):
        document = written.document()
        assert false_equations(document) == []
        assert not re.search(r"[\[\]{}|#_]|。。|，。|，，|：。", document), document
        assert len(document.split("\n")) <= 8


@pytest.mark.parametrize("writer", [ReportWriter, LifeWriter, WorldWriter, MeasureWriter, NumberPuzzleWriter, ScheduleWriter],
                         ids=lambda writer: writer.__name__)
def test_training_documents_show_no_reserved_operation(writer):
    weaver = Weaver(random.Random(22), heldout=False)
    written = writer(weaver)
    found = [pair for _ in range(150) for pair in re.findall(r"(?<![\d+\-×÷])(\d+)([+\-×])(\d+)=", written.document())]
    assert found
    assert not [pair for pair in found if is_reserved(pair[1], int(pair[0]), int(pair[2]))]
