"""``check``: what a file is, how long, what is left out, and how the model sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scratchgpt.cli.commands.check import Arguments, as_seen, characters_known, context_size_at, run, runs_of
from scratchgpt.errors import UserError
from scratchgpt.tokenizer import encode_chat_with_mask
from tests.tiny import dialogue, save_checkpoint, tiny_tokenizer


def written(path: Path, records: list) -> Path:
    path.write_text("\n".join(json.dumps(record, ensure_ascii=False) for record in records), encoding="utf-8")
    return path


def checked(capsys: pytest.CaptureFixture[str], tmp_path: Path, *files: Path, **settings: object) -> str:
    save_checkpoint(tmp_path / "out", "sft")
    run(Arguments(files=files, checkpoint=tmp_path / "out", lang="en", **settings))  # type: ignore[arg-type]
    return capsys.readouterr().out


def test_dialogues(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = dialogue("小猫住在哪里？", "小猫住在山里。")
    long, empty = dialogue("好" * 70, "好"), dialogue("好", " ")
    path = written(tmp_path / "a.jsonl", [good, empty, good, dialogue("小猫住在哪里？", "龘\x1b[2J"), long])
    shown = checked(capsys, tmp_path, path)
    assert f"{path}: 4 dialogues, messages, JSON lines in UTF-8; 1 left out, first line 2: an answer is empty" in shown
    assert "length (tokens, context 64): shortest" in shown and "1 exceed the context and will be left out" in shown
    assert f"1 exceed the context and will be left out, first {path}, line 5" in shown
    assert f"shortest: {path}, line 4; longest: {path}, line 5" in shown
    assert "duplicates: 1 repeat another wholly" in shown and "; 2 ask what was asked before" in shown
    assert "龘" in shown.split("no token for: ")[1].split("\n")[0]
    assert "\n⟦小猫住在山里。<|im_end|>⟧" in shown and "⟦小猫住在哪里" not in shown
    assert "\x1b" not in shown and "what is learned is between" in shown
    assert shown.count("\n— ") == 4
    with pytest.raises(UserError, match=r"line 2: an answer is empty; mend it.*--strict"):
        checked(capsys, tmp_path, path, strict=True)


def test_pairs_that_length_gives_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [{"prompt": "你好", "chosen": "你好" * n, "rejected": "好"} for n in (2, 3, 4)]
    shown = checked(capsys, tmp_path, written(tmp_path / "p.jsonl", records))
    assert "length alone tells the better answer: 100.0%, too often" in shown and "commas 50.0%" in shown
    records = [{"prompt": "你好", "chosen": "你好", "rejected": "小猫"} for _ in range(3)]
    assert "better answer: 50.0%\n" in checked(capsys, tmp_path, written(tmp_path / "p.jsonl", records))


def test_tasks_and_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = written(tmp_path / "t.jsonl", [{"question": "3 + 4?", "answer": "3 + 4 = 7\n#### 7"}])
    text = tmp_path / "story.txt"
    text.write_text("小猫住在山里。\n\n小狗住在河里。\n", encoding="utf-8")
    shown = checked(capsys, tmp_path, tasks, text)
    assert f"{tasks}: 1 tasks, question and answer" in shown and "(answer: 7)" in shown
    assert "⟦小狗住在河里。⟧" in shown
    assert "1 dialogues, question and answer" in checked(capsys, tmp_path, tasks, kind="dialogues")


def test_what_is_learned_is_coloured_where_colours_are_seen() -> None:
    tokenizer = tiny_tokenizer()
    ids, mask = encode_chat_with_mask(tokenizer, dialogue("你好", "好")["messages"])
    assert [learned for _, learned in runs_of(ids, mask)] == [False, True, False]
    assert [token for run, _ in runs_of(ids, mask) for token in run] == ids
    plain, coloured = (as_seen(tokenizer, ids, mask, colours) for colours in (False, True))
    assert "⟦好<|im_end|>⟧" in plain.plain and not plain.spans
    assert "⟦" not in coloured.plain and coloured.plain[coloured.spans[0].start : coloured.spans[0].end] == "好<|im_end|>"
    assert as_seen(tokenizer, ids * 30, mask * 30, True).plain.endswith(" …")
    assert "你" in characters_known(tokenizer) and "龘" not in characters_known(tokenizer)


def test_the_context_is_that_of_the_checkpoint(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path, "sft")
    assert context_size_at(tmp_path) == context_size_at(folder) == context_size_at(folder / "tokenizer.json") == 64
    assert context_size_at(tmp_path / "nowhere") == 256


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"files": ()}, "there is no file to look at"),
        ({"files": (Path("no.jsonl"),)}, "no.jsonl: cannot be read"),
        ({"files": (Path("no.jsonl"),), "context_size": 0}, "--context-size must be at least 1"),
    ],
)
def test_mistakes(settings: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        run(Arguments(**settings))
