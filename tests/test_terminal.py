"""What a terminal would obey is shown to it instead."""

from __future__ import annotations

import io
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table
from rich.text import Text

from scratchgpt import terminal
from scratchgpt.terminal import VisibleConsole, telling, visible, waiting


def test_control_characters_become_pictures_or_names() -> None:
    assert visible("\x1b[2J\x07猫\x7f\r\x00") == "␛[2J␇猫␡␍␀"
    assert visible("\x9b2J\u202e\u2028\ud800") == "⟨U+009B⟩2J⟨U+202E⟩⟨U+2028⟩\ufffd"


def test_ordinary_text_stays() -> None:
    text = "猫 cat\n\tΩ é 👩‍👧 \u3000"
    assert visible(text) is not None and visible(text) == text


@given(st.text(st.characters(exclude_categories=())))
def test_nothing_is_left_to_obey(text: str) -> None:
    shown = visible(text)
    assert not {unicodedata.category(c) for c in shown.replace("\n", "").replace("\t", "")} & {"Cc", "Cs", "Zl", "Zp"}
    shown.encode()
    assert visible(shown) == shown


def test_a_console_obeys_itself_and_no_text() -> None:
    file = io.StringIO()
    console = VisibleConsole(file=file, force_terminal=True, color_system="truecolor", width=60, highlight=False)
    table = Table("\x1b]0;title\x07 " + " wide" * 4)
    table.add_row(Text("\x9b2J", style="bold"))
    console.print("plain\x1b[2J", style="bold", markup=False)
    console.print(table)
    written = file.getvalue()
    assert "plain␛[2J" in written and "␛]0;title" in written and "⟨U+009B⟩2J" in written
    assert "\x1b[1m" in written  # Rich's own
    assert "\x1b[2J" not in written and "\x1b]" not in written and "\x9b" not in written


# -- waiting ------------------------------------------------------------------------------------------------
def test_a_log_hears_of_what_goes_on_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "EVERY", 0.02)
    console = Console(file=io.StringIO(), width=20)
    number = iter(range(10**6))
    with telling(console, lambda: f"step {next(number)} of a very long line\x1b that is not broken"):
        time.sleep(0.3)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(lines) >= 3
    assert lines == [f"step {i} of a very long line␛ that is not broken" for i in range(len(lines))]
    time.sleep(0.1)
    assert console.file.getvalue().splitlines() == lines  # type: ignore[attr-defined]


def test_waiting_is_told_in_a_log_after_a_while_and_not_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO())
    with waiting(console, "measuring"):
        pass
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]
    monkeypatch.setattr(terminal, "EVERY", 0.02)
    with pytest.raises(ValueError, match="inside"), waiting(console, "measuring"):
        time.sleep(0.1)
        raise ValueError("inside")
    assert console.file.getvalue().startswith("measuring … 0 s\n")  # type: ignore[attr-defined]


def test_a_terminal_shows_what_it_waits_for_and_then_no_more() -> None:
    console = Console(file=io.StringIO(), force_terminal=True)
    with waiting(console, "measuring"):
        time.sleep(0.2)
    assert "measuring …" in console.file.getvalue()  # type: ignore[attr-defined]
