"""``python -m scratchgpt <command>``: the commands beside ``train.py`` and ``chat.py``.

A command is a module with a frozen dataclass ``Arguments``, which becomes its flags, and a function
``run(arguments)``. It is imported only when it is asked for, and a further one is a further row of the table.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from scratchgpt import kernels
from scratchgpt.cli.flags import parse_flags
from scratchgpt.cli.guarded import guarded
from scratchgpt.errors import UserError
from scratchgpt.kernels.runtime.threads import default_threads

COMMANDS: dict[str, tuple[str, str]] = {
    "walkthrough": (
        "scratchgpt.cli.commands.walkthrough",
        "一句话怎样走过模型，每个数都是真的 · one sentence through the model, every number real",
    ),
    "demo": ("scratchgpt.cli.commands.demo", "一分钟看完所有部件 · every component in a minute"),
    "tokenize": ("scratchgpt.cli.commands.tokenize", "文字怎样切成词元 · how text is cut into tokens"),
    "check": ("scratchgpt.cli.commands.check", "训练之前看看数据 · look at data before training"),
    "generate": ("scratchgpt.cli.commands.generate", "续写一段文字 · continue a text"),
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
    return guarded(lambda: _main(argv), "nothing was changed")


def _main(argv: Sequence[str]) -> None:
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return
    name, *flags = argv
    if name not in COMMANDS:
        raise UserError(f"there is no command {name!r}; choose one of {', '.join(COMMANDS)}")
    module = importlib.import_module(COMMANDS[name][0])
    arguments = parse_flags(module.Arguments, flags, f"-m scratchgpt {name}")
    kernels.backend()  # complains now if the environment names one that does not exist
    kernels.set_threads(default_threads())
    module.run(arguments)


def usage() -> str:
    """What there is, a line for each command."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name.ljust(width)}  {description}" for name, (_, description) in COMMANDS.items()]
    head = "python -m scratchgpt COMMAND [--flags]     python -m scratchgpt COMMAND --help"
    return "\n".join([head, "", *lines])


if __name__ == "__main__":
    sys.exit(main())
