"""``python -m scratchgpt warm-up``: all kernels compiled ahead, in several processes, so that no later start waits."""

from __future__ import annotations

import os
import time
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Annotated

import tyro

from scratchgpt import kernels
from scratchgpt.errors import UserError
from scratchgpt.kernels.runtime import cache
from scratchgpt.runs.warm_up import everything, warm_up


@dataclass(frozen=True)
class Arguments:
    """Compile all kernels now, in several processes: train, chat and the others then start at once.

    Attributes:
        processes: how many. By default one a physical core.
    """

    processes: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None


def run(arguments: Arguments) -> None:
    """Compile what is not compiled yet, and say how far it is.

    Raises:
        UserError: if the number of processes is out of range, nothing can be kept, or a process was killed.
    """
    if arguments.processes is not None and arguments.processes < 1:
        raise UserError(f"--processes must be at least 1, not {arguments.processes}")
    if kernels.backend() != "numba":
        raise UserError("SCRATCHGPT_KERNELS=numpy: these kernels are not compiled; leave the variable out")
    if not cache.is_kept():
        raise UserError("no folder can be written to keep compiled kernels in; NUMBA_CACHE_DIR names one")
    began, jobs = time.monotonic(), everything()
    try:
        for number, name in enumerate(warm_up(jobs, arguments.processes), 1):
            print(f"{number}/{len(jobs)}  {name}  {time.monotonic() - began:.0f} s", flush=True)
    except BrokenProcessPool:
        raise UserError("a process that compiled was killed, for want of memory perhaps; try --processes 1") from None
    print(f"compiled: {os.environ.get('NUMBA_CACHE_DIR', '')}")
