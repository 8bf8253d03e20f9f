"""Flags that several commands have: which kernels, how many threads, which stage's model."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import tyro

from scratchgpt import kernels
from scratchgpt.kernels.runtime.threads import default_threads
from scratchgpt.stages import writing_stages

Kernels = Annotated[Literal["numba", "numpy"] | None, tyro.conf.arg(metavar="{numba,numpy}", help_behavior_hint="")]
Threads = Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")]
_WRITING = tuple(stage.name for stage in reversed(writing_stages()))
StageFlag: Any = Annotated[
    Literal[_WRITING] | None, tyro.conf.arg(metavar=f"{{{','.join(_WRITING)}}}", help_behavior_hint="")
]
"""A flag that names the stage of a model that writes; None leaves the choice to the command."""


def set_kernels(backend: str | None, threads: int | None) -> None:
    """Do as the two flags say.

    Args:
        backend: "numba" or "numpy"; None leaves it to the environment.
        threads: of the kernels and of BLAS; None means one a physical core.

    Raises:
        UserError: if there is no such backend, or the number of threads is out of range.
    """
    if backend is not None:
        kernels.use(backend)
    kernels.backend()  # complains now if the environment names one that does not exist
    kernels.set_threads(default_threads() if threads is None else threads)
