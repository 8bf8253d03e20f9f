"""The committed data files are what their sources give, and hold what the data card says."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from data import build

DATA = Path(build.__file__).parent


def records(name: str) -> list[dict]:
    return json.loads((DATA / name).read_text("utf-8"))


def han(text: str) -> int:
    return sum("\u4e00" <= character <= "\u9fff" for character in text)


def test_the_committed_files_equal_what_the_sources_give() -> None:
    assert build.main(["--check"]) == 0


def test_the_check_notices_a_changed_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(build, "build", lambda: {"a.txt": "new", "b.txt": "same"})
    monkeypatch.setattr(build, "HERE", tmp_path)
    (tmp_path / "a.txt").write_text("old", "utf-8")
    (tmp_path / "b.txt").write_text("same", "utf-8")
    assert build.main(["--check"]) == 1
    assert build.main([]) == 0 and build.main(["--check"]) == 0


def test_pretraining_text_is_large_and_varied() -> None:
    text = (DATA / "pretrain_data.txt").read_text("utf-8")
    assert len(text.encode()) > 1_500_000
    lines = Counter(line for line in text.split("\n") if line)
    assert max(lines.values()) <= 4
    assert han("".join(build.passages())) >= 60_000
    heldout = (DATA / "pretrain_heldout.txt").read_text("utf-8").split("\n\n")
    assert len(heldout) > 400 and not set(heldout) & set(text.split("\n\n"))


def test_dialogues() -> None:
    training, heldout = records("sft_data.json"), records("sft_heldout.json")
    assert sum(r["source"] == "hand" for r in training) >= 94
    assert sum(len(r["messages"]) > 2 for r in training) > 1000
    assert {"introduction", "knowledge", "code", "math", "logic", "creative", "everyday", "safety"} <= {
        r["category"] for r in training
    }
    seen = {r["messages"][0]["content"] for r in training}
    asked = [r["messages"][0]["content"] for r in heldout if len(r["messages"]) == 2]
    assert sum(question in seen for question in asked) / len(asked) < 0.02  # greetings may be the same


def test_preference_pairs() -> None:
    training, heldout = records("reward_data.json"), records("reward_heldout.json")
    assert len(training) >= 200 and sum(r["source"] == "hand" for r in training) >= 40
    kinds = {"wrong", "evasive", "rude", "repetitive", "truncated", "off_topic"}
    assert kinds <= {r["kind"] for r in training} and kinds <= {r["kind"] for r in heldout}
    longer = [len(r["chosen"]) > len(r["rejected"]) for r in training if len(r["chosen"]) != len(r["rejected"])]
    assert 0.4 < sum(longer) / len(longer) < 0.6  # length does not tell
    assert not {r["prompt"] for r in heldout} & {r["prompt"] for r in training}


def test_tasks_held_out_are_never_trained_on() -> None:
    training, heldout = records("rlvf_data.json"), records("rlvf_heldout.json")
    assert len(training) >= 400 and len({r["family"] for r in training}) >= 10
    asked = {r["prompt"] for r in heldout}
    assert not asked & {r["prompt"] for r in training}
    assert not asked & {m["content"] for r in records("sft_data.json") for m in r["messages"] if m["role"] == "user"}
