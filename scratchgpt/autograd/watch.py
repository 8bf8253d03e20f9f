"""Watching the engine at work: an observer is told of every operation, forward and back.

    with watch(observer, model.named_modules()):
        model.loss(input_ids, targets).backward()

Every operation passes through one decorator (``tensor.py``) and every module through ``Module.__call__``; both
ask the list :data:`observers`, which is nearly always empty, and come here when it is not. So neither an
operation nor a model mentions being watched, and what they compute is the same bit for bit.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scratchgpt.autograd.tensor import Array, Gradients, Tensor, VectorJacobianProduct

observers: list[Observer] = []
"""Who is watching at this moment; :func:`watch` fills it."""

_paths: dict[int, list[str]] = {}  # of every named module by its id; a module used in several places has several
_path = ""  # of the module at work


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
        """It was: ``gradients`` holds an array for each argument in order, or None where there is none."""


@contextmanager
def watch(observer: Observer, named_modules: Iterable[tuple[str, object]] = ()) -> Iterator[None]:
    """Tell ``observer`` of every operation inside the block.

    Args:
        observer: whom to tell. Several can watch at once, each in a block of its own.
        named_modules: pairs of path and module, such as ``model.named_modules()``, for ``Call.module``.

    A graph that was recorded before the block began is walked back without a word.
    """
    global _paths
    before, named = _paths, list(named_modules)  # the list keeps the modules alive, and with them their ids
    _paths = dict(before)
    for path, module in named:
        _paths[id(module)] = [*_paths.get(id(module), ()), path]
    observers.append(observer)
    try:
        yield
    finally:
        observers.pop()
        _paths = before


@contextmanager
def inside(module: object) -> Iterator[None]:
    """What runs in the block belongs to ``module``; for ``Module.__call__`` while somebody watches."""
    global _path
    before = _path
    paths = _paths.get(id(module), [before])
    # A module used in several places is the nearest one below the module that called it.
    below = [path for path in paths if path.startswith(f"{before}.")] if before else paths
    _path = min(below or paths, key=len)
    try:
        yield
    finally:
        _path = before


def watched(
    apply: Callable[..., Tensor],
    name: str,
    function: Callable[..., tuple[Array, VectorJacobianProduct]],
    arguments: tuple[Any, ...],
    settings: dict[str, Any],
) -> Tensor:
    """``apply(name, function, arguments, settings)``, with the observers told before and after, and on the way back.

    Args:
        apply: the engine's way to run an operation.
        name, function, arguments, settings: of the operation, as :class:`Call` and :class:`Observer` describe.
    """
    call = Call(name, function, settings, _path)
    started = ended = 0.0

    def timed(*arrays: Any, **settings: Any) -> tuple[Array, VectorJacobianProduct]:
        nonlocal started, ended
        started = perf_counter()
        output, vjp = function(*arrays, **settings)
        ended = perf_counter()
        return output, functools.partial(_watched_vjp, call, vjp)

    for observer in observers:
        observer.before_forward(call, arguments)
    output = apply(name, timed, arguments, settings)
    for observer in observers:
        observer.after_forward(call, arguments, output, started, ended)
    return output


def _watched_vjp(call: Call, vjp: VectorJacobianProduct, gradient: Array) -> Gradients:
    for observer in observers:
        observer.before_backward(call, gradient)
    started = perf_counter()
    gradients = vjp(gradient)
    ended = perf_counter()
    for observer in observers:
        observer.after_backward(call, gradient, gradients, started, ended)
    return gradients
