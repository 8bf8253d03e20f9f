"""What Numba and OpenBLAS must be told before they are imported. `scratchgpt.kernels` imports this file first.

Every variable is only a default: a value that the user has already set in the environment wins.
`bench/attention.py` and `bench/matmul.py` show what they are worth.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
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

    cache = KERNELS / "__pycache__"
    if os.access(cache if cache.is_dir() else cache.parent, os.W_OK):
        os.environ.setdefault("NUMBA_CACHE_DIR", str(cache / f"numba-{source_fingerprint()}"))


set_defaults()
keep_freed_memory()
