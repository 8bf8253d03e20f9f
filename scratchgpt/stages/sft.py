"""Stage 2, supervised fine-tuning: from a model that continues text to one that answers.

    loss = -mean over the assistant's tokens of log p(token | all before it)      (Ouyang et al. 2022, sec. 3.5)

What the user says is context, not a target; the end of the assistant's turn is a target, so that the
model learns to stop.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from scratchgpt.config import GPTConfig, SFTConfig
from scratchgpt.datasets.batches import DialogueBatches
from scratchgpt.datasets.records import Record, prompt_of, question_of
from scratchgpt.datasets.sources import DataSources
from scratchgpt.evaluation.answering import ANSWER_BATCH, answer_prompts, answered, encode_question
from scratchgpt.evaluation.measures import (
    EVALUATION_BATCH,
    dialogue_metrics,
    measured_tasks,
    question_accuracy,
    task_accuracy,
)
from scratchgpt.models.base import LanguageModel
from scratchgpt.nn.optimizers import AdamW
from scratchgpt.nn.schedules import linear_schedule, total_steps
from scratchgpt.stages.stage import SAMPLES, Context, Measures, Setup, Sizes, Stage, accuracies, tasks_to_measure
from scratchgpt.stages.warning_signs import supervised_signs
from scratchgpt.stages.work import LONGEST_ANSWER, Outlook, Piece, Work, batches, measurements
from scratchgpt.tokenizer import Tokenizer
from scratchgpt.training.history import History, Metrics
from scratchgpt.training.memory import (
    Parts,
    generating,
    held_models,
    language_model_pass,
    measuring_loss,
    packed_weights,
    together,
)
from scratchgpt.training.trainer import Trainer
from scratchgpt.training.update import language_model_step

PROGRESS_TASKS = 200
"""Held-out tasks that a measurement on the way looks at; the report looks at all."""
REHEARSED = 4000
"""Of the project's dialogues, that a model answers itself before they are mixed in, at most: a minute or so."""


class SFTTrainer(Trainer):
    """Trains a language model on dialogues.

    Args:
        model: the language model, trained in place.
        tokenizer: made for the same vocabulary.
        config: the model's sizes.
        sft_config: settings of the stage.
        dialogues, heldout: records with ``messages`` to train on and to measure on.
        tasks: held-out tasks with a verifiable answer (may be empty).
        seed: of the order of the dialogues and of dropout.
        mixed_in, mix, strict: as :class:`DialogueBatches` has them.
    """

    name = "sft"
    stage_number = 2

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        config: GPTConfig,
        sft_config: SFTConfig,
        dialogues: Sequence[Record],
        heldout: Sequence[Record],
        tasks: Sequence[Record] = (),
        seed: int = 0,
        mixed_in: Sequence[Record] = (),
        mix: float = 0.0,
        strict: bool = False,
    ) -> None:
        super().__init__()
        self.model, self.tokenizer, self.settings, self.seed = model, tokenizer, sft_config, seed
        self.tasks = tasks[:: max(1, len(tasks) // PROGRESS_TASKS)]
        self.batches = DialogueBatches(
            dialogues,
            tokenizer,
            config.context_size,
            sft_config.batch_size,
            seed,
            mixed_in=mixed_in,
            mix=mix,
            strict=strict,
        )
        self.heldout = DialogueBatches(
            heldout, tokenizer, config.context_size, EVALUATION_BATCH, seed, "held-out dialogues", strict=strict
        )
        self.question, self.prompt = question_of(self.heldout.records[0]), prompt_of(self.heldout.records[0])
        self.total_steps = total_steps(sft_config.epochs, self.batches.steps_per_epoch)
        self.evaluate_every = sft_config.evaluate_every
        self.optimizer = AdamW(model.named_parameters(), sft_config.lr, weight_decay=sft_config.weight_decay)
        self.modules, self.optimizers = {"model": model}, {"model": self.optimizer}

    def step(self, index: int) -> Metrics:
        """One batch of dialogues, one update."""
        lr = linear_schedule(index, self.total_steps, self.settings.lr, self.settings.warmup_steps)
        self.model.reseed(self.seed, self.stage_number, index)
        batch = self.batches.batch(index)
        return language_model_step(self.model, self.optimizer, batch, lr, self.settings.max_grad_norm, self.world)

    def evaluate(self) -> Metrics:
        """Loss of the held-out answers, and the share of held-out tasks answered rightly."""
        metrics = self.heldout_metrics()
        if self.tasks:
            metrics.update(task_accuracy(self.model, self.tokenizer, self.tasks))
        return metrics

    def heldout_metrics(self) -> Metrics:
        """Loss, perplexity and token accuracy of the held-out answers."""
        return dialogue_metrics(self.model, self.heldout.all_batches())

    def warning_signs(self, history: History) -> dict[str, str]:
        """That the held-out loss has turned, and at the end that nothing was learned."""
        return supervised_signs(history.evaluations, self.total_steps)

    def sample(self) -> str:
        """A question and the model's answer."""
        return f"{self.question} -> {answer_prompts(self.model, self.tokenizer, [self.prompt])[0].text}"


def rehearsed(model: LanguageModel, tokenizer: Tokenizer, dialogues: Sequence[Record]) -> list[Record]:
    """Dialogues in which the answers are what the model itself says (pseudorehearsal: Robins 1995).

    What a model has learned since it first saw a dialogue, such as to show its working because that pays, is kept by
    its own answers and lost by the dialogue's. An answer that never comes to an end stays the dialogue's.

    Args:
        model, tokenizer: who answers, each turn after its own answers to those before.
        dialogues: records with ``messages``.
    """
    turns = [[dict(message) for message in record["messages"]] for record in dialogues]
    for number in range(max(map(len, turns))):
        speaking = [
            said
            for said in turns
            if number < len(said)
            and said[number]["role"] == "assistant"
            and len(encode_question(tokenizer, said[:number])) < model.config.context_size
        ]
        answers = answer_prompts(model, tokenizer, [said[:number] for said in speaking])
        for said, answer in zip(speaking, answers, strict=True):
            if answer.finished and answer.text:
                said[number]["content"] = answer.text
    return [{**record, "messages": said} for record, said in zip(dialogues, turns, strict=True)]


def _is_rehearsed(start: str | None) -> bool:
    """Whether the model of that stage answers already, so that it can answer itself what is mixed in."""
    return start is not None and start not in SFT.follows


def _rehearsals(own: Sequence[Record], epochs: float, mix: float, others: Sequence[Record]) -> int:
    """How many dialogues are answered so: as many as are shown in all, up to :data:`REHEARSED`."""
    return min(len(others), REHEARSED, math.ceil(_shown(own) * epochs * mix / (1 - mix)))


def _shown(records: Sequence[Record]) -> int:
    """Dialogues that an epoch shows."""
    return sum(int(record.get("weight", 1)) for record in records)


def _mixed_in(context: Context, own: Sequence[Record]) -> list[Record]:
    """The project's dialogues beside the user's own: answered by the model that is trained, if it answers already."""
    dialogues = context.data.dialogues_mixed_in()
    if not dialogues or not _is_rehearsed(context.start):
        return dialogues
    count = _rehearsals(own, context.settings.epochs, context.data.mix, dialogues)
    weights = np.array([int(record.get("weight", 1)) for record in dialogues], float)
    picks = np.random.default_rng(context.seed).choice(len(dialogues), count, False, weights / weights.sum())
    context.say(f"sft: the model answers {count:,} of the project's questions itself, to be reminded of what it knows")
    return rehearsed(context.model, context.tokenizer, [{**dialogues[i], "weight": 1} for i in picks])


def _build(context: Context) -> Setup:
    data = context.data
    dialogues, heldout = data.dialogues()
    model, tokenizer = context.model, context.tokenizer
    tasks = tasks_to_measure("sft", context)
    trainer = SFTTrainer(
        model,
        tokenizer,
        model.config,
        context.settings,
        dialogues,
        heldout,
        tasks,
        context.seed,
        mixed_in=_mixed_in(context, dialogues),
        mix=data.mix,
        strict=data.strict,
    )
    for kind, taken in (("dialogues", trainer.batches), ("held-out dialogues", trainer.heldout)):
        if taken.too_long:
            context.say(f"sft: {taken.too_long} {kind} exceed the context and are left out")
    measured = trainer.heldout.records
    context.say(f"sft: {len(trainer.batches.records):,} dialogues, {len(trainer.batches.shown):,} shown an epoch")
    if trainer.batches.drawn:
        drawn = f"{trainer.batches.drawn:,} of the project's own"
        context.say(f"sft: and {drawn} are mixed in, others in every epoch (--mix {data.mix:g})")
    asked: dict[str, str | list[dict[str, Any]]] = {}
    for record in measured:
        asked.setdefault(question_of(record), prompt_of(record))
    prompts = list(asked.values())[:SAMPLES]

    def measure() -> Measures:
        return {
            "dialogue loss": (trainer.heldout_metrics()["loss"], len(measured)),
            **accuracies("right answers to questions", question_accuracy(model, tokenizer, measured)),
            **accuracies("verified accuracy on tasks", task_accuracy(model, tokenizer, tasks)),
        }

    return Setup(trainer, model, tokenizer, measure, lambda: answered(model, tokenizer, prompts))


def _memory(sizes: Sizes) -> list[Parts]:
    model, (dialogues, heldout), tasks = sizes.model, sizes.data.dialogues(), measured_tasks(sizes.data)
    others = sizes.data.dialogues_mixed_in()

    def longest(records: Sequence[Record]) -> int:
        turns = max(len(record["messages"]) for record in records)
        return sizes.longest(("".join(turn["content"] for turn in record["messages"]) for record in records), turns)

    asked = [record["messages"][0]["content"] for record in heldout] + [task["prompt"] for task in tasks]
    held = together(held_models(model, 1, 1), {"packed weights": packed_weights(model)})
    moments = [
        *language_model_pass(model, sizes.settings.batch_size, longest([*dialogues, *others])),
        measuring_loss(model, longest(heldout)),
        generating(model, min(ANSWER_BATCH, max(SAMPLES, len(heldout), len(tasks))), sizes.longest(asked, 2)),
    ]
    return [together(held, moment) for moment in moments]


def lengths(data: DataSources, tokenizer: Tokenizer, context_size: int) -> str:
    """What does not fit the context, in words; empty if everything does.

    Raises:
        UserError: if nothing fits, or if the data are read strictly and something does not.
    """
    training, heldout = data.dialogues()
    left_out = [
        f"{batches.too_long:,} of {len(records):,} {kind} exceed the context of {context_size} tokens"
        for kind, records in (("dialogues", training), ("held-out dialogues", heldout))
        if (batches := DialogueBatches(records, tokenizer, context_size, 1, 0, kind, strict=data.strict)).too_long
    ]
    return " and ".join(left_out)


def _work(outlook: Outlook) -> Work:
    dialogues, heldout = outlook.read_by(DataSources.dialogues)
    tasks, settings = outlook.read_by(measured_tasks), outlook.settings
    others = outlook.read_by(DataSources.dialogues_mixed_in)
    shown = round(_shown(dialogues) / (1 - outlook.mix if others else 1))
    batch = min(settings.batch_size, shown)
    steps = total_steps(settings.epochs, batches(shown, batch))
    looks = measurements(steps, settings.evaluate_every)
    lengths, asked = outlook.dialogues(dialogues), outlook.questions([task["prompt"] for task in tasks])
    questions = sum("rubric" in record and len(record["messages"]) == 2 for record in heldout)
    some = min(PROGRESS_TASKS, len(tasks))
    pieces = [
        Piece("train", steps, batch, round(lengths.prompt + lengths.answer), round(lengths.answer)),
        outlook.reading((looks + 2) * len(heldout), 0, lengths.prompt + lengths.answer),
        # A model that has not seen a dialogue does not know where an answer ends.
        outlook.writing(some + len(tasks), asked, LONGEST_ANSWER),
        outlook.writing(questions, lengths.prompt, LONGEST_ANSWER),
        outlook.writing((looks - 1) * some + len(tasks), asked, lengths.answer),
        outlook.writing(questions, lengths.prompt, lengths.answer),
    ]
    if others and _is_rehearsed(outlook.start):
        known, count = outlook.dialogues(others), _rehearsals(dialogues, settings.epochs, outlook.mix, others)
        pieces.append(outlook.writing(count, known.prompt, known.answer))
    return Work(steps, pieces)


SFT = Stage(
    name="sft",
    title_zh="监督微调",
    title_en="Supervised fine-tuning",
    directory="sft",
    config=SFTConfig,
    reads=(DataSources.dialogues, DataSources.dialogues_mixed_in, measured_tasks),
    build=_build,
    lengths=lengths,
    work=_work,
    follows=("pretrain",),
    from_nothing=True,
    questions=3,
    memory=_memory,
)
