"""Text files of many kinds, and folders of them -> documents to pretrain on.

Whatever is recognised, and whatever is left out, is in the description of the :class:`Corpus`.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scratchgpt.datasets.compression import content_suffix, read_bytes
from scratchgpt.datasets.encodings import decode_text
from scratchgpt.datasets.rows import DELIMITERS, json_line_rows, json_rows, parquet_rows, table_rows
from scratchgpt.datasets.web_text import charset_of_html, text_of_html
from scratchgpt.errors import UserError
from scratchgpt.tokenizer.invisible import clean_text, dropped_in_words, first_dropped_line

TEXT_FIELDS = ("text", "content", "body", "document", "article", "文本", "内容", "正文", "文章")
"""What the field or column is called that holds the text of a record; the first of them that is there."""
_DIALOGUE_FIELDS = ("messages", "conversations", "instruction", "chosen")
_NO_TEXT = {
    b"PK\x03\x04": "a zip file (or one of Word, Excel, EPUB)",
    b"%PDF": "a PDF",
    b"\xd0\xcf\x11\xe0": "a file of an old Word or Excel",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"SQLite": "a database",
}
"""What other files begin with that end up among texts."""


class _UnreadableError(UserError):
    """A file is no text, or damaged: another than one whose text is not what it should be, which somebody can mend."""


@dataclass
class LeftOut:
    """What was left out for one reason.

    Attributes:
        count: how many files or records.
        first: where the first of them stands, and what is wrong there.
    """

    count: int
    first: str


@dataclass
class Corpus:
    """The documents of a file or folder, and how they were read.

    Attributes:
        path: of the file or folder.
        documents: the texts, in order of the files; none is blank.
        kinds: how many files there are of each ending.
        encodings: how many texts are in each encoding; "recognised" stands behind one that nobody named.
        left_out: files and records, by reason.
        dropped: invisible characters.
        first_dropped: the file and line of the first of these.
    """

    path: Path
    documents: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    encodings: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, LeftOut] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    first_dropped: str = ""

    def description(self) -> list[str]:
        """Lines for whoever wants to know how the files were read: one, and one for each reason to leave out."""
        kinds = ", ".join(f"{count:,} {suffix}" for suffix, count in self.kinds.most_common())
        encodings = ", ".join(
            name if len(self.encodings) == 1 else f"{count:,} in {name}" for name, count in self.encodings.most_common()
        )
        size = f"{len(self.documents):,} documents, {sum(map(len, self.documents)):,} characters"
        lines = [f"{self.path}: {'; '.join(filter(None, (kinds, encodings, size)))}"]
        for reason, one in self.left_out.items():
            lines.append(f"{self.path}: left out: {one.count:,} {reason}, first {one.first}")
        if self.dropped:
            lines.append(f"{self.path}: dropped: {dropped_in_words(self.dropped)}, first in {self.first_dropped}")
        return lines

    def leave_out(self, reason: str, place: str) -> None:
        """Count what is left out; the first place is kept."""
        self.left_out.setdefault(reason, LeftOut(0, place)).count += 1

    def add(self, document: str, place: str) -> None:
        """Take in a document without its invisible characters, or count it as empty.

        Args:
            document: the text.
            place: where it stands, for what is said of it.
        """
        seen = self.clean(document, lambda: place)
        if seen.strip():
            self.documents.append(seen)
        else:
            self.leave_out("empty texts", place)

    def clean(self, text: str, place: Callable[[], str]) -> str:
        """The text without what nobody sees, which is counted.

        Args:
            text: what to clean.
            place: says where it stands, or where in it the first that is dropped stands.
        """
        seen, dropped = clean_text(text)
        if dropped and not self.dropped:
            self.first_dropped = place()
        self.dropped += dropped
        return seen

    def decode(self, data: bytes, path: Path, encoding: str | None) -> str:
        """The text of a file, a line feed at the end of each line; its encoding is counted.

        Raises:
            UserError: if it is no text, or in an encoding that is not recognised.
        """
        for beginning, what in _NO_TEXT.items():
            if data.startswith(beginning):
                raise _UnreadableError(f"{path}: is {what}, no text; save what it holds as .txt")
        try:
            decoded = decode_text(data, str(path), encoding)
        except UserError as error:
            raise _UnreadableError(str(error)) from None
        self.encodings[decoded.encoding + " (recognised)" * decoded.guessed] += 1
        return decoded.text.replace("\r\n", "\n").replace("\r", "\n")


def read_corpus(path: Path, encoding: str | None = None) -> list[str]:
    """The documents of a file or folder, as :func:`load_corpus`, without a word on how they were read.

    Raises:
        UserError: as :func:`load_corpus`.
    """
    return load_corpus(path, encoding).documents


def load_corpus(path: Path, encoding: str | None = None, strict: bool = False) -> Corpus:
    """The documents of a text file, or of a folder of such files.

    In plain text a line of nothing but white space separates documents; in JSON, a table or Parquet every record is
    one; a page of HTML is one. Each may be packed as .gz, .xz, .bz2 or .zst. In a folder, names may be in any case.

    Args:
        path: of the file or folder.
        encoding: of all texts; None: recognise each.
        strict: refuse a folder for a file that cannot be read, instead of leaving it out.

    Raises:
        UserError: if nothing is there to read, or the file is malformed; with the line, or the byte.
    """
    corpus = Corpus(path)
    if path.is_dir():
        _read_folder(corpus, encoding, strict)
    else:
        _read_file(corpus, path, encoding)
        if not corpus.documents:
            raise UserError(f"{path}: the file is empty")
    return corpus


def documents_of(text: str) -> list[str]:
    """The parts of a plain text between lines of nothing but white space, of whatever kind."""
    groups = itertools.groupby(text.split("\n"), key=lambda line: bool(line.strip()))
    return ["\n".join(lines) for seen, lines in groups if seen]


def _read_folder(corpus: Corpus, encoding: str | None, strict: bool) -> None:
    failure: _UnreadableError | None = None
    for path in sorted(path for path in corpus.path.rglob("*") if path.is_file()):
        if any(part.startswith((".", "__MACOSX")) for part in path.relative_to(corpus.path).parts):
            corpus.leave_out("hidden files", str(path))
        elif content_suffix(path) not in _READERS:
            corpus.leave_out("files of a kind that is not read", str(path))
        else:
            try:
                _read_file(corpus, path, encoding)
            except _UnreadableError as error:
                if strict:
                    raise
                failure = failure or error
                corpus.leave_out("files that cannot be read", str(error))
    if not corpus.documents:
        kinds = " ".join(_READERS)
        raise failure or UserError(f"{corpus.path}: the folder holds no {kinds.replace(' ', ' or ', 1)} file with text")


def _read_file(corpus: Corpus, path: Path, encoding: str | None) -> None:
    """Add the documents of a file, or nothing at all if there is something wrong with it."""
    suffix = content_suffix(path)
    try:
        data = read_bytes(path)
    except UserError as error:
        raise _UnreadableError(str(error)) from None
    part = Corpus(path)
    if data.strip():
        _READERS.get(suffix, _read_plain)(part, path, data, encoding)
    if not part.documents and not part.left_out:
        part.leave_out("empty files", str(path))
    corpus.documents += part.documents
    corpus.kinds[suffix or "without an ending"] += 1
    corpus.encodings += part.encodings
    corpus.first_dropped = corpus.first_dropped or part.first_dropped
    corpus.dropped += part.dropped
    for reason, one in part.left_out.items():
        corpus.left_out.setdefault(reason, LeftOut(0, one.first)).count += one.count


# -- one reader a kind ----------------------------------------------------------------------------------------
def _read_plain(corpus: Corpus, path: Path, data: bytes, encoding: str | None) -> None:
    text = corpus.decode(data, path, encoding)
    corpus.documents += documents_of(corpus.clean(text, lambda: f"{path}, line {first_dropped_line(text)}"))


def _read_html(corpus: Corpus, path: Path, data: bytes, encoding: str | None) -> None:
    declared = charset_of_html(data)
    if encoding is None and declared is not None and not _is_utf8(data):
        try:
            decode_text(data, str(path), declared)
            encoding = declared
        except UserError:  # a page that names a wrong encoding is read like one that names none
            pass
    corpus.add(text_of_html(corpus.decode(data, path, encoding)), str(path))


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _read_json_lines(corpus: Corpus, path: Path, data: bytes, encoding: str | None) -> None:
    _add_records(corpus, path, json_line_rows(path, corpus.decode(data, path, encoding)))


def _read_json(corpus: Corpus, path: Path, data: bytes, encoding: str | None) -> None:
    _add_records(corpus, path, json_rows(path, corpus.decode(data, path, encoding)))


def _read_table(corpus: Corpus, path: Path, data: bytes, encoding: str | None) -> None:
    _add_records(corpus, path, table_rows(path, corpus.decode(data, path, encoding), DELIMITERS[content_suffix(path)]))


def _read_parquet(corpus: Corpus, path: Path, data: bytes, encoding: str | None) -> None:
    _add_records(corpus, path, parquet_rows(path, data))


def _add_records(corpus: Corpus, path: Path, rows: Iterator[tuple[str, Any]]) -> None:
    name = None
    for place, row in rows:
        where = f"{path}, {place}"
        if isinstance(row, str):
            corpus.add(row, where)
            continue
        if not isinstance(row, dict):
            raise UserError(f"{where}: a record must be a JSON object, this is {type(row).__name__}")
        name = name or _text_field(row, where)
        if name not in row:
            raise UserError(f"{where}: the record has no field {name!r}")
        if row[name] is not None and not isinstance(row[name], str):
            raise UserError(f"{where}: {name!r} must be of type str")
        corpus.add(row[name] or "", where)


def _text_field(row: dict[str, Any], where: str) -> str:
    """Which of the fields of a record holds the text; it is the same in all of a file."""
    found = next((name for name in TEXT_FIELDS if name in row), None)
    if found is not None:
        return found
    has = ", ".join(map(str, row)) or "no fields"
    meant = next((name for name in _DIALOGUE_FIELDS if name in row), None)
    mend = "rename the one that holds the text" if meant is None else "is it for --sft-data or --reward-data?"
    raise UserError(f"{where}: the record has no field 'text', it has {has:.100}; {mend}")


_Reader = Callable[[Corpus, Path, bytes, str | None], None]
_READERS: dict[str, _Reader] = {
    ".txt": _read_plain,
    ".jsonl": _read_json_lines,
    ".json": _read_json,
    ".ndjson": _read_json_lines,
    ".md": _read_plain,
    ".markdown": _read_plain,
    ".text": _read_plain,
    ".html": _read_html,
    ".htm": _read_html,
    ".xhtml": _read_html,
    **dict.fromkeys(DELIMITERS, _read_table),
    ".parquet": _read_parquet,
}
"""By the ending of the name in small letters; another file that somebody names is read as plain text."""
