"""Text on its way to a terminal or a log.

Control characters out of data or a model are shown there, not obeyed; and whoever waits is told what for, on a terminal
by a line that moves, in a log (nohup, docker, a notebook) by a plain line every :data:`EVERY` seconds.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rich.console import Console
from rich.segment import Segment

EVERY = 15.0
"""Seconds between two lines of a log that say that something goes on."""

_PICTURES = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"} | {0x7F: 0x2421}
_NAMED = [*range(0x80, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_SHOWN: dict[int, int | str] = {
    **_PICTURES,
    **{code: f"⟨U+{code:04X}⟩" for code in _NAMED},
    **dict.fromkeys(range(0xD800, 0xE000), 0xFFFD),
}


def visible(text: str) -> str:
    """The text as a terminal can show it without being told anything by it.

    Control characters become their pictures (ESC is ␛), those of C1, line separators and turns of the writing
    direction their names (⟨U+009B⟩), and a lone surrogate, which cannot be written at all, U+FFFD. Line breaks and tabs
    stay.
    """
    return text.translate(_SHOWN)


class VisibleConsole(Console):
    """A console of Rich's that shows all text as :func:`visible` does; its own styles and cursor are obeyed as ever."""

    def render(self, *arguments: Any, **options: Any) -> Iterable[Segment]:
        """What Rich makes of a renderable; the arguments are those of Rich's."""
        for segment in super().render(*arguments, **options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))


# -- waiting ------------------------------------------------------------------------------------------------
@contextlib.contextmanager
def telling(console: Console, line: Callable[[], str]) -> Iterator[None]:
    """While the block runs, print a line every :data:`EVERY` seconds, for a log.

    Args:
        console: where to print.
        line: what there is to say at that moment.
    """
    over = threading.Event()

    def tell() -> None:
        while not over.wait(EVERY):
            console.print(visible(line()), markup=False, highlight=False, soft_wrap=True)

    thread = threading.Thread(target=tell, name="telling", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def waiting(console: Console, what: str) -> Iterator[None]:
    """Say what is being waited for while the block runs.

    Args:
        console: on a terminal it shows a line that moves and then vanishes, in a log plain lines.
        what: in words: "measuring".
    """
    if console.is_terminal:
        with console.status(f"{what} …"):
            yield
        return
    began = time.monotonic()
    with telling(console, lambda: f"{what} … {time.monotonic() - began:,.0f} s"):
        yield
