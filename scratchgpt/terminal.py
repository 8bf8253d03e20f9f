"""Text from data or a model on its way to a terminal: control characters are shown there, not obeyed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.segment import Segment

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
