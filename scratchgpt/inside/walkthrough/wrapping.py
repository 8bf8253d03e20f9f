"""Breaking lines of Chinese and English text: between any two Chinese characters, but never before a full stop."""

from __future__ import annotations

import re

from rich.cells import cell_len

# A piece is a run of Latin text without spaces, or one wide character, with the marks that must not begin a line
# and those that must not end one.
_OPENING, _CLOSING = "（“《「『", "，。、；：！？）”》」』…—"
_PIECE = re.compile(rf"[{_OPENING}]*(?:[⺀-鿿豈-﫿＀-￯]|[^\s⺀-鿿豈-﫿＀-￯{_OPENING}{_CLOSING}]+)?[{_CLOSING}]*|\s+")


def wrap(text: str, width: int) -> list[str]:
    """Break a text into lines.

    Args:
        text: without line breaks.
        width: columns of a line; a Chinese character takes two.

    Returns:
        the lines; a word longer than a line stands in one of its own.
    """
    lines, line = [], ""
    for piece in _PIECE.findall(text):
        if not piece:
            continue
        if cell_len((line + piece).rstrip()) > width and line.strip():
            lines.append(line.rstrip())
            line = ""
        if line or not piece.isspace():
            line += piece
    return [*lines, line.rstrip()] if line.strip() else lines
