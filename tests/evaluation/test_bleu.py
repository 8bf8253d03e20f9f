"""BLEU: the published formula, and what is said where the package is missing."""

from __future__ import annotations

import math
import sys

import pytest

from scratchgpt.errors import UserError
from scratchgpt.evaluation.bleu import available, corpus_bleu


def test_the_formula_on_characters() -> None:
    """Papineni et al. 2002, section 2.3, counted by hand: every Han character is a word."""
    pytest.importorskip("sacrebleu")
    score, signature = corpus_bleu(["小猫在窗上睡觉"], ["小猫在窗下睡觉"])
    precisions = [6 / 7, 4 / 6, 2 / 5, 1 / 4]  # of 7, 6, 5, 4 phrases of one to four characters
    assert score == pytest.approx(100 * math.prod(precisions) ** 0.25)
    assert "tok:zh" in signature and "version:" in signature


def test_the_brevity_penalty() -> None:
    pytest.importorskip("sacrebleu")
    score, _ = corpus_bleu(["小猫在窗上"], ["小猫在窗上睡觉"])
    assert score == pytest.approx(100 * math.exp(1 - 7 / 5))


def test_it_is_over_all_answers_together() -> None:
    pytest.importorskip("sacrebleu")
    score, _ = corpus_bleu(["小猫在窗上", "不知道不知道"], ["小猫在窗上", "小狗在门外边"])
    assert score == pytest.approx(100 * math.prod([5 / 11, 4 / 9, 3 / 7, 2 / 5]) ** 0.25)


def test_a_missing_package_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    with pytest.raises(UserError, match="not installed: python -m pip install sacrebleu"):
        corpus_bleu(["小猫"], ["小猫"])


def test_whether_the_package_is_there_is_known_without_importing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not available()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: sys)
    assert available()
