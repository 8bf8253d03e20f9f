"""``python -m scratchgpt pack``: a finished run made small enough to travel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from scratchgpt.installation import SHIPPED_RUN
from scratchgpt.runs.pack import pack


@dataclass(frozen=True)
class Arguments:
    """Make a finished run half as large: models in float16, the report, a model card.

    Attributes:
        run: the folder of the run.
        to: where to write; by default where the package keeps the model that it comes with.
    """

    run: tyro.conf.Positional[Path]
    to: Path = SHIPPED_RUN


def run(arguments: Arguments) -> None:
    """Write it, and say how large it is.

    Raises:
        UserError: if a stage is missing, or the disk is full or may not be written.
    """
    pack(arguments.run, arguments.to)
    size = sum(file.stat().st_size for file in arguments.to.rglob("*") if file.is_file())
    print(f"{arguments.to}: {size / 1e6:.1f} MB")
