"""What a model keeps of what it knew while it learns two hundred dialogues of one's own.

    python bench/own_dialogues.py [--base checkpoints:rlvf] [--mix 0 0.5] [--epochs 30] [--out FOLDER]

An invented bookshop (`own_dialogues.json`): 50 facts, each asked in six ways, of which four are learned (200
dialogues) and two held out. For each `--mix` one run of `train.py --stage sft`, which further flags go to; before and
after it, the share of the held-out questions about the shop, of the project's held-out questions and of its tasks
that are answered rightly.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common import ROOT, machine_line, new_table
from rich.console import Console

from scratchgpt import kernels
from scratchgpt.evaluation.measures import fitting_tasks, question_accuracy, task_accuracy
from scratchgpt.installation import data_file
from scratchgpt.stages.checkpoint_choice import load_chosen

FACTS = Path(__file__).with_name("own_dialogues.json")
LEARNED = 4
"""Of a fact's questions; the others are held out."""
MEASURES = {"own": "own questions", "questions": "the project's questions", "tasks": "its tasks"}


def dialogue(question: str, fact: Mapping[str, Any]) -> dict[str, Any]:
    """A dialogue with the rubric of its answer."""
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": fact["answer"]}]
    return {"messages": messages, "category": "shop", "rubric": {"must": [[fact["key"]]]}}


def write_dialogues(folder: Path) -> tuple[Path, Path]:
    """The files of the dialogues to learn and of those held out."""
    facts = json.loads(FACTS.read_text(encoding="utf-8"))
    paths = folder / "mine.json", folder / "heldout.json"
    for path, part in zip(paths, (slice(LEARNED), slice(LEARNED, None)), strict=True):
        records = [dialogue(question, fact) for fact in facts for question in fact["questions"][part]]
        path.write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")
    return paths


def measured(run: Path, stage: str | None, heldout: Path) -> tuple[dict[str, float], dict[str, int]]:
    """What share of each measure's items a checkpoint answers rightly, and their numbers."""
    model, tokenizer, _ = load_chosen(run, stage)
    own, project, tasks = (
        json.loads(path.read_text(encoding="utf-8"))
        for path in (heldout, data_file("sft_heldout.json"), data_file("rlvf_heldout.json"))
    )
    results = {
        "own": question_accuracy(model, tokenizer, own),
        "questions": question_accuracy(model, tokenizer, project),
        "tasks": task_accuracy(model, tokenizer, fitting_tasks(tokenizer, tasks, model.config.context_size)),
    }
    shares = {name: result["accuracy"] for name, result in results.items()}
    return shares, {name: int(result["items"]) for name, result in results.items()}


def train(base: str, mix: float, epochs: float, files: tuple[Path, Path], out: Path, more: Sequence[str]) -> None:
    """One run of supervised fine-tuning from ``base``."""
    learned, heldout = files
    flags = ["--stage", "sft", "--base", base, "--sft-data", learned, "--sft-heldout", heldout, "--mix", mix]
    flags += ["--epochs", epochs, "--out", out]
    subprocess.run([sys.executable, ROOT / "train.py", *map(str, flags), *more], check=True)


def main() -> None:
    """Train with every share, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="checkpoints:rlvf", metavar="RUN:STAGE")
    parser.add_argument("--mix", type=float, nargs="+", default=[0.0, 0.5])
    parser.add_argument("--epochs", type=float, default=30)
    parser.add_argument("--out", type=Path, help="where the runs are kept; by default nowhere")
    flags, more = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as temporary:
        out = flags.out or Path(temporary)
        out.mkdir(parents=True, exist_ok=True)
        files = write_dialogues(out)
        run, _, stage = flags.base.rpartition(":")
        rows = {"before": measured(Path(run), stage, files[1])}
        for mix in flags.mix:
            train(flags.base, mix, flags.epochs, files, out / f"mix-{mix:g}", more)
            rows[f"--mix {mix:g}"] = measured(out / f"mix-{mix:g}", "sft", files[1])
    table = new_table(f"{LEARNED * 50} dialogues of one's own, {flags.epochs:g} epochs", "", *MEASURES.values())
    for name, (shares, _) in rows.items():
        table.add_row(name, *(f"{shares[key]:.1%}" for key in MEASURES))
    table.add_row("items", *(f"{rows['before'][1][key]:,}" for key in MEASURES))
    print(machine_line(kernels.num_threads()))
    Console().print(table)


if __name__ == "__main__":
    main()
