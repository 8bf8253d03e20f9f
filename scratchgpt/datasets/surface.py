"""What the surface of two answers gives away: a reward model that can read it off learns nothing else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

STOCK_PHRASE = 20
"""An opening or closing shared by so many answers is a stock phrase."""

_OPENING = re.compile(r"^[^，。！？：]*[，。！？：]")
_CLOSING = re.compile(r"[^。！？]*[。！？]?$")

Pair = Mapping[str, Any]
Feature = Callable[[str], float]


def feature_accuracy(pairs: Sequence[Pair], feature: Feature) -> float:
    """How often a feature alone tells the preferred answer, in its better direction; a tie counts half."""
    score = 0.0
    for pair in pairs:
        chosen, rejected = feature(pair["chosen"]), feature(pair["rejected"])
        score += 0.5 if chosen == rejected else float(chosen > rejected)
    return max(score, len(pairs) - score) / max(1, len(pairs))


def best_presence(pairs: Sequence[Pair], parts: Callable[[str], set[str]]) -> tuple[str, float]:
    """(part, accuracy) of the one part of an answer whose presence tells most about which answer is preferred."""
    balance: Counter[str] = Counter()
    for pair in pairs:
        chosen, rejected = parts(pair["chosen"]), parts(pair["rejected"])
        balance.update(chosen - rejected)
        balance.subtract(rejected - chosen)
    part, difference = max(balance.items(), key=lambda item: (abs(item[1]), item[0]), default=("", 0))
    return part, 0.5 + abs(difference) / (2 * max(1, len(pairs)))


def _stock_phrases(pairs: Sequence[Pair], pattern: re.Pattern[str]) -> Feature:
    """Whether an answer opens or closes (as ``pattern`` cuts it) with a phrase that many answers share."""

    def phrase(text: str) -> str:
        found = pattern.search(text)
        return found[0] if found else ""

    counts = Counter(phrase(pair[side]) for pair in pairs for side in ("chosen", "rejected"))
    return lambda text: float(counts[phrase(text)] >= STOCK_PHRASE)


def surface_features(pairs: Sequence[Pair]) -> dict[str, float]:
    """Accuracy of each single surface feature at telling the preferred answer of a pair."""
    character, character_accuracy = best_presence(pairs, set)
    bigram, bigram_accuracy = best_presence(pairs, lambda text: {text[i : i + 2] for i in range(len(text) - 1)})
    ending, ending_accuracy = best_presence(pairs, lambda text: {text[-1:]})
    return {
        "length": feature_accuracy(pairs, len),
        "commas": feature_accuracy(pairs, lambda text: text.count("，")),
        "stock opening": feature_accuracy(pairs, _stock_phrases(pairs, _OPENING)),
        "stock closing": feature_accuracy(pairs, _stock_phrases(pairs, _CLOSING)),
        "digits": feature_accuracy(pairs, lambda text: bool(re.search(r"\d", text))),
        "exclamation": feature_accuracy(pairs, lambda text: "！" in text),
        f"last character {ending!r}": ending_accuracy,
        f"best character {character!r}": character_accuracy,
        f"best pair of characters {bigram!r}": bigram_accuracy,
    }
