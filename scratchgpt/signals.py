"""What ends a program from outside: Ctrl-C (SIGINT), SIGTERM of a system or a cluster, SIGHUP of a closed terminal.

All of them are handled alike, where the platform has them. A signal that whoever started the program has told it to
ignore (``nohup``) stays ignored.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

Handlers = dict[int, Any]
HANGUP: int | None = getattr(signal, "SIGHUP", None)
ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


SOON = 0.01
"""Seconds until a signal whose exception was lost is raised again."""


class Ended(BaseException):
    """SIGTERM or SIGHUP has arrived: what KeyboardInterrupt is for Ctrl-C.

    Attributes:
        number: the signal's.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass
class Notice:
    """Whether one of the signals has arrived.

    Attributes:
        number: the first one's; None as long as there was none.
    """

    number: int | None = None


@contextmanager
def noticed() -> Iterator[Notice]:
    """Inside the block the first signal is only noted, for whoever asks; a second one does what it does outside.

    A second SIGHUP is none: a shell passes on what the system sends to all of a closed terminal anyway.

    Yields:
        What tells whether one has arrived. Outside of the main thread, where signals do not arrive, none does.
    """
    notice = Notice()

    def note(number: int, before: Handlers) -> None:
        notice.number = notice.number or number
        for other, handler in before.items():
            if other != HANGUP:
                signal.signal(other, handler)

    with _handled(ENDING, note):
        yield notice


@contextmanager
def raised() -> Iterator[None]:
    """Inside the block SIGTERM and SIGHUP raise :class:`Ended`, as Ctrl-C raises KeyboardInterrupt.

    Ctrl-C does so by itself, unless the program was to end without a word, as long as it was being loaded.
    """

    def interrupt(number: int, before: Handlers) -> None:
        raise KeyboardInterrupt

    def end(number: int, before: Handlers) -> None:
        for other, handler in before.items():
            signal.signal(other, signal.SIG_IGN if other == HANGUP else handler)
        raise Ended(number)

    wordless = [number for number in [signal.SIGINT] if signal.getsignal(number) == signal.SIG_DFL]
    unwinding = [number for number in ENDING if number != signal.SIGINT]
    with _never_swallowed(), _handled(wordless, interrupt), _handled(unwinding, end):
        yield


@contextmanager
def _never_swallowed() -> Iterator[None]:
    """Raise once more what a signal has raised in the middle of a destructor, which lets no exception through."""
    usual = sys.unraisablehook

    def again(lost: Any) -> None:
        if not isinstance(lost.exc_value, Ended | KeyboardInterrupt):
            usual(lost)
            return
        number = lost.exc_value.number if isinstance(lost.exc_value, Ended) else signal.SIGINT
        error = type(lost.exc_value)

        def handler(number: int, frame: Any) -> None:
            raise error(*([number] if error is Ended else []))

        signal.signal(number, handler)
        threading.Timer(SOON, signal.raise_signal, [number]).start()  # once the destructor has returned

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = usual


@contextmanager
def _handled(numbers: Sequence[int], handle: Callable[[int, Handlers], None]) -> Iterator[None]:
    """Let signals call ``handle(number, the handlers before)`` inside the block."""
    terminals = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]
    before: Handlers = {}

    def handler(number: int, frame: Any) -> None:
        _forget_closed(terminals)
        handle(number, before)

    with contextlib.suppress(ValueError):  # outside of the main thread signals do not arrive
        for number in numbers:
            usual = signal.getsignal(number)
            if usual is not None and (usual != signal.SIG_IGN or number == signal.SIGINT):
                signal.signal(number, handler)
                before[number] = usual
    try:
        yield
    finally:
        for number, usual in before.items():
            signal.signal(number, usual)


def _forget_closed(terminals: list[int]) -> None:
    """What is written to a terminal that was closed goes nowhere, rather than to end the saving with an error."""
    for descriptor in terminals:
        if not os.isatty(descriptor):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
