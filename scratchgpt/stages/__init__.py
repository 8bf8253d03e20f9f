"""The training stages, one file each. ``ALL`` is the one list of them, in the order they run."""

from __future__ import annotations

from scratchgpt.errors import UserError
from scratchgpt.stages.pretrain import PRETRAIN
from scratchgpt.stages.reward import REWARD
from scratchgpt.stages.rlhf import RLHF
from scratchgpt.stages.rlvf import RLVF
from scratchgpt.stages.sft import SFT
from scratchgpt.stages.stage import Stage

ALL: list[Stage] = [PRETRAIN, SFT, REWARD, RLHF, RLVF]
"""Every stage there is. A further one is a further entry."""


def stage_named(name: str) -> Stage:
    """The stage of that name.

    Raises:
        UserError: if there is none, naming those there are.
    """
    for stage in ALL:
        if stage.name == name:
            return stage
    raise UserError(f"there is no stage {name!r}; choose one of {', '.join(stage.name for stage in ALL)}")


def writing_stages() -> list[Stage]:
    """The stages whose model writes, most advanced first."""
    return [stage for stage in reversed(ALL) if stage.writes]
