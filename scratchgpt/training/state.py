"""The unfinished state of a stage's trainer on disk: weights, optimizers, the number of the step."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scratchgpt.errors import UserError
from scratchgpt.training.checkpoints import read_arrays, write_arrays
from scratchgpt.training.trainer import Trainer


def save_state(trainer: Trainer, path: Path, step: int) -> None:
    """Write everything that the trainer needs to go on; the file is the old one or the new one, never half of one.

    Args:
        trainer: whose state.
        path: a safetensors file.
        step: how many steps were made.

    Raises:
        UserError: if the disk is full or may not be written; an older state is unchanged then.
    """
    arrays: dict[str, np.ndarray] = {}
    for key, module in trainer.modules.items():
        arrays.update({f"modules.{key}.{n}": p.data for n, p in module.named_parameters()})
    for key, optimizer in trainer.optimizers.items():
        arrays.update({f"optimizers.{key}.{n}": a for n, a in optimizer.state_arrays().items()})
    arrays.update({f"extra.{n}": a for n, a in trainer.extra_arrays().items()})
    write_arrays(path, arrays, {"step": str(step), "fingerprint": trainer.fingerprint})


def load_state(trainer: Trainer, path: Path) -> int:
    """Put the trainer where :func:`save_state` left it.

    Returns:
        How many steps were made.

    Raises:
        UserError: if the file is damaged or was made with other settings.
    """
    arrays, metadata = read_arrays(path)
    if metadata.get("fingerprint") != trainer.fingerprint:
        raise UserError(
            f"{path}: was made with other settings; resume with the flags it was started with, "
            "or leave out --resume to start the stage anew"
        )

    def below(prefix: str) -> dict[str, np.ndarray]:
        return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}

    for key, module in trainer.modules.items():
        module.load_state_dict(below(f"modules.{key}."))
    for key, optimizer in trainer.optimizers.items():
        optimizer.load_state_arrays(below(f"optimizers.{key}."))
    trainer.load_extra_arrays(below("extra."))
    return int(metadata["step"])
