"""What a directory on disk means, and writing it so that an interruption loses nothing.

    <out>/pretrain/ sft/ reward_model/ rlhf/ rlvf/    finished stages: model and tokenizer, Hugging Face layout
    <out>/<stage>.partial.safetensors                 an unfinished stage: weights, optimizer moments, step
    <out>/logs/<stage>.jsonl                          one line a step

A finished directory appears whole or not at all: it is written beside its place and then renamed.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from scratchgpt.errors import UserError
from scratchgpt.models.architectures import load_language_model
from scratchgpt.models.base import LanguageModel
from scratchgpt.tokenizer import Tokenizer, load_tokenizer

STAGES = ("pretrain", "sft", "reward", "rlhf", "rlvf")
"""The stages in the order they run."""
STAGE_DIRECTORIES = {"pretrain": "pretrain", "sft": "sft", "reward": "reward_model", "rlhf": "rlhf", "rlvf": "rlvf"}
CHAT_STAGES = ("rlvf", "rlhf", "sft", "pretrain")
"""The stages whose checkpoint can talk, most advanced first."""
PREDECESSORS = {
    "sft": ("pretrain",),
    "reward": ("sft", "pretrain"),
    "rlhf": ("sft", "pretrain"),
    "rlvf": ("rlhf", "sft", "pretrain"),
}
"""The checkpoints a stage can start from, the best first."""


def stage_directory(out: Path, stage: str) -> Path:
    """Where the stage's finished checkpoint lies (or would lie)."""
    directory = out / STAGE_DIRECTORIES[stage]
    aside = _aside(directory)
    if aside.exists() and not directory.exists():  # interrupted between the two renames below
        aside.rename(directory)
    return directory


def partial_file(out: Path, stage: str) -> Path:
    """Where the stage's unfinished state lies (or would lie)."""
    return out / f"{STAGE_DIRECTORIES[stage]}.partial.safetensors"


def is_finished(out: Path, stage: str) -> bool:
    """Whether a finished checkpoint of the stage is there."""
    return (stage_directory(out, stage) / "model.safetensors").is_file()


def _aside(directory: Path) -> Path:
    return directory.with_name(directory.name + ".previous")


@contextmanager
def full_disk_is_a_user_error(target: Path) -> Iterator[None]:
    """Turn the errors of a full or read-only disk into one line about ``target``."""
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
    """Yield an empty directory to fill; it takes the place of ``directory`` if the block succeeds.

    Raises:
        UserError: if the disk is full or may not be written; ``directory`` is unchanged then.
    """
    fresh = directory.with_name(directory.name + ".writing")
    aside = _aside(directory)
    with full_disk_is_a_user_error(directory):
        try:
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(parents=True)
            yield fresh
            if directory.exists():
                shutil.rmtree(aside, ignore_errors=True)
                directory.rename(aside)
            fresh.rename(directory)
            shutil.rmtree(aside, ignore_errors=True)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], metadata: dict[str, str]) -> None:
    """Write a safetensors file in one step: it is the old one or the new one, never half of one.

    Raises:
        UserError: if the disk is full or may not be written; the file is unchanged then.
    """
    fresh = path.with_name(path.name + ".writing")
    with full_disk_is_a_user_error(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            safetensors.numpy.save_file({n: np.asarray(a, order="C") for n, a in arrays.items()}, fresh, metadata)
            os.replace(fresh, path)
        finally:
            fresh.unlink(missing_ok=True)


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


def load_model(out: Path, stage: str) -> tuple[LanguageModel, Tokenizer]:
    """A finished stage's model and tokenizer.

    Raises:
        UserError: if the stage is not finished (naming the command that runs it), or if the model's
            vocabulary is not the tokenizer's.
    """
    directory = stage_directory(out, stage)
    if not is_finished(out, stage):
        raise UserError(
            f"{directory}: no checkpoint here yet; make one with: python train.py --stage {stage} --out {out}"
        )
    model, tokenizer = load_language_model(directory), load_tokenizer(directory)
    check_vocabulary(model.config.vocab_size, tokenizer, directory)
    return model, tokenizer


def check_vocabulary(vocab_size: int, tokenizer: Tokenizer, where: Path) -> None:
    """Raise UserError if the model has fewer rows than the tokenizer has ids."""
    if tokenizer.vocab_size > vocab_size:
        raise UserError(
            f"{where}: the tokenizer has {tokenizer.vocab_size} entries and the model {vocab_size}; "
            "they are not of one run, train both again with: python train.py --stage all"
        )


def most_advanced_stage(out: Path) -> str:
    """The last finished stage that can talk.

    Raises:
        UserError: if there is none, naming the command that makes one.
    """
    for stage in CHAT_STAGES:
        if is_finished(out, stage):
            return stage
    raise UserError(f"{out}: no checkpoint yet; train one with: python train.py --stage all --out {out}")
