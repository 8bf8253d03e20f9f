"""Reads the hand-written JSON files of ``data/sources``.

What is wrong with a file is said in one line, with the file and the key: ``data/sources/chat_care.json:
limits.money.must is missing``. That holds for what a reader finds at once (a key, a shape) and for what shows only when
a text is used (a name in braces that nothing is bound to). A file is parsed once; nobody may change what they get.
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
    """A source file that cannot be read, is no JSON, or does not hold what is asked of it."""


class Text(str):
    """A text that knows its place: the file and the key under which it stands."""

    place: str

    def __new__(cls, text: str, place: str) -> Text:
        """``text``, which stands at ``place``."""
        self = super().__new__(cls, text)
        self.place = place
        return self

    def format(self, *values: object, **words: object) -> str:
        """As ``str.format``; raises SourceError for a name in braces that no word is given for."""
        try:
            return super().format(*values, **words)
        except (KeyError, IndexError) as error:
            known = ", ".join([*["{}"] * bool(values), *(f"{{{name}}}" for name in words)])
            raise SourceError(f"{self.place} names {error.args[0]!r}, but is told only {known}") from error


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
    """``data/sources/<name>.json`` in any shape: objects as Tables, texts as Texts. Raises SourceError."""
    content = read_json(name)
    if isinstance(content, dict):
        for key, value in content.items():
            _expect(isinstance(value, list | dict) and value, _below(_root(name), key), "an array or an object", value)
    return _placed(content, _root(name))


@cache
def read_json(name: str) -> Any:
    """``data/sources/<name>.json`` as JSON, whatever it is. Raises SourceError."""
    try:
        return json.loads((SOURCES / f"{name}.json").read_text(encoding="utf-8"), object_pairs_hook=_without_repeats)
    except json.JSONDecodeError as error:
        raise SourceError(f"{_root(name)} line {error.lineno}: {error.msg}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{_root(name)} cannot be read: {error}") from error
    except _RepeatedKeyError as error:
        raise SourceError(f"{_root(name)} {error} is there twice in one object") from error


class _RepeatedKeyError(ValueError):
    """Two entries of one object have the same key, of which JSON would forget the first."""


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise _RepeatedKeyError(key)
        content[key] = value
    return content


@cache
def _load(name: str, shape: Any) -> Any:
    return _shaped(read_json(name), shape, _root(name))


def _shaped(value: Any, shape: Any, place: str) -> Any:
    """``value``, which stands at ``place``, in ``shape``."""
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
        return value
    _expect(isinstance(value, str), place, "a text", value)
    _expect(_is_template(value), place, "a template whose braces are closed", value)
    return Text(value, place)


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
            raise SourceError(f"{_below(place, field.name)} is missing")
    if unknown := [key for key in value if key not in hints]:
        known = ", ".join(field.name for field in fields)
        raise SourceError(f"{_below(place, unknown[0])} is unknown; the keys are {known}")
    content = {key: _shaped(item, hints[key], _below(place, key)) for key, item in value.items()}
    try:
        return shape(**content)
    except ValueError as error:
        raise SourceError(f"{place.removesuffix(':')}: {error}") from error


def _items(value: Any, inner: tuple[Any, ...], place: str) -> tuple[Any, ...]:
    if inner[1:] == (...,):
        _expect(isinstance(value, list) and value, place, "an array with something in it", value)
        inner = inner[:1] * len(value)
    _expect(isinstance(value, list) and len(value) == len(inner), place, f"an array of {len(inner)}", value)
    shapes = enumerate(zip(value, inner, strict=True))
    return tuple(_shaped(item, shape, _below(place, index)) for index, (item, shape) in shapes)


def _placed(value: Any, place: str) -> Any:
    """``value``, which stands at ``place``, with every object and every text knowing where it stands."""
    if isinstance(value, dict):
        return Table({key: _placed(item, _below(place, key)) for key, item in value.items()}, place)
    if isinstance(value, list):
        return [_placed(item, _below(place, index)) for index, item in enumerate(value)]
    return Text(value, place) if isinstance(value, str) else value


def _expect(holds: Any, place: str, expected: str, found: Any) -> None:
    if not holds:
        shown = textwrap.shorten(json.dumps(found, ensure_ascii=False), 60, placeholder=" …")
        raise SourceError(f"{place} should be {expected}, but is {shown}")


def _root(name: str) -> str:
    return f"data/sources/{name}.json:"


def _below(place: str, key: str | int) -> str:
    """The place of an entry: ``file: key``, ``file: key.inner``, ``file: key[2]``."""
    step = f"[{key}]" if isinstance(key, int) else key
    return f"{place} {step}" if place.endswith(":") else place + step if isinstance(key, int) else f"{place}.{step}"
