"""What a terminal would obey is shown to it instead."""

from __future__ import annotations

import io
import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from scratchgpt.terminal import VisibleConsole, visible


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
