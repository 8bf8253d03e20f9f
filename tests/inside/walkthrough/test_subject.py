"""What is walked through: the checkpoint that training left, or a fresh model."""

from __future__ import annotations

from pathlib import Path

import pytest

from scratchgpt.inside.walkthrough import subject as subject_module
from scratchgpt.inside.walkthrough.subject import fresh_subject, load_subject
from tests.tiny import save_checkpoint


def test_the_default_folder_is_used_if_it_holds_a_model(tmp_path: Path) -> None:
    assert load_subject(None, ["我"], 0).directory is None
    save_checkpoint(subject_module.DEFAULT_RUN, "sft")
    assert load_subject(None, ["我"], 0).directory == subject_module.DEFAULT_RUN / "sft"


def test_without_the_projects_data_the_sentence_makes_the_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject_module, "DATA", Path("nowhere"))
    fresh = fresh_subject(["我 爱"], 0)
    assert len(fresh.tokenizer) < 50 and fresh.tokenizer.decode(fresh.tokenizer.encode("我 爱")) == "我 爱"
