"""``python -m scratchgpt trace``: one operation of a sentence's way through the model, with its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import tyro
from rich.console import RenderableType
from rich.text import Text as Styled

from scratchgpt.cli.which_run import RunFlag, run_or_fresh
from scratchgpt.errors import UserError
from scratchgpt.inside.bilingual import Language, Text
from scratchgpt.inside.trace import Traced, find_step, traced_steps
from scratchgpt.inside.walkthrough.matrix import Matrix
from scratchgpt.inside.walkthrough.numbers import significant
from scratchgpt.inside.walkthrough.page import labelled
from scratchgpt.inside.walkthrough.sentence import Walk, walk_sentence
from scratchgpt.inside.walkthrough.subject import load_subject
from scratchgpt.inside.walkthrough.texts import Speech
from scratchgpt.terminal import VisibleConsole

MOST_ROWS = 24


@dataclass(frozen=True)
class Arguments:
    """Show one operation of a sentence's way through the model: its equation, its numbers, its line in the source.

    Attributes:
        sentence: the text that the model reads.
        step: which operation: a name that the command steps lists, as attn.softmax or mlp.grad_x.
        layer: of which layer, from 0.
        head: of attention, whose head, from 0.
        checkpoint: the folder of a run, whose pretrained model reads the sentence, or of one model. By default
            checkpoints, or the model that comes with scratchgpt.
        fresh: look into a small untrained model instead.
        lang: Chinese or English.
        seed: of the token that is drawn behind the sentence, which the loss asks for.
    """

    sentence: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="SENTENCE")]]
    step: str
    layer: int = 0
    head: int = 0
    checkpoint: RunFlag = None
    fresh: bool = False
    lang: Language = "zh"
    seed: int = 0


def run(arguments: Arguments) -> None:
    """Print the step.

    Raises:
        UserError: for whatever the user can mend.
    """
    walk = walked(arguments)
    step = find_step(traced_steps(walk.recording, arguments.layer), arguments.step)
    console = VisibleConsole(highlight=False)
    console.print(facts(step, arguments.lang))
    console.print()
    console.print(numbers(step, walk, arguments.lang))


def walked(arguments: Arguments) -> Walk:
    """The sentence, run forward and back.

    Raises:
        UserError: for whatever the user can mend.
    """
    if arguments.seed < 0:
        raise UserError(f"--seed must not be negative, not {arguments.seed}")
    run = run_or_fresh(arguments.checkpoint, arguments.fresh)
    subject = load_subject(run, [arguments.sentence], arguments.seed)
    speech = Speech(arguments.lang)
    return walk_sentence(subject, arguments.sentence, speech, arguments.layer, arguments.head, seed=arguments.seed)


def facts(step: Traced, language: Language) -> RenderableType:
    """What a step is: place, equation, shapes, sources, time."""
    recorded = step.step
    seconds = recorded.backward_seconds if step.back else recorded.forward_seconds
    rows = {
        Text("步骤", "step"): step.name,
        Text("公式", "equation"): "    ".join(step.equations),
        Text("运算", "operation"): f"{recorded.operation}, {recorded.module or 'head'}",
        Text("形状", "shape"): str(step.array.shape),
        Text("源码", "source"): step.source,
        Text("调用", "called at"): "" if recorded.caller is None else f"{recorded.caller}  {recorded.caller.text}",
        Text("用时", "time"): f"{1e6 * seconds:,.0f} µs ({recorded.operation})",
    }
    return labelled({label(language): text for label, text in rows.items() if text})


def numbers(step: Traced, walk: Walk, language: Language) -> RenderableType:
    """The numbers of a step, a row for each token where it has them; of attention, those of the walk's head."""
    array = step.array
    title = ""
    if array.ndim == 4:
        title = f"{Text('头', 'head')(language)} {walk.head}"
        array = array[:, walk.head]
    if array.ndim == 3:
        array = array[0]
    if array.ndim == 0:
        return Styled(significant(float(array)))
    rows = array.reshape(len(array), -1) if array.ndim > 1 else array[None]
    tokens = walk.labels
    weights = step.array.ndim == 4 and rows.shape == (len(tokens), len(tokens))
    return Matrix(
        rows,
        tokens if len(rows) == len(tokens) else _counted(len(rows)),
        tokens if weights else None,
        most_rows=MOST_ROWS,
        title=title,
        shade=weights and bool(np.all((rows >= 0) & (rows <= 1))),
    )


def _counted(count: int) -> Sequence[str]:
    return [str(number) for number in range(count)]
