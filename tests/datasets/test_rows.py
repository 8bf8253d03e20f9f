"""Rows of JSON, tables and Parquet, each with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from scratchgpt.datasets.rows import json_line_rows, json_rows, table_rows
from scratchgpt.errors import UserError

PATH = Path("a.file")


def test_rows_know_their_lines() -> None:
    assert list(json_line_rows(PATH, '1\n\n{"a": 2}\n')) == [("line 1", 1), ("line 3", {"a": 2})]
    assert list(json_rows(PATH, '[\n"a",\n"b"]')) == [("line 2", "a"), ("line 3", "b")]
    table = 'Text;id\n"a\nb";1\n\nc;2\n'
    assert list(table_rows(PATH, table, ",;")) == [
        ("line 2", {"text": "a\nb", "id": "1"}),
        ("line 5", {"text": "c", "id": "2"}),
    ]


def test_a_row_of_another_length_is_refused_with_its_line() -> None:
    with pytest.raises(UserError, match="line 3: the row has 1 columns, the first row 2"):
        list(table_rows(PATH, "a,b\n1,2\n3\n", ","))
