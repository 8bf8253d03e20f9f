"""Compiled functions are kept on disk, so that only the first start compiles; `environment` says in which folder."""

from __future__ import annotations

from typing import Any

_kept = True


def cached(dispatcher: Any) -> Any:
    """`dispatcher`, a function under `numba.njit`, which from now on keeps what it compiles, where it can.

    Numba's own `cache=True` raises RuntimeError where no folder can be written; a function that this one
    decorates is compiled at every start there."""
    global _kept
    try:
        dispatcher.enable_caching()
    except RuntimeError:
        _kept = False
    return dispatcher


def is_kept() -> bool:
    """Whether the next start finds what this one compiles: False where no folder can be written."""
    return _kept
