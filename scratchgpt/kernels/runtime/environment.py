"""What Numba and OpenBLAS must be told before they are imported. `scratchgpt.kernels` imports this file first.

Every variable is only a default: a value that the user has already set in the environment wins.
`bench/attention.py` and `bench/matmul.py` show what they are worth.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scratchgpt.kernels.runtime import cpu

KERNELS = Path(__file__).resolve().parent.parent
"""The folder of all kernels."""


def source_fingerprint() -> str:
    """A short hash of all kernel sources. Numba alone watches only the file of the function it caches, so
    that an edit of `vector_math.py` would leave a stale attention kernel in use; a cache directory named by
    this hash cannot be stale."""
    digest = hashlib.sha256()
    for path in sorted(KERNELS.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _own_temporary_folder() -> Path:
    """A folder of this user alone under the system's temporary one. Raises PermissionError if somebody else made it,
    or may write into it: code is loaded from here."""
    get_user = getattr(os, "getuid", None)  # Windows has none, but a temporary folder for each user
    folder = Path(tempfile.gettempdir()) / ("scratchgpt" if get_user is None else f"scratchgpt-{get_user()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    private = get_user is None or (found.st_uid == get_user() and not found.st_mode & 0o077)
    if not (stat.S_ISDIR(found.st_mode) and private):
        raise PermissionError(f"{folder} is not this user's own")
    return folder


def _cache_parents() -> Iterator[Path]:
    """Where compiled kernels may be kept, best first: beside the sources, in the user's cache, under /tmp."""
    yield KERNELS / "__pycache__"
    user_cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    if user_cache.is_absolute():  # a user without a home has a "~" that stands for nothing
        yield user_cache / "scratchgpt"
    try:
        yield _own_temporary_folder()
    except OSError:
        return


def cache_folder() -> Path | None:
    """The folder for this version's compiled kernels, made if need be; None if none can be written."""
    for parent in _cache_parents():
        folder = parent / f"numba-{source_fingerprint()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError:
            continue
        return folder
    return None


def keep_freed_memory() -> None:
    """Tell the C library (glibc) to keep large freed arrays for the next ones instead of returning them.

    A training step frees and allocates the same arrays again and again; each time the operating system would take
    the pages back and hand out new ones, zeroed: 25,000 page faults a step of `mini`, a fifth of its time. The
    process keeps its peak memory instead. A user's own MALLOC_ variables win."""
    if platform.system() != "Linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    c_library = ctypes.CDLL(None)
    if hasattr(c_library, "gnu_get_libc_version"):
        mmap_threshold, trim_threshold = -3, -1  # malloc.h: M_MMAP_THRESHOLD, M_TRIM_THRESHOLD
        c_library.mallopt(mmap_threshold, 1 << 30)
        c_library.mallopt(trim_threshold, -1)


def set_defaults() -> None:
    """Fill in the environment variables that are not set. Has no effect on libraries already imported."""
    # Two pools take turns: NumPy's BLAS and Numba's. Threads that spin after their work is done steal the
    # cores from the other pool, so both are told to go to sleep soon.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")

    this = cpu.host()
    if this.blas_core:
        os.environ.setdefault("OPENBLAS_CORETYPE", this.blas_core)
    chosen = "NUMBA_CPU_NAME" in os.environ or "NUMBA_CPU_FEATURES" in os.environ
    if this.compiler_flags and not chosen:
        flags = ",".join(f"{'+' if on else '-'}{name}" for name, on in sorted(cpu.host_features().items()))
        os.environ["NUMBA_CPU_FEATURES"] = f"{flags},{this.compiler_flags}"

    if "NUMBA_CACHE_DIR" not in os.environ and (folder := cache_folder()) is not None:
        os.environ["NUMBA_CACHE_DIR"] = str(folder)


set_defaults()
keep_freed_memory()
