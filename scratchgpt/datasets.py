"""Files and records -> token batches.

A batch is a function of the step's number, the seed and the data, nothing else: to resume a run at step n
is to ask for batch n. Reading is strict: whatever is wrong with a file is reported with its line.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scratchgpt.autograd import IGNORE_INDEX
from scratchgpt.errors import UserError
from scratchgpt.tokenizer import EOS_ID, PAD_ID, Tokenizer, encode_chat_with_mask

Record = dict[str, Any]


# -- files --------------------------------------------------------------------------------------------------
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


def read_corpus(path: Path) -> list[str]:
    """The documents of a text file, a .jsonl file with ``text`` fields, or a folder of such files.

    In a .txt file a blank line separates documents; in a .jsonl file every line is one.

    Raises:
        UserError: if nothing is there to read, or a line is malformed.
    """
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix in {".txt", ".jsonl"})
        if not files:
            raise UserError(f"{path}: the folder holds no .txt or .jsonl file")
        return [document for file in files for document in read_corpus(file)]
    text = read_text(path)
    if path.suffix == ".jsonl":
        return [record["text"] for record in _checked(path, _json_lines(path, text), {"text": str})]
    return [document for part in text.split("\n\n") if (document := part.strip("\n"))]


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
        if problem := complaint(record):
            raise UserError(f"{path}, line {line}: {problem}")
    return records


def _json_lines(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    for line, content in enumerate(text.split("\n"), 1):
        if content.strip():
            try:
                yield line, json.loads(content)
            except json.JSONDecodeError as error:
                raise UserError(f"{path}, line {line}: malformed JSON ({error.msg})") from None


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
        except json.JSONDecodeError as error:
            raise UserError(f"{path}, line {error.lineno}: malformed JSON ({error.msg})") from None
        yield line_at(start), value
        position = skip_space(position)
        if position < len(text) and text[position] == ",":
            position = skip_space(position + 1)
        elif position < len(text) and text[position] != "]":
            raise UserError(f"{path}, line {line_at(position)}: malformed JSON (a comma is missing between records)")
    if position >= len(text):
        raise UserError(f"{path}, line {line_at(len(text))}: malformed JSON (the array never ends, ] is missing)")


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


def read_dialogues(path: Path) -> list[Record]:
    """SFT records: ``messages`` (role and content each), optionally ``weight``, ``family``, ``rubric``.

    Raises:
        UserError: with the line, also for a role that does not exist or a dialogue without an answer.
    """

    def complaint(record: Record) -> str | None:
        for message in record["messages"]:
            if not isinstance(message, dict) or not isinstance(message.get("content"), str):
                return "every message needs 'role' and 'content' as text"
            if message.get("role") not in {"system", "user", "assistant"}:
                return f"role {message.get('role')!r} is none of system, user, assistant"
        if record["messages"][-1]["role"] != "assistant":
            return "a dialogue must end with the assistant's answer"
        if not isinstance(record.get("weight", 1), int) or record.get("weight", 1) < 1:
            return f"weight must be a positive integer, not {record['weight']!r}"
        return None

    return read_records(path, {"messages": list}, complaint)


def read_pairs(path: Path) -> list[Record]:
    """Preference records: ``prompt``, ``chosen``, ``rejected``, optionally ``kind`` and ``rubric``."""
    return read_records(path, {"prompt": str, "chosen": str, "rejected": str})


def read_tasks(path: Path) -> list[Record]:
    """RLVF records: ``type`` (math or logic), ``prompt``, ``expected_answer``, optionally ``keywords``, ``family``."""

    def complaint(record: Record) -> str | None:
        known = record["type"] in {"math", "logic"}
        return None if known else f"type {record['type']!r} is neither math nor logic"

    return read_records(path, {"type": str, "prompt": str, "expected_answer": str}, complaint)


def split_heldout(items: Sequence[Any], key: Callable[[Any], str], share: float, seed: int) -> tuple[list, list]:
    """Hold out a share of the items; items with the same key stay together on one side.

    Returns:
        (training, held out); both hold at least one item.

    Raises:
        UserError: if there are not two different keys to split.
    """
    keys = sorted({key(item) for item in items})
    if len(keys) < 2:
        raise UserError("too little data: at least two different items are needed, one to train on and one to hold out")
    order = np.random.default_rng((seed, len(keys))).permutation(len(keys))
    heldout = {keys[i] for i in order[: max(1, round(share * len(keys)))]}
    return [i for i in items if key(i) not in heldout], [i for i in items if key(i) in heldout]


# -- batches ------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class TokenBatch:
    """input_ids and targets (B, T) int64; a target of -100 takes no part in the loss."""

    input_ids: np.ndarray
    targets: np.ndarray

    @property
    def tokens(self) -> int:
        """Tokens that go through the model."""
        return self.input_ids.size


def encode_documents(documents: Sequence[str], tokenizer: Tokenizer) -> np.ndarray:
    """All documents as one stream of ids (int32), each closed by <EOS>."""
    stream: list[int] = []
    for document in documents:
        stream += tokenizer.encode(document)
        stream.append(EOS_ID)
    return np.array(stream, dtype=np.int32)


class TextWindows:
    """Windows of ``context_size`` tokens from one stream, each once an epoch in random order.

    Every epoch cuts the stream at another offset, so a window is never quite the same twice.

    Raises:
        UserError: if the stream is shorter than one window.
    """

    def __init__(self, stream: np.ndarray, context_size: int, batch_size: int, seed: int) -> None:
        self.stream, self.context_size, self.seed = stream, context_size, seed
        windows = (len(stream) - 1) // context_size - 1  # one window less leaves room for the offset
        if windows < 1:
            raise UserError(
                f"the text is too short: {len(stream)} tokens do not fill two windows of {context_size}; "
                "add text or lower context_size"
            )
        self.num_windows = windows
        self.batch_size = min(batch_size, windows)
        self.steps_per_epoch = windows // self.batch_size

    def batch(self, step: int) -> TokenBatch:
        """Step's batch: (batch_size, context_size)."""
        epoch, position = divmod(step, self.steps_per_epoch)
        rng = np.random.default_rng((self.seed, epoch))
        offset = int(rng.integers(self.context_size))
        chosen = rng.permutation(self.num_windows)[position * self.batch_size : (position + 1) * self.batch_size]
        rows = offset + chosen[:, None] * self.context_size + np.arange(self.context_size + 1)
        ids = self.stream[rows].astype(np.int64)
        return TokenBatch(ids[:, :-1], ids[:, 1:])


def heldout_windows(stream: np.ndarray, context_size: int, batch_size: int) -> Iterator[TokenBatch]:
    """The whole stream once, in order, in windows that do not overlap; every token but the first is a target."""
    count = math.ceil((len(stream) - 1) / context_size)
    padded = np.full(count * context_size + 1, PAD_ID, dtype=np.int64)
    padded[: len(stream)] = stream
    inputs, targets = padded[:-1].reshape(count, -1), padded[1:].reshape(count, -1).copy()
    targets.reshape(-1)[len(stream) - 1 :] = IGNORE_INDEX
    for start in range(0, count, batch_size):
        yield TokenBatch(inputs[start : start + batch_size], targets[start : start + batch_size])


def pad_sequences(sequences: Sequence[Sequence[int]], value: int = PAD_ID) -> np.ndarray:
    """(B, longest) int64, filled up on the right."""
    padded = np.full((len(sequences), max(map(len, sequences))), value, dtype=np.int64)
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence
    return padded


class DialogueBatches:
    """Dialogues of similar length together, padded; the loss is on the assistant's tokens.

    A record with ``weight`` w is shown w times an epoch. Dialogues longer than the context are left out
    and counted in ``too_long``.

    Raises:
        UserError: if no dialogue fits the context.
    """

    POOL_BATCHES = 50  # sorting by length inside pools keeps padding low and the order random

    def __init__(
        self, records: Sequence[Record], tokenizer: Tokenizer, context_size: int, batch_size: int, seed: int
    ) -> None:
        self.seed = seed
        self.sequences: list[tuple[np.ndarray, np.ndarray]] = []
        repeats = []
        self.too_long = 0
        for record in records:
            ids, mask = encode_chat_with_mask(tokenizer, record["messages"])
            if len(ids) > context_size + 1:
                self.too_long += 1
                continue
            self.sequences.append((np.array(ids, dtype=np.int32), np.array(mask, dtype=bool)))
            repeats.append(int(record.get("weight", 1)))
        if not self.sequences:
            raise UserError(f"none of the {len(records)} dialogues fits the context of {context_size} tokens")
        self.shown = np.repeat(np.arange(len(self.sequences)), repeats)
        self.batch_size = min(batch_size, len(self.shown))
        self.steps_per_epoch = len(self.shown) // self.batch_size
        self._epoch = -1
        self._order: list[np.ndarray] = []

    def batch(self, step: int) -> TokenBatch:
        """Step's batch: (batch_size, longest in the batch)."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._epoch_order(epoch)
        return self._collate(self._order[position])

    def all_batches(self) -> Iterator[TokenBatch]:
        """Every dialogue once, shortest first: for evaluation."""
        order = np.argsort([len(ids) for ids, _ in self.sequences], kind="stable")
        for start in range(0, len(order), self.batch_size):
            yield self._collate(order[start : start + self.batch_size])

    def _epoch_order(self, epoch: int) -> list[np.ndarray]:
        rng = np.random.default_rng((self.seed, epoch))
        order = rng.permutation(self.shown)[: self.steps_per_epoch * self.batch_size]
        lengths = np.array([len(ids) for ids, _ in self.sequences])
        batches: list[np.ndarray] = []
        pool = self.POOL_BATCHES * self.batch_size
        for start in range(0, len(order), pool):
            part = order[start : start + pool]
            part = part[np.argsort(lengths[part], kind="stable")]
            batches += np.split(part, len(part) // self.batch_size)
        return [batches[i] for i in rng.permutation(len(batches))]

    def _collate(self, members: np.ndarray) -> TokenBatch:
        ids = pad_sequences([self.sequences[i][0] for i in members])
        mask = pad_sequences([self.sequences[i][1] for i in members], 0).astype(bool)
        targets = np.where(mask, ids, IGNORE_INDEX)[:, 1:]
        return TokenBatch(ids[:, :-1], targets)
