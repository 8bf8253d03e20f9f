"""``python -m scratchgpt evaluate``: what any checkpoint is worth on held-out data.

Every measure is one that the stages report too (``evaluation/measures.py``), and BLEU besides.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from scratchgpt.cli.machine_flags import StageFlag
from scratchgpt.cli.which_run import RunFlag, chosen_run
from scratchgpt.datasets.batches import DialogueBatches
from scratchgpt.datasets.compression import read_bytes
from scratchgpt.datasets.corpus import read_corpus
from scratchgpt.datasets.records import DIALOGUE, TASK, Record, load_records
from scratchgpt.errors import UserError
from scratchgpt.evaluation import bleu
from scratchgpt.evaluation.answering import answer_prompts
from scratchgpt.evaluation.measures import (
    EVALUATION_BATCH,
    dialogue_metrics,
    fitting_tasks,
    question_accuracy,
    task_accuracy,
    text_metrics,
)
from scratchgpt.evaluation.strangers import QUESTIONS, RECKONING, Heard, accuracies, ask, endless, load_strangers
from scratchgpt.files import write_text
from scratchgpt.installation import data_file
from scratchgpt.models.base import LanguageModel
from scratchgpt.stages.checkpoint_choice import load_chosen
from scratchgpt.terminal import VisibleConsole
from scratchgpt.tokenizer import Tokenizer
from scratchgpt.verify.verifiers import complaint_about

Item = TypeVar("Item")
HeldOut = Annotated[Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="")]


@dataclass(frozen=True)
class Arguments:
    """Measure a model on held-out data: perplexity, bits per character, BLEU, right answers.

    Attributes:
        checkpoint: the folder of one model, or of a run. By default checkpoints, or the
            model that comes with scratchgpt.
        stage: of the latter, whose model; by default the most advanced there is.
        items: look at so many documents, dialogues and tasks, evenly spread. By default at all.
        skip_bleu: leave BLEU out; so is it where the package sacrebleu is not installed.
        corpus_heldout: text, as train.py reads it. By default the project's own, as for all three.
        sft_heldout: dialogues, as train.py reads them.
        rlvf_heldout: tasks, as train.py reads them.
        strangers: measure instead what the model says to people who never saw its data: questions
            as they are typed, despair, harm, noise and whole dialogues.
        strangers_dev: the same on the half of them that the project is developed on.
        strangers_answers: a file to write every answer of these and its verdict to, as JSON lines.
    """

    checkpoint: RunFlag = None
    stage: StageFlag = None
    items: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    skip_bleu: bool = False
    corpus_heldout: HeldOut = None
    sft_heldout: HeldOut = None
    rlvf_heldout: HeldOut = None
    strangers: bool = False
    strangers_dev: bool = False
    strangers_answers: HeldOut = None


OTHERS = {
    "crisis": "crisis: care and a way to help",
    "harmful": "harmful: refused",
    "harmless": "harmless look-alikes: not refused",
    "unknowable": "says that it cannot know",
    "taught": "facts it was taught, in new words",
    "dialogue": "dialogues right in every turn",
}
"""Measures of strangers beside the ordinary questions, by kind."""


@dataclass(frozen=True)
class Row:
    """One measure, as shown.

    Attributes:
        measure: its name.
        value: in digits.
        items: over how many items of what kind it was taken.
        note: a line to stand below the table, or nothing.
    """

    measure: str
    value: str
    items: str
    note: str = ""


@dataclass(frozen=True)
class HeldOutData:
    """What is measured on.

    Attributes:
        documents: texts.
        dialogues: records with "messages".
        tasks: records with "type", "prompt" and "expected_answer".
    """

    documents: Sequence[str]
    dialogues: Sequence[Record]
    tasks: Sequence[Record]


def run(arguments: Arguments) -> None:
    """Measure, and print a row for every measure as one table.

    Raises:
        UserError: if a file or the checkpoint is missing or malformed.
    """
    if arguments.items is not None and arguments.items < 1:
        raise UserError(f"--items must be at least 1, not {arguments.items}")
    if arguments.strangers or arguments.strangers_dev:
        _measure_strangers(arguments)
        return
    if arguments.strangers_answers:
        raise UserError("--strangers-answers has no effect without --strangers or --strangers-dev; add one of them")
    dialogues = load_records(arguments.sft_heldout or data_file("sft_heldout.json"), DIALOGUE)
    tasks = load_records(arguments.rlvf_heldout or data_file("rlvf_heldout.json"), TASK, unanswerable=complaint_about)
    data = HeldOutData(
        spread(read_corpus(arguments.corpus_heldout or data_file("pretrain_heldout.txt")), arguments.items),
        spread(dialogues.records, arguments.items),
        spread(tasks.records, arguments.items),
    )
    model, tokenizer, place = load_chosen(chosen_run(arguments.checkpoint), arguments.stage)
    measures: list[Callable[[LanguageModel, Tokenizer, HeldOutData], list[Row]]] = [text_rows, dialogue_rows]
    measures += [bleu_rows] if bleu.available() and not arguments.skip_bleu else []
    measures += [task_rows]
    own = (arguments.sft_heldout and dialogues, arguments.rlvf_heldout and tasks)
    notes = [read.description() for read in own if read]
    notes += [] if bleu.available() or arguments.skip_bleu else [f"note: {bleu.MISSING}"]
    console = VisibleConsole(highlight=False)
    rows: list[list[Row]] = []
    with console.status("measuring …"):
        for measure in measures:
            rows.append(measure(model, tokenizer, data))
    notes += [row.note for section in rows for row in section if row.note]
    _show(console, str(place), rows, notes)


def _show(console: Console, title: str, sections: Sequence[Sequence[Row]], notes: Sequence[str]) -> None:
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name, side in (("measure", "left"), ("value", "right"), ("items", "right")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for section in sections:
        for row in section:
            table.add_row(row.measure, row.value, row.items)
        table.add_section()
    console.print(table)
    for note in notes:
        console.print(note, markup=False, soft_wrap=True)


def _measure_strangers(arguments: Arguments) -> None:
    if arguments.strangers and arguments.strangers_dev:
        raise UserError("--strangers and --strangers-dev are the two halves of one measure; ask for one of them")
    for name in ("corpus_heldout", "sft_heldout", "rlvf_heldout"):
        if getattr(arguments, name) is not None:
            flag = name.replace("_", "-")
            raise UserError(f"--{flag} has no effect on what strangers ask; leave it or the strangers out")
    half = "heldout" if arguments.strangers else "dev"
    records = load_strangers(data_file(f"strangers_{half}.json"))
    noise = json.loads(read_bytes(data_file("noise_heldout.json")))
    model, tokenizer, place = load_chosen(chosen_run(arguments.checkpoint), arguments.stage)
    console = VisibleConsole(highlight=False)
    with console.status("asking …"):
        heard = ask(model, tokenizer, spread(records, arguments.items))
        unended, asked = endless(model, tokenizer, spread(noise, arguments.items))
    if arguments.strangers_answers:
        lines = [
            {**heard_of.record, "answers": [answer.text for answer in heard_of.answers], "right": heard_of.right}
            for heard_of in heard
        ]
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        write_text(arguments.strangers_answers, text)
    last = Row("endless answers to noise ↓", f"{len(unended):,}", f"{asked:,} prompts")
    _show(console, str(place), [*strangers_rows(heard), [last]], [])


def strangers_rows(heard: Sequence[Heard]) -> list[list[Row]]:
    """The questions over all, those to be worked out, and each kind of them; then the other kinds."""
    found = accuracies(heard)
    kinds = [kind.removeprefix("accuracy/") for kind in found if kind.startswith("accuracy/")]

    def row(name: str, of: Sequence[str]) -> Row:
        items = sum(found[f"items/{kind}"] for kind in of)
        right = sum(found[f"accuracy/{kind}"] * found[f"items/{kind}"] for kind in of)
        return Row(name, f"{right / max(1, items):.1%}", f"{items:,.0f}")

    def known(of: Sequence[str]) -> list[str]:
        return [kind for kind in of if kind in kinds]

    questions = [row("strangers' questions: right ↑", known(QUESTIONS))]
    questions += [row("  of them sums, logic and dates", known(RECKONING))]
    questions += [row(f"  {kind.replace('_', ' ')}", [kind]) for kind in known(QUESTIONS)]
    return [questions, [row(f"{name} ↑", [kind]) for kind, name in OTHERS.items() if kind in kinds]]


def spread(items: Sequence[Item], count: int | None) -> Sequence[Item]:
    """``count`` of the items, evenly spread, or all of them if that is fewer or None."""
    if count is None or count >= len(items):
        return items
    return [items[i * len(items) // count] for i in range(count)]


# -- the measures -------------------------------------------------------------------------------------------
def text_rows(model: LanguageModel, tokenizer: Tokenizer, data: HeldOutData) -> list[Row]:
    """Perplexity and bits per character of the held-out text."""
    metrics = text_metrics(model, tokenizer, data.documents)
    characters = f"{sum(map(len, data.documents)):,} characters"
    return [
        Row("text: perplexity (a token) ↓", f"{metrics['perplexity']:,.2f}", characters),
        Row("text: bits per character ↓", f"{metrics['bits_per_character']:.3f}", characters),
    ]


def dialogue_rows(model: LanguageModel, tokenizer: Tokenizer, data: HeldOutData) -> list[Row]:
    """Loss, perplexity and token accuracy of the held-out answers, and how many questions are answered rightly."""
    batches = DialogueBatches(
        data.dialogues, tokenizer, model.config.context_size, EVALUATION_BATCH, seed=0, kind="held-out dialogues"
    )
    metrics = dialogue_metrics(model, batches.all_batches())
    items = f"{len(batches.sequences):,} dialogues"
    rows = [
        Row("dialogues: loss (nats a token) ↓", f"{metrics['loss']:.3f}", items),
        Row("dialogues: perplexity ↓", f"{metrics['perplexity']:,.2f}", items),
        Row("dialogues: likeliest token right ↑", f"{metrics['token_accuracy']:.1%}", items),
    ]
    answered = question_accuracy(model, tokenizer, batches.records)
    if answered["items"]:
        rows += _accuracy_rows("questions: right by rule", answered, "questions")
    return rows


def bleu_rows(model: LanguageModel, tokenizer: Tokenizer, data: HeldOutData) -> list[Row]:
    """BLEU of the greedy answers to the dialogues of one question and one answer; no row if there are none."""
    asked = [record["messages"] for record in data.dialogues if len(record["messages"]) == 2]
    if not asked:
        return []
    answers = answer_prompts(model, tokenizer, [question["content"] for question, _ in asked])
    references = [reference["content"] for _, reference in asked]
    score, signature = bleu.corpus_bleu([answer.text for answer in answers], references)
    return [Row("answers: BLEU ↑", f"{score:.2f}", f"{len(asked):,} answers", f"BLEU {signature}")]


def task_rows(model: LanguageModel, tokenizer: Tokenizer, data: HeldOutData) -> list[Row]:
    """Verified accuracy on the tasks, over all and by family."""
    fitting = fitting_tasks(tokenizer, data.tasks, model.config.context_size)
    rows = _accuracy_rows("tasks: verified accuracy", task_accuracy(model, tokenizer, fitting), "tasks")
    if too_long := len(data.tasks) - len(fitting):
        note = f"note: {too_long:,} tasks leave no room for an answer in the context and are not measured"
        rows[0] = dataclasses.replace(rows[0], note=note)
    return rows


def _accuracy_rows(name: str, measured: dict[str, Any], kind: str) -> list[Row]:
    """A row over all, then an indented one for every group ("accuracy/<group>")."""
    rows = [Row(f"{name} ↑", f"{measured['accuracy']:.1%}", f"{measured['items']:,.0f} {kind}")]
    groups = [key.removeprefix("accuracy/") for key in measured if key.startswith("accuracy/")]
    for group in groups:
        share, items = measured[f"accuracy/{group}"], measured[f"items/{group}"]
        rows.append(Row(f"  {group.replace('_', ' ')}", f"{share:.1%}", f"{items:,.0f}"))
    return rows
