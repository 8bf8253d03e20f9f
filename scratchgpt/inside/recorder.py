"""The recorder: every operation of a forward and a backward pass written down, with its numbers.

    with record(model) as recording:
        model.loss(input_ids, targets).backward()
    recording.step("causal_attention", "transformer.h.2.attn").output

The engine tells whoever watches it (``autograd.watch``), so neither a model nor an operation knows of this file,
and what they compute is the same bit for bit. Arrays are copied: an optimizer changes parameters in place.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from scratchgpt import autograd
from scratchgpt.autograd import Tensor
from scratchgpt.autograd.equations import EQUATIONS, OperationEquations
from scratchgpt.autograd.tensor import Array, Gradients
from scratchgpt.autograd.watch import Call, Observer, watch
from scratchgpt.inside.hidden_steps import BACKWARD, FORWARD, HiddenStep
from scratchgpt.inside.source_lines import PACKAGE, SourceLine, caller_outside, source_of
from scratchgpt.nn.modules import Module

ENGINE = Path(autograd.__file__).parent
"""Its files call one another; who asked for an operation stands outside of them."""


@dataclass(eq=False)
class Argument:
    """One argument of a recorded operation.

    Attributes:
        name: as the operation's function calls it.
        value: a copy of the array, or what was given instead of one (a number, None).
        origin: where it came from: the number of the step that made it, the path of a parameter, or None for
            what came from outside.
        gradient: dL/d(value), a copy; None as long as none came back, and where nobody needs one.
    """

    name: str
    value: Any
    origin: int | str | None
    gradient: Array | None = None


@dataclass(eq=False)
class Step:
    """One use of an operation, in the forward pass and (once there was one) in the backward pass.

    Attributes:
        number: its place in the forward pass, from 0.
        operation: its name, as in ``OPERATIONS``.
        module: path of the module at work, such as ``transformer.h.2.attn``; "" outside of all.
        settings: its keyword arguments.
        arguments: in order.
        output: a copy of the result.
        gradient: dL/d(output), a copy; None as long as the backward pass has not come here.
        forward_seconds, backward_seconds: what its own work took.
        source: the line of the operation's function.
        caller: the line of the model (or of a stage) that asked for it.
        equations: the operation's, forward and backward; None for an operation without a row in ``EQUATIONS``.
    """

    number: int
    operation: str
    module: str
    settings: dict[str, Any]
    arguments: list[Argument]
    output: Array
    forward_seconds: float
    source: SourceLine
    caller: SourceLine | None
    equations: OperationEquations | None
    gradient: Array | None = None
    backward_seconds: float = 0.0

    def argument(self, name: str) -> Argument:
        """The argument of that name.

        Raises:
            KeyError: if there is none.
        """
        for argument in self.arguments:
            if argument.name == name:
                return argument
        raise KeyError(f"{self.operation} has no argument {name!r}; it has {[a.name for a in self.arguments]}")

    def hidden(self) -> list[HiddenStep]:
        """The steps inside a fused operation, computed anew; the last is the output; empty if it hides none."""
        expand = FORWARD.get(self.operation)
        return expand([argument.value for argument in self.arguments], self.settings) if expand else []

    def hidden_backward(self) -> list[HiddenStep]:
        """The steps inside its backward pass, computed anew; empty if it hides none or none was recorded."""
        expand = BACKWARD.get(self.operation)
        if expand is None or self.gradient is None:
            return []
        return expand([argument.value for argument in self.arguments], self.settings, self.gradient)


@dataclass(eq=False)
class Recording:
    """What was recorded.

    Attributes:
        steps: every operation, in the order of the forward pass.
        backward: the steps that the backward pass went through, in its order.
    """

    steps: list[Step] = field(default_factory=list)
    backward: list[Step] = field(default_factory=list)

    def find(self, operation: str | None = None, module: str | None = None) -> list[Step]:
        """The steps of an operation at a place, in the order of the forward pass.

        Args:
            operation: its name; None means any.
            module: path of the module at work, "" what is outside of all; None means any.
        """
        return [
            step
            for step in self.steps
            if (operation is None or step.operation == operation) and (module is None or step.module == module)
        ]

    def step(self, operation: str | None = None, module: str | None = None) -> Step:
        """The only step of an operation at a place; the arguments are those of :meth:`find`.

        Raises:
            LookupError: if there is none or more than one.
        """
        found = self.find(operation, module)
        if len(found) != 1:
            raise LookupError(f"{len(found)} recorded steps are {operation or 'anything'} in {module!r}, not one")
        return found[0]


class Recorder(Observer):
    """Writes what it is told into a :class:`Recording`; see :func:`record`.

    Args:
        named_parameters: pairs of path and tensor, to say where an argument came from.

    Attributes:
        recording: what was written so far.
    """

    def __init__(self, named_parameters: Iterable[tuple[str, Tensor]] = ()) -> None:
        self.recording = Recording()
        self._origins: WeakKeyDictionary[Tensor, int | str] = WeakKeyDictionary()
        for path, parameter in named_parameters:
            self._origins.setdefault(parameter, path)
        self._steps: dict[int, Step] = {}  # by the id of the call, which lives as long as the list below
        self._calls: list[Call] = []

    def after_forward(
        self, call: Call, arguments: tuple[Any, ...], output: Tensor, started: float, ended: float
    ) -> None:
        """Write down an operation and its numbers."""
        names = _argument_names(call, len(arguments))
        step = Step(
            number=len(self.recording.steps),
            operation=call.operation,
            module=call.module,
            settings=call.settings,
            arguments=[self._argument(name, value) for name, value in zip(names, arguments, strict=True)],
            output=np.array(output.data),
            forward_seconds=ended - started,
            source=source_of(call.function),
            caller=caller_outside(inspect.currentframe(), ENGINE, PACKAGE / "nn" / "modules.py", Path(__file__)),
            equations=EQUATIONS.get(call.operation),
        )
        self.recording.steps.append(step)
        self._origins[output] = step.number
        self._steps[id(call)] = step
        self._calls.append(call)

    def after_backward(self, call: Call, gradient: Array, gradients: Gradients, started: float, ended: float) -> None:
        """Write the gradients beside what they belong to."""
        step = self._steps.get(id(call))
        if step is None:  # made before the recorder was there, while somebody else watched
            return
        step.gradient = np.array(gradient)
        step.backward_seconds = ended - started
        # An operation may return gradients for optional arguments that were not given; they come last.
        for argument, its_gradient in zip(step.arguments, gradients, strict=False):
            argument.gradient = None if its_gradient is None else np.array(its_gradient)
        self.recording.backward.append(step)

    def _argument(self, name: str, value: Any) -> Argument:
        if isinstance(value, Tensor):
            return Argument(name, np.array(value.data), self._origins.get(value))
        return Argument(name, np.array(value) if isinstance(value, np.ndarray) else value, None)


def _argument_names(call: Call, count: int) -> list[str]:
    """The names of the first ``count`` positional parameters; those of ``*arrays`` are numbered."""
    names: list[str] = []
    for parameter in inspect.signature(call.function).parameters.values():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}[{i}]" for i in range(count - len(names))]
        elif parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            names.append(parameter.name)
    return names[:count]


@contextmanager
def record(model: Module | None = None, **named: Module) -> Iterator[Recording]:
    """Record every operation inside the block.

    Args:
        model: whose modules and parameters are to be named, as in ``model.named_parameters()``.
        named: further models; their paths begin with the name, as in ``record(policy=policy, value=value_model)``.

    Yields:
        the recording, which grows as the block goes on and stays when it ends.
    """
    roots = [*([("", model)] if model is not None else []), *named.items()]
    modules = [pair for prefix, root in roots for pair in root.named_modules(prefix)]
    parameters = [
        (f"{prefix}.{path}" if prefix else path, parameter)
        for prefix, root in roots
        for path, parameter in root.named_parameters()
    ]
    recorder = Recorder(parameters)
    with watch(recorder, modules):
        yield recorder.recording
