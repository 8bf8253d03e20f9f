"""Lines of the source: what is named stands there, below its decorators; a caller is found outside of the engine."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable
from pathlib import Path

from scratchgpt import autograd as ag
from scratchgpt.inside.source_lines import PACKAGE, ROOT, SourceLine, caller_outside, source_of

HERE = Path(__file__)


def line_of(text: str) -> int:
    """The number of the only line of this file that begins with ``text``."""
    (found,) = [i for i, line in enumerate(HERE.read_text("utf-8").splitlines(), 1) if line.strip().startswith(text)]
    return found


def decorated(function: Callable[[], int]) -> Callable[[], int]:
    @functools.wraps(function)
    def wrapped() -> int:
        return function()

    return wrapped


@decorated
@functools.cache
def below_two_decorators() -> int:
    return 1


def test_the_package_and_the_project_are_where_they_are() -> None:
    assert (PACKAGE / "inside" / "source_lines.py").is_file()
    assert HERE.is_relative_to(ROOT / "tests")


def test_a_line_is_named_by_its_file_in_the_project_and_its_number() -> None:
    line = source_of(line_of)
    path, text = "tests/inside/test_source_lines.py", "def line_of(text: str) -> int:"
    assert line == SourceLine(path, line_of(text), text)
    assert str(line) == f"tests/inside/test_source_lines.py:{line.line}"


def test_the_def_below_the_decorators_is_shown() -> None:
    line = source_of(below_two_decorators)
    assert line.line == line_of("def below_two_decorators(") and line.text.startswith("def below_two_decorators(")
    operation = source_of(ag.layernorm)
    assert operation.path == "scratchgpt/autograd/layers.py" and operation.text.startswith("def layernorm(")


def test_a_file_outside_of_the_project_keeps_its_whole_path() -> None:
    assert Path(source_of(json.loads).path) == Path(inspect.getfile(json.loads))


def test_the_innermost_line_outside_of_the_named_places_called() -> None:
    def asked() -> SourceLine | None:
        return caller_outside(inspect.currentframe(), PACKAGE)

    line = asked()
    assert line is not None and line.line == line_of("return caller_outside(inspect.currentframe(), PACKAGE)")


def test_a_folder_and_a_file_are_passed_over() -> None:
    frame = inspect.currentframe()
    here, above = caller_outside(frame), caller_outside(frame, HERE)
    assert here is not None and here.path == "tests/inside/test_source_lines.py"
    assert above is not None and "pytest" in above.path  # who runs the tests
    assert caller_outside(frame, HERE.parent) == above


def test_nobody_is_left_above_the_last_frame() -> None:
    assert caller_outside(None) is None
    frame = inspect.currentframe()
    assert frame is not None
    while frame.f_back is not None:
        frame = frame.f_back
    assert caller_outside(frame, Path(frame.f_code.co_filename)) is None
