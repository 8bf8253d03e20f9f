"""Files to token batches: what is read, what is refused, and which batch comes when."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from scratchgpt.datasets.batches import DialogueBatches, TextWindows, encode_documents, heldout_windows, pad_sequences
from scratchgpt.datasets.records import read_corpus, read_dialogues, read_pairs, read_tasks, split_heldout
from scratchgpt.errors import UserError
from scratchgpt.tokenizer import EOS_ID, IM_END_ID, CharTokenizer


# -- reading --------------------------------------------------------------------------------------------------
def test_a_corpus_is_documents_between_blank_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\ufeff一\n二\n\n\n三\n", encoding="utf-8")
    (tmp_path / "b.jsonl").write_text('{"text": "四"}\n\n{"text": "五\\n\\n六"}\n', encoding="utf-8")
    (tmp_path / "c.md").write_text("not read", encoding="utf-8")
    assert read_corpus(tmp_path / "a.txt") == ["一\n二", "三"]
    assert read_corpus(tmp_path) == ["一\n二", "三", "四", "五\n\n六"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.txt", None, "cannot be read"),
        ("empty.txt", b" \n", "empty"),
        ("latin.txt", "第一行\n".encode() + b"\xff\n", "line 2: not UTF-8"),
        ("bad.jsonl", b'{"text": "a"}\n{"text": }\n', "line 2: malformed JSON"),
        ("bad2.jsonl", b'{"text": "a"}\n\n{"txt": "b"}\n', "line 3: the record has no field 'text'"),
        ("bad3.jsonl", b'{"text": 5}\n', "line 1: 'text' must be of type str"),
        ("bad4.jsonl", b'["a"]\n', "line 1: a record must be a JSON object"),
    ],
)
def test_a_bad_corpus_is_refused_with_the_line(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_corpus(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no \.txt or \.jsonl"):
        read_corpus(tmp_path)


GOOD = '{"prompt": "a", "chosen": "b", "rejected": "c"}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"[\n{GOOD},\n{GOOD[:-5]}\n]", "line 4: malformed"),
        (f"[\n{GOOD}\n{GOOD}\n]", "line 3: malformed JSON .a comma"),
        (f"[\n{GOOD},\n{GOOD}\n", "malformed JSON .the array never ends"),
        (f'[\n{GOOD},\n\n{{"prompt": "a", "chosen": "b"}}]', "line 4: the record has no field 'rejected'"),
        ('[{"prompt": "a", "chosen": "", "rejected": "c"}]', "line 1: 'chosen' is empty"),
        (GOOD, "expected a JSON array"),
        ("[]", "holds no records"),
    ],
)
def test_bad_records_are_refused_with_the_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "pairs.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_pairs(path)


def test_good_records_are_read_from_json_and_jsonl(tmp_path: Path) -> None:
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


# -- text batches ---------------------------------------------------------------------------------------------
def test_documents_become_one_stream_with_an_end_after_each(char_tokenizer: CharTokenizer) -> None:
    stream = encode_documents(["你好", "猫"], char_tokenizer)
    assert stream.tolist() == [*char_tokenizer.encode("你好"), EOS_ID, *char_tokenizer.encode("猫"), EOS_ID]


def test_windows_cover_the_stream_once_an_epoch_and_targets_are_the_next_token() -> None:
    stream = np.arange(100, dtype=np.int32)
    windows = TextWindows(stream, context_size=8, batch_size=3, seed=5)
    assert windows.steps_per_epoch == 3  # (99 // 8 - 1) // 3
    for epoch in range(2):
        seen: list[int] = []
        for position in range(3):
            batch = windows.batch(epoch * 3 + position)
            assert batch.input_ids.shape == (3, 8) and batch.tokens == 24
            np.testing.assert_array_equal(batch.targets, batch.input_ids + 1)
            seen += batch.input_ids.reshape(-1).tolist()
        assert len(set(seen)) == len(seen)
    again = TextWindows(stream, context_size=8, batch_size=3, seed=5).batch(4)
    np.testing.assert_array_equal(windows.batch(4).input_ids, again.input_ids)
    assert not np.array_equal(windows.batch(0).input_ids, windows.batch(3).input_ids)


def test_text_too_short_for_two_windows_is_refused() -> None:
    with pytest.raises(UserError, match="too short"):
        TextWindows(np.arange(16, dtype=np.int32), context_size=8, batch_size=1, seed=0)


@pytest.mark.parametrize("length", [2, 8, 9, 10, 30])
def test_held_out_windows_hold_every_token_once(length: int) -> None:
    stream = np.arange(1, length + 1, dtype=np.int32)
    batches = list(heldout_windows(stream, context_size=4, batch_size=2))
    targets = np.concatenate([b.targets.reshape(-1) for b in batches])
    inputs = np.concatenate([b.input_ids.reshape(-1) for b in batches])
    counted = targets != -100
    assert targets[counted].tolist() == list(range(2, length + 1))
    np.testing.assert_array_equal(inputs[counted] + 1, targets[counted])


# -- dialogue batches -----------------------------------------------------------------------------------------
def test_the_loss_is_on_the_answer_and_its_end_only(char_tokenizer: CharTokenizer, dialogues: list) -> None:
    batch = DialogueBatches(dialogues[2:3], char_tokenizer, 64, 4, seed=0).batch(0)
    counted = batch.targets[0][batch.targets[0] != -100].tolist()
    assert counted == [*char_tokenizer.encode("猫吃鱼。"), IM_END_ID]
    position = int(np.argmax(batch.targets[0] != -100))
    assert batch.input_ids[0, position + 1] == counted[0]


def test_every_dialogue_is_shown_as_often_as_its_weight(char_tokenizer: CharTokenizer, dialogues: list) -> None:
    dialogues[0]["weight"] = 3
    batches = DialogueBatches(dialogues, char_tokenizer, 64, 2, seed=0)
    assert batches.steps_per_epoch == 4
    for epoch in range(2):
        rows = [r for step in range(4) for r in batches.batch(epoch * 4 + step).input_ids]
        first = char_tokenizer.encode("你好")
        assert sum(first == row[3:5].tolist() for row in map(np.asarray, rows)) == 3 or len(rows) == 8
    assert sum(b.input_ids.shape[0] for b in batches.all_batches()) == len(dialogues)


def test_batches_do_not_depend_on_the_order_they_are_asked_for(char_tokenizer: CharTokenizer, dialogues: list) -> None:
    one, other = (DialogueBatches(dialogues, char_tokenizer, 64, 2, seed=1) for _ in range(2))
    forward = [one.batch(step).input_ids for step in range(6)]
    backward = [other.batch(step).input_ids for step in reversed(range(6))][::-1]
    for a, b in zip(forward, backward, strict=True):
        np.testing.assert_array_equal(a, b)


def test_dialogues_beyond_the_context_are_counted_and_none_left_is_an_error(
    char_tokenizer: CharTokenizer, dialogues: list
) -> None:
    assert DialogueBatches(dialogues, char_tokenizer, 26, 2, seed=0).too_long > 0
    with pytest.raises(UserError, match="none of the 6 dialogues fits"):
        DialogueBatches(dialogues, char_tokenizer, 8, 2, seed=0)


def test_padding_is_on_the_right() -> None:
    np.testing.assert_array_equal(pad_sequences([[5], [6, 7]]), [[5, 0], [6, 7]])
