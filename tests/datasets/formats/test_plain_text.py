"""Questions and answers, and speakers in turn, in plain text."""

from __future__ import annotations

import pytest

from scratchgpt.datasets.formats.plain_text import line_ends, text_format_of


def read(text: str) -> tuple[str, list[tuple[int, object]]]:
    """The name of the format, and the records in short: (question, answer) or the turns as "u:…" and "a:…"."""
    found = text_format_of(text)
    assert found is not None
    short: list[tuple[int, object]] = []
    for line, record in found.records(text):
        turns = [f"{message['role'][0]}:{message['content']}" for message in record.get("messages", [])]
        short.append((line, turns or (record["question"], record["answer"])))
    return found.name, short


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("问：天为什么蓝？ 答：散射。\n问：海呢？ 答：也是。\n", [(1, ("天为什么蓝？", "散射。")), (2, ("海呢？", "也是。"))]),
        ("Q: Why?\nA: Because.\n\nIt is so.\n\nQ: How?\nA: So.", [(1, ("Why?", "Because.\n\nIt is so.")), (6, ("How?", "So."))]),
        ("题库\n问1：甲？\n答1：乙。\n问2: 丙？\n答2: 丁。", [(2, ("甲？", "乙。")), (4, ("丙？", "丁。"))]),
        ("问题：甲？\n回答：乙。\n问题：丙？", [(1, ("甲？", "乙。")), (3, ("丙？", ""))]),
    ],
)
def test_questions_and_answers(text: str, expected: list) -> None:
    assert read(text) == ("questions and answers in text", expected)


def test_speakers_take_turns_until_a_blank_line() -> None:
    text = "用户：你好\n助手：你好！\n有什么事？\n用户：没事\n助手：好。\n\n用户：在吗\n助手：在。\n"
    assert read(text) == (
        "speakers in text",
        [(1, ["u:你好", "a:你好！\n有什么事？", "u:没事", "a:好。"]), (7, ["u:在吗", "a:在。"])],
    )
    assert read("User: hi\nAssistant: hello")[1] == [(1, ["u:hi", "a:hello"])]


def test_a_text_is_none_of_them() -> None:
    for text in ("从前有座山。", "答：没有问题。", "2024-05-01 12:03 甲: 只有一人", "用户：没有回答", ""):
        assert text_format_of(text) is None
    assert line_ends("a\r\nb\rc\n") == "a\nb\nc\n"


@pytest.mark.parametrize("text", [" " * 200_000, "问：" * 60_000, "答：\n" * 60_000, "2024-05-01 12:03 " * 20_000, "甲 " * 90_000, "甲" + " " * 200_000, "\u3000\n" * 90_000])
def test_a_text_that_invites_backtracking_comes_to_an_end(text: str) -> None:
    found = text_format_of(text)
    assert found is None or all(record for _, record in found.records(text))
