"""What composed text has already said: lines, sentences, and 13-character windows.

Writers ask it before they settle for a wording, so that the least worn one of a few drafts is kept; the composer
asks it whether a document is new enough at all.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter

WINDOW = 13
MAX_LINE_REPEATS = 3
MAX_SENTENCE_REPEATS = 2
LONG_SENTENCE = 12

_BYTES_PER_CHARACTER = 4
_LOOKUP_STRIDE = 3
_TABLE_BITS = 28  # 3 million windows fill 1% of it: so many windows are wrongly taken for known ones

_SENTENCE_END = re.compile(r"[。！？\n]")


class Memory:
    """Remembers what has been written. Windows are kept as a bit each, at the place that their CRC-32 names."""

    def __init__(self) -> None:
        self.lines: Counter[str] = Counter()
        self.sentences: Counter[str] = Counter()
        self._bits = bytearray(1 << (_TABLE_BITS - 3))

    @staticmethod
    def _places(text: str, stride: int) -> list[int]:
        encoded = text.encode("utf-32-le")
        length, crc32, shift = WINDOW * _BYTES_PER_CHARACTER, zlib.crc32, 32 - _TABLE_BITS
        starts = range(0, len(encoded) - length + 1, stride * _BYTES_PER_CHARACTER)
        return [crc32(encoded[start : start + length]) >> shift for start in starts]

    def share(self, text: str) -> float:
        """The part of the windows of ``text`` that has been written before, 0 for a text shorter than a window.

        Every third window is looked up: what comes back, comes back in runs longer than that.
        """
        places, bits = self._places(text, _LOOKUP_STRIDE), self._bits
        return len([place for place in places if bits[place >> 3] >> (place & 7) & 1]) / max(1, len(places))

    def allows(self, document: str) -> bool:
        """Whether no line and no longer sentence of the document has been used up."""
        lines = document.split("\n")
        if any(self.lines[line] >= MAX_LINE_REPEATS for line in lines) or len(set(lines)) < len(lines):
            return False
        return not any(self.sentences[piece] >= MAX_SENTENCE_REPEATS for piece in long_sentences(document))

    def remember(self, document: str) -> None:
        """Count the lines, sentences and windows of a document that is kept."""
        self.lines.update(document.split("\n"))
        self.sentences.update(long_sentences(document))
        for place in self._places(document, 1):
            self._bits[place >> 3] |= 1 << (place & 7)


def long_sentences(document: str) -> list[str]:
    """The sentences that are long enough to be recognised when they come back."""
    return [piece for piece in _SENTENCE_END.split(document) if len(piece) >= LONG_SENTENCE]
