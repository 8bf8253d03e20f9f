"""Runs a script as ``python SCRIPT ...`` does, and ends it by a signal just before a chosen change of a file.

    KILLED_AT='{"event": 17, "signal": 9}' python tests/killed_at.py train.py ...

A change is a file opened to be written, a rename, a removal, a folder made, a flush to the disk, a line of a log; they
are counted as long as the run holds its folder's lock. See :mod:`tests.kills`, which chooses them.

Keys of ``KILLED_AT``: ``event``, which change (absent: none); ``signal``; ``eager``, whether the state is saved after
every step rather than once a minute; ``told``, the file that takes the name of the change; ``counted``, the file that
takes the number of changes where the script comes to its end.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
"""What Python's audit calls them; ``os.replace`` is a rename there."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

settings: dict[str, Any] = json.loads(os.environ["KILLED_AT"])
changes = 0
begun = False


def change(name: str) -> None:
    """Count one, and end this process if it is the chosen one."""
    global changes
    changes += 1
    if changes == settings.get("event"):
        Path(settings["told"]).write_text(name, encoding="utf-8")
        os.kill(os.getpid(), settings["signal"])


def counted(name: str, do: Callable[..., Any]) -> Callable[..., Any]:
    """The function, each of whose calls is a change; for what the audit does not hear of."""

    @functools.wraps(do)
    def count(*arguments: Any, **others: Any) -> Any:
        change(name)
        return do(*arguments, **others)

    return count


def begin() -> None:
    """The run has taken its lock: whatever is to be counted is imported by now."""
    global begun
    begun = True
    os.fsync = counted("os.fsync", os.fsync)
    log = sys.modules["scratchgpt.training.history"].Log  # type: ignore[attr-defined]
    log.write = counted("a line of a log", log.write)
    if settings.get("eager"):
        pipeline: Any = sys.modules["scratchgpt.runs.pipeline"]
        pipeline.run_trainer = functools.partial(pipeline.run_trainer, save_every_seconds=0)


def heard(event: str, arguments: tuple[Any, ...]) -> None:
    """What Python's audit calls at whatever a program does outside of itself."""
    global begun
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
        if not begun and str(arguments[0]).endswith("run.lock"):
            begin()
        if begun:
            change(f"open {arguments[0]}")
    elif begun and event in CHANGES:
        change(f"{event} {arguments[0]}")
        begun = not str(arguments[0]).endswith("run.lock")  # with it the run is over


def main() -> None:
    """Run the script that the command line names."""
    if "counted" in settings:
        atexit.register(lambda: Path(settings["counted"]).write_text(str(changes), encoding="utf-8"))
    sys.addaudithook(heard)
    del sys.argv[0]
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
