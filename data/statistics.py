"""What is in the shipped data files, in figures: size, variety, balance.

python -m data.statistics       print them all

The limits that the data must keep are held by ``tests/data/test_statistics.py``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data.build import passages
from scratchgpt.datasets.surface import surface_features

HERE = Path(__file__).resolve().parent
WINDOW = 13

_SEPARATOR = "\0"

Record = Mapping[str, Any]


def duplicate_share(items: Sequence[Any]) -> float:
    """1 - distinct / all; 0 for nothing."""
    return 1 - len(set(items)) / len(items) if items else 0.0


def duplicate_windows(documents: Sequence[str], window: int = WINDOW) -> float:
    """Share of duplicate windows of ``window`` (8 to 16) characters, counted exactly; no window spans two documents.

    Windows get numbers by doubling: two neighbouring windows of 4 make one of 8, two overlapping ones of 8 make
    one of 13 (prefix doubling, as in the construction of suffix arrays by Manber and Myers, 1993).
    """
    text = _SEPARATOR.join(documents)
    characters = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    if len(characters) < window:
        return 0.0
    numbers, length = np.unique(characters, return_inverse=True)[1].astype(np.int64), 1
    while length < window:
        step = min(length, window - length)
        numbers = np.unique(numbers[:-step] * len(text) + numbers[step:], return_inverse=True)[1].astype(np.int64)
        length += step
    boundaries = np.concatenate([[0], np.cumsum(characters == 0)])
    inside = boundaries[window:] == boundaries[:-window]
    kept = numbers[inside]
    return 1 - int(np.count_nonzero(np.bincount(kept))) / len(kept) if len(kept) else 0.0


def han_characters(texts: Iterable[str]) -> int:
    """How many Chinese characters the texts have, punctuation not counted."""
    return sum("\u4e00" <= character <= "\u9fff" for text in texts for character in text)


def text_statistics(text: str) -> dict[str, float]:
    """Size and repetition of a pretraining text whose documents are separated by one blank line."""
    documents = text.strip("\n").split("\n\n")
    lines = [line for line in text.split("\n") if line]
    return {"bytes": len(text.encode()), "characters": len(text), "documents": len(documents),
            "duplicate 13-grams": duplicate_windows(documents), "duplicate lines": duplicate_share(lines)}


def dialogue_statistics(records: Sequence[Record]) -> dict[str, float]:
    """Dialogues, how many were written by hand, how many have several turns; tasks have a family and one turn."""
    several = [sum(message["role"] == "user" for message in record["messages"]) > 1 for record in records]
    hand = [record.get("source") == "hand" for record in records]
    conversations = [turns for record, turns in zip(records, several, strict=True) if "family" not in record]
    return {"dialogues": len(records), "written by hand": sum(hand), "several turns": sum(several),
            "written by hand, several turns": sum(a and b for a, b in zip(several, hand, strict=True)),
            "conversations (not tasks)": len(conversations),
            "questions with a rubric": sum("rubric" in record and not turns
                                           for record, turns in zip(records, several, strict=True)),
            "several turns, share of conversations": sum(conversations) / max(1, len(conversations))}


def pair_statistics(pairs: Sequence[Record]) -> dict[str, float]:
    """Preference pairs: all, by hand, and of each kind of badness."""
    kinds = Counter(pair["kind"] for pair in pairs)
    return {"pairs": len(pairs), "prompts": len({pair["prompt"] for pair in pairs}),
            "written by hand": sum(pair.get("source") == "hand" for pair in pairs),
            **{f"kind {kind}": count for kind, count in sorted(kinds.items())}}


def task_statistics(tasks: Sequence[Record]) -> dict[str, float]:
    """Tasks of each family, with the numbers of its levels."""
    families: dict[str, Counter[int]] = {}
    for task in tasks:
        families.setdefault(task["family"], Counter())[task["level"]] += 1
    by_hand = sum(task.get("source") == "hand" for task in tasks)
    figures: dict[str, float] = {"tasks": len(tasks), "families": len(families), "written by hand": by_hand}
    for family, levels in sorted(families.items()):
        shown = ", ".join(f"level {level}: {count}" for level, count in sorted(levels.items()))
        figures[f"{family} ({shown})"] = sum(levels.values())
    return figures


def _records(name: str) -> list[Record]:
    return json.loads((HERE / name).read_text(encoding="utf-8"))


def statistics() -> dict[str, dict[str, float]]:
    """All figures of the shipped files, by heading."""
    figures = {f"{name}.txt": text_statistics((HERE / f"{name}.txt").read_text(encoding="utf-8"))
               for name in ("pretrain_data", "pretrain_heldout")}
    written = passages()
    figures["sources/passages"] = {"passages": len(written), "Chinese characters": han_characters(written)}
    figures |= {name: dialogue_statistics(_records(name)) for name in ("sft_data.json", "sft_heldout.json")}
    for name in ("reward_data.json", "reward_heldout.json"):
        pairs = _records(name)
        figures[name] = pair_statistics(pairs)
        figures[f"{name}: the preferred answer told by one surface feature"] = surface_features(pairs)
    return figures | {name: task_statistics(_records(name)) for name in ("rlvf_data.json", "rlvf_heldout.json")}


def main() -> None:
    """Print every figure, one a line."""
    for heading, figures in statistics().items():
        print(heading)
        for name, value in figures.items():
            print(f"  {name}: {value:.1%}" if isinstance(value, float) else f"  {name}: {value:,}")


if __name__ == "__main__":
    main()
