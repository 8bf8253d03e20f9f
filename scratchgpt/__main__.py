"""All commands: ``scratchgpt <command>`` where the package is installed, ``python -m scratchgpt <command>`` anywhere.

A command is a module with a frozen dataclass ``Arguments``, which becomes its flags, and a function
``run(arguments)``. It is imported only when it is asked for, and a further one is a further row of the table.
``train`` and ``chat`` are programs of their own, in a checkout also as ``train.py`` and ``chat.py``.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence

from scratchgpt import kernels
from scratchgpt.cli.flags import parse_flags
from scratchgpt.cli.guarded import guarded
from scratchgpt.errors import UserError
from scratchgpt.installation import IN_CHECKOUT, typed
from scratchgpt.kernels.runtime.threads import default_threads

PROGRAMS: dict[str, tuple[str, str]] = {
    "train": ("scratchgpt.cli.train", "训练自己的模型，五个阶段 · train a model of your own, five stages"),
    "chat": ("scratchgpt.cli.chat", "和模型对话 · talk with a model"),
}
"""Module and description by the name of the command, and of the function in the module that runs it."""
COMMANDS: dict[str, tuple[str, str]] = {
    "walkthrough": (
        "scratchgpt.cli.commands.walkthrough",
        "一句话怎样走过模型，每个数都是真的 · one sentence through the model, every number real",
    ),
    "trace": ("scratchgpt.cli.commands.trace", "一步运算的公式和真实数字 · one operation, its equation and numbers"),
    "steps": ("scratchgpt.cli.commands.steps", "trace 能看的每一步 · every operation that trace shows"),
    "demo": ("scratchgpt.cli.commands.demo", "一分钟看完所有部件 · every component in a minute"),
    "tokenize": ("scratchgpt.cli.commands.tokenize", "文字怎样切成词元 · how text is cut into tokens"),
    "check": ("scratchgpt.cli.commands.check", "训练之前看看数据 · look at data before training"),
    "generate": ("scratchgpt.cli.commands.generate", "续写一段文字 · continue a text"),
    "pack": ("scratchgpt.cli.commands.pack", "把训练结果打包成一半大小 · a finished run at half its size"),
    "warm-up": ("scratchgpt.cli.commands.warm_up", "先编译好所有内核 · compile all kernels ahead of time"),
    "evaluate": ("scratchgpt.cli.commands.evaluate", "给一个检查点打分 · measure a checkpoint"),
}
"""Module and description by the command's name."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: the command's name and its flags; None means those of the process.

    Returns:
        The exit code: 0 done, 2 a mistake the user can mend, 130 interrupted.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv and argv[0] in PROGRAMS:
        name, *flags = argv
        program: Callable[[Sequence[str]], int] = getattr(importlib.import_module(PROGRAMS[name][0]), name)
        return program(flags)
    return guarded(lambda: _main(argv), "nothing was changed")


def _main(argv: Sequence[str]) -> None:
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return
    name, *flags = argv
    if name not in COMMANDS:
        raise UserError(f"there is no command {name!r}; choose one of {', '.join([*PROGRAMS, *COMMANDS])}")
    module = importlib.import_module(COMMANDS[name][0])
    arguments = parse_flags(module.Arguments, flags, typed(name))
    kernels.backend()  # complains now if the environment names one that does not exist
    kernels.set_threads(default_threads())
    module.run(arguments)


def usage() -> str:
    """What there is, a line for each command."""
    commands = {**PROGRAMS, **COMMANDS}
    width = max(map(len, commands))
    lines = [f"  {name.ljust(width)}  {description}" for name, (_, description) in commands.items()]
    called = "scratchgpt" if not IN_CHECKOUT else "python -m scratchgpt"
    head = f"{called} COMMAND [--flags]     {called} COMMAND --help"
    return "\n".join([head, "", *lines])


if __name__ == "__main__":
    sys.exit(main())
