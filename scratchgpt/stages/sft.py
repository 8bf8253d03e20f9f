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
from scratchgpt.evaluation.answering import answer_prompts
from scratchgpt.evaluation.measures import EVALUATION_BATCH, dialogue_metrics, task_accuracy
from scratchgpt.models.gpt2 import GPT
from scratchgpt.nn.optimizers import AdamW
from scratchgpt.nn.schedules import linear_schedule, total_steps
from scratchgpt.tokenizer import Tokenizer
from scratchgpt.training.history import Metrics
from scratchgpt.training.trainer import Trainer
from scratchgpt.training.update import language_model_step

PROGRESS_TASKS = 200
"""Held-out tasks that a measurement on the way looks at; the report looks at all."""


class SFTTrainer(Trainer):
    """Trains a GPT on dialogues.

    Args:
        model: the GPT, trained in place.
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
        model: GPT,
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
        self.heldout = DialogueBatches(heldout, tokenizer, config.context_size, EVALUATION_BATCH, seed)
        self.prompt = heldout[0]["messages"][0]["content"]
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

    def sample(self) -> str:
        """A question and the model's answer."""
        return f"{self.prompt} -> {answer_prompts(self.model, self.tokenizer, [self.prompt])[0].text}"
