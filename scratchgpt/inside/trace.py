"""Every operation of a recording under a name that can be typed: ``wte.embedding``, ``attn.softmax``, ``head.matmul``.

A name is a place in the model and what is computed there. Of the places inside the layers only those of one layer have
names; which layer is said beside. Fused operations hide several steps (``inside/hidden_steps.py``), forward and back,
and each has a name of its own.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scratchgpt.errors import UserError
from scratchgpt.inside.recorder import Recording, Step

BODY = "transformer."
ALSO = {"attn.softmax": "attn.weights", "attn.mask": "attn.masked_scores"}
"""Other words for a step: the operation's, where its name is that of the result."""


@dataclass(frozen=True, eq=False)
class Traced:
    """One operation, or one step that a fused one hides.

    Attributes:
        name: the place and what is computed there.
        step: the recorded operation that it is, or is a step of.
        equations: in plain text.
        array: the numbers.
        source: where they are computed, "scratchgpt/autograd/layers.py:56".
        back: whether it is a gradient, of the backward pass.
    """

    name: str
    step: Step
    equations: tuple[str, ...]
    array: np.ndarray
    source: str
    back: bool = False


def traced_steps(recording: Recording, layer: int) -> list[Traced]:
    """All of them in order: a forward pass from the embedding to the loss, then the way back.

    Args:
        recording: of a forward and a backward pass of one model.
        layer: whose steps are named, from 0; those of the other layers are left out.
    """
    forward: list[Traced] = []
    backward: list[Traced] = []
    for step in recording.steps:
        place = _place(step.module, layer)
        if place is None:
            continue
        forward += [
            Traced(f"{place}.{one.name}", step, (one.equation.plain,), one.array, str(one.source))
            for one in step.hidden()[:-1]  # the last is the operation's own result
        ]
        equation = (step.equations.forward.plain,) if step.equations else ()
        forward.append(Traced(f"{place}.{step.operation}", step, equation, step.output, str(step.source)))
    for step in recording.backward:
        place = _place(step.module, layer)
        if place is None:
            continue
        inner = step.hidden_backward()
        backward += [
            Traced(f"{place}.{one.name}", step, (one.equation.plain,), one.array, str(one.source), back=True)
            for one in inner
        ]
        equation = (step.equations.backward.plain,) if step.equations else ()
        backward += [
            Traced(f"{place}.grad_{argument.name}", step, equation, argument.gradient, str(step.source), back=True)
            for argument in step.arguments
            if argument.gradient is not None and f"grad_{argument.name}" not in {one.name for one in inner}
        ]
    return _numbered([*forward, *backward])


def find_step(steps: Sequence[Traced], name: str) -> Traced:
    """The step of a name.

    Raises:
        UserError: if there is none, with the names that come closest.
    """
    for step in steps:
        if step.name == ALSO.get(name, name):
            return step
    names = [step.name for step in steps] + list(ALSO)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    meant = f"; perhaps {' or '.join(close)}" if close else ""
    raise UserError(f"--step {name}: there is no such step{meant}; the command steps lists all of them")


def _place(module: str, layer: int) -> str | None:
    """What stands before the operation in its name; None for a place inside another layer."""
    inner = module.removeprefix(BODY)
    if inner.startswith("h."):
        _, number, *path = inner.split(".")
        return ".".join(path) or "block" if int(number) == layer else None
    return {"": "head", "transformer": "input"}.get(inner, inner)


def _numbered(steps: Sequence[Traced]) -> list[Traced]:
    """The steps, each with a name of its own: where one occurs again, the later ones get a number."""
    seen: Counter[str] = Counter()
    numbered = []
    for step in steps:
        seen[step.name] += 1
        count = seen[step.name]
        name = step.name if count == 1 else f"{step.name}.{count}"
        numbered.append(Traced(name, step.step, step.equations, step.array, step.source, step.back))
    return numbered
