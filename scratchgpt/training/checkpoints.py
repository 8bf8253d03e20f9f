"""Checkpoints: directories and files written so that an interruption loses nothing, and read again.

A finished directory appears whole or not at all: it is written beside its place and then renamed.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from scratchgpt.errors import UserError
from scratchgpt.files import previous, replacing_directory, replacing_file
from scratchgpt.installation import typed
from scratchgpt.models.architectures import load_language_model
from scratchgpt.models.base import LanguageModel
from scratchgpt.models.huggingface import WEIGHTS_FILE
from scratchgpt.models.reward import RewardModel
from scratchgpt.models.weights import save_arrays
from scratchgpt.tokenizer import Tokenizer, load_tokenizer


def finished(directory: Path) -> bool:
    """Whether a finished checkpoint lies there."""
    return (recovered(directory) / WEIGHTS_FILE).is_file()


def recovered(directory: Path) -> Path:
    """The directory, back in its place if :func:`replacing` was interrupted between its two renames."""
    aside = previous(directory)
    if aside.exists() and not directory.exists():
        aside.rename(directory)
    return directory


@contextmanager
def full_disk_is_a_user_error(target: Path) -> Iterator[None]:
    """Turn the errors of a full or read-only disk into one line about ``target``.

    Raises:
        UserError: if writing inside the block fails for such a reason; other errors are passed on.
    """
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}:
            raise UserError(f"{target}: cannot be written ({error.strerror}); what was there is unchanged") from None
        raise
    except safetensors.SafetensorError as error:  # the library wraps the operating system's error as text
        raise UserError(f"{target}: cannot be written ({error}); what was there is unchanged") from None


@contextmanager
def replacing(directory: Path) -> Iterator[Path]:
    """Replace a directory as a whole: it appears filled or not at all.

    Yields:
        An empty directory to fill; it takes the place of ``directory`` if the block succeeds.

    Raises:
        UserError: if the disk is full or may not be written; ``directory`` is unchanged then.
    """
    with full_disk_is_a_user_error(directory), replacing_directory(directory) as fresh:
        yield fresh


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], metadata: dict[str, str]) -> None:
    """Write a safetensors file in one step: it is the old one or the new one, never half of one.

    Raises:
        UserError: if the disk is full or may not be written; the file is unchanged then.
    """
    with full_disk_is_a_user_error(path), replacing_file(path) as fresh:
        save_arrays(fresh, arrays, metadata)


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays and metadata of a file that :func:`write_arrays` wrote.

    Raises:
        UserError: if the file is damaged.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"{path}: damaged ({error}); delete it and start the stage anew") from None


def load_checkpoint(directory: Path) -> tuple[LanguageModel, Tokenizer]:
    """The model and the tokenizer that lie in a directory.

    Raises:
        UserError: if a file is missing or damaged, or if the model's vocabulary is not the tokenizer's.
    """
    model, tokenizer = load_language_model(directory), load_tokenizer(directory)
    check_vocabulary(model.config.vocab_size, tokenizer, directory)
    return model, tokenizer


class OtherTokenizerError(UserError):
    """The reward model reads other tokens than the policy writes."""


def load_reward_model(directory: Path, tokenizer: Tokenizer) -> RewardModel:
    """The reward model that lies in a directory.

    Raises:
        OtherTokenizerError: if its tokenizer is not, whole and exactly, the policy's, which is given: one id that
            stands for another text, and the scores would be those of other answers.
        UserError: if a file is missing or damaged, or if the model's vocabulary is not its tokenizer's.
    """
    model, own = RewardModel.from_pretrained(directory), load_tokenizer(directory)
    check_vocabulary(model.config.vocab_size, own, directory)
    if own.contents() != tokenizer.contents():
        raise OtherTokenizerError(
            f"{directory}: the reward model has another tokenizer than the policy; "
            f"train it again with: {typed('train')} --stage reward --out {directory.parent}"
        )
    return model


def check_vocabulary(vocab_size: int, tokenizer: Tokenizer, where: Path) -> None:
    """See that the model has a row for each of the tokenizer's ids.

    Args:
        vocab_size: rows of the model's token table.
        tokenizer: the one that lies beside it.
        where: their directory, for the message.

    Raises:
        UserError: if the model has fewer rows than the tokenizer has ids.
    """
    if tokenizer.vocab_size > vocab_size:
        raise UserError(
            f"{where}: the tokenizer has {tokenizer.vocab_size} entries and the model {vocab_size}; "
            f"they are not of one run, train both again with: {typed('train')} --stage all"
        )
