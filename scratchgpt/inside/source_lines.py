"""Where in the source something stands: ``scratchgpt/autograd/layers.py:56``."""

from __future__ import annotations

import functools
import inspect
import linecache
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

PACKAGE = Path(__file__).parent.parent
"""The folder ``scratchgpt``."""
ROOT = PACKAGE.parent
"""What paths are shown relative to."""


@dataclass(frozen=True)
class SourceLine:
    """A line of a source file.

    Attributes:
        path: the file, relative to the project where it belongs to it.
        line: its number, the first is 1.
        text: what stands there, without the indentation; "" where the file cannot be read.
    """

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


def _source_line(file: str, line: int) -> SourceLine:
    path = Path(file)
    shown = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else file
    return SourceLine(shown, line, linecache.getline(file, line).strip())


@functools.cache
def source_of(function: Callable[..., Any]) -> SourceLine:
    """Where a function is written.

    Args:
        function: written in Python; a decorated one stands for what its decorators wrap.

    Returns:
        the line with its ``def``, below the decorators.
    """
    code = inspect.unwrap(function).__code__
    line = code.co_firstlineno  # the first decorator's, if there is one
    while linecache.getline(code.co_filename, line).lstrip().startswith("@"):
        line += 1
    return _source_line(code.co_filename, line)


def caller_outside(frame: FrameType | None, *inner: Path) -> SourceLine | None:
    """Who called, seen from outside of some code.

    Args:
        frame: where the search begins; it goes on to whatever called it.
        inner: files and folders that are passed over.

    Returns:
        the innermost line at work that is in none of them, or None if there is none.
    """
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if not any(path == place or place in path.parents for place in inner):
            return _source_line(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return None
