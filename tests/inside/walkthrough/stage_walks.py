"""The walk through a stage, as its tests ask for it."""

from __future__ import annotations

from scratchgpt.cli.commands.walkthrough import Arguments, pages_of
from scratchgpt.inside.walkthrough.page import Page

STAGES = {"sft": 4, "reward": 6, "ppo": 6, "rlvf": 4}
"""How many pages each has."""


def pages(stage: str, **flags: object) -> list[Page]:
    """The pages of a stage, with these flags of the command; of a fresh model, unless they name a checkpoint."""
    return pages_of(Arguments(stage=stage, fresh="checkpoint" not in flags, **flags))
