"""Running a command: whatever may go wrong outside of the program becomes one clear line and an exit code.

Exit codes: 0 done; 2 a mistake the user can mend; 128 + the signal's number, as a shell counts, where one ended it: 130
after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from scratchgpt import signals
from scratchgpt.errors import ContextWindowWarning, Interrupted, UserError
from scratchgpt.terminal import visible

MISTAKE, ENDED_BY_SIGNAL = 2, 128


def guarded(action: Callable[[], None], after_interruption: str) -> int:
    """Do it, and turn whatever may go wrong outside of the program into one line and an exit code.

    Args:
        action: what to do.
        after_interruption: what to say after Ctrl-C and the like: how to go on, or that nothing was lost.

    Returns:
        The exit code.
    """
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):  # a console may know fewer characters than we print
            reconfigure(errors="replace")
    try:
        with _plain_notes(), signals.raised():
            action()
            print(end="", flush=True)  # a reader that has left is noticed here and not at exit
    except UserError as error:
        return _fail(str(error))
    except MemoryError:
        return _fail("not enough memory; a smaller --batch-size, --context-size or --preset needs less")
    except Interrupted as interrupted:
        said = f"{interrupted}, its state is saved; {after_interruption}"
        return _fail(said, ENDED_BY_SIGNAL + interrupted.signal_number, "stopped")
    except KeyboardInterrupt:
        return _fail(after_interruption, ENDED_BY_SIGNAL + signal.SIGINT, "stopped")
    except signals.Ended as ended:
        return _fail(after_interruption, ENDED_BY_SIGNAL + ended.number, "stopped")
    except BrokenPipeError:  # whoever read our output has left; a second complaint at exit is kept quiet
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return MISTAKE
    except OSError as error:
        return _fail(f"{error.filename or 'the disk'}: {error.strerror or error}")
    except SystemExit as leaving:  # --help
        return int(leaving.code or 0)
    return 0


@contextlib.contextmanager
def _plain_notes() -> Iterator[None]:
    """Show what generation has to say about the context as a line of its own, without the source line of a warning."""

    def show(message: Warning | str, category: type[Warning], *place: Any) -> None:
        if issubclass(category, ContextWindowWarning):
            print(f"\nnote: {message}", file=sys.stderr)
        else:
            usual(message, category, *place)

    with warnings.catch_warnings():
        usual = warnings.showwarning
        warnings.simplefilter("always", ContextWindowWarning)
        warnings.showwarning = show  # type: ignore[assignment]
        yield


def _fail(message: str, code: int = MISTAKE, kind: str = "error") -> int:
    print(f"{kind}: {visible(' '.join(message.splitlines()))}", file=sys.stderr)
    return code
