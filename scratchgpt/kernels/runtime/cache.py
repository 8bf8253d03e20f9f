"""Compiled functions are kept on disk, so that only the first start compiles; `environment` says in which folder."""

from __future__ import annotations

import contextlib
import functools
import hashlib
from pathlib import Path
from typing import Any

import numba
from llvmlite.binding import Linkage
from numba import config
from numba.core.caching import FunctionCache
from numba.core.codegen import JITCodeLibrary
from numba.core.registry import cpu_target

_kept = True


class _SelfContained(JITCodeLibrary):
    """A compiled function that calls its own copies of the functions it calls.

    Numba puts such copies into it, optimised once more for their caller, but lets a linker choose between them and the
    originals: the originals where these were compiled in the same process, its own where it came from a file. Both
    round differently, so the very first run would end in other weights than all later ones."""

    _shared_module: Any

    def _finalize_final_module(self) -> None:
        if self._shared_module is None:  # it is compiled, not loaded
            self._shared_module = self._final_module.clone()  # what callers get to copy, as Numba makes it
            for function in self._shared_module.functions:
                if not function.is_declaration and function.linkage == Linkage.external:
                    function.linkage = Linkage.linkonce_odr
            for function in self._final_module.functions:
                if not function.is_declaration and function.linkage == Linkage.linkonce_odr:
                    function.linkage = Linkage.internal
        super()._finalize_final_module()


cpu_target.target_context.codegen()._library_class = _SelfContained


@functools.cache
def _sources_of(folder: Path) -> str:
    """A hash of the sources in a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class _Files(FunctionCache):
    """Numba's files of one function, which may be damaged or full: then the function is compiled anew.

    So it is once any source beside the function's own has changed: Numba watches only the file of the function, and
    the machine code of those that it calls is part of its own."""

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        beside = _sources_of(Path(function.__code__.co_filename).parent)
        self._cache_file._source_stamp = (self._cache_file._source_stamp, beside)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # half a pickle, or half of a compiled function in one, can raise nearly anything
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        global _kept
        try:
            super().save_overload(sig, data)
        except OSError:  # a full disk stops nobody from using what is compiled
            _kept = False


def cached(dispatcher: Any) -> Any:
    """`dispatcher`, a function under `numba.njit`, which from now on keeps what it compiles, where it can.

    Under Numba's own `cache=True` a damaged file ends every later command, and so does a folder that cannot be
    written; here the function is compiled again."""
    global _kept
    try:
        dispatcher._cache = _Files(dispatcher.py_func)
    except RuntimeError:  # Numba's word for "no folder can be written"
        _kept = False
    return dispatcher


def is_filled() -> bool:
    """Whether there are compiled functions already: where there are none, the first calls compile."""
    folder = config.CACHE_DIR
    return bool(folder) and next(Path(folder).rglob("*.nbc"), None) is not None


def is_kept() -> bool:
    """Whether the next start finds what this one compiles: False where no folder can be written."""
    return _kept


def is_empty() -> bool:
    """Whether there is a folder of compiled functions, and nothing in it yet."""
    folder = Path(numba.config.CACHE_DIR)
    return bool(numba.config.CACHE_DIR) and next(folder.rglob("*.nbi"), None) is None
