"""Files to records: what is read, what is refused and with which line, and what is held out."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from scratchgpt.datasets.records import DIALOGUE as DIALOGUE_KIND
from scratchgpt.datasets.records import PAIR as PAIR_KIND
from scratchgpt.datasets.records import TASK as TASK_KIND
from scratchgpt.datasets.records import (
    LeftOut,
    kind_of,
    load_records,
    opening_of,
    place_of,
    prompt_of,
    question_of,
    read_dialogues,
    read_pairs,
    read_tasks,
    split_heldout,
)
from scratchgpt.errors import UserError
from tests.tiny import dialogue

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


# -- what is recognised, and what is left out -------------------------------------------------------------------
def test_what_teaches_nothing_is_counted_by_reason_with_the_first_place(tmp_path: Path) -> None:
    user, assistant = DIALOGUE["messages"]
    useless = {
        "an answer is empty": [user, {**assistant, "content": " \u3000"}],
        "a question is empty": [{**user, "content": ""}, assistant],
        "the assistant speaks first": [assistant, user, assistant],
        "two turns of one role follow each other": [user, user, assistant],
        "none of its answers is to be learned (their weight is 0)": [user, {**assistant, "weight": 0}],
    }
    path = tmp_path / "a.jsonl"
    records = [DIALOGUE, *({"messages": messages} for messages in useless.values()), {"messages": []}, {"messages": [assistant]}]
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    read = load_records(path, DIALOGUE_KIND)
    assert read.records == [DIALOGUE] and place_of(read.records[0]) == f"{path}, line 1"
    expected = {reason: LeftOut(1, f"line {line}") for line, reason in enumerate(useless, 2)}
    expected["the assistant speaks first"] = LeftOut(2, "line 4")
    assert read.left_out == expected | {"'messages' is empty": LeftOut(1, "line 7")}
    assert "; 2 left out, first line 4: the assistant speaks first" in read.description()
    with pytest.raises(UserError, match=r"line 2: an answer is empty; mend it or take it out .--strict"):
        load_records(path, DIALOGUE_KIND, strict=True)
    path.write_text(json.dumps(records[1]), encoding="utf-8")
    with pytest.raises(UserError, match="no dialogues can be used: 1 left out, first line 1: an answer is empty"):
        read_dialogues(path)


def test_what_nobody_sees_is_dropped_and_counted_and_alone_it_is_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    seen, unseen = dialogue("\u200b你\ufeff好", "你\u00ad好👨‍👩‍👧"), dialogue("在吗", "\u200b")
    path.write_text("\n".join(json.dumps(record) for record in (seen, unseen)), "utf-8")
    read = load_records(path, DIALOGUE_KIND)
    assert [dict(record) for record in read.records] == [dialogue("你好", "你好👨‍👩‍👧")]
    assert "1 left out, first line 2" in read.description()
    assert "4 invisible characters (2 U+200B zero width space" in read.description()


def test_what_must_not_be_learned_or_cannot_be_read_is_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    pictured = {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "1.jpg"}}]}]}
    rows = [DIALOGUE | {"label": True}, DIALOGUE | {"label": False}, DIALOGUE | {"images": ["1.jpg"]}, pictured]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    read = load_records(path, DIALOGUE_KIND)
    assert len(read.records) == 1 and read.formats == {"messages": 4}
    assert read.left_out == {
        "it is marked as a bad answer": LeftOut(1, "line 2"),
        "it needs a picture, a video or a sound": LeftOut(2, "line 3"),
    }
    with pytest.raises(UserError, match="line 2: it is marked as a bad answer; mend it"):
        load_records(path, DIALOGUE_KIND, strict=True)
    path.write_text(json.dumps({"prompt": "a", "chosen": "b", "rejected": "c", "images": ["1.jpg"]}), encoding="utf-8")
    with pytest.raises(UserError, match="no pairs can be used: 1 left out, first line 1: it needs a picture"):
        load_records(path, PAIR_KIND)


def test_pairs_that_are_the_same_or_empty_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    records = [PAIR, PAIR | {"rejected": "b "}, PAIR | {"rejected": "  "}]
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    read = load_records(path, PAIR_KIND)
    assert read.records == [PAIR]
    assert list(read.left_out) == ["chosen and rejected are the same", "'rejected' is empty"]


def test_a_task_of_anothers_without_a_verifier_is_left_out_and_ours_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    own = TASK | {"expected_answer": "什么都行，随便吧，好不好？"}
    foreign = [{"question": "1+1?", "answer": "#### 2"}, {"question": "诗？", "answer": "什么都行，随便吧，好不好？"}]
    path.write_text("\n".join(map(json.dumps, foreign)), encoding="utf-8")
    complaint = lambda task: "no answer can be right" if task["expected_answer"] != "2" else None  # noqa: E731
    assert [task["expected_answer"] for task in read_tasks(path, complaint)] == ["2"]
    path.write_text(json.dumps(own), encoding="utf-8")
    with pytest.raises(UserError, match="line 1: no answer can be right"):
        read_tasks(path, complaint)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "问题,答案\n问,答\n", "question and answer, CSV in UTF-8"),
        ("a.tsv", "prompt\tcompletion\n问\t答\n", "question and answer, TSV in UTF-8"),
        ("a.txt", "问：问 答：答\r\n", "questions and answers in text, text in UTF-8"),
        ("a.txt", "用户：问\n助手：答\n", "speakers in text, text in UTF-8"),
        ("a.txt", "2024-05-01 12:03 甲: 问\n2024-05-01 12:03 乙: 答\n", "messenger export, text in UTF-8; 乙 is the assistant"),
        ("a.json", '{"instruction": "问", "output": "答"}', "Alpaca, JSON in UTF-8"),
        ("a.jsonl", '[{"instruction": "问", "output": "答"}]', "Alpaca, JSON in UTF-8"),
        ("a.ndjson", '{"instruction": "问", "output": "答"}', "Alpaca, JSON lines in UTF-8"),
        ("a", '{"instruction": "问", "output": "答"}', "Alpaca, JSON in UTF-8"),
    ],
)
def test_files_as_they_come(tmp_path: Path, name: str, content: str, said: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8", newline="")
    read = load_records(path, DIALOGUE_KIND)
    assert read.records == [{"messages": [{"role": "user", "content": "问"}, {"role": "assistant", "content": "答"}]}]
    assert read.description().startswith(f"{path}: 1 dialogues, {said}")


def test_packed_and_in_another_encoding_and_parquet(tmp_path: Path) -> None:
    text = "问题,答案\n" + "今天的天气怎么样啊？,今天的天气很好，适合出去走走。\n" * 3
    with gzip.open(tmp_path / "a.csv.gz", "wb") as file:
        file.write(text.encode("gb18030"))
    read = load_records(tmp_path / "a.csv.gz", DIALOGUE_KIND)
    assert len(read.records) == 3 and "CSV in GB" in read.description() and "recognised" in read.description()
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    messages = [[dict(message) for message in DIALOGUE["messages"]]] * 2
    parquet.write_table(arrow.table({"messages": messages}), tmp_path / "a.parquet")
    read = load_records(tmp_path / "a.parquet", DIALOGUE_KIND)
    assert read.records == [DIALOGUE] * 2 and place_of(read.records[1]).endswith("a.parquet, row 2")


def test_exports_of_messengers_as_json_and_csv(tmp_path: Path) -> None:
    said = [("user7", "在吗"), ("user9", "在")]
    sent = [
        {"id": 4 + i, "type": "message", "date": f"2024-05-01T12:0{i}:00", "from": who, "from_id": who, "text": text}
        for i, (who, text) in enumerate(said)
    ]
    telegram, table, alone = tmp_path / "result.json", tmp_path / "a.csv", tmp_path / "alone.txt"
    telegram.write_text(json.dumps({"name": "甲", "type": "personal_chat", "id": 7, "messages": sent}, indent=1))
    table.write_text(
        "id,type_name,is_sender,room_name,content,CreateTime\n1,文本,0,甲,在吗,2024-05-01 12:00:00\n"
        "2,文本,1,甲,在,2024-05-01 12:01:00\n", encoding="utf-8"
    )
    for path, place in ((telegram, "message 4"), (table, "line 2")):
        assert kind_of(path) is DIALOGUE_KIND
        read = load_records(path, DIALOGUE_KIND)
        assert [record["messages"] for record in read.records] == [dialogue("在吗", "在")["messages"]]
        assert place_of(read.records[0]) == f"{path}, {place}" and "is the assistant" in read.description()
    telegram.write_text(json.dumps({"name": "甲", "type": "personal_chat", "id": 7, "messages": sent[:1]}))
    assert kind_of(telegram) is DIALOGUE_KIND
    alone.write_text("2024-05-01 12:00 甲: 在吗\n2024-05-01 18:00 乙: 在\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"holds no records \(read as messenger export\)"):
        load_records(alone, DIALOGUE_KIND)


def test_a_missing_field_of_a_known_format_names_the_format(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    good = {"conversations": [{"from": "human", "value": "问"}, {"from": "gpt", "value": "答"}]}
    for bad, message in (
        ({"conversations": [{"from": "human"}]}, r"line 2: turn 1 has no 'value' .read as ShareGPT"),
        ({"id": 5}, r"line 2: the record has no field 'conversations' .read as ShareGPT"),
    ):
        path.write_text("\n".join(map(json.dumps, (good, bad))), encoding="utf-8")
        with pytest.raises(UserError, match=message):
            read_dialogues(path)
    path.write_text('{"foo": 1, "bar": 2}', encoding="utf-8")
    with pytest.raises(UserError, match="line 1: no dialogues that can be recognised; it has foo, bar, known are: messages"):
        read_dialogues(path)
    (tmp_path / "a.txt").write_text("从前有座山。", encoding="utf-8")
    with pytest.raises(UserError, match="this text holds no pairs that can be recognised; write it as"):
        read_pairs(tmp_path / "a.txt")


def test_several_formats_in_one_file_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = [DIALOGUE, {"prompt": "a", "completion": "b"}, DIALOGUE]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert "3 dialogues, messages (2), question and answer (1), JSON lines" in load_records(path, DIALOGUE_KIND).description()


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        (DIALOGUE, DIALOGUE_KIND),
        (PAIR, PAIR_KIND),
        (TASK, TASK_KIND),
        ({"question": "a", "answer": "#### 4"}, TASK_KIND),
        ({"question": "a", "answer": "b"}, DIALOGUE_KIND),
        ({"chosen": [], "rejected": []}, PAIR_KIND),
        ({"text": "a"}, None),
        ({"question": "a", "response_chosen": "b", "response_rejected": "c"}, PAIR_KIND),
        ({"instruction": "a", "output": ["b", "c"]}, PAIR_KIND),
        ({"prompt": [{"role": "user", "content": "a"}], "reward_model": {"ground_truth": "7"}}, TASK_KIND),
        ({"prompt": {"text": "a", "role": "prompter", "replies": []}}, DIALOGUE_KIND),
        (["a"], None),
    ],
)
def test_the_kind_of_a_file_is_seen(tmp_path: Path, record: object, kind: object) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(record), encoding="utf-8")
    assert kind_of(path) is kind
    for text, expected in (("从前有座山。", None), ("问：a 答：b", DIALOGUE_KIND)):
        (tmp_path / "a.txt").write_text(text, encoding="utf-8")
        assert kind_of(tmp_path / "a.txt") is expected


def test_the_question_is_what_the_user_asks_first() -> None:
    system = {"role": "system", "content": "s"}
    with_system = {"messages": [system, *DIALOGUE["messages"]]}
    assert question_of(DIALOGUE) == question_of(with_system) == prompt_of(DIALOGUE) == "a"
    assert prompt_of(with_system) == opening_of(with_system) == [system, DIALOGUE["messages"][0]]
