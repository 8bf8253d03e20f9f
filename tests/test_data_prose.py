"""Composed pretraining text: determinism, true arithmetic, clean split, variety, well-formed tables."""

from __future__ import annotations

import json
import random
import re
from collections import Counter

import pytest

from data.generators import workings
from data.generators.facts import FactWriter, categories
from data.generators.prose import MAX_LINE_REPEATS, STORY_TABLES, compose_documents, heldout_documents
from data.generators.task_core import operand_key, split_of
from data.generators.weave import SOURCES, Weaver, load_table, split_table

WINDOW = 13
EQUATION = re.compile(r"(?<!\d)(\d+(?:[+\-×÷]\d+)+)=(\d+)(?:余(\d+))?")
ORDER = re.compile(r"(?<!\d)(\d+)([<>])(\d+)")
SCRIPT_TABLES = (*STORY_TABLES, "prose_scenes", "prose_dialogues")


@pytest.fixture(scope="module")
def documents() -> list[str]:
    return compose_documents(11, 3000)


@pytest.fixture(scope="module")
def heldout() -> list[str]:
    return heldout_documents(11, 150)


def false_equations(text: str) -> list[str]:
    """Every equation or inequality in the text that does not hold."""
    wrong = []
    for match in EQUATION.finditer(text):
        expression, result, rest = match[1], int(match[2]), int(match[3] or 0)
        if "÷" in expression:
            dividend, divisor = map(int, expression.split("÷"))
            holds = dividend == divisor * result + rest and rest < divisor
        else:
            holds = eval(expression.replace("×", "*")) == result and match[3] is None
        if not holds:
            wrong.append(match[0])
    for match in ORDER.finditer(text):
        if (int(match[1]) < int(match[3])) != (match[2] == "<"):
            wrong.append(match[0])
    return wrong


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
        assert 1 <= len(lines) <= 6
        assert all(line and line == line.strip() for line in lines)
        assert not re.search(r"[\[\]{}|#_]|。。|，。|，，|：。|[（(][)）]", document), document
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
    windows = Counter(
        line[start : start + WINDOW]
        for document in documents
        for line in document.split("\n")
        for start in range(len(line) - WINDOW + 1)
    )
    assert 1 - len(windows) / sum(windows.values()) < 0.12


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


def test_stories_split_by_record():
    for table in SCRIPT_TABLES:
        for script in load_table(table):
            kept, reserved = split_table(script["records"], False), split_table(script["records"], True)
            assert reserved and not [record for record in reserved if record in kept]


def test_heldout_operands_never_meet_in_training(documents, heldout):
    for text, reserved in (("\n".join(documents), False), ("\n".join(heldout), True)):
        pairs = [("+", a, b) for a, b in re.findall(r"计算(\d+)\+(\d+)。", text)]
        pairs += [("-", a, b) for a, b in re.findall(r"计算(\d+)-(\d+)。", text)]
        pairs += [("-", a, b) for a, b in re.findall(r"(?<!\d)(\d+)减去(\d+)是多少", text)]
        pairs += [("×", a, b) for a, b in re.findall(r"(?<!\d)(\d+)×(\d+)(?:等于多少|是多少)", text)]
        assert pairs
        assert all(workings.is_reserved(kind, int(a), int(b)) == reserved for kind, a, b in pairs)


def test_reserved_operands_are_those_of_the_tasks():
    assert workings.is_reserved("+", 12, 30) == workings.is_reserved("+", 30, 12)
    for a in range(20):
        assert workings.is_reserved("-", a + 50, a) == (split_of(operand_key("-", a + 50, a)) == "heldout")
    share = sum(workings.is_reserved("+", a, b) for a in range(100) for b in range(a, 100)) / 5050
    assert 0.1 < share < 0.2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (workings.addition(37, 48), "个位7+8=15，写5进1；十位3+4+1=8，写8；37+48=85"),
        (workings.subtraction(52, 37), "个位2不够减7，借1，12-7=5；十位5-1-3=1；52-37=15"),
        (workings.subtraction(1000, 1),
         "个位0不够减1，借1，10-1=9；十位0不够减1，借1，10-1=9；百位0不够减1，借1，10-1=9；1000-1=999"),
        (workings.multiplication(23, 4), "把23拆成20+3，20×4=80，3×4=12，80+12=92，23×4=92"),
        (workings.division(97, 4), "十位上9÷4商2余1；个位上17÷4商4余1；97÷4=24余1"),
        (workings.comparison(3847, 3874), "都是4位数，千位都是3，百位都是8，十位4比7小，所以3847<3874"),
        (workings.weekday_sum(2, 12), "周三是3，12÷7=1余5，3+5=8，8-7=1，1是周一"),
        (workings.weekday_count(5, 2), "从周六往后数，第1天周日，第2天周一，所以是周一"),
        (workings.chinese_number(10305), "一万零三百零五"),
        (workings.chinese_number(14), "十四"),
    ],
)
def test_workings(text, expected):
    assert text == expected


def test_workings_hold_for_random_numbers():
    rng = random.Random(0)
    for _ in range(2000):
        a, b = rng.randint(0, 9999), rng.randint(0, 999)
        large, small = max(a, b), min(a, b)
        text = "\n".join([workings.addition(a, b), workings.subtraction(large, small), workings.comparison(a, b),
                          workings.multiplication(rng.randint(2, 999), rng.randint(2, 99)),
                          workings.division(a, rng.randint(2, 9))])
        assert false_equations(text) == [], text


def test_scripts_are_well_formed():
    for table in SCRIPT_TABLES:
        for script in load_table(table):
            assert len(script["records"]) >= 9, script["id"]
            assert all(len(record) == len(script["slots"]) for record in script["records"]), script["id"]
            assert script["layout"] in ("prose", "lines")


def test_brackets_are_balanced_in_every_table():
    for path in sorted(SOURCES.glob("prose_*.json")):
        for template in strings_of(json.loads(path.read_text(encoding="utf-8"))):
            assert template.count("[") == template.count("]") and template.count("{") == template.count("}"), template


def strings_of(node: object) -> list[str]:
    """All strings of a parsed JSON value."""
    if isinstance(node, str):
        return [node]
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [text for child in children for text in strings_of(child)]


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


def test_weaver_numbered_draws_repeat_and_differ():
    weaver = Weaver(random.Random(2), heldout=False)
    for _ in range(50):
        first, again, other = weaver.expand("{水果#1}、{水果#1}、{水果#2}").split("、")
        assert first == again != other


def test_weaver_names_the_unknown_slot():
    weaver = Weaver(random.Random(2), heldout=False)
    with pytest.raises(KeyError, match="没有"):
        weaver.expand("{没有}")
    with pytest.raises(ValueError, match="never closed"):
        weaver.expand("[甲|乙")
