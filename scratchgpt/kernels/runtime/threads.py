"""How many threads work: one number for both pools, Numba's and the one of NumPy's BLAS."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np

from scratchgpt.errors import UserError
from scratchgpt.kernels.runtime import launch
from scratchgpt.kernels.runtime.cgroup import cpu_quota

CPUS = Path("/sys/devices/system/cpu")
"""Where Linux describes the CPUs."""

SMALL = 1 << 20
"""Multiply-adds of a product up to which one thread does it all: it is done before another is awake. All products of
one stream of the mini model, except the head, are small; it writes so at nearly twice the speed (`bench/generate.py`).
"""


@functools.cache
def _blas_setter() -> Callable[[int], object] | None:
    """OpenBLAS's own function, taken from the library inside NumPy's wheel; None with another BLAS."""
    package = Path(np.__file__).parent
    folders = (package.parent / "numpy.libs", package / ".dylibs")
    for path in (path for folder in folders for path in sorted(folder.glob("*openblas*"))):
        try:
            library = ctypes.CDLL(str(path))
        except OSError:
            continue
        for name in ("scipy_openblas_set_num_threads64_", "openblas_set_num_threads"):
            if hasattr(library, name):
                return getattr(library, name)
    return None


class _Thread(threading.local):
    """What Numba keeps for each thread: how many threads its next loop is shared out to; 0: nobody has told it."""

    count = 0


FORKED = "kernels: forked from a process whose kernels had run, this one computes on one thread; start it by spawn"

_thread = _Thread()
_count = numba.config.NUMBA_NUM_THREADS
"""How many threads the whole process uses."""


def set_threads(count: int) -> None:
    """Let the kernels and NumPy's matrix products use `count` threads, from whichever thread they are called.

    Raises UserError unless 1 <= count <= the number of threads Numba was started with (NUMBA_NUM_THREADS,
    by default the CPUs this process may use); a process forked from one whose kernels had run has 1."""
    global _count
    most = _most_threads()
    if not 1 <= count <= most:
        raise UserError(f"threads: {count} is out of range; this process can use 1 to {most}")
    _count = count
    if (set_blas := _blas_setter()) is not None:
        set_blas(count)


def _most_threads() -> int:
    return 1 if launch.is_alone() else numba.config.NUMBA_NUM_THREADS


def num_threads() -> int:
    """The number of threads the kernels use."""
    return _count


def tell_numba() -> None:
    """Let the parallel loops that the calling thread is about to launch use `num_threads()` threads.

    Numba would have each thread set that for itself; this is called before every kernel, and costs 50 ns."""
    if _thread.count != _count:
        launch.install()
        if launch.is_alone():
            _say_forked()
        numba.set_num_threads(_count)
        _thread.count = _count


@functools.cache
def _say_forked() -> None:
    print(FORKED, file=sys.stderr, flush=True)


def _after_fork() -> None:
    global _count
    if launch.is_alone():
        _count = 1


if hasattr(os, "register_at_fork"):  # after the hook of `launch`, which is imported first
    os.register_at_fork(after_in_child=_after_fork)


def default_threads() -> int:
    """One thread a physical core, within a container's quota, or as many as the variable NUMBA_NUM_THREADS says."""
    most = _most_threads()
    return most if "NUMBA_NUM_THREADS" in os.environ else min(physical_cores(), cpu_quota() or most, most)


def physical_cores() -> int:
    """The cores that this process may use; two CPUs that are hardware threads of one core count once, since the
    kernels keep the arithmetic units of a core busy from one thread.

    Only Linux says which CPUs share a core; elsewhere all CPUs are counted."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    cores = set()
    for cpu in os.sched_getaffinity(0):
        try:
            cores.add((CPUS / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text().strip())
        except OSError:
            cores.add(str(cpu))
    return len(cores)
