"""Composed pretraining text: determinism, true arithmetic, clean split, variety, well-formed tables."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from itertools import pairwise

import pytest

from data.generators.prose import workings
from data.generators.prose.compose import SCRIPT_MIXTURE, WRITER_MIXTURE, compose_documents, heldout_documents
from data.generators.prose.facts import FactWriter, categories
from data.generators.prose.language import LanguageWriter
from data.generators.prose.lives import LifeWriter
from data.generators.prose.measures import MeasureWriter
from data.generators.prose.novelty import MAX_LINE_REPEATS, Memory
from data.generators.prose.number_puzzles import NumberPuzzleWriter
from data.generators.prose.puzzles import PuzzleWriter
from data.generators.prose.reports import ReportWriter
from data.generators.prose.schedules import ScheduleWriter, clock, duration
from data.generators.prose.stories import load_scripts, punctuate, setting_bindings
from data.generators.prose.weave import Weaver, parse, split_pool, split_table
from data.generators.prose.worlds import WorldWriter
from data.generators.tasks.core import operand_key, split_of
from data.generators.tasks.reserved import is_reserved
from data.source_files import SOURCES, load_table
from data.statistics import duplicate_windows

EQUATION = re.compile(r"(?<!\d)(\d+(?:[+\-×÷]\d+)+)=(\d+)(?:余(\d+))?")
ORDER = re.compile(r"(?<!\d)(\d+)([<>])(\d+)")
SCRIPT_TABLES = tuple(table for tables in SCRIPT_MIXTURE for table in tables)
WRITERS = tuple(WRITER_MIXTURE)


@pytest.fixture(scope="module")
def documents() -> list[str]:
    return compose_documents(11, 3000)


@pytest.fixture(scope="module")
def heldout() -> list[str]:
    return heldout_documents(11, 500)


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


def test_scripts_split_by_record_and_pool():
    for table in SCRIPT_TABLES:
        for script in load_scripts(table):
            if "records" in script:
                kept, reserved = split_table(script["records"], False), split_table(script["records"], True)
                assert reserved and not [record for record in reserved if record in kept]
            for pool in script.get("pools", {}).values():
                kept, reserved = split_pool(pool, False), split_pool(pool, True)
                if len(pool) >= 9:
                    assert len(reserved) >= 3 and len(kept) + len(reserved) == len(pool)
                    assert not set(kept) & set(reserved)
                else:
                    assert kept == reserved == pool


def test_heldout_operands_never_meet_in_training(documents, heldout):
    for text, reserved in (("\n".join(documents), False), ("\n".join(heldout), True)):
        asked = re.findall(r"(?<![\d+\-×÷])(\d+)([+\-×])(\d+)(?:=？|等于几|等于多少|是多少|得几)", text)
        pairs = [(kind, a, b) for a, kind, b in asked]
        pairs += [("-", a, b) for a, b in re.findall(r"(?<!\d)(\d+)减去(\d+)是多少", text)]
        assert pairs
        assert all(is_reserved(kind, int(a), int(b)) == reserved for kind, a, b in pairs)


def test_reserved_operands_are_those_of_the_tasks():
    assert is_reserved("+", 12, 30) == is_reserved("+", 30, 12)
    for a in range(20):
        assert is_reserved("-", a + 50, a) == (split_of(operand_key("-", a + 50, a)) == "heldout")
    share = sum(is_reserved("+", a, b) for a in range(100) for b in range(a, 100)) / 5050
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
    weaver = Weaver(random.Random(0), heldout=False)
    bound = set(weaver.pools) | set(setting_bindings(weaver, {}))
    for table in SCRIPT_TABLES:
        for script in load_scripts(table):
            assert ("records" in script) == ("slots" in script), script["id"]
            assert script["layout"] in ("prose", "lines")
            assert not set(script.get("slots", ())) & (bound - {"月"}), script["id"]
            if "records" in script:
                assert len(script["records"]) >= 9, script["id"]
                assert all(len(record) == len(script["slots"]) for record in script["records"]), script["id"]


def test_no_pool_or_record_is_written_twice():
    for table in SCRIPT_TABLES:
        for script in load_scripts(table):
            records = [tuple(record) for record in script.get("records", ())]
            assert len(set(records)) == len(records), script["id"]
            for name, pool in script.get("pools", {}).items():
                assert len(set(pool)) == len(pool), name


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


def test_a_second_numbered_draw_is_another_entry_even_in_another_wording():
    weaver = Weaver(random.Random(3), heldout=False).with_pools({}, {"甲": ["[一|壹]", "[二|贰]"]})
    for _ in range(30):
        first, second = weaver.expand("{甲#1}{甲#2}")
        assert (first in "一壹") != (second in "一壹")


def test_the_freshest_draft_avoids_what_has_been_written():
    memory = Memory()
    weaver = Weaver(random.Random(4), heldout=False, memory=memory)
    old, new = "这一句话已经在前面的文章里写过一遍了", "另外一句话从来没有在任何地方出现过呢"
    memory.remember(old)
    assert memory.share(old) == 1.0 and memory.share(new) == 0.0
    assert {weaver.freshest([old, new], {}) for _ in range(20)} == {new}
    assert weaver.freshest([old], {}) == old


def test_memory_refuses_worn_lines_and_repeated_lines():
    memory = Memory()
    for number in range(MAX_LINE_REPEATS):
        document = f"同样的一行\n不一样的第{number}行"
        assert memory.allows(document)
        memory.remember(document)
    assert not memory.allows("同样的一行\n新的一行")
    assert not memory.allows("自己重复\n自己重复")


def test_parse_splits_text_choices_and_slots():
    assert [str(part) for part in parse("甲[乙|丙[丁|戊]]{己}庚")] == [
        "甲", "Choice(alternatives=('乙', '丙[丁|戊]'))", "Slot(name='己')", "庚"]


def test_punctuate_drops_the_stop_after_the_end_of_a_sentence():
    assert punctuate("为什么呢？。") == "为什么呢？" and punctuate("“好！”。走吧。") == "“好！”走吧。"
    assert punctuate("走了，停下。") == "走了，停下。"


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


def test_matching_puzzles_have_one_solution_and_say_it():
    written = PuzzleWriter(Weaver(random.Random(23), heldout=False))
    for _ in range(100):
        document = written.matching()
        names = re.findall(r"([\u4e00-\u9fff]+)是([\u4e00-\u9fff]+?)[，。；]", document.split("\n")[1])
        assert document.count("\n") == 1 and names


def test_truth_puzzles_name_the_only_fitting_case():
    written = PuzzleWriter(Weaver(random.Random(24), heldout=False))
    for _ in range(100):
        document = written.truth()
        wanted = 1 if "只有一个人" in document else 2
        said = dict(re.findall(r"([\u4e00-\u9fff]+?)(?:说|却说|先开口)?：?“(不?是[\u4e00-\u9fff]+)。”", document))
        assert said and re.search(r"答案是([\u4e00-\u9fff]+)。", document), wanted


def test_rankings_follow_from_what_is_said():
    written = PuzzleWriter(Weaver(random.Random(25), heldout=False))
    for _ in range(100):
        question, solution = written.ranking().split("\n")
        order = re.search(r"[\u4e00-\u9fff]{2,3}(?:、[\u4e00-\u9fff]{2,3}){3,4}", solution)[0].split("、")
        firsts = (order[0], order[0][1:])  # a name of two characters may have caught the character before it
        assert any(f"{first}比{order[1]}" in question for first in firsts)
        assert all(f"{one}比{other}" in question for one, other in pairwise(order[1:]))


def test_seats_are_told_so_that_one_order_fits():
    written = PuzzleWriter(Weaver(random.Random(26), heldout=False))
    for _ in range(30):
        row = written.rng.sample(["甲一", "乙二", "丙三", "丁四"], 4)
        clues = written._seat_clues(row)
        assert len(clues) == 3 and all(holds(tuple(row)) for _, holds in clues)


def test_queue_hiding_and_walking_end_where_they_say():
    written = WorldWriter(Weaver(random.Random(27), heldout=False))
    for _ in range(60):
        assert re.search(r"最后停在([\u4e00-\u9fff]+?)。答案是\1。|答案是[\u4e00-\u9fff]+。$", written.hiding())
        facing = re.findall(r"(?:面朝|面对|朝|面向|头朝|脸朝)([东南西北])(?=，|。)", re.sub(r"(?:朝[东北]|面向南|朝西)(?:时|的人)?，左.*?。", "", written.walking()))
        assert facing


def test_comparisons_of_measures_subtract_the_smaller():
    written = MeasureWriter(Weaver(random.Random(28), heldout=False))
    for _ in range(100):
        for larger, smaller in re.findall(r"(\d+)-(\d+)=", written.comparison()):
            assert int(larger) > int(smaller)


def test_measures_are_grouped_and_numbered():
    for group in load_table("prose_measures")["groups"]:
        names = [name for name, _ in group["items"]]
        assert len(set(names)) == len(names) >= 8 and all(number > 0 for _, number in group["items"])


def test_lives_reckon_ages_from_the_year_of_birth():
    written = LifeWriter(Weaver(random.Random(29), heldout=False))
    for _ in range(60):
        (birth, *years), _ = written._years()
        assert years == sorted(years) and 5 <= years[0] - birth <= 9 and years[-1] - birth <= 80


def test_clock_and_duration():
    assert (clock(485), clock(540), duration(95), duration(40), duration(120)) == ("8点5分", "9点整", "1小时35分", "40分", "2小时")


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
