"""BLEU of a model's answers against the answers that people or rules wrote (Papineni et al. 2002), by ``sacrebleu``.

A share of common phrases of one to four characters, 0 to 100. One reference an answer, where many would be right:
so the figure compares models with each other and says little by itself. ``sacrebleu`` (Post 2018) is asked because
its figures can be compared with those of others; it is no dependency of the project, only of this measure.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Any

from scratchgpt.errors import UserError

TOKENIZE = "zh"
"""How sacrebleu cuts text: every Han character by itself, everything else into words."""


MISSING = "BLEU needs the package sacrebleu, which is not installed: python -m pip install sacrebleu"


def available() -> bool:
    """Whether sacrebleu is installed."""
    return importlib.util.find_spec("sacrebleu") is not None


def _metrics() -> Any:
    try:
        return importlib.import_module("sacrebleu.metrics")
    except ImportError:
        raise UserError(MISSING) from None


def corpus_bleu(answers: Sequence[str], references: Sequence[str]) -> tuple[float, str]:
    """BLEU over all answers together, and how it was computed.

    Args:
        answers: N texts.
        references: N texts, what each answer should have been.

    Returns:
        BLEU, 0 to 100, and sacrebleu's signature (without it the figure cannot be compared).

    Raises:
        UserError: if sacrebleu is not installed.
    """
    metric = _metrics().BLEU(tokenize=TOKENIZE)
    score = metric.corpus_score(list(answers), [list(references)]).score
    return float(score), str(metric.get_signature())
