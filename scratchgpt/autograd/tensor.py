"""The engine: a tensor, the record of how it was made, and the walk back.

A :class:`Tensor` holds an array, its gradient, its parents and one function that turns the gradient of
the tensor into the gradients of its parents. Everything else lives in the operations, which are plain
functions on arrays: :func:`operation` makes them differentiable. This file knows none of them by name
but for the methods at the end of ``Tensor``, which look theirs up in :data:`OPERATIONS`.

Reverse-mode differentiation: Baydin et al. 2018, "Automatic Differentiation in Machine Learning", sec. 3.2.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Gradients = tuple["Array | None", ...]
VectorJacobianProduct = Callable[[Array], Gradients]
Result = tuple[Array, VectorJacobianProduct]
"""What an operation's function returns."""
Needs = tuple[bool, ...]
"""For each positional parameter of an operation's function, whether its gradient will be asked for."""

OPERATIONS: dict[str, Callable[..., Tensor]] = {}
"""Every differentiable operation by name; :func:`operation` fills it."""

_creation_order = itertools.count()


class ShapeError(ValueError):
    """Arrays whose shapes do not fit an operation; names the operation and the shapes."""


class Operation(NamedTuple):
    """An operation as the engine runs it.

    Attributes:
        name: as in :data:`OPERATIONS`.
        function: the function on plain arrays.
        takes_needs: whether it has a parameter ``needs``.
        num_parameters: how many positional parameters it has, ``*arrays`` not counted.
    """

    name: str
    function: Callable[..., Result]
    takes_needs: bool
    num_parameters: int


class Switches:
    """What can be switched in the engine, for one thread.

    Attributes:
        no_grad_blocks: how many :func:`no_grad` blocks of the thread are open.
        run: what operations are run by instead of :func:`run_operation` while somebody watches (``watch.py``), or None.
    """

    __slots__ = ("no_grad_blocks", "run")

    def __init__(self) -> None:
        self.no_grad_blocks = 0
        self.run: Callable[[Operation, tuple[Any, ...], dict[str, Any]], Tensor] | None = None


class _Thread(threading.local):
    # Not a context variable: a block that is left on another thread than it was entered on (a suspended generator)
    # must still be able to undo what it did, which a context variable refuses. So a block holds on to the switches
    # it turned, and a count takes blocks that end in any order.
    def __init__(self) -> None:
        self.switches = Switches()


_thread = _Thread()


def switches() -> Switches:
    """The switches of the thread that asks."""
    return _thread.switches


@contextmanager
def no_grad() -> Iterator[None]:
    """Record no graph inside the block: results require no gradient and hold no parents.

    It holds for the thread that enters the block, and for no other.
    """
    own = _thread.switches
    own.no_grad_blocks += 1
    try:
        yield
    finally:
        own.no_grad_blocks -= 1


def is_grad_enabled() -> bool:
    """Whether operations of this thread record the graph at this moment."""
    return _thread.switches.no_grad_blocks == 0


def _already_freed(_: Array) -> Gradients:
    raise RuntimeError(
        "backward went through this graph before and its saved arrays are freed; "
        "compute the loss again, or call backward(retain_graph=True) the first time"
    )


class Tensor:
    """An array that remembers how it was computed.

    Args:
        data: array, nested list, number or Tensor. Floating arrays keep their dtype (float32 to train,
            float64 for gradient checks); Python numbers and lists of floats become float32.
        requires_grad: whether ``backward`` shall leave a gradient in ``grad``.

    Attributes:
        data: the ndarray, any shape.
        grad: None, or an ndarray of the same shape and dtype. Successive ``backward`` calls add to it.

    Raises:
        TypeError: if a gradient is asked of an integer or boolean array.
    """

    __slots__ = ("__weakref__", "_order", "_parents", "_vjp", "data", "grad", "requires_grad")
    __array_priority__ = 1000  # ndarray + Tensor must reach Tensor.__radd__, not NumPy's element loop
    __array_ufunc__ = None

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        if isinstance(data, Tensor):
            data = data.data
        if isinstance(data, np.ndarray | np.generic):
            array = np.asarray(data)
        else:
            array = np.asarray(data)
            if array.dtype == np.float64:
                array = array.astype(np.float32)
        if requires_grad and not np.issubdtype(array.dtype, np.floating):
            raise TypeError(f"only floating-point tensors have gradients, this one is {array.dtype}")
        self.data: Array = array
        self.grad: Array | None = None
        self.requires_grad = requires_grad
        self._parents: tuple[Tensor, ...] = ()
        self._vjp: VectorJacobianProduct | None = None
        self._order = next(_creation_order)

    # -- what it is -------------------------------------------------------------------------------------
    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.data.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.data.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements."""
        return self.data.dtype

    def numpy(self) -> Array:
        """The array itself, not a copy."""
        return self.data

    def item(self) -> float:
        """The value of a tensor of one element."""
        return self.data.item()

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        suffix = ", requires_grad=True" if self.requires_grad else ""
        return f"Tensor({np.array2string(self.data, precision=4, threshold=20)}, {self.dtype}{suffix})"

    # -- the walk back ----------------------------------------------------------------------------------
    def backward(self, grad: Any = None, retain_graph: bool = False) -> None:
        """Add d(self)/d(leaf), contracted with ``grad``, to the ``grad`` of every leaf below.

        Args:
            grad: gradient of the quantity of interest with respect to this tensor, same shape;
                may be left out for a tensor of one element (it is 1 then).
            retain_graph: keep the saved arrays so that a later backward can pass here again.

        Raises:
            RuntimeError: if the tensor requires no gradient or its graph was freed.
            ShapeError: if ``grad`` is missing for more than one element, or of another shape.
        """
        if not self.requires_grad:
            raise RuntimeError("backward: this tensor requires no gradient (made under no_grad, or from constants)")
        if grad is None:
            if self.size != 1:
                raise ShapeError(f"backward: a tensor of shape {self.shape} needs the gradient of its output")
            seed = np.ones_like(self.data)
        else:
            seed = np.asarray(grad.data if isinstance(grad, Tensor) else grad, dtype=self.dtype)
            if seed.shape != self.shape:
                raise ShapeError(f"backward: gradient of shape {seed.shape} for a tensor of shape {self.shape}")

        # A tensor is created after its parents, so descending creation order is a reverse topological order.
        nodes = _nodes_below(self)
        nodes.sort(key=lambda node: node._order, reverse=True)
        gradients: dict[int, Array] = {id(self): seed}
        owned: set[int] = set()  # gradients that are ours to add to in place: nobody else holds the array
        for node in nodes:
            gradient = gradients.pop(id(node))
            if node._vjp is None:
                # A copy: the array may be shared with the gradient of another tensor.
                node.grad = gradient.copy() if node.grad is None else node.grad + gradient
                continue
            parents, vjp = node._parents, node._vjp
            if not retain_graph:
                node._vjp, node._parents = _already_freed, ()
            for parent, parent_gradient in zip(parents, vjp(gradient), strict=True):
                if parent_gradient is None:
                    parent_gradient = np.zeros_like(parent.data)
                key = id(parent)
                if key not in gradients:
                    gradients[key] = np.asarray(parent_gradient, dtype=parent.dtype)
                elif key in owned:
                    gradients[key] += parent_gradient
                else:
                    gradients[key] = gradients[key] + parent_gradient
                    owned.add(key)

    # -- operators and methods: each is the operation of that name --------------------------------------
    def __add__(self, other: Any) -> Tensor:
        return OPERATIONS["add"](self, other)

    def __radd__(self, other: Any) -> Tensor:
        return OPERATIONS["add"](other, self)

    def __sub__(self, other: Any) -> Tensor:
        return OPERATIONS["sub"](self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return OPERATIONS["sub"](other, self)

    def __mul__(self, other: Any) -> Tensor:
        return OPERATIONS["mul"](self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return OPERATIONS["mul"](other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return OPERATIONS["div"](self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return OPERATIONS["div"](other, self)

    def __pow__(self, exponent: Any) -> Tensor:
        return OPERATIONS["pow"](self, exponent)

    def __rpow__(self, base: Any) -> Tensor:
        return OPERATIONS["pow"](base, self)

    def __matmul__(self, other: Any) -> Tensor:
        return OPERATIONS["matmul"](self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return OPERATIONS["matmul"](other, self)

    def __neg__(self) -> Tensor:
        return OPERATIONS["neg"](self)

    def __getitem__(self, index: Any) -> Tensor:
        return OPERATIONS["getitem"](self, index=index)

    def __getattr__(self, name: str) -> Callable[..., Tensor]:
        """``x.exp()`` is ``exp(x)``, ``x.sum(axis=0)`` is ``sum(x, axis=0)``, for every operation there is."""
        if name in OPERATIONS:
            return functools.partial(OPERATIONS[name], self)
        raise AttributeError(f"Tensor has no attribute or operation {name!r}")

    def reshape(self, *shape: Any) -> Tensor:
        """The same elements in another shape, as ``ndarray.reshape``."""
        return OPERATIONS["reshape"](self, shape=shape[0] if len(shape) == 1 and not np.isscalar(shape[0]) else shape)

    def transpose(self, *axes: Any) -> Tensor:
        """Axes in another order, reversed without arguments, as ``ndarray.transpose``."""
        if len(axes) == 1 and not np.isscalar(axes[0]):
            axes = axes[0]
        return OPERATIONS["transpose"](self, axes=axes or None)

    @property
    def T(self) -> Tensor:  # noqa: N802 (NumPy's name)
        """All axes in reverse order."""
        return OPERATIONS["transpose"](self)


def _nodes_below(root: Tensor) -> list[Tensor]:
    seen = {id(root)}
    nodes = [root]
    for node in nodes:  # the list grows while it is walked: breadth first, without recursion
        for parent in node._parents:
            if id(parent) not in seen:
                seen.add(id(parent))
                nodes.append(parent)
    return nodes


def operation(function: Callable[..., Result]) -> Callable[..., Tensor]:
    """Turn a function on arrays into a differentiable operation and enter it in :data:`OPERATIONS`.

    The function takes its array arguments by position and its settings by keyword, and returns its
    result together with its vector-Jacobian product: given dL/d(result), a tuple with dL/d(argument)
    for every positional argument in order (None where there is none, such as for integer ids).

    A function with a keyword parameter ``needs`` is told there which gradients will be asked for (see
    :data:`Needs`), and returns None for the others instead of computing them. One with a single gradient
    needs no such parameter: if nobody asks for it, the vector-Jacobian product is not called.

    Raises (when the operation is called):
        ShapeError: where the function raises one; the message names the operation and all shapes.
        ValueError: where it raises another one, about a value; the message names the operation.
    """
    parameters = inspect.signature(function).parameters
    kinds = [parameter.kind for parameter in parameters.values()]
    this = Operation(
        name=function.__name__.rstrip("_"),
        function=function,
        takes_needs="needs" in parameters,
        num_parameters=kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD),
    )

    @functools.wraps(function)
    def differentiable(*arguments: Any, **settings: Any) -> Tensor:
        return (_thread.switches.run or run_operation)(this, arguments, settings)

    OPERATIONS[this.name] = differentiable
    return differentiable


def run_operation(operation: Operation, arguments: tuple[Any, ...], settings: dict[str, Any]) -> Tensor:
    """Unwrap the Tensors, run the function, wrap its result and record the graph if a gradient will be asked for.

    Which arguments need one is settled here, on the way forward: freezing a tensor later does not change a graph.
    """
    arrays = [a.data if isinstance(a, Tensor) else a for a in arguments]
    recording = _thread.switches.no_grad_blocks == 0
    needs = tuple([recording and isinstance(a, Tensor) and a.requires_grad for a in arguments])
    try:
        if operation.takes_needs:
            missing = (False,) * (operation.num_parameters - len(needs))
            output, vjp = operation.function(*arrays, **settings, needs=needs + missing)
        else:
            output, vjp = operation.function(*arrays, **settings)
    except ShapeError as error:
        shapes = ", ".join(str(np.shape(array)) for array in arrays if array is not None)
        raise ShapeError(f"{operation.name}: arguments of shapes {shapes} do not fit: {error}") from None
    except ValueError as error:
        raise ValueError(f"{operation.name}: {error}") from None
    result = Tensor(np.asarray(output))
    if True in needs:
        positions = [i for i, needed in enumerate(needs) if needed]
        result.requires_grad = True
        result._parents = tuple([arguments[i] for i in positions])
        result._vjp = functools.partial(_gradients_of, vjp, positions)
    return result


def _gradients_of(vjp: VectorJacobianProduct, positions: list[int], grad: Array) -> Gradients:
    """The gradients of those arguments that need one."""
    gradients = vjp(grad)
    return tuple([gradients[i] for i in positions])


def check_broadcast(*arrays: Any) -> None:
    """Raise a :class:`ShapeError` if NumPy cannot stretch the arrays or numbers to one shape."""
    try:
        np.broadcast(*arrays)
    except ValueError as error:
        raise ShapeError(str(error)) from None


def unbroadcast(grad: Array, shape: tuple[int, ...]) -> Array:
    """Sum a gradient over the axes along which NumPy had stretched an argument of ``shape``."""
    if grad.shape == shape:
        return grad
    extra = grad.ndim - len(shape)
    stretched = tuple(extra + i for i, length in enumerate(shape) if length == 1 and grad.shape[extra + i] != 1)
    summed: Array = grad.sum(axis=tuple(range(extra)) + stretched, keepdims=True)
    return summed.reshape(shape)
