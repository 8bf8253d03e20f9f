"""``python -m scratchgpt steps``: the names of all operations that ``trace`` shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scratchgpt.cli.commands import trace
from scratchgpt.cli.which_run import RunFlag
from scratchgpt.inside.bilingual import Language, Text
from scratchgpt.inside.trace import Traced, traced_steps

EXAMPLE = "我爱"


@dataclass(frozen=True)
class Arguments:
    """List every operation of a model by the name that trace knows it by, forward and back.

    Attributes:
        checkpoint: the folder of a run, or of one model. By default checkpoints, or the model that comes with
            scratchgpt.
        fresh: of a small untrained model instead.
        lang: Chinese or English.
    """

    checkpoint: RunFlag = None
    fresh: bool = False
    lang: Language = "zh"


def run(arguments: Arguments) -> None:
    """Print a line for each.

    Raises:
        UserError: if there is no such checkpoint.
    """
    walk = trace.walked(
        trace.Arguments(EXAMPLE, "", checkpoint=arguments.checkpoint, fresh=arguments.fresh, lang=arguments.lang)
    )
    told = Text(
        f"“{EXAMPLE}” 走一遍第 0 层和它前后；形状是 (批, 头, 词元, 通道)",
        f"“{EXAMPLE}” through layer 0 and what is around it; shapes are (batch, heads, tokens, channels)",
    )
    print(told(arguments.lang))
    steps = traced_steps(walk.recording, 0)
    for heading, back in ((Text("向前", "forward"), False), (Text("向后", "back"), True)):
        print(f"\n{heading(arguments.lang)}")
        print(*catalogue([step for step in steps if step.back == back]), sep="\n")


def catalogue(steps: Sequence[Traced]) -> list[str]:
    """A line for each: name, shape and equation."""
    cells = [(step.name, str(step.array.shape), "    ".join(step.equations)) for step in steps]
    widths = [max(len(row[column]) for row in cells) for column in (0, 1)]
    return [f"  {name.ljust(widths[0])}  {shape.ljust(widths[1])}  {text}".rstrip() for name, shape, text in cells]
