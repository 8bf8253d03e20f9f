"""What is walked through: a checkpoint that training left, or a small fresh model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scratchgpt.config import GPTConfig
from scratchgpt.datasets.corpus import read_corpus
from scratchgpt.errors import UserError
from scratchgpt.installation import data_file
from scratchgpt.models.base import LanguageModel
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.huggingface import CONFIG_FILE
from scratchgpt.stages.checkpoint_choice import load_chosen
from scratchgpt.stages.run_folder import is_finished, load_model, stage_directory
from scratchgpt.tokenizer import CharTokenizer, Tokenizer

FRESH_TEXT = 20_000
"""Characters of the project's own text that give a fresh model its vocabulary."""
FRESH_STEP, TRAINED_STEP = 1e-3, 1e-5
"""Learning rates of the one optimizer step that is shown. AdamW's first step moves every number by this much, whatever
its gradient, and a trained model of millions of numbers changes a great deal by little."""


@dataclass(frozen=True)
class Subject:
    """A model, its tokenizer, and where they come from (None: fresh, untrained)."""

    model: LanguageModel
    tokenizer: Tokenizer
    directory: Path | None

    @property
    def learning_rate(self) -> float:
        """Of the one optimizer step that is shown."""
        return FRESH_STEP if self.directory is None else TRAINED_STEP


def load_subject(checkpoint: Path | None, texts: Iterable[str], seed: int) -> Subject:
    """The pretrained model of a run, one model's own, or a fresh one.

    Args:
        checkpoint: the folder of a run, or of one model; None means a fresh model.
        texts: what a fresh model's vocabulary must know.
        seed: of a fresh model's weights.

    Raises:
        UserError: if a checkpoint was named and there is none, or it is not a language model.
    """
    if checkpoint is None:
        return fresh_subject(texts, seed)
    return Subject(*load_chosen(checkpoint, plain_text=True))


def stage_folder(checkpoint: Path | None) -> Path | None:
    """The folder of the run whose stage is walked through; None, as it came, means that a fresh model is due.

    Raises:
        UserError: if one model's own folder was named.
    """
    if checkpoint is not None and (checkpoint / CONFIG_FILE).is_file():
        raise UserError(
            f"{checkpoint}: is one model; --stage needs the folder of a run, which holds sft, reward_model, …"
        )
    return checkpoint


def load_stage(run: Path, stage: str) -> Subject:
    """A finished stage's language model.

    Raises:
        UserError: if the stage is not finished, naming the command that runs it.
    """
    return Subject(*load_model(run, stage), stage_directory(run, stage))


def load_first(run: Path, stages: Sequence[str]) -> Subject | None:
    """The first of the stages that is finished, or None."""
    return next((load_stage(run, stage) for stage in stages if is_finished(run, stage)), None)


def fresh_subject(texts: Iterable[str], seed: int, context_size: int = 64) -> Subject:
    """A model of 2 layers, 4 heads and 32 channels with random weights; each character is a token."""
    tokenizer = CharTokenizer()
    tokenizer.build_vocab([*texts, "user assistant\n 0123456789+-=", _own_text()])
    config = GPTConfig(
        tokenizer.vocab_size, emb_dim=32, num_heads=4, num_layers=2, context_size=context_size, dropout=0.0
    )
    return Subject(GPT(config, seed), tokenizer, None)


def _own_text() -> str:
    return "\n\n".join(read_corpus(data_file("pretrain_data.txt")))[:FRESH_TEXT]
