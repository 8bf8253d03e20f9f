"""What goes wrong outside of the program is one line and an exit code; what goes wrong inside keeps its traceback."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import subprocess
import sys
import warnings

import pytest

from scratchgpt.cli.guarded import guarded
from scratchgpt.errors import ContextWindowWarning, Interrupted, UserError
from scratchgpt.signals import ENDING, Ended


def raising(error: BaseException):
    def action() -> None:
        raise error

    return action


def test_what_goes_well_says_nothing(capsys):
    assert guarded(lambda: None, "nothing was changed") == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("raised", "code", "line"),
    [
        (UserError("two\nlines"), 2, "error: two lines"),
        (OSError(errno.ENOSPC, "No space left on device", "x.png"), 2, "error: x.png: No space left on device"),
        (OSError(errno.EIO, "Input/output error"), 2, "error: the disk: Input/output error"),
        (MemoryError(), 2, "error: not enough memory; a smaller --batch-size, --context-size or --preset needs less"),
        (Interrupted("sft", 12), 130, "stopped: sft stopped after step 12, its state is saved; go on with: this"),
        (Interrupted("sft", 12, 15), 143, "stopped: sft stopped after step 12, its state is saved; go on with: this"),
        (KeyboardInterrupt(), 130, "stopped: go on with: this"),
        (Ended(15), 143, "stopped: go on with: this"),
    ],
)
def test_what_goes_wrong_is_one_line(capsys, raised, code, line):
    assert guarded(raising(raised), "go on with: this") == code
    assert capsys.readouterr().err == line + "\n"


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_is_one_line_and_the_exit_code_that_a_shell_gives_it(capsys, number):
    cleaned_up, before = [], signal.getsignal(number)

    def action() -> None:
        try:
            signal.raise_signal(number)
        finally:
            cleaned_up.append(True)

    assert guarded(action, "go on with: this") == 128 + number
    assert capsys.readouterr().err == "stopped: go on with: this\n"
    assert cleaned_up == [True] and signal.getsignal(number) is before


@pytest.mark.parametrize(("left", "code"), [(SystemExit(0), 0), (SystemExit(None), 0), (SystemExit(2), 2)])
def test_help_leaves_with_its_own_code(capsys, left, code):
    assert guarded(raising(left), "") == code
    assert capsys.readouterr().err == ""


def test_a_bug_keeps_its_traceback():
    with pytest.raises(KeyError):
        guarded(raising(KeyError("a bug")), "")


@pytest.mark.parametrize("lines", [100_000, 1])
def test_a_reader_that_has_left_is_no_news(lines):
    """As in ``python -m scratchgpt tokenize --vocab | head -1``: neither while printing nor at exit."""
    script = f"""
import sys
from scratchgpt.cli.guarded import guarded
def action():
    print("first", flush=True)
    sys.stdin.read()  # until the reader has left
    for number in range({lines}):
        print(number)
sys.exit(guarded(action, ""))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("PYTHONUNBUFFERED", None)  # as a user has it: the rest is written at exit
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe, stderr=pipe, env=environment)
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    assert process.stdout.readline().strip() == b"first"
    process.stdout.close()
    process.stdin.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 2


def test_a_note_about_the_context_is_a_line_of_its_own_every_time(capsys):
    def forgetful() -> None:
        for _ in range(2):
            warnings.warn("forgotten", ContextWindowWarning, stacklevel=1)

    assert guarded(forgetful, "") == 0
    assert capsys.readouterr().err == "\nnote: forgotten\n" * 2


def test_other_warnings_are_shown_as_ever(recwarn):
    assert guarded(lambda: warnings.warn("something else", UserWarning, stacklevel=1), "") == 0
    assert [str(warning.message) for warning in recwarn] == ["something else"]


def test_a_console_that_knows_fewer_characters_shows_a_question_mark():
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with contextlib.redirect_stdout(narrow):
        assert guarded(lambda: print("a 猫"), "") == 0
    narrow.seek(0)
    assert narrow.read() == "a ?\n"
