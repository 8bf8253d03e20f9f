"""The one place where parallel loops are launched, and what guards it.

Numba shares a loop out by a call of its threading layer, which a compiled loop knows as `numba_parallel_for`. Two
of the three layers end the process where they cannot work: GNU's OpenMP in a child that was forked after a loop,
`workqueue` (macOS, Windows, Linux without libgomp) if two threads launch loops at the same time. `install` puts a
few instructions before the layer: where it must not be called, the loop runs in the calling thread, in the same parts
and thus with the same result.
"""

from __future__ import annotations

import ctypes
import os
import threading

import llvmlite.binding as llvm
from numba.core.registry import cpu_target
from numba.np.ufunc import parallel

NOT_THREAD_SAFE = ("workqueue",)
"""Numba's threading layers that take loops from one thread at a time."""

# A layer gets the function that computes parts, its four arguments (of which the second says how many parts there
# are), the numbers of inner dimensions and of arrays, and the number of threads.
ARGUMENTS = (
    "ptr %function, ptr %arrays, ptr %dimensions, ptr %steps, ptr %data, "
    "WORD %inner_dimensions, WORD %array_count, WORD %threads"
)
ALL_PARTS = "call void %function(ptr %arrays, ptr %dimensions, ptr %steps, ptr %data)"
TAKE_IF_FREE = """
    %taken = cmpxchg ptr @busy, i32 0, i32 1 acquire monotonic
    %free = extractvalue { i32, i1 } %taken, 1"""
LOOK_IF_FREE = """
    %taken = load atomic i32, ptr @busy monotonic, align 4
    %free = icmp eq i32 %taken, 0"""
GIVE_BACK = "store atomic i32 0, ptr @busy release, align 4"
GUARD = """
@busy = global i32 0
define void @guarded(ARGUMENTS) {
    ENTER
    br i1 %free, label %shared, label %alone
shared:
    call void inttoptr (WORD ADDRESS to ptr)(ARGUMENTS)
    LEAVE
    ret void
alone:
    ALL_PARTS
    ret void
}
"""


class _Guard:
    """The compiled instructions before a layer. `busy` is 1 as long as the layer must not be called."""

    def __init__(self, layer: int, thread_safe: bool) -> None:
        text = GUARD.replace("ENTER", LOOK_IF_FREE if thread_safe else TAKE_IF_FREE)
        text = text.replace("LEAVE", "" if thread_safe else GIVE_BACK)
        text = text.replace("ALL_PARTS", ALL_PARTS).replace("ARGUMENTS", ARGUMENTS).replace("ADDRESS", str(layer))
        module = llvm.parse_assembly(text.replace("WORD", f"i{8 * ctypes.sizeof(ctypes.c_void_p)}"))
        self._engine = llvm.create_mcjit_compiler(module, llvm.Target.from_default_triple().create_target_machine())
        self._engine.finalize_object()
        self.address = self._engine.get_function_address("guarded")
        self.busy = ctypes.c_int32.from_address(self._engine.get_global_value_address("busy"))


_guard: _Guard | None = None
_installing = threading.Lock()
_alone = False


def install() -> None:
    """Guard all parallel loops that are loaded from now on; for those loaded before it comes too late."""
    global _guard
    with _installing:
        if _guard is None:
            cpu_target.target_context.refresh()  # starts LLVM
            parallel._launch_threads()
            layer = llvm.address_of_symbol("numba_parallel_for")
            _guard = _Guard(layer, parallel.threading_layer() not in NOT_THREAD_SAFE)
            llvm.add_symbol("numba_parallel_for", _guard.address)


def is_alone() -> bool:
    """Whether this process was forked after its loops had been launched: they run on one thread from now on."""
    return _alone


def _after_fork() -> None:
    global _alone, _installing
    _installing = threading.Lock()  # another thread may have held it, which is not here to let go
    if _guard is not None:
        _guard.busy.value = 1
        _alone = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
