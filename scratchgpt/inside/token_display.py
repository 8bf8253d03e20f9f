"""Tokens as a person can read them: the characters a token holds, and those it holds only a part of.

A byte-level token may begin or end in the middle of a character (a Han character has three bytes). Such bytes are
shown as ⟨E8⟩, and what they belong to is said in words.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass

from scratchgpt.inside.bilingual import Text
from scratchgpt.tokenizer import SPECIAL_TOKENS, UNK_ID, BPETokenizer, Tokenizer
from scratchgpt.tokenizer.byte_level import FIRST_MERGE_ID

VISIBLE = {" ": "␣", "\n": "↵", "\r": "␍", "\t": "⇥"}
"""What stands for white space, which one would not see."""


@dataclass(frozen=True)
class Part:
    """Some bytes of a character.

    Attributes:
        character: the whole of it.
        first, last: the bytes held, counted from 1.
        length: of the character in UTF-8, in bytes.
    """

    character: str
    first: int
    last: int
    length: int


@dataclass(frozen=True)
class ShownToken:
    """One token of a text.

    Attributes:
        id: its id.
        data: the bytes of the text that it stands for.
        parts: the characters of the text that it holds only some bytes of.
        unknown: whether the tokenizer knows no id for what stands here.
    """

    id: int
    data: bytes
    parts: tuple[Part, ...] = ()
    unknown: bool = False

    @property
    def readable(self) -> str:
        """The bytes as :func:`readable` shows them."""
        return readable(self.data)


def _in_brackets(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "".join(f"⟨{byte:02X}⟩" for byte in error.object[error.start : error.end]), error.end


codecs.register_error("scratchgpt.brackets", _in_brackets)


def readable(data: bytes) -> str:
    """The characters of ``data``; white space as a sign, and every byte that is no character as ⟨E8⟩."""
    text = data.decode("utf-8", "scratchgpt.brackets")
    return "".join(VISIBLE.get(c, c if c.isprintable() else f"⟨U+{ord(c):04X}⟩") for c in text)


def hexadecimal(data: bytes) -> str:
    """The bytes as pairs of digits: b"\\xe7\\x8c\\xab" -> "E7 8C AB"."""
    return data.hex(" ").upper()


def tokens_of(tokenizer: Tokenizer, text: str) -> list[ShownToken]:
    """The tokens of a text, in order; together their bytes are those of the text.

    Raises:
        UserError: if the tokenizer is not trained.
    """
    whole = text.encode("utf-8", "surrogatepass")
    tokens, position = [], 0
    for token_id in tokenizer.encode(text):
        # What has no id is one character: only a tokenizer of characters does not know everything.
        unknown = token_id == UNK_ID
        size = _character_size(whole, position) if unknown else len(tokenizer.token_bytes(token_id))
        end = position + size
        tokens.append(ShownToken(token_id, whole[position:end], _parts(whole, position, end), unknown))
        position = end
    return tokens


def _continues(byte: int) -> bool:
    """Whether a byte of UTF-8 is not the first one of its character."""
    return byte & 0xC0 == 0x80


def _character_size(data: bytes, start: int) -> int:
    size = 1
    while start + size < len(data) and _continues(data[start + size]):
        size += 1
    return size


def _parts(whole: bytes, start: int, end: int) -> tuple[Part, ...]:
    """The characters that begin before ``start`` or end after ``end`` and hold bytes between the two."""
    begin, parts = start, []
    while _continues(whole[begin]):
        begin -= 1
    while begin < end:
        size = _character_size(whole, begin)
        first, last = max(start - begin, 0) + 1, min(end - begin, size)
        if (first, last) != (1, size):
            character = whole[begin : begin + size].decode("utf-8", "replace")
            parts.append(Part(character, first, last, size))
        begin += size
    return tuple(parts)


def part_in_words(part: Part) -> Text:
    """Says which bytes of which character they are."""
    bytes_held = f"{part.first}" if part.first == part.last else f"{part.first}–{part.last}"
    return Text(
        f"“{part.character}”的字节 {bytes_held}/{part.length}", f"byte {bytes_held}/{part.length} of {part.character}"
    )


def cut_ends(data: bytes) -> list[Text]:
    """What a token by itself, outside of a text, begins or ends in the middle of; empty if of nothing."""
    words = []
    tail = next((i for i, byte in enumerate(data) if not _continues(byte)), len(data))
    if tail:
        told = f"开头 {tail} 字节是前一个字的末尾"
        words.append(Text(told, f"begins with the last {tail} of a character's bytes"))
    lead = max((i for i, byte in enumerate(data) if byte >= 0xC0), default=None)
    if lead is not None and not 0xC2 <= data[lead] <= 0xF4:
        words.append(Text("UTF-8 里不会出现的字节", "a byte that never occurs in UTF-8"))
    elif lead is not None:
        held, length = len(data) - lead, 2 + (data[lead] >= 0xE0) + (data[lead] >= 0xF0)
        if held < length:
            told = f"末尾 {held} 字节是下一个字的开头（共 {length}）"
            words.append(Text(told, f"ends with the first {held} of a character's {length} bytes"))
    return words


def origin(tokenizer: Tokenizer, token_id: int) -> Text:
    """Where an entry of the vocabulary comes from: special, a byte, a merge, or a character."""
    if token_id < len(SPECIAL_TOKENS):
        return Text("特殊标记", "special")
    if not isinstance(tokenizer, BPETokenizer):
        return Text("字符", "character")
    if token_id < FIRST_MERGE_ID:
        return Text("单个字节", "byte")
    merged = " + ".join(readable(tokenizer.token_bytes(part)) for part in tokenizer.merges[token_id - FIRST_MERGE_ID])
    return Text(f"合并 {merged}", f"merge {merged}")


def whole_text_ids(tokenizer: Tokenizer) -> Sequence[int]:
    """The ids of the tokens that are whole characters, without the special ones and the single bytes."""
    first = FIRST_MERGE_ID if isinstance(tokenizer, BPETokenizer) else len(SPECIAL_TOKENS)
    return [i for i in range(first, len(tokenizer)) if _is_text(tokenizer.token_bytes(i))]


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
