"""Files -> records. Reading is strict: whatever is wrong with a file is reported with its line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scratchgpt.errors import UserError

Record = dict[str, Any]
"""One dialogue, pair or task: its fields by name."""
MAX_WEIGHT = 1000
"""How often a dialogue may be shown an epoch: enough for any taste, and no list of a billion numbers."""
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read_text(path: Path) -> str:
    """A UTF-8 file as it stands, without a byte-order mark.

    Raises:
        UserError: if the file is missing, empty or not UTF-8 (with the line).
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise UserError(f"{path}, line {line}: not UTF-8; save the file as UTF-8 and try again") from None
    if not text.strip():
        raise UserError(f"{path}: the file is empty")
    return text


def read_records(
    path: Path, fields: dict[str, type], complaint: Callable[[Record], str | None] = lambda record: None
) -> list[Record]:
    """The records of a JSON array or of a .jsonl file, each with the ``fields`` of the right type.

    Args:
        path: file to read.
        fields: the name and type of each field that must be there and not be empty.
        complaint: says what else is wrong with a record, or None.

    Raises:
        UserError: with the line of what is malformed or missing.
    """
    text = read_text(path)
    located = list(_json_lines(path, text) if path.suffix == ".jsonl" else _json_array(path, text))
    if not located:
        raise UserError(f"{path}: holds no records")
    records = _checked(path, located, fields)
    for (line, _), record in zip(located, records, strict=True):
        if problem := _wrong_kind(record) or complaint(record):
            raise UserError(f"{path}, line {line}: {problem}")
    return records


def _json_lines(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    for line, content in enumerate(text.split("\n"), 1):
        if content.strip():
            try:
                yield line, _without_surrogates(json.loads(content), content)
            except (ValueError, RecursionError) as error:
                raise UserError(f"{path}, line {line}: malformed JSON ({_reason(error)})") from None


def _json_array(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    """The members of a JSON array with the line each begins on."""
    decoder = json.JSONDecoder()
    position = len(text) - len(text.lstrip())
    line, counted = 1, 0

    def line_at(offset: int) -> int:
        nonlocal line, counted
        line += text.count("\n", counted, offset)
        counted = offset
        return line

    def skip_space(offset: int) -> int:
        while offset < len(text) and text[offset].isspace():
            offset += 1
        return offset

    if text[position] != "[":
        raise UserError(f"{path}, line {line_at(position)}: expected a JSON array, it must begin with [")
    position = skip_space(position + 1)
    while position < len(text) and text[position] != "]":
        start = position
        try:
            value, position = decoder.raw_decode(text, position)
            _without_surrogates(value, text, start, position)
        except (ValueError, RecursionError) as error:
            line = error.lineno if isinstance(error, json.JSONDecodeError) else line_at(start)
            raise UserError(f"{path}, line {line}: malformed JSON ({_reason(error)})") from None
        yield line_at(start), value
        position = skip_space(position)
        if position < len(text) and text[position] == ",":
            position = skip_space(position + 1)
        elif position < len(text) and text[position] != "]":
            raise UserError(f"{path}, line {line_at(position)}: malformed JSON (a comma is missing between records)")
    if position >= len(text):
        raise UserError(f"{path}, line {line_at(len(text))}: malformed JSON (the array never ends, ] is missing)")
    position = skip_space(position + 1)
    if position < len(text):
        raise UserError(f"{path}, line {line_at(position)}: malformed JSON (something follows the end of the array)")


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


def _checked(path: Path, located: Any, fields: dict[str, type]) -> list[Record]:
    records = []
    for line, record in located:
        if not isinstance(record, dict):
            raise UserError(f"{path}, line {line}: a record must be a JSON object, this is {type(record).__name__}")
        for name, kind in fields.items():
            if name not in record:
                raise UserError(f"{path}, line {line}: the record has no field {name!r}")
            if not isinstance(record[name], kind):
                raise UserError(f"{path}, line {line}: {name!r} must be of type {kind.__name__}")
            if not record[name]:
                raise UserError(f"{path}, line {line}: {name!r} is empty")
        records.append(record)
    return records


def _is_list_of_text(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _wrong_kind(record: Record) -> str | None:
    """What is wrong with the fields that a record need not have, or None."""
    for name in ("family", "kind", "category"):
        if not isinstance(record.get(name, ""), str):
            return f"{name!r} must be text, not {record[name]!r:.40}"
    if record.get("keywords") is not None and not _is_list_of_text(record["keywords"]):
        return f"'keywords' must be a list of texts, not {record['keywords']!r:.40}"
    rubric = record.get("rubric")
    if rubric is None:
        return None
    if not isinstance(rubric, dict):
        return f"'rubric' must be an object with 'must' and 'must_not', not {rubric!r:.40}"
    groups = rubric.get("must", [])
    if not isinstance(groups, list) or not all(map(_is_list_of_text, groups)):
        return f"'must' of a rubric must be a list of lists of texts, not {groups!r:.40}"
    if not _is_list_of_text(rubric.get("must_not", [])):
        return f"'must_not' of a rubric must be a list of texts, not {rubric['must_not']!r:.40}"
    return None


def read_dialogues(path: Path) -> list[Record]:
    """SFT records: ``messages`` (role and content each), optionally ``weight``, ``family``, ``rubric``.

    Raises:
        UserError: with the line, also for a role that does not exist or a dialogue without an answer.
    """

    def complaint(record: Record) -> str | None:
        for message in record["messages"]:
            if not isinstance(message, dict) or not isinstance(message.get("content"), str):
                return "every message needs 'role' and 'content' as text"
            if message.get("role") not in ("system", "user", "assistant"):
                return f"role {message.get('role')!r} is none of system, user, assistant"
        if record["messages"][-1]["role"] != "assistant":
            return "a dialogue must end with the assistant's answer"
        weight = record.get("weight", 1)
        if isinstance(weight, bool) or not isinstance(weight, int) or not 1 <= weight <= MAX_WEIGHT:
            return f"weight must be a positive integer, at most {MAX_WEIGHT}, not {weight!r:.40}"
        return None

    return read_records(path, {"messages": list}, complaint)


def read_pairs(path: Path) -> list[Record]:
    """Preference records: ``prompt``, ``chosen``, ``rejected``, optionally ``kind`` and ``rubric``.

    Raises:
        UserError: with the line of what is malformed or missing.
    """
    return read_records(path, {"prompt": str, "chosen": str, "rejected": str})


def read_tasks(path: Path, complaint_about: Callable[[Record], str | None] = lambda task: None) -> list[Record]:
    """RLVF records: ``type`` (math or logic), ``prompt``, ``expected_answer``, optionally ``keywords``, ``family``.

    Args:
        path: file to read.
        complaint_about: says what else is wrong with a task, or None.

    Raises:
        UserError: with the line of what is malformed or missing, also for another type.
    """

    def complaint(record: Record) -> str | None:
        if record["type"] not in {"math", "logic"}:
            return f"type {record['type']!r} is neither math nor logic"
        return complaint_about(record)

    return read_records(path, {"type": str, "prompt": str, "expected_answer": str}, complaint)


def split_heldout(items: Sequence[Any], key: Callable[[Any], str], share: float, seed: int) -> tuple[list, list]:
    """Hold out a part of the items; items with the same key stay together on one side.

    Args:
        items: what to split.
        key: says what must not stand on both sides, such as a prompt.
        share: of the keys, about how many are held out; 0 to 1.
        seed: of the choice.

    Returns:
        (training, held out); both hold at least one item.

    Raises:
        UserError: if there are not two different keys to split.
    """
    keys = sorted({key(item) for item in items})
    if len(keys) < 2:
        raise UserError("too little data: at least two different items are needed, one to train on and one to hold out")
    order = np.random.default_rng((seed, len(keys))).permutation(len(keys))
    count = min(max(1, round(share * len(keys))), len(keys) - 1)
    heldout = {keys[i] for i in order[:count]}
    return [i for i in items if key(i) not in heldout], [i for i in items if key(i) in heldout]
