"""Stage 2, supervised fine-tuning: from a model that continues text to one that answers.

    loss = -mean over the assistant's tokens of log p(token | all before it)      (Ouyang et al. 2022, sec. 3.5)

What the user says is context, not a target; the end of the assistant's turn is a target, so that the
model learns to stop.
"""

from __future__ import annotations

from collections.abc import Sequence

from scratchgpt.config import GPTConfig, SFTConfig
from scratchgpt.datasets.batches import DialogueBatches
from scratchgpt.datasets.records import Record
from scratchgpt.datasets.sources import DataSources
from scratchgpt.evaluation.answering import answer_prompts, answered
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
from scratchgpt.stages.stage import SAMPLES, Context, Measures, Setup, Stage, accuracies, tasks_to_measure
from scratchgpt.stages.warning_signs import supervised_signs
from scratchgpt.stages.work import LONGEST_ANSWER, Outlook, Piece, Work, batches, measurements
from scratchgpt.tokenizer import Tokenizer
from scratchgpt.training.history import History, Metrics
from scratchgpt.training.trainer import Trainer
from scratchgpt.training.update import language_model_step

PROGRESS_TASKS = 200
"""Held-out tasks that a measurement on the way looks at; the report looks at all."""


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
    ) -> None:
        super().__init__()
        self.model, self.tokenizer, self.settings, self.seed = model, tokenizer, sft_config, seed
        self.tasks = tasks[:: max(1, len(tasks) // PROGRESS_TASKS)]
        self.batches = DialogueBatches(dialogues, tokenizer, config.context_size, sft_config.batch_size, seed)
        self.heldout = DialogueBatches(
            heldout, tokenizer, config.context_size, EVALUATION_BATCH, seed, "held-out dialogues"
        )
        self.prompt = self.heldout.records[0]["messages"][0]["content"]
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
        return f"{self.prompt} -> {answer_prompts(self.model, self.tokenizer, [self.prompt])[0].text}"


def _build(context: Context) -> Setup:
    dialogues, heldout = context.data.dialogues()
    model, tokenizer = context.model, context.tokenizer
    tasks = tasks_to_measure("sft", context)
    trainer = SFTTrainer(model, tokenizer, model.config, context.settings, dialogues, heldout, tasks, context.seed)
    for kind, taken in (("dialogues", trainer.batches), ("held-out dialogues", trainer.heldout)):
        if taken.too_long:
            context.say(f"sft: {taken.too_long} {kind} exceed the context and are left out")
    measured = trainer.heldout.records
    context.say(f"sft: {len(trainer.batches.sequences):,} dialogues, {len(trainer.batches.shown):,} shown an epoch")
    prompts = list(dict.fromkeys(record["messages"][0]["content"] for record in measured))[:SAMPLES]

    def measure() -> Measures:
        return {
            "dialogue loss": (trainer.heldout_metrics()["loss"], len(measured)),
            **accuracies("right answers to questions", question_accuracy(model, tokenizer, measured)),
            **accuracies("verified accuracy on tasks", task_accuracy(model, tokenizer, tasks)),
        }

    return Setup(trainer, model, tokenizer, measure, lambda: answered(model, tokenizer, prompts))


def _work(outlook: Outlook) -> Work:
    dialogues, heldout = outlook.read_by(DataSources.dialogues)
    tasks, settings = outlook.read_by(measured_tasks), outlook.settings
    shown = sum(int(record.get("weight", 1)) for record in dialogues)
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
    return Work(steps, pieces)


SFT = Stage(
    name="sft",
    title_zh="监督微调",
    title_en="Supervised fine-tuning",
    directory="sft",
    config=SFTConfig,
    reads=(DataSources.dialogues, measured_tasks),
    build=_build,
    work=_work,
    follows=("pretrain",),
    from_nothing=True,
    questions=3,
)
