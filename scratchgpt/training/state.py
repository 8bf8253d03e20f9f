"""The unfinished state of a stage's trainer on disk: weights, optimizers, the number of the step, the best so far."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from scratchgpt.errors import UserError
from scratchgpt.training.best import Best
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
    metadata = {"step": str(step), "fingerprint": trainer.fingerprint, "lr_scale": str(trainer.lr_scale)}
    if trainer.best is not None:
        arrays.update({f"best.{n}": a for n, a in trainer.best.weights.items()})
        metadata |= {"best_step": str(trainer.best.step), "best_value": repr(trainer.best.value)}
    write_arrays(path, arrays, metadata)


def load_state(trainer: Trainer, path: Path) -> int:
    """Put the trainer where :func:`save_state` left it.

    Returns:
        How many steps were made.

    Raises:
        UserError: if the file is damaged or was made with other settings. Nothing is changed if it shows at once: by
            the settings, the number of the step or the best measurement.
    """
    arrays, metadata = read_arrays(path)
    if metadata.get("fingerprint") != trainer.fingerprint:
        raise UserError(
            f"{path}: was made with other settings; resume with the flags it was started with, "
            "or leave out --resume to start the stage anew"
        )
    step, lr_scale = _step(metadata, "step", trainer.total_steps, path), _lr_scale(metadata, path)

    def below(prefix: str) -> dict[str, np.ndarray]:
        return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}

    trainer.best = _best(trainer, below("best."), metadata, step, path)
    for key, module in trainer.modules.items():
        module.load_state_dict(below(f"modules.{key}."))
    for key, optimizer in trainer.optimizers.items():
        optimizer.load_state_arrays(below(f"optimizers.{key}."))
    trainer.load_extra_arrays(below("extra."))
    trainer.scale_learning_rates(lr_scale)
    return step


def _step(metadata: dict[str, str], name: str, most: int, path: Path) -> int:
    text = metadata.get(name, "")
    digits = text.isascii() and text.isdecimal() and len(text) < 20
    if not digits or int(text) > most:
        said = f"{name} {text[:20]!r} of {most}" if text else f"no {name}"
        raise UserError(f"{path}: damaged ({said}); leave out --resume to start the stage anew")
    return int(text)


def _best(
    trainer: Trainer, weights: dict[str, np.ndarray], metadata: dict[str, str], step: int, path: Path
) -> Best | None:
    if "best_step" not in metadata:  # nothing was measured yet, or an earlier version wrote the state
        return None
    best_step = _step(metadata, "best_step", step, path)
    try:
        value = float(metadata.get("best_value", ""))
    except ValueError:
        value = math.nan
    fits = {n: a.shape for n, a in weights.items()} == {n: a.shape for n, a in trainer.product().items()}
    if not fits or not math.isfinite(value):
        said = "best_value is no number" if fits else "the best weights do not fit the model"
        raise UserError(f"{path}: damaged ({said}); leave out --resume to start the stage anew")
    return Best(best_step, value, weights)


def _lr_scale(metadata: dict[str, str], path: Path) -> float:
    text = metadata.get("lr_scale", "1.0")  # states written before there was one
    try:
        lr_scale = float(text)
    except ValueError:
        lr_scale = 0.0
    if not 0 < lr_scale <= 1:
        raise UserError(f"{path}: damaged (lr_scale {text[:20]!r}); leave out --resume to start the stage anew")
    return lr_scale
