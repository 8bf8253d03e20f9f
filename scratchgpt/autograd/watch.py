"""Watching the engine at work: an observer is told of every operation, forward and back.

    with watch(observer, model.named_modules()):
        model.loss(input_ids, targets).backward()

Every operation is run by one function (``run_operation`` in ``tensor.py``), which is exchanged for one that tells the
observers while there are any; every module passes through ``Module.__call__``, which asks :func:`observers`. So
neither an operation nor a model mentions being watched, and what they compute is the same bit for bit. Watching
belongs to a thread: who watches one is told nothing of what others do.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from scratchgpt.autograd.tensor import (
    Array,
    Gradients,
    Operation,
    Result,
    Tensor,
    VectorJacobianProduct,
    run_operation,
    switches,
)


@dataclass(frozen=True, eq=False)
class Call:
    """One use of an operation. The way back is told with the very object that the way forward was told with.

    Attributes:
        operation: its name, as in ``OPERATIONS``.
        function: the function on plain arrays behind it: its equation, signature and source lines are there.
        settings: its keyword arguments.
        module: path of the innermost module at work, such as ``transformer.h.2.attn``; "" outside of all.
    """

    operation: str
    function: Callable[..., Any]
    settings: dict[str, Any]
    module: str


class Observer:
    """Told of every operation while :func:`watch` lasts; override what is of interest.

    The arrays are the engine's own: they must not be changed, and what is to be kept has to be copied,
    since an optimizer, for one, updates the parameters in place. Times are seconds of ``time.perf_counter``
    around the operation's own work, without the engine's.
    """

    def before_forward(self, call: Call, arguments: tuple[Any, ...]) -> None:
        """An operation is about to run on ``arguments``, Tensors or plain arrays and numbers."""

    def after_forward(
        self, call: Call, arguments: tuple[Any, ...], output: Tensor, started: float, ended: float
    ) -> None:
        """It has made ``output``. Not told if the operation raised an error."""

    def before_backward(self, call: Call, gradient: Array) -> None:
        """The gradient of the call's output, complete, is about to be turned into those of its arguments."""

    def after_backward(self, call: Call, gradient: Array, gradients: Gradients, started: float, ended: float) -> None:
        """It was: ``gradients`` holds an array for each argument in order, or None where nobody needs it."""


class _Watch:
    """One open :func:`watch` block: whom it tells, and the paths of the modules it was given, by their ids.

    A module used in several places has several paths. The modules are held, and with them their ids.
    """

    def __init__(self, observer: Observer, named_modules: Iterable[tuple[str, object]]) -> None:
        self.observer = observer
        self.modules = list(named_modules)
        self.paths: dict[int, list[str]] = {}
        for path, module in self.modules:
            self.paths.setdefault(id(module), []).append(path)


class _Thread(threading.local):
    def __init__(self) -> None:
        self.watched = _Watched()


class _Watched:
    """What is watched in one thread: the open blocks, and the path of the module at work."""

    def __init__(self) -> None:
        self.blocks: list[_Watch] = []
        self.observers: tuple[Observer, ...] = ()
        self.path = ""


_thread = _Thread()


def observers() -> tuple[Observer, ...]:
    """Who is watching this thread at this moment; nearly always nobody."""
    return _thread.watched.observers


@contextmanager
def watch(observer: Observer, named_modules: Iterable[tuple[str, object]] = ()) -> Iterator[None]:
    """Tell ``observer`` of every operation of this thread inside the block.

    Args:
        observer: whom to tell. Several can watch at once, each in a block of its own.
        named_modules: pairs of path and module, such as ``model.named_modules()``, for ``Call.module``.

    A graph that was recorded before the block began is walked back without a word.
    """
    # The thread's own objects are held on to, and the block's own entry is taken out again: blocks may end in any
    # order, and on another thread than they began (a suspended generator).
    watched, engine, block = _thread.watched, switches(), _Watch(observer, named_modules)

    def set_blocks(blocks: list[_Watch]) -> None:
        watched.blocks = blocks
        watched.observers = tuple(open_block.observer for open_block in blocks)
        engine.run = _run_watched if blocks else None

    set_blocks([*watched.blocks, block])
    try:
        yield
    finally:
        set_blocks([other for other in watched.blocks if other is not block])


@contextmanager
def inside(module: object) -> Iterator[None]:
    """What runs in the block belongs to ``module``; for ``Module.__call__`` while somebody watches."""
    watched = _thread.watched
    before = watched.path
    paths = [path for block in watched.blocks for path in block.paths.get(id(module), ())] or [before]
    # A module used in several places is the nearest one below the module that called it.
    below = [path for path in paths if path.startswith(f"{before}.")] if before else paths
    watched.path = min(below or paths, key=len)
    try:
        yield
    finally:
        watched.path = before


def _run_watched(operation: Operation, arguments: tuple[Any, ...], settings: dict[str, Any]) -> Tensor:
    """:func:`run_operation`, with the observers told before and after, and on the way back."""
    call = Call(operation.name, operation.function, settings, _thread.watched.path)
    started = ended = 0.0

    def timed(*arrays: Any, **settings: Any) -> Result:
        nonlocal started, ended
        started = perf_counter()
        output, vjp = operation.function(*arrays, **settings)
        ended = perf_counter()
        return output, functools.partial(_watched_vjp, call, vjp)

    for observer in observers():
        observer.before_forward(call, arguments)
    output = run_operation(operation._replace(function=timed), arguments, settings)
    for observer in observers():
        observer.after_forward(call, arguments, output, started, ended)
    return output


def _watched_vjp(call: Call, vjp: VectorJacobianProduct, gradient: Array) -> Gradients:
    for observer in observers():
        observer.before_backward(call, gradient)
    started = perf_counter()
    gradients = vjp(gradient)
    ended = perf_counter()
    for observer in observers():
        observer.after_backward(call, gradient, gradients, started, ended)
    return gradients
