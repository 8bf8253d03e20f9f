"""Files -> records, in whatever of the known formats they are.

What is malformed is reported with its line and ends the reading. What is well formed and teaches nothing, such as a
pair whose two answers are the same, is left out and counted, or refused where reading is strict.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from scratchgpt.datasets.compression import content_suffix, read_bytes
from scratchgpt.datasets.encodings import read_text_file
from scratchgpt.datasets.formats.dialogues import DIALOGUES, unfit_dialogue
from scratchgpt.datasets.formats.format import (
    Format,
    MalformedRecordError,
    Record,
    UnusableRecordError,
    format_of,
    needs_more_than_text,
)
from scratchgpt.datasets.formats.messengers import message_rows_of
from scratchgpt.datasets.formats.pairs import PAIRS
from scratchgpt.datasets.formats.plain_text import TEXTS, line_ends, text_format_of
from scratchgpt.datasets.formats.tasks import TASKS, is_surely_task
from scratchgpt.datasets.rows import DELIMITERS, Row, json_line_rows, json_rows, parquet_rows, table_rows
from scratchgpt.errors import UserError
from scratchgpt.installation import is_own_data
from scratchgpt.tokenizer.invisible import clean_values, dropped_in_words

MAX_WEIGHT = 1000
"""How often a dialogue may be shown an epoch: enough for any taste, and no list of a billion numbers."""


def _of_fields(record: Any, fields: Mapping[str, type]) -> tuple[str, str]:
    """What is wrong with the fields that a record must have, and which one is empty; an empty text if nothing is."""
    if not isinstance(record, dict):
        return f"a record must be a JSON object, this is {type(record).__name__}", ""
    for name, kind in fields.items():
        if name not in record:
            return f"the record has no field {name!r}", ""
        if not isinstance(record[name], kind):
            return f"{name!r} must be of type {kind.__name__}", ""
        if not record[name]:
            return "", f"{name!r} is empty"
    return "", ""


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


# -- what a file of records holds ---------------------------------------------------------------------------------
class PlacedRecord(Record):
    """A record that knows where it stands.

    Attributes:
        place: the file and the line, as messages have them.
    """

    place = ""


def place_of(record: Record) -> str:
    """The file and the line of a record, or a few words of it where they are not known."""
    return record.place if isinstance(record, PlacedRecord) else f"{record!r:.60}"


@dataclass(frozen=True)
class LeftOut:
    """Records that were left out for one reason.

    Attributes:
        count: how many.
        first: where the first of them stands.
    """

    count: int
    first: str


@dataclass(frozen=True)
class RecordFile:
    """What was read from a file, and what was not.

    Attributes:
        path: of the file.
        kind: what the records are, in the plural.
        how: container and encoding of the file, in words.
        formats: how many records were recognised as what.
        records: those that can be used, in order.
        left_out: the others, by reason.
        note: what else a reader has to know, or nothing.
        dropped: characters that nobody sees, taken out of the texts, and how often.
    """

    path: Path
    kind: str
    how: str
    formats: Mapping[str, int]
    records: list[Record] = field(repr=False)
    left_out: Mapping[str, LeftOut]
    note: str = ""
    dropped: Counter[str] = field(default_factory=Counter)

    def description(self) -> str:
        """All this in one line."""
        formats = ", ".join(
            name if len(self.formats) == 1 else f"{name} ({count:,})" for name, count in self.formats.items()
        )
        parts = [f"{self.path}: {len(self.records):,} {self.kind}, {formats}, {self.how}", self.note]
        unseen = f"{dropped_in_words(self.dropped)} dropped" if self.dropped else ""
        return "; ".join(filter(None, [*parts, left_out_in_words(self.left_out), unseen]))


def left_out_in_words(left_out: Mapping[str, LeftOut]) -> str:
    """What was left out, why, and where the first of each reason stands; empty if nothing was."""
    return "; ".join(f"{one.count:,} left out, first {one.first}: {reason}" for reason, one in left_out.items())


@dataclass(frozen=True)
class Kind:
    """A kind of records: dialogues, preference pairs or tasks.

    Attributes:
        name: in the plural.
        formats: in which they come, our own among them.
        fields: what a record of our own must have, and of which type.
        complaint: what is wrong with a record that has these fields, or None.
        useless: why a record without fault teaches nothing, or None.
        unfit: why a record, as it stands in its file, must not be used, or None.
    """

    name: str
    formats: tuple[Format, ...]
    fields: Mapping[str, type]
    complaint: Callable[[Record], str | None]
    useless: Callable[[Record], str | None]
    unfit: Callable[[Record], str | None] = needs_more_than_text


def nothing_wrong(record: Record) -> str | None:
    """The complaint of whoever has none."""
    return None


def load_records(
    path: Path,
    kind: Kind,
    strict: bool = False,
    encoding: str | None = None,
    unanswerable: Callable[[Record], str | None] = nothing_wrong,
) -> RecordFile:
    """The records of a file in any of the kind's formats.

    Args:
        path: a JSON array, JSON lines, CSV or TSV with a header, Parquet, or plain text; it may be packed.
        kind: what is to be read.
        strict: refuse what is useless, rather than leave it out.
        encoding: of a text; None: recognise it.
        unanswerable: why nothing can be right about a record, or None. One of our own is refused for it, of another
            format, whose author did not know of it, it is left out.

    Raises:
        UserError: with the line of what is malformed, or, if strict, useless; or if nothing is left.
    """
    rows, how, recognised_as, note = _rows(path, kind, encoding)
    last: Format | None = None
    found: Counter[str] = Counter()
    records: list[Record] = []
    reasons: dict[str, LeftOut] = {}
    dropped: Counter[str] = Counter()
    ours = is_own_data(path)
    for place, row in rows:
        where = f"{path}, {place}"
        last = _format_of(where, row, kind, last)
        name = recognised_as or last.name
        converted, problem = row, ""
        reason = kind.unfit(row) or ""
        try:
            if not reason:
                converted = last.convert(row)
                if not ours:  # a second for each 60,000 dialogues, and ours are clean: a test holds that
                    converted = clean_values(converted, dropped)
                problem, reason = _judged(converted, kind, last, unanswerable)
        except UnusableRecordError as error:
            reason = str(error)
        except MalformedRecordError as error:
            raise UserError(f"{where}: {error}" + ("" if last.own else f" (read as {name})")) from None
        if problem:
            raise UserError(f"{where}: {problem}")
        found[name] += 1
        if reason and strict:
            raise UserError(f"{where}: {reason}; mend it or take it out (--strict refuses such {kind.name})")
        if reason:
            sooner = reasons.get(reason, LeftOut(0, place))
            reasons[reason] = LeftOut(sooner.count + 1, sooner.first)
            continue
        record = PlacedRecord(converted)
        record.place = where
        records.append(record)
    if not found:
        raise UserError(f"{path}: holds no records" + (f" (read as {recognised_as})" if recognised_as else ""))
    if not records:
        raise UserError(f"{path}: no {kind.name} can be used: {left_out_in_words(reasons)}")
    return RecordFile(path, kind.name, how, found, records, reasons, note, dropped)


def _rows(path: Path, kind: Kind, encoding: str | None) -> tuple[Iterator[Row], str, str, str]:
    """The rows of a file, in which container they are, as what they were recognised already, and a note."""
    rows, how, name, note = _contained_rows(path, kind, encoding)
    first = list(itertools.islice(rows, 1))
    rows = itertools.chain(first, rows)
    talk = message_rows_of(first[0][1]) if first else None
    return (rows, how, name, note) if talk is None else (talk.dialogues(rows), how, talk.name, talk.says)


def _contained_rows(path: Path, kind: Kind, encoding: str | None) -> tuple[Iterator[Row], str, str, str]:
    """The rows of a file as its container holds them, and the rest as ``_rows``."""
    suffix = content_suffix(path)
    if suffix == ".parquet":
        return parquet_rows(path, read_bytes(path)), "Parquet", "", ""
    decoded = read_text_file(path, encoding)
    text = line_ends(decoded.text)
    spoken = f"{decoded.encoding}, recognised" if decoded.guessed else decoded.encoding
    if suffix in DELIMITERS:
        return table_rows(path, text, DELIMITERS[suffix]), f"{suffix[1:].upper()} in {spoken}", "", ""
    if suffix in {".jsonl", ".ndjson"} and text.lstrip()[:1] != "[":
        return json_line_rows(path, text), f"JSON lines in {spoken}", "", ""
    written = None if suffix == ".json" else text_format_of(text)
    if written is not None:
        located = ((f"line {line}", record) for line, record in written.records(text))
        return located, f"text in {spoken}", written.name, written.says(text)
    if suffix == ".json" or suffix in {".jsonl", ".ndjson"} or text.lstrip()[:1] in {"[", "{"}:
        return json_rows(path, text), f"JSON in {spoken}", "", ""
    known = " or ".join(one.looks_like for one in TEXTS)
    raise UserError(
        f"{path}: this text holds no {kind.name} that can be recognised; write it as {known}, or as JSON lines"
    )


def _format_of(where: str, row: Any, kind: Kind, last: Format | None) -> Format:
    """The format of a row: the one that recognises it, or that of the row before, which says what is missing."""
    if not isinstance(row, dict):
        raise UserError(f"{where}: a record must be a JSON object, this is {type(row).__name__}")
    found = format_of(row, kind.formats) or last
    if found is None:
        fields = ", ".join(map(str, row)) or "no fields"
        known = "; ".join(one.fields for one in kind.formats)
        raise UserError(f"{where}: no {kind.name} that can be recognised; it has {fields:.100}, known are: {known}")
    return found


def _judged(
    record: Record, kind: Kind, its_format: Format, unanswerable: Callable[[Record], str | None]
) -> tuple[str, str]:
    """What is wrong with a record of ours, and else why it is useless; empty texts if nothing."""
    problem, empty = _of_fields(record, kind.fields)
    if problem or empty:
        return problem, empty
    if not its_format.own:
        reason = kind.useless(record) or (NO_VERIFIER if unanswerable(record) else None)
        return "", reason or kind.complaint(record) or ""
    problem = _wrong_kind(record) or kind.complaint(record) or unanswerable(record) or ""
    return problem, "" if problem else kind.useless(record) or ""


NO_VERIFIER = "no verifier recognises its answer as one number, word or time"


def kind_of(path: Path, encoding: str | None = None) -> Kind | None:
    """What kind of records a file holds, as far as its first one says; None if it is a text, or has a field ``text``.

    Args:
        path: of the file.
        encoding: of a text; None: recognise it.

    Raises:
        UserError: if the file cannot be read.
    """
    suffix = content_suffix(path)
    if suffix not in {".json", ".jsonl", ".ndjson", ".parquet", *DELIMITERS}:
        text = line_ends(read_text_file(path, encoding).text)
        if text_format_of(text) is not None:
            return DIALOGUE
        if text.lstrip()[:1] not in {"[", "{"}:
            return None
    rows, _, talk, _ = _rows(path, DIALOGUE, encoding)
    if talk:
        return DIALOGUE
    row = next(rows, ("", None))[1]
    if not isinstance(row, dict):
        return None
    if any(isinstance(value, str) and "####" in value for value in row.values()) and format_of(row, TASKS):
        return TASK
    found = format_of(row, PAIRS), format_of(row, TASKS), format_of(row, DIALOGUES)
    if found[0]:
        return PAIR
    if found[1] and (found[1].own or is_surely_task(row) or not found[2]):
        return TASK
    return DIALOGUE if found[2] else None


# -- dialogues ------------------------------------------------------------------------------------------------
def _wrong_turns(messages: Sequence[Any]) -> str | None:
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("content"), str):
            return "every message needs 'role' and 'content' as text"
        if message.get("role") not in ("system", "user", "assistant"):
            return f"role {message.get('role')!r} is none of system, user, assistant"
    return None


def _wrong_dialogue(record: Record) -> str | None:
    if wrong := _wrong_turns(record["messages"]):
        return wrong
    if record["messages"][-1]["role"] != "assistant":
        return "a dialogue must end with the assistant's answer"
    weight = record.get("weight", 1)
    if isinstance(weight, bool) or not isinstance(weight, int) or not 1 <= weight <= MAX_WEIGHT:
        return f"weight must be a positive integer, at most {MAX_WEIGHT}, not {weight!r:.40}"
    return None


def _useless_dialogue(record: Record) -> str | None:
    turns = [message for message in record["messages"] if message["role"] != "system"]
    roles = [message["role"] for message in turns]
    if not roles or roles[-1] != "assistant":
        return "it ends without an answer"
    if roles[0] == "assistant":
        return "the assistant speaks first"
    if any(one == following for one, following in itertools.pairwise(roles)):
        return "two turns of one role follow each other"
    for message in turns:
        if not message["content"].strip():
            return "an answer is empty" if message["role"] == "assistant" else "a question is empty"
    if all(message.get("weight", 1) == 0 for message in turns if message["role"] == "assistant"):
        return "none of its answers is to be learned (their weight is 0)"
    return None


DIALOGUE = Kind("dialogues", DIALOGUES, {"messages": list}, _wrong_dialogue, _useless_dialogue, unfit_dialogue)


def read_dialogues(path: Path) -> list[Record]:
    """SFT records: ``messages`` (role and content each), optionally ``weight``, ``family``, ``rubric``.

    Raises:
        UserError: with the line, also for a role that does not exist or a dialogue without an answer.
    """
    return load_records(path, DIALOGUE).records


def opening_of(dialogue: Record) -> list[dict[str, Any]]:
    """The messages up to the user's first one, a system turn among them: what the first answer is an answer to."""
    messages = dialogue["messages"]
    asked = next((i for i, message in enumerate(messages) if message["role"] == "user"), 0)
    return list(messages[: asked + 1])


def question_of(dialogue: Record) -> str:
    """What the user asks first."""
    return str(opening_of(dialogue)[-1]["content"])


def prompt_of(dialogue: Record) -> str | list[dict[str, Any]]:
    """What to put to a model to get the first answer: the question, with what stands before it if anything does."""
    opening = opening_of(dialogue)
    return opening if len(opening) > 1 else question_of(dialogue)


# -- pairs ----------------------------------------------------------------------------------------------------
def _wrong_pair(record: Record) -> str | None:
    history = record.get("history", [])
    if not isinstance(history, list):
        return f"'history' must be a list of messages, not {history!r:.40}"
    return _wrong_turns(history)


def _useless_pair(record: Record) -> str | None:
    for name in ("prompt", "chosen", "rejected"):
        if not record[name].strip():
            return f"{name!r} is empty"
    return "chosen and rejected are the same" if record["chosen"].strip() == record["rejected"].strip() else None


PAIR = Kind("pairs", PAIRS, {"prompt": str, "chosen": str, "rejected": str}, _wrong_pair, _useless_pair)


def read_pairs(path: Path) -> list[Record]:
    """Preference records: ``prompt``, ``chosen``, ``rejected``, optionally ``history``, ``kind`` and ``rubric``.

    Raises:
        UserError: with the line of what is malformed or missing.
    """
    return load_records(path, PAIR).records


# -- tasks ----------------------------------------------------------------------------------------------------
def _wrong_task(record: Record) -> str | None:
    if record["type"] not in {"math", "logic"}:
        return f"type {record['type']!r} is neither math nor logic"
    return None


def _useless_task(record: Record) -> str | None:
    empty = (name for name in ("prompt", "expected_answer") if not record[name].strip())
    return next((f"{name!r} is empty" for name in empty), None)


TASK = Kind("tasks", TASKS, {"type": str, "prompt": str, "expected_answer": str}, _wrong_task, _useless_task)


def read_tasks(path: Path, complaint_about: Callable[[Record], str | None] = nothing_wrong) -> list[Record]:
    """RLVF records: ``type`` (math or logic), ``prompt``, ``expected_answer``, optionally ``keywords``, ``family``.

    Args:
        path: file to read.
        complaint_about: says what else is wrong with a task, or None.

    Raises:
        UserError: with the line of what is malformed or missing, also for another type.
    """
    return load_records(path, TASK, unanswerable=complaint_about).records


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
