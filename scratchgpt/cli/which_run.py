"""Which run a command reads from, and saying so where the user has not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import tyro

from scratchgpt.errors import UserError
from scratchgpt.installation import typed
from scratchgpt.stages.run_folder import DEFAULT_RUN, run_to_read

RunFlag = Annotated[Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="")]
"""A flag that names a folder; None leaves the choice to :func:`chosen_run`."""


def chosen_run(named: Path | None) -> Path:
    """The folder of the run that a command reads from; standard error hears which, unless the user has named it.

    Args:
        named: what the user's flag says; None means ``checkpoints``, or the run that travels with the package where
            nothing has been trained yet.
    """
    run = run_to_read(named)
    if named is None and run == DEFAULT_RUN:
        print(f"{run} 里的模型 · the model in {run}", file=sys.stderr)
    elif named is None:
        train = typed("train")
        print(f"随附的模型 · the model that comes with scratchgpt (train your own: {train})", file=sys.stderr)
    return run


def run_or_fresh(named: Path | None, fresh: bool) -> Path | None:
    """What ``--checkpoint`` and ``--fresh`` mean together: the folder to read from; None: a fresh model is asked for.

    Raises:
        UserError: if both are given.
    """
    if not fresh:
        return run_to_read(named)
    if named is not None:
        raise UserError("--fresh makes an untrained model, --checkpoint names a trained one; leave one of them out")
    return None
