"""The unfinished state of a stage on disk: weights, optimizers, the number of the step."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scratchgpt.errors import UserError
from scratchgpt.training.checkpoints import read_arrays, write_arrays
from scratchgpt.training.loop import StageRun


def _save_partial(run: StageRun, path: Path, step: int) -> None:
    arrays = {f"modules.{key}.{n}": p.data for key, module in run.modules.items() for n, p in module.named_parameters()}
    for key, optimizer in run.optimizers.items():
        arrays.update({f"optimizers.{key}.{n}": a for n, a in optimizer.state_arrays().items()})
    arrays.update({f"extra.{n}": a for n, a in run.extra_arrays().items()})
    write_arrays(path, arrays, {"step": str(step), "fingerprint": run.fingerprint})


def _load_partial(run: StageRun, path: Path) -> int:
    arrays, metadata = read_arrays(path)
    if metadata.get("fingerprint") != run.fingerprint:
        raise UserError(
            f"{path}: was made with other settings; resume with the flags it was started with, "
            "or leave out --resume to start the stage anew"
        )

    def below(prefix: str) -> dict[str, np.ndarray]:
        return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}

    for key, module in run.modules.items():
        module.load_state_dict(below(f"modules.{key}."))
    for key, optimizer in run.optimizers.items():
        optimizer.load_state_arrays(below(f"optimizers.{key}."))
    run.load_extra_arrays(below("extra."))
    return int(metadata["step"])
