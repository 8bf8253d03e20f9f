"""Which implementation runs: the compiled kernel or its plain NumPy reference.

A kernel module holds three things: the reference (the mathematics in NumPy), the inner loops (`@loop` or
`@parallel_loop`, compiled by Numba) and the public function, a few lines of Python that check shapes,
allocate the result and call the loops. `@compiled(reference=...)` joins the three.
"""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar, cast

import numba
import numpy as np
from numba.core import event

from scratchgpt.errors import UserError
from scratchgpt.kernels.runtime.cache import cached, is_kept
from scratchgpt.kernels.runtime.threads import tell_numba

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)

BACKENDS = ("numba", "numpy")
FIRST_START = "compiling kernels, first start only, about a minute in all …"
EVERY_START = (
    "compiling kernels, about a minute at every start: no folder to keep them can be written; NUMBA_CACHE_DIR names one"
)
# Sums may be reordered and multiply-adds fused, which is what lets LLVM vectorise a reduction; NaN and
# infinity keep their meaning, so that a diverged run is still seen.
FASTMATH = {"reassoc", "contract", "nsz", "arcp"}

_OPTIONS: dict[str, Any] = {"fastmath": FASTMATH, "nogil": True, "error_model": "numpy"}


def loop(function: Callable[..., Any]) -> Any:
    """Compile a function of arrays and scalars that runs on one thread."""
    return cached(numba.njit(**_OPTIONS)(function))


def parallel_loop(function: Callable[..., Any]) -> Any:
    """Compile a function whose `numba.prange` loop is shared out to the threads.

    Only prange is made parallel: Numba's rewriting of array expressions into loops would double the compile time.
    """
    rewrites = ("comprehension", "reduction", "inplace_binop", "setitem", "numpy", "stencil", "fusion")
    parallel = {**dict.fromkeys(rewrites, False), "prange": True}
    return cached(numba.njit(parallel=parallel, **_OPTIONS)(function))


def _checked(name: str) -> str:
    if name not in BACKENDS:
        raise UserError(f"kernels: no backend {name!r}; choose one of {', '.join(BACKENDS)}")
    return name


_backend: str | None = None


def use(backend: str) -> None:
    """Run every kernel on `"numba"` (compiled) or on `"numpy"` (the references) from now on.

    Raises UserError for any other name."""
    global _backend
    _backend = _checked(backend)


def backend() -> str:
    """The backend in use, `"numba"` or `"numpy"`; at first what the variable SCRATCHGPT_KERNELS says."""
    global _backend
    if _backend is None:
        _backend = _checked(os.environ.get("SCRATCHGPT_KERNELS", "numba"))
    return _backend


class Kernel(Protocol[Parameters, Result_co]):
    """A public kernel: a function that runs `compiled` or `reference`, whichever `backend()` names."""

    compiled: Callable[..., Any]
    reference: Callable[..., Any]

    def __call__(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result_co: ...


def compiled(
    reference: Callable[Parameters, Result],
) -> Callable[[Callable[Parameters, Result]], Kernel[Parameters, Result]]:
    """Make a public kernel out of the function below it and its NumPy `reference`."""

    def decorate(function: Callable[Parameters, Result]) -> Kernel[Parameters, Result]:
        @functools.wraps(function)
        def kernel(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            if (_backend or backend()) != "numba":  # one call less: the smallest kernels run for 2 µs
                return reference(*args, **kwargs)
            tell_numba()
            return function(*args, **kwargs)

        kernel.compiled = function  # type: ignore[attr-defined]
        kernel.reference = reference  # type: ignore[attr-defined]
        return cast("Kernel[Parameters, Result]", kernel)

    return decorate


def dense(array: np.ndarray) -> np.ndarray:
    """`array` itself if it is C-contiguous and writeable, otherwise a copy that is.

    Numba compiles once for every combination of dtype, layout and writeability that it meets; after this
    call only the dtype is left."""
    if array.flags.c_contiguous and array.flags.writeable:
        return array
    return np.array(array, order="C")


def require(condition: bool, message: str) -> None:
    """Raise ValueError(message) unless `condition` holds. Compiled loops do not check bounds: check here."""
    if not condition:
        raise ValueError(message)


TOLD_EVERY = 10.0
"""Seconds of compiling between two lines that say that it goes on."""


class _Announcement(event.Listener):
    """Says when Numba really compiles one of our functions, and how far it is; loading from the cache is silent."""

    told: float | None = None
    compiled = 0

    def on_start(self, event: event.Event) -> None:
        if not event.data["dispatcher"].py_func.__module__.startswith("scratchgpt."):
            return
        now = time.monotonic()
        if self.told is None:
            self._tell(FIRST_START if is_kept() else EVERY_START, now)
        elif now - self.told >= TOLD_EVERY:
            self._tell(f"compiling kernels … {self.compiled} functions so far", now)

    def on_end(self, event: event.Event) -> None:
        self.compiled += 1

    def _tell(self, line: str, now: float) -> None:
        self.told = now
        print(line, file=sys.stderr, flush=True)


_announcement = _Announcement()
event.register("numba:compile", _announcement)


def be_silent() -> None:
    """Say nothing of compiling from now on: somebody else does."""
    event.unregister("numba:compile", _announcement)
