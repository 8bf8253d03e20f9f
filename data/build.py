"""Rebuild every generated data file from its sources, bit for bit.

python -m data.build            write the files
python -m data.build --check    write nothing; exit with 1 if a file differs from what would be written
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data.generators.chat import compose as chat
from data.generators.chat import sums
from data.generators.preferences import compose as preferences
from data.generators.prose import compose as prose
from data.generators.tasks import compose as tasks
from data.source_files import SOURCES, SourceError, read_json

HERE = Path(__file__).resolve().parent
SEED = 2024
HELDOUT_EVERY = 20
"""One hand-written passage in this many is held out."""

PROSE_DOCUMENTS, PROSE_HELDOUT = 24_000, 800
CHAT_DIALOGUES, CHAT_HELDOUT = 11_500, 600
TASK_DIALOGUES = 24_500
SUM_DIALOGUES, SUM_HELDOUT = 4_000, 40
PREFERENCE_PAIRS, PREFERENCE_HELDOUT = 6_000, 1_000
RLVF_TASKS, RLVF_HELDOUT = 8_400, 1_400


def build() -> dict[str, str]:
    """The content of every generated file, by name."""
    text, text_heldout = _prose()
    dialogues, dialogues_heldout = _dialogues()
    pairs, pairs_heldout = _pairs()
    return {
        "pretrain_data.txt": text,
        "pretrain_heldout.txt": text_heldout,
        "sft_data.json": _lines(dialogues),
        "sft_heldout.json": _lines(dialogues_heldout),
        "reward_data.json": _lines(pairs),
        "reward_heldout.json": _lines(pairs_heldout),
        "rlvf_data.json": _lines(_shuffled(written_tasks() + tasks.rlvf_records(SEED, RLVF_TASKS, "rlvf"))),
        "rlvf_heldout.json": _lines(tasks.rlvf_records(SEED + 1, RLVF_HELDOUT, "heldout")),
    }


def passages() -> list[str]:
    """The hand-written documents, file by file."""
    files = sorted((SOURCES / "passages").glob("*.txt"))
    return [d.strip("\n") for file in files for d in file.read_text(encoding="utf-8").split("\n\n") if d.strip()]


def _prose() -> tuple[str, str]:
    written = passages()
    heldout = [*written[::HELDOUT_EVERY], *prose.heldout_documents(SEED + 1, PROSE_HELDOUT)]
    training = [d for i, d in enumerate(written) if i % HELDOUT_EVERY]
    training += prose.compose_documents(SEED, PROSE_DOCUMENTS)
    return _shuffled_text(training), _shuffled_text(heldout)


def _dialogues() -> tuple[list[Any], list[Any]]:
    training = read_json("dialogues") + read_json("dialogues_2") + reworded_dialogues()
    training += chat.sft_records(SEED, CHAT_DIALOGUES, "train")
    training += sums.sum_records(SEED, SUM_DIALOGUES, "train")
    training += tasks.sft_records(SEED, TASK_DIALOGUES)
    heldout = read_json("dialogues_heldout") + read_json("dialogues_heldout_2")
    heldout += chat.sft_records(SEED + 1, CHAT_HELDOUT, "heldout")
    heldout += sums.sum_records(SEED + 1, SUM_HELDOUT, "heldout")
    return _shuffled(training), heldout


def reworded_records() -> list[Any]:
    """The hand-written questions in several wordings, file by file: ``questions``, the one ``answer`` to them all."""
    return [record for file in sorted(SOURCES.glob("phrasings_*.json")) for record in read_json(file.stem)]


def reworded_dialogues() -> list[dict[str, Any]]:
    """Every wording of a question with its answer, followed by a question of the next record.

    So each wording opens one dialogue, and most come again as a second question: what is asked has to be heard
    behind many words, and wherever it stands in a talk.
    """
    records, dialogues = reworded_records(), []
    for record, following in zip(records, [*records[1:], records[0]], strict=True):
        for place, question in enumerate(record["questions"]):
            next_question = following["questions"][place % len(following["questions"])]
            turns = (question, record["answer"], next_question, following["answer"])
            messages = [
                {"role": role, "content": content}
                for role, content in zip(("user", "assistant") * 2, turns, strict=True)
            ]
            dialogues.append({"messages": messages, "category": record["category"], "source": "reworded"})
    return dialogues


def written_tasks() -> list[dict[str, Any]]:
    """The hand-written tasks, without the operations or entities that show where their answers come from."""
    shown = ("type", "prompt", "expected_answer", "keywords", "family", "level")
    return [{key: r[key] for key in shown if key in r} | {"source": "hand"} for r in read_json("tasks")]


def _pairs() -> tuple[list[Any], list[Any]]:
    training = read_json("preferences") + read_json("preferences_2")
    training += preferences.pairs(SEED, PREFERENCE_PAIRS, "train")
    heldout = read_json("preferences_heldout") + preferences.pairs(SEED + 1, PREFERENCE_HELDOUT, "heldout")
    return _shuffled(training), heldout


def _shuffled(items: Sequence[Any]) -> list[Any]:
    shuffled = list(items)
    random.Random(SEED).shuffle(shuffled)
    return shuffled


def _shuffled_text(documents: Sequence[str]) -> str:
    return "\n\n".join(_shuffled(documents)) + "\n"


def _lines(records: Sequence[Any]) -> str:
    """A JSON array with one record a line, so that a difference is a line and an error has a line."""
    return "[\n" + ",\n".join(json.dumps(record, ensure_ascii=False) for record in records) + "\n]\n"


def main(arguments: Sequence[str]) -> int:
    """Write the files, or compare them with ``--check``; returns the exit code."""
    try:
        files = build()
    except SourceError as error:
        print(error, file=sys.stderr)
        return 1
    if list(arguments) == ["--check"]:
        different = [n for n, t in files.items() if not (HERE / n).is_file() or (HERE / n).read_text("utf-8") != t]
        print("up to date" if not different else f"differ from their sources: {', '.join(different)}")
        return 1 if different else 0
    for name, content in files.items():
        (HERE / name).write_text(content, encoding="utf-8")
        print(f"{name}: {len(content.encode()):,} bytes, {len(content):,} characters")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
