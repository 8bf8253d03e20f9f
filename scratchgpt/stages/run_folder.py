"""The folder that a run writes to: which stages are finished there, and their models.

    <out>/pretrain/ sft/ reward_model/ rlhf/ rlvf/    finished stages: model and tokenizer, Hugging Face layout, and
                                                      the stage's result: all of it appears in one rename
    <out>/<stage>/best/ or last/                      the other model of a stage that had a better one on its way
    <out>/<stage>.ruined/                             what a stage that broke the model left instead, for looking into
    <out>/<stage>.partial.safetensors                 an unfinished stage: weights, optimizer moments, step
    <out>/logs/<stage>.jsonl                          one line a step; <stage>.ruined.jsonl: of the ruined one;
                                                      <stage>.previous.jsonl: of the finished one, while it is
                                                      trained anew
    <out>/run.json                                    whose run it is (scratchgpt.runs.record)
    <out>/run.lock                                    while a run writes there (scratchgpt.runs.lock)

A stage is asked for here by its name on the command line; a name that no stage has is a UserError.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from scratchgpt.errors import UserError
from scratchgpt.installation import SHIPPED_RUN, typed
from scratchgpt.models.base import LanguageModel
from scratchgpt.stages import stage_named, writing_stages
from scratchgpt.tokenizer import Tokenizer
from scratchgpt.training.checkpoints import finished, load_checkpoint, recovered, replacing

DEFAULT_RUN = Path("checkpoints")
"""Where training writes unless told otherwise: a folder of the current directory."""


def stage_directory(out: Path, stage: str) -> Path:
    """Where the stage's finished checkpoint lies (or would lie)."""
    return recovered(out / stage_named(stage).directory)


def partial_file(out: Path, stage: str) -> Path:
    """Where the stage's unfinished state lies (or would lie)."""
    return out / f"{stage_named(stage).directory}.partial.safetensors"


def log_file(out: Path, stage: str) -> Path:
    """Where the stage's log lies (or would lie)."""
    return out / "logs" / f"{stage}.jsonl"


def new_checkpoint(out: Path, stage: str) -> AbstractContextManager[Path]:
    """An empty directory to save the stage's checkpoint in; it takes the old one's place if the block succeeds.

    Raises:
        UserError: if the disk is full or may not be written; the old checkpoint is unchanged then.
    """
    return replacing(stage_directory(out, stage))


def new_ruined_checkpoint(out: Path, stage: str) -> AbstractContextManager[Path]:
    """An empty directory beside the stage's checkpoint, to save a model in that must not take its place.

    Raises:
        UserError: if the disk is full or may not be written.
    """
    return replacing(ruined_directory(out, stage))


def ruined_directory(out: Path, stage: str) -> Path:
    """Where the model lies (or would lie) that the stage broke."""
    return out / f"{stage_named(stage).directory}.ruined"


def set_log_aside(out: Path, stage: str) -> None:
    """Keep the log of the finished stage until what is trained anew has taken its place, or has not."""
    log, kept = log_file(out, stage), _kept_log(out, stage)
    if not is_finished(out, stage):
        kept.unlink(missing_ok=True)
    elif log.is_file() and not kept.is_file():  # one that is kept is the finished stage's: the other was broken off
        log.replace(kept)


def drop_log_set_aside(out: Path, stage: str) -> None:
    """The stage that was trained anew has taken the older one's place."""
    _kept_log(out, stage).unlink(missing_ok=True)


def bring_log_back(out: Path, stage: str) -> None:
    """The stage that was trained anew is ruined: its log goes aside, and that of the older one, if any, is back."""
    log = log_file(out, stage)
    log.replace(log.with_name(f"{stage}.ruined.jsonl"))
    recover_log(out, stage)


def recover_log(out: Path, stage: str) -> None:
    """Put the log that was set aside, if any, back in its place: the older checkpoint is the one that counts."""
    kept = _kept_log(out, stage)
    if kept.is_file():
        kept.replace(log_file(out, stage))


def _kept_log(out: Path, stage: str) -> Path:
    return out / "logs" / f"{stage}.previous.jsonl"


def is_finished(out: Path, stage: str) -> bool:
    """Whether a finished checkpoint of the stage is there."""
    return finished(out / stage_named(stage).directory)


def finished_directory(out: Path, stage: str) -> Path:
    """Where the stage's finished checkpoint lies.

    Raises:
        UserError: if there is none, naming the command that makes one.
    """
    directory = stage_directory(out, stage)
    if not is_finished(out, stage):
        raise UserError(
            f"{directory}: no checkpoint here yet; make one with: {typed('train')} --stage {stage} --out {out}"
        )
    return directory


def load_model(out: Path, stage: str) -> tuple[LanguageModel, Tokenizer]:
    """A finished stage's model and tokenizer.

    Raises:
        UserError: if the stage is not finished (naming the command that runs it), or if the model's
            vocabulary is not the tokenizer's.
    """
    return load_checkpoint(finished_directory(out, stage))


def finished_writers(out: Path) -> list[str]:
    """The names of the finished stages whose model writes, most advanced first."""
    return [stage.name for stage in writing_stages() if is_finished(out, stage.name)]


def run_to_read(named: Path | None) -> Path:
    """The folder of the run that a command reads from.

    Args:
        named: by the user, or None.

    Returns:
        What was named; else the folder that training writes to by default, as soon as a model that writes is finished
        there; until then the run that travels with the package.
    """
    if named is not None:
        return named
    return DEFAULT_RUN if finished_writers(DEFAULT_RUN) or not finished_writers(SHIPPED_RUN) else SHIPPED_RUN


def most_advanced_stage(out: Path) -> str:
    """The name of the last finished stage whose model writes.

    Raises:
        UserError: if there is none, naming the command that makes one.
    """
    for stage in finished_writers(out):
        return stage
    raise UserError(f"{out}: no checkpoint yet; train one with: {typed('train')} --stage all --out {out}")
