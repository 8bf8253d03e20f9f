"""Reads the hand-written JSON files of ``data/sources``.

What is wrong with a file is said once, with the file and the key: ``data/sources/chat_care.json: limits[2].must is
missing``. A file is parsed once; nobody may change what they get.
"""

from __future__ import annotations

import dataclasses
import json
import textwrap
from collections.abc import Hashable, Mapping
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

SOURCES = Path(__file__).resolve().parent / "sources"

Shape = TypeVar("Shape")


class SourceError(ValueError):
    """A source file that cannot be read, is no JSON, or has not the shape that its reader asks for."""


class Table(dict[str, Any]):
    """A JSON object of any keys, that says where it stands when one is asked for that it has not."""

    def __init__(self, content: Mapping[str, Any], place: str) -> None:
        super().__init__(content)
        self.place = place

    def __missing__(self, key: str) -> Any:
        raise SourceError(f"{_below(self.place, key)} is missing")


def load_source(name: str, shape: type[Shape]) -> Shape:
    """``data/sources/<name>.json`` in a ``shape`` made of dataclasses, tuples, dicts, texts and whole numbers.

    A JSON array becomes a tuple, an object a dict or a dataclass whose fields are its keys; neither may be empty. The
    braces of a text must be those of a template. A dataclass may refuse its values with a ValueError in
    ``__post_init__``. Raises SourceError for whatever does not fit.
    """
    return cast(Shape, _load(name, cast(Hashable, shape)))


@cache
def load_table(name: str) -> Any:
    """``data/sources/<name>.json``, every object in it a Table. Raises SourceError."""
    content = read_json(name)
    if isinstance(content, dict):
        for key, value in content.items():
            if not isinstance(value, list | dict) or not value:
                raise SourceError(f"{_shown(name)}: {key} should be an array or an object with something in it")
    return _tables(content, f"{_shown(name)}:")


def _tables(value: Any, place: str) -> Any:
    if isinstance(value, dict):
        return Table({key: _tables(item, _below(place, key)) for key, item in value.items()}, place)
    if isinstance(value, list):
        return [_tables(item, f"{place}[{index}]") for index, item in enumerate(value)]
    return value


@cache
def read_json(name: str) -> Any:
    """``data/sources/<name>.json`` as JSON, whatever it is. Raises SourceError."""
    try:
        return json.loads((SOURCES / f"{name}.json").read_text(encoding="utf-8"), object_pairs_hook=_without_repeats)
    except json.JSONDecodeError as error:
        raise SourceError(f"{_shown(name)}, line {error.lineno}: {error.msg}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{_shown(name)}: cannot be read: {error}") from error
    except _RepeatedKeyError as error:
        raise SourceError(f"{_shown(name)}: {error} is there twice in one object") from error


class _RepeatedKeyError(ValueError):
    """Two entries of one object have the same key, of which JSON would forget the first."""


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise _RepeatedKeyError(key)
        content[key] = value
    return content


def _shown(name: str) -> str:
    return f"data/sources/{name}.json"


@cache
def _load(name: str, shape: Any) -> Any:
    try:
        return _shaped(read_json(name), shape, "")
    except _WrongShapeError as error:
        raise SourceError(f"{_shown(name)}: {error}") from error


class _WrongShapeError(ValueError):
    """What is wrong, said without the name of the file."""


def _shaped(value: Any, shape: Any, place: str) -> Any:
    """``value`` in ``shape``; ``place`` is the key under which it stands."""
    if dataclasses.is_dataclass(shape):
        return _fields(value, shape, place)
    kind, inner = get_origin(shape), get_args(shape)
    if kind is tuple:
        return _items(value, inner, place)
    if kind is dict:
        _expect(isinstance(value, dict) and value, place, "an object with something in it", value)
        return {key: _shaped(item, inner[1], _below(place, key)) for key, item in value.items()}
    if shape is int:
        _expect(type(value) is int, place, "a whole number", value)
    else:
        _expect(isinstance(value, str), place, "a text", value)
        _expect(_is_template(value), place, "a template whose braces are closed", value)
    return value


def _is_template(text: str) -> bool:
    try:
        list(Formatter().parse(text))
    except ValueError:
        return False
    return True


def _fields(value: Any, shape: Any, place: str) -> Any:
    _expect(isinstance(value, dict), place, "an object", value)
    fields, hints = dataclasses.fields(shape), get_type_hints(shape)
    for field in fields:
        if field.name not in value and field.default is dataclasses.MISSING:
            raise _WrongShapeError(f"{_below(place, field.name)} is missing")
    if unknown := [key for key in value if key not in hints]:
        known = ", ".join(field.name for field in fields)
        raise _WrongShapeError(f"{_below(place, unknown[0])} is unknown; the keys are {known}")
    content = {key: _shaped(item, hints[key], _below(place, key)) for key, item in value.items()}
    try:
        return shape(**content)
    except ValueError as error:
        raise _WrongShapeError(f"{place}: {error}" if place else str(error)) from error


def _items(value: Any, inner: tuple[Any, ...], place: str) -> tuple[Any, ...]:
    if inner[1:] == (...,):
        _expect(isinstance(value, list) and value, place, "an array with something in it", value)
        inner = inner[:1] * len(value)
    _expect(isinstance(value, list) and len(value) == len(inner), place, f"an array of {len(inner)}", value)
    shapes = enumerate(zip(value, inner, strict=True))
    return tuple(_shaped(item, shape, f"{place}[{index}]") for index, (item, shape) in shapes)


def _expect(holds: Any, place: str, expected: str, found: Any) -> None:
    if not holds:
        shown = textwrap.shorten(json.dumps(found, ensure_ascii=False), 60, placeholder=" …")
        raise _WrongShapeError(f"{place or 'the whole'} should be {expected}, but is {shown}")


def _below(place: str, key: str) -> str:
    return f"{place} {key}" if place.endswith(":") else f"{place}.{key}" if place else key
