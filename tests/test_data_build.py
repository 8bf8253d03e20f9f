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


def test_the_committed_files_equal_what_the_sources_give() -> None:
    assert build.main(["--check"]) == 0


def test_the_check_notices_a_changed_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(build, "build", lambda: {"a.txt": "new", "b.txt": "same"})
    monkeypatch.setattr(build, "HERE", tmp_path)
    (tmp_path / "a.txt").write_text("old", "utf-8")
    (tmp_path / "b.txt").write_text("same", "utf-8")
    assert build.main(["--check"]) == 1
    assert build.main([]) == 0 and build.main(["--check"]) == 0


def test_the_parts_of_the_pretraining_text_share_no_document() -> None:
    training, heldout = ((DATA / f"pretrain_{part}.txt").read_text("utf-8").strip().split("\n\n") for part in ("data", "heldout"))
    assert not set(heldout) & set(training)
    lines = Counter(line for document in training for line in document.split("\n"))
    assert max(lines.values()) <= 4


def test_held_out_questions_are_not_trained_on() -> None:
    training, heldout = records("sft_data.json"), records("sft_heldout.json")
    seen = {r["messages"][0]["content"] for r in training}
    asked = [r["messages"][0]["content"] for r in heldout if len(r["messages"]) == 2]
    assert sum(question in seen for question in asked) / len(asked) < 0.02  # greetings may be the same
    assert not {r["prompt"] for r in records("reward_heldout.json")} & {r["prompt"] for r in records("reward_data.json")}


def test_tasks_held_out_are_never_trained_on() -> None:
    training, heldout = records("rlvf_data.json"), records("rlvf_heldout.json")
    asked = {r["prompt"] for r in heldout}
    assert not asked & {r["prompt"] for r in training}
    assert not asked & {m["content"] for r in records("sft_data.json") for m in r["messages"] if m["role"] == "user"}
