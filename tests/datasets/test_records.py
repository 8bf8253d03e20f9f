"""Files to records: what is read, what is refused and with which line, and what is held out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scratchgpt.datasets.records import read_dialogues, read_pairs, read_tasks, split_heldout
from scratchgpt.errors import UserError

GOOD = '{"prompt": "a", "chosen": "b", "rejected": "c"}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"[\n{GOOD},\n{GOOD[:-5]}\n]", "line 4: malformed"),
        (f"[\n{GOOD}\n{GOOD}\n]", "line 3: malformed JSON .a comma"),
        (f"[\n{GOOD},\n{GOOD}\n", "malformed JSON .the array never ends"),
        (f'[\n{GOOD},\n\n{{"prompt": "a", "chosen": "b"}}]', "line 4: the record has no field 'rejected'"),
        ('[{"prompt": "a", "chosen": "", "rejected": "c"}]', "line 1: 'chosen' is empty"),
        (f"[{GOOD}]\n[{GOOD}]", "line 2: malformed JSON .something follows"),
        ('"a"', "expected a JSON array"),
        (f"{GOOD},\n{GOOD}", "line 1: malformed JSON .a comma follows an object; put . before the first"),
        ("[]", "holds no records"),
    ],
)
def test_bad_records_are_refused_with_the_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "pairs.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_pairs(path)


def test_good_records_are_read_from_json_and_jsonl(tmp_path: Path) -> None:
    (tmp_path / "objects.json").write_text(f"{GOOD}\n{GOOD}\n", encoding="utf-8")
    assert read_pairs(tmp_path / "objects.json") == [json.loads(GOOD)] * 2
    (tmp_path / "a.json").write_text(f"[{GOOD}, {GOOD}]", encoding="utf-8")
    (tmp_path / "a.jsonl").write_text(f"{GOOD}\n{GOOD}\n", encoding="utf-8")
    assert read_pairs(tmp_path / "a.json") == read_pairs(tmp_path / "a.jsonl") == [json.loads(GOOD)] * 2


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([{"role": "user", "content": "a"}], "must end with the assistant"),
        ([{"role": "bot", "content": "a"}], "role 'bot'"),
        ([{"role": "assistant"}], "'role' and 'content'"),
    ],
)
def test_bad_dialogues_are_refused(tmp_path: Path, messages: list, message: str) -> None:
    path = tmp_path / "sft.json"
    good = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    path.write_text(f"[{json.dumps(good)},\n{json.dumps({'messages': messages})}]", encoding="utf-8")
    with pytest.raises(UserError, match=f"line 2: .*{message}"):
        read_dialogues(path)


@pytest.mark.parametrize("weight", [0, -1, 1.5, "2", True, None, [1], 10**9, 1001])
def test_a_weight_is_a_positive_integer(tmp_path: Path, weight: object) -> None:
    path = tmp_path / "sft.jsonl"
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    lines = [json.dumps({"messages": messages, "weight": w}) for w in (3, weight)]
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(UserError, match="line 2: weight must be a positive integer"):
        read_dialogues(path)
    path.write_text(lines[0], encoding="utf-8")
    assert read_dialogues(path) == [{"messages": messages, "weight": 3}]


def test_an_unknown_task_type_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_text('{"type": "poem", "prompt": "a", "expected_answer": "b"}', encoding="utf-8")
    with pytest.raises(UserError, match="line 1: type 'poem'"):
        read_tasks(path)


def test_items_of_one_key_stay_on_one_side() -> None:
    items = [(key, i) for key in "abcdefghij" for i in range(3)]
    train, heldout = split_heldout(items, lambda item: item[0], 0.2, seed=0)
    assert len(heldout) == 6 and sorted(train + heldout) == items
    assert not {key for key, _ in train} & {key for key, _ in heldout}
    assert split_heldout(items, lambda item: item[0], 0.2, seed=0) == (train, heldout)
    with pytest.raises(UserError, match="too little data"):
        split_heldout(items[:3], lambda item: item[0], 0.2, seed=0)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.9, 1.0])
def test_neither_side_is_left_empty(share: float) -> None:
    for items in ("ab", "aabbb", "abcdefgh"):
        train, heldout = split_heldout(items, str, share, seed=0)
        assert train and heldout and not set(train) & set(heldout)


def test_the_choice_of_what_is_held_out_goes_by_the_seed() -> None:
    items = [str(number) for number in range(100)]
    choices = {tuple(split_heldout(items, str, 0.05, seed)[1]) for seed in range(5)}
    assert len(choices) == 5


TASK = {"type": "math", "prompt": "a", "expected_answer": "1"}
PAIR = {"prompt": "a", "chosen": "b", "rejected": "c"}
DIALOGUE = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}


@pytest.mark.parametrize("ending", ["json", "jsonl"])
@pytest.mark.parametrize(
    ("read", "record", "message"),
    [
        (read_tasks, TASK | {"keywords": "甲"}, "'keywords' must be a list of texts, not '甲'"),
        (read_tasks, TASK | {"keywords": 5}, "'keywords' must be a list of texts, not 5"),
        (read_tasks, TASK | {"keywords": ["a", 5]}, "'keywords' must be a list of texts"),
        (read_tasks, TASK | {"keywords": {"a": 1}}, "'keywords' must be a list of texts"),
        (read_tasks, TASK | {"family": ["a"]}, "'family' must be text, not .'a'"),
        (read_tasks, TASK | {"type": ["math"]}, "'type' must be of type str"),
        (read_tasks, TASK | {"expected_answer": 1}, "'expected_answer' must be of type str"),
        (read_pairs, PAIR | {"kind": {}}, "'kind' must be text, not {}"),
        (read_pairs, PAIR | {"rubric": "a"}, "'rubric' must be an object"),
        (read_pairs, PAIR | {"rubric": {"must": ["a"]}}, "'must' of a rubric must be a list of lists of texts"),
        (read_pairs, PAIR | {"rubric": {"must_not": "a"}}, "'must_not' of a rubric must be a list of texts"),
        (read_dialogues, DIALOGUE | {"category": 3}, "'category' must be text, not 3"),
        (read_dialogues, {"messages": [{"role": ["user"], "content": "a"}]}, "role .'user'. is none of"),
        (read_dialogues, {"messages": ["a"]}, "every message needs"),
        (read_tasks, TASK | {"prompt": "a\ud800"}, r"the lone surrogate .ud800 is half a character"),
        (read_dialogues, {"messages": [{"role": "user", "content": "\udfff"}]}, "the lone surrogate .udfff"),
    ],
)
def test_wrong_kinds_are_refused_in_one_line_with_file_and_line(
    tmp_path: Path, read, record: dict, message: str, ending: str
) -> None:
    good = {read_tasks: TASK, read_pairs: PAIR, read_dialogues: DIALOGUE}[read]
    path, lines = tmp_path / f"data.{ending}", [json.dumps(good), json.dumps(record)]
    path.write_text("\n".join(lines) if ending == "jsonl" else f"[{lines[0]},\n{lines[1]}]", encoding="utf-8")
    with pytest.raises(UserError, match=f"line 2: .*{message}") as caught:
        read(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", ["json", "jsonl"])
@pytest.mark.parametrize(
    ("value", "message"),
    [("9" * 5000, "a number has too many digits"), ("[" * 100_000, "it is nested too deeply")],
)
def test_json_that_python_gives_up_on_is_refused(tmp_path: Path, value: str, message: str, ending: str) -> None:
    path, record = tmp_path / f"data.{ending}", f'{{"prompt": {value}'
    path.write_text(f"{GOOD}\n{record}}}" if ending == "jsonl" else f"[{GOOD},\n{record}}}]", encoding="utf-8")
    with pytest.raises(UserError, match=f"line 2: malformed JSON .{message}"):
        read_pairs(path)
