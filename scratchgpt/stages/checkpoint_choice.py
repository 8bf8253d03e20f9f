"""Which model a command works on: one model's folder, or a stage in the folder that training wrote to."""

from __future__ import annotations

from pathlib import Path

from scratchgpt.errors import UserError
from scratchgpt.models.architectures import load_language_model
from scratchgpt.models.base import LanguageModel
from scratchgpt.models.huggingface import CONFIG_FILE
from scratchgpt.models.reward import is_reward_model
from scratchgpt.stages import stage_named
from scratchgpt.stages.run_folder import finished_writers, load_model, most_advanced_stage
from scratchgpt.tokenizer import Tokenizer, load_tokenizer
from scratchgpt.training.checkpoints import check_vocabulary


def load_chosen(
    checkpoint: Path, stage: str | None = None, plain_text: bool = False
) -> tuple[LanguageModel, Tokenizer, Path]:
    """The model that ``--checkpoint`` and ``--stage`` mean.

    Args:
        checkpoint: the folder of one model, or the one that training wrote to.
        stage: of the latter, whose model, by the stage's name; None means the most advanced one.
        plain_text: the model is to read a text that is no dialogue. None then means the pretrained model, where
            there is one: those after it have learned dialogues, and to plain text they do no justice.

    Returns:
        The model, its tokenizer, and the folder of the two.

    Raises:
        UserError: if there is no such model or it cannot write.
    """
    if not (checkpoint / CONFIG_FILE).is_file():
        readers = [name for name in finished_writers(checkpoint) if stage_named(name).writes == "text"]
        base = readers[0] if plain_text and readers else None
        chosen = stage or base or most_advanced_stage(checkpoint)
        return *load_model(checkpoint, chosen), checkpoint / chosen
    if stage is not None:
        raise UserError(f"--stage {stage} has no effect: {checkpoint} is the folder of one model; leave it out")
    if is_reward_model(checkpoint):
        raise UserError(f"{checkpoint}: a reward model scores texts and writes none; choose another stage's folder")
    model, tokenizer = load_language_model(checkpoint), load_tokenizer(checkpoint)
    check_vocabulary(model.config.vocab_size, tokenizer, checkpoint)
    return model, tokenizer, checkpoint
