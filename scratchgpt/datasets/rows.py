"""Files as rows: what a JSON, CSV or Parquet file holds, member by member, each with the place where it stands."""

from __future__ import annotations

import csv
import importlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scratchgpt.errors import UserError

Row = tuple[str, Any]
"""Where it stands in its file ("line 3"), and what stands there."""
DELIMITERS = {".csv": ",;\t|", ".tsv": "\t", ".tab": "\t"}
"""What may stand between two columns of a table, by the ending of its name."""
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_LONGEST_CELL = 1 << 27
"""Characters; Python's own limit of 131,072 is shorter than many a document."""


# -- JSON -----------------------------------------------------------------------------------------------------
def json_rows(path: Path, text: str) -> Iterator[Row]:
    """The members of a JSON array, or one object after another.

    Args:
        path: of the file, for messages.
        text: what it holds.

    Raises:
        UserError: with the line of what is malformed.
    """
    return (_json_objects if text.lstrip()[:1] == "{" else _json_array)(path, text)


def json_line_rows(path: Path, text: str) -> Iterator[Row]:
    """The JSON values of a file that has one on every line; blank lines are passed over.

    Args:
        path: of the file, for messages.
        text: what it holds.

    Raises:
        UserError: with the line of what is malformed.
    """
    for line, content in enumerate(text.split("\n"), 1):
        if content.strip():
            try:
                yield f"line {line}", _without_surrogates(json.loads(content), content)
            except (ValueError, RecursionError) as error:
                raise UserError(f"{path}, line {line}: malformed JSON ({_reason(error)})") from None


class _JSONReader:
    """Takes one JSON value after another from a text and knows the line of each."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text, self.position = path, text, 0
        self._line, self._counted = 1, 0
        self._decoder = json.JSONDecoder()

    def line(self) -> int:
        """Of the position."""
        self._line += self.text.count("\n", self._counted, self.position)
        self._counted = self.position
        return self._line

    def next_character(self) -> str:
        """The first one from here on that is no white space; empty at the end."""
        while self.position < len(self.text) and self.text[self.position].isspace():
            self.position += 1
        return self.text[self.position : self.position + 1]

    def value(self) -> Row:
        """The value that begins here; the position is behind it then."""
        line, start = self.line(), self.position
        try:
            value, self.position = self._decoder.raw_decode(self.text, start)
            return f"line {line}", _without_surrogates(value, self.text, start, self.position)
        except (ValueError, RecursionError) as error:
            line = error.lineno if isinstance(error, json.JSONDecodeError) else line
            raise UserError(f"{self.path}, line {line}: malformed JSON ({_reason(error)})") from None

    def malformed(self, reason: str) -> UserError:
        """What to raise about the position."""
        return UserError(f"{self.path}, line {self.line()}: malformed JSON ({reason})")


def _json_objects(path: Path, text: str) -> Iterator[Row]:
    reader = _JSONReader(path, text)
    while reader.next_character():
        yield reader.value()
        if reader.next_character() == ",":
            raise reader.malformed("a comma follows an object; put [ before the first one and ] behind the last")


def _json_array(path: Path, text: str) -> Iterator[Row]:
    """The members of a JSON array with the line each begins on."""
    reader = _JSONReader(path, text)
    if reader.next_character() != "[":
        raise UserError(f"{path}, line {reader.line()}: expected a JSON array, it must begin with [")
    reader.position += 1
    while reader.next_character() not in ("]", ""):
        yield reader.value()
        if reader.next_character() == ",":
            reader.position += 1
        elif reader.next_character() not in ("]", ""):
            raise reader.malformed("a comma is missing between records")
    if not reader.next_character():
        raise reader.malformed("the array never ends, ] is missing")
    reader.position += 1
    if reader.next_character():
        raise reader.malformed("something follows the end of the array")


def _without_surrogates(value: Any, source: str, start: int = 0, end: int | None = None) -> Any:
    """The value of some JSON, whose source stands there, once it is sure to be text that can be written.

    Raises:
        ValueError: if a string holds a lone surrogate, half a character that only an escape can spell.
    """
    if _SURROGATE.search(source, start, len(source) if end is None else end):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            half = ord(error.object[error.start])
            raise ValueError(f"the lone surrogate \\u{half:04x} is half a character; write the whole one") from None
    return value


def _reason(error: ValueError | RecursionError) -> str:
    """Why JSON cannot be read."""
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return "a number has too many digits" if "digits" in str(error) else str(error)


# -- tables ---------------------------------------------------------------------------------------------------
def table_rows(path: Path, text: str, delimiters: str) -> Iterator[Row]:
    """The rows of a table whose first row names the columns: {"name": text, ...}, names in small letters.

    Args:
        path: of the file, for messages.
        text: what it holds.
        delimiters: what may stand between two columns; the one that the first row has most of does.

    Raises:
        UserError: with the line of a row that has not as many columns as the first one, or whose quotes never close.
    """
    csv.field_size_limit(_LONGEST_CELL)
    head = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(delimiters, key=head.count)
    reader = csv.reader(io.StringIO(text.replace("\r\n", "\n").replace("\r", "\n")), delimiter=delimiter, strict=True)
    names: list[str] = []
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise UserError(f"{path}, line {line}: malformed table ({error})") from None
        if cells is None:
            return
        if not any(cell.strip() for cell in cells):
            continue
        if not names:
            names = [cell.strip().lower() for cell in cells]
            continue
        if len(cells) != len(names):
            raise UserError(f"{path}, line {line}: the row has {len(cells)} columns, the first row {len(names)}")
        yield f"line {line}", dict(zip(names, cells, strict=True))


def parquet_rows(path: Path, content: bytes) -> Iterator[Row]:
    """The rows of a Parquet file.

    Args:
        path: of the file, for messages.
        content: its bytes.

    Raises:
        UserError: if it is damaged, or the package pyarrow is not installed.
    """
    try:
        arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise UserError(f"{path}: Parquet needs pyarrow; install it with: pip install pyarrow") from None
    number = 0
    try:
        for batch in parquet.ParquetFile(arrow.BufferReader(content)).iter_batches():
            for row in batch.to_pylist():
                number += 1
                yield f"row {number}", row
    except (arrow.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: no Parquet that can be read, behind row {number} ({reason:.120})") from None
