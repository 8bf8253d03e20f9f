"""What a run is asked to do: stages, settings, places, data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from scratchgpt.datasets.sources import DataSources
from scratchgpt.errors import UserError
from scratchgpt.stages import ALL, stage_named
from scratchgpt.stages.presets import Preset
from scratchgpt.stages.run_folder import is_finished
from scratchgpt.stages.stage import Stage

MAX_TOKEN_LENGTH = 12
"""Bytes of the longest token: four Han characters, as long as nearly all Chinese words and idioms are."""


@dataclass(frozen=True)
class Plan:
    """What to run: stages, settings, places, data.

    Attributes:
        stages: the names of the stages, in order.
        preset: the model's sizes and the settings of every stage.
        out: the folder that the run writes to.
        base: the folder of another run, with whose model the first stage starts; None means ``out``.
        base_stage: the finished stage there that it starts from; None means one that it follows, and for pretraining
            the pretrained model, which then goes on with its own tokenizer.
        tokenizer: "bpe" or "char".
        resume: pass over finished stages, and go on with one that was interrupted.
        keep: which model of a stage becomes its checkpoint where they differ, that of the last step or that of the
            best measurement; the other one is kept beside it.
        early_stop: end a stage after so many measurements in a row without a better one; None: make all its steps.
        data: what the stages read.
        ignore_memory_limit: run even if it takes more memory than there seems to be.

    Raises:
        UserError: if the parts do not go together.
    """

    stages: tuple[str, ...]
    preset: Preset
    out: Path
    base: Path | None = None
    base_stage: str | None = None
    tokenizer: str = "bpe"
    resume: bool = False
    keep: Literal["best", "last"] = "last"
    early_stop: int | None = None
    data: DataSources = field(default_factory=DataSources)
    ignore_memory_limit: bool = False

    def __post_init__(self) -> None:
        if self.early_stop is not None and self.early_stop < 1:
            raise UserError(f"--early-stop must be at least 1 measurement, not {self.early_stop}")
        if self.base_stage is not None and stage_named(self.base_stage).writes is None:
            raise UserError(f"--base {self.base}:{self.base_stage}: that model writes no text; name another stage")
        made = self._starts()[0]
        if self.base is not None and self.base.absolute() == self.out.absolute() and _comes_after(made, self.stages[0]):
            raise UserError(
                f"--base {self.base}:{made}: {self.stages[0]} would take the place of what that was made from; "
                "name another folder with --out"
            )
        if self.preset.running_text and (self.stages != ("pretrain",) or self.data.corpus is None):
            raise UserError(
                "this preset measures language modelling on a text of your own and nothing else; "
                "run it with --stage pretrain --corpus FILE"
            )

    @property
    def seed(self) -> int:
        """Of everything that is random in the run, the choice of held-out data included."""
        return self.data.seed

    def start_of(self, stage: Stage) -> tuple[Path, str] | None:
        """Where the stage would start from now.

        Returns:
            The folder of a run and the name of a finished stage there; None if there is none that it follows.
        """
        if self.base is not None and stage.name == self.stages[0]:
            source, names = self.base, self._starts()
        else:
            source, names = self.out, stage.follows
        return next(((source, name) for name in names if is_finished(source, name)), None)

    def _starts(self) -> tuple[str, ...]:
        """The stages that the first one may start from where a base is given, the best first."""
        first = stage_named(self.stages[0])
        return (self.base_stage,) if self.base_stage else first.follows or (first.name,)


def _comes_after(made: str, stage: str) -> bool:
    """Whether a stage is the other one or comes after it."""
    names = [one.name for one in ALL]
    return names.index(made) >= names.index(stage)
