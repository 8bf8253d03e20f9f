"""Templates: choices, slots and drafts; brackets that close in every table."""

from __future__ import annotations

import json
import random

import pytest

from data.generators.prose.novelty import Memory
from data.generators.prose.weave import Weaver, parse
from data.source_files import SOURCES, SourceError, Text


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


def test_what_is_wrong_with_a_text_of_a_source_is_said_with_its_innermost_place():
    weaver = Weaver(random.Random(2), heldout=False)
    inner = Text("[甲|{没有}]", "data/sources/prose_pools.json: 花[2]")
    for template, said in ((Text("[甲", "prose_a.json: b[0]"), r"prose_a\.json: b\[0\]: bracket never closed"),
                           (Text("说{花}。", "prose_a.json: b[1]"), r"prose_pools\.json: 花\[2\]: slot {没有} is neither")):
        with pytest.raises(SourceError, match=said):
            for _ in range(20):
                weaver.expand(template, {"花": inner})


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


def test_parse_splits_text_choices_and_slots():
    assert [str(part) for part in parse("甲[乙|丙[丁|戊]]{己}庚")] == [
        "甲", "Choice(alternatives=('乙', '丙[丁|戊]'))", "Slot(name='己')", "庚"]
