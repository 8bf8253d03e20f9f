"""Bytes -> text: the encoding is recognised, or said, or the byte is named that does not belong to it."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from scratchgpt.datasets import encodings
from scratchgpt.datasets.encodings import decode_text, read_text_file
from scratchgpt.errors import UserError
from tests.datasets.encoding_pieces import NAMES, PIECES


def test_pieces_of_many_genres_are_recognised() -> None:
    tried = [(text, encoding) for text, of_it in PIECES for encoding in of_it]
    wrong = []
    for text, encoding in tried:
        data = text.encode(encoding)
        assert len(data) <= 2100
        try:
            found = decode_text(data, "a.txt")
            if (found.text, found.encoding) != (text, NAMES[encoding]):
                wrong.append((len(data), text[:20], encoding, found.encoding))
        except UserError as error:
            wrong.append((len(data), text[:20], encoding, str(error)))
    assert len(PIECES) >= 60 and len(tried) >= 120
    assert len(wrong) <= 0.02 * len(tried) and all(size < 60 for size, *_ in wrong), wrong


def test_what_is_sure_is_not_called_guessed() -> None:
    text = "今天下午去图书馆还书吧"
    assert not any(decode_text(text.encode(e), "a").guessed for e in ("utf-8", "utf-8-sig", "utf-16", "utf-32"))
    assert decode_text(text.encode("gb18030"), "a") == (text, "GB18030", True)
    assert not decode_text(text.encode("gb18030"), "a", "gb18030").guessed


def test_a_large_file_whose_first_chinese_comes_late_is_recognised() -> None:
    text = "plain English, line after line\n" * 5000 + "最后一行是中文的。\n"
    assert decode_text(text.encode("gb18030"), "a") == (text, "GB18030", True)
    assert decode_text(text.encode("utf-16-le"), "a") == (text, "UTF-16", True)


def test_a_character_cut_in_two_where_the_looking_ends_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "今天下午去图书馆还书吧" * 9
    for looked_at in (40, 41):
        monkeypatch.setattr(encodings, "LOOKED_AT", looked_at)
        assert decode_text(text.encode("gb18030"), "a").text == text


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("第一行\n第二行很长\n".encode() + b"\xff" + "第三行也很长\n".encode(), r"line 3: not UTF-8, byte 26 .*0xff"),
        ("第一行今天很好\r\n".encode("gb18030") * 3 + b"\xff\xff\r\n", r"line 4: not GB18030, byte 48 "),
        ("第一行今天很好\n".encode("utf-16") + b"\x00\xdc\x00\x00", r"line 2: not UTF-16, byte 18 "),
        (bytes(range(128, 256)) * 4, "line 1: not UTF-8 from byte 0 on.*is it text.*--encoding"),
        (b"abc\n" + bytes((i * 73 + 41) % 256 for i in range(3000)), "no encoding that is recognised"),
        ("Привет, как дела?\n".encode("cp1251") * 9, "no encoding that is recognised"),
        ("Вся наша жизнь — игра, а люди в ней актёры.".encode("cp1251"), "no encoding that is recognised"),
        ("Съешь ещё этих мягких французских булок.".encode("koi8-r"), "no encoding that is recognised"),
        ("Καλημέρα σας, τι κάνετε;".encode("iso8859-7"), "no encoding that is recognised"),
    ],
)
def test_what_cannot_be_decoded_is_named_with_its_byte_and_line(data: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        decode_text(data, "a.txt")
    assert str(caught.value).startswith("a.txt, line") and "\n" not in str(caught.value)


def test_an_encoding_that_is_named_is_taken() -> None:
    assert decode_text("Привет".encode("cp1251"), "a", "windows-1251").text == "Привет"
    assert decode_text("镕€".encode("gb18030"), "a", "gb2312").text == "镕€"  # what people call GB2312 holds more
    assert decode_text("’".encode("cp1252"), "a", "latin-1").text == "’"
    assert decode_text("\ufeff好".encode(), "a", "utf-8").text == "好"
    for name in ("utf-9", "base64", "rot13", ""):
        with pytest.raises(UserError, match="no such encoding"):
            decode_text(b"a", "a", name)
    with pytest.raises(UserError, match="line 1: not Big5, byte 0 "):
        decode_text(b"\xff\xff", "a", "big5")


def test_a_packed_file_is_text_like_any_other_and_an_empty_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress("今天下午去图书馆还书吧".encode("gb18030")))
    assert read_text_file(path) == ("今天下午去图书馆还书吧", "GB18030", True)
    path.write_bytes(gzip.compress(b" \n"))
    with pytest.raises(UserError, match="is empty"):
        read_text_file(path)
