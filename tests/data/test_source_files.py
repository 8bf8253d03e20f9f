"""The reader of the hand-written files: what fits a shape is given in it, what is wrong is named with file and key."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from data import build, source_files
from data.source_files import SourceError, Table, load_source, load_table, read_json

NAMES = (f"written_{number}" for number in itertools.count())  # a file is read once: every test writes another


@dataclass(frozen=True)
class Limit:
    requests: tuple[str, ...]
    must: str = "不能"


@dataclass(frozen=True)
class Wordings:
    rows: tuple[tuple[str, int], ...]
    limits: dict[str, Limit]

    def __post_init__(self) -> None:
        if len(self.rows) > 2:
            raise ValueError("rows are too many")


GOOD = {"rows": [["鸡", 2], ["兔", 4]], "limits": {"药": {"requests": ["吃{n}片？"]}}}


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[object], str]:
    """Writes a source file, text as it is and anything else as JSON, and gives its name."""
    monkeypatch.setattr(source_files, "SOURCES", tmp_path)

    def written(content: object) -> str:
        name = next(NAMES)
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        (tmp_path / f"{name}.json").write_text(text, "utf-8")
        return name

    return written


def test_what_fits_is_given_in_its_shape_and_read_once(write: Callable[[object], str]) -> None:
    name = write(GOOD)
    wordings = load_source(name, Wordings)
    assert wordings == Wordings((("鸡", 2), ("兔", 4)), {"药": Limit(("吃{n}片？",))})
    assert load_source(name, Wordings) is wordings
    assert load_source(write([["a"], ["b", "c"]]), tuple[tuple[str, ...], ...]) == (("a",), ("b", "c"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "should be an object, but is []"),
        ({"rows": GOOD["rows"]}, "limits is missing"),
        (GOOD | {"limit": 1}, "limit is unknown; the keys are rows, limits"),
        (GOOD | {"rows": []}, "rows should be an array with something in it, but is []"),
        (GOOD | {"rows": [["鸡", 2], ["兔"]]}, 'rows[1] should be an array of 2, but is ["兔"]'),
        (GOOD | {"rows": [["鸡", 2.5]]}, "rows[0][1] should be a whole number, but is 2.5"),
        (GOOD | {"rows": [["鸡", True]]}, "rows[0][1] should be a whole number, but is true"),
        (GOOD | {"rows": [[3, 2]]}, "rows[0][0] should be a text, but is 3"),
        (GOOD | {"rows": [["鸡", 2]] * 3}, "rows are too many"),
        (GOOD | {"limits": {}}, "limits should be an object with something in it, but is {}"),
        (GOOD | {"limits": {"药": {"requests": "吃药"}}}, 'limits.药.requests should be an array with something in it, but is "吃药"'),
        (GOOD | {"limits": {"药": {}}}, "limits.药.requests is missing"),
        (GOOD | {"limits": {"药": {"requests": ["{n"]}}}, 'limits.药.requests[0] should be a template whose braces are closed, but is "{n"'),
    ],
)
def test_what_does_not_fit_is_named_with_its_file_and_key(write: Callable[[object], str], content: object, said: str) -> None:
    name = write(content)
    with pytest.raises(SourceError) as caught:
        load_source(name, Wordings)
    assert str(caught.value) == f"data/sources/{name}.json: {said}"


@pytest.mark.parametrize(
    ("text", "said"),
    [('{"a": [1],\n "b" [2]}', r" line 2: Expecting ':'"), ('{"a": [1], "a": [2]}', " a is there twice in one object")],
)
def test_what_is_no_json_is_named(write: Callable[[object], str], text: str, said: str) -> None:
    name = write(text)
    with pytest.raises(SourceError, match=f"data/sources/{name}.json:{said}"):
        read_json(name)


def test_a_file_that_is_not_there_is_named(write: Callable[[object], str]) -> None:
    with pytest.raises(SourceError, match=r"data/sources/nothing\.json: cannot be read"):
        read_json("nothing")


def test_a_table_names_what_it_lacks(write: Callable[[object], str]) -> None:
    name = write({"open": ["从前"]})
    table = load_table(name)
    assert table == {"open": ["从前"]} and isinstance(table, Table) and load_table(write([1])) == [1]
    with pytest.raises(SourceError, match=f"data/sources/{name}.json: end is missing"):
        table["end"]
    name = write({"open": "从前"})
    with pytest.raises(SourceError, match=f'data/sources/{name}.json: open should be an array or an object, but is "从前"'):
        load_table(name)


def test_a_text_names_what_it_is_not_told(write: Callable[[object], str]) -> None:
    name = write(GOOD)
    (request,) = load_source(name, Wordings).limits["药"].requests
    assert request == "吃{n}片？" and request.format(n=2, m=1) == "吃2片？"
    with pytest.raises(SourceError) as caught:
        request.format(a=1, b=2)
    assert str(caught.value) == f"data/sources/{name}.json: limits.药.requests[0] names 'n', but is told only {{a}}, {{b}}"
    name = write(["{}和{}"])
    with pytest.raises(SourceError, match=r"json: \[0\] names .*, but is told only \{\}$"):
        load_source(name, tuple[str, ...])[0].format("甲")


def test_every_object_of_a_table_knows_its_place(write: Callable[[object], str]) -> None:
    name = write([{"steps": [{"of": "从前"}]}])
    (script,) = load_table(name)
    assert script["steps"][0]["of"].place == f"data/sources/{name}.json: [0].steps[0].of"
    with pytest.raises(SourceError, match=r"json: \[0\]\.steps\[0\]\.take is missing"):
        script["steps"][0]["take"]


def test_building_from_a_malformed_source_says_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse() -> dict[str, str]:
        raise SourceError("data/sources/topics.json: [3].name is missing")

    monkeypatch.setattr(build, "build", refuse)
    assert build.main(["--check"]) == 1
    assert capsys.readouterr().err == "data/sources/topics.json: [3].name is missing\n"
