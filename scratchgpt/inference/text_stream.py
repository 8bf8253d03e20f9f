"""Tokens of one sequence -> text, piece by piece as they come."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from scratchgpt.tokenizer import END_IDS, Tokenizer


class TextStream:
    """Decodes the tokens of one sequence and notices where it ends.

    A token of a byte-level tokenizer may be a part of a character: it is held back until the character is
    whole. Text that may be the beginning of a stop string is held back as well.

    Args:
        tokenizer: knows each token's bytes.
        stop: strings that end the text; they are not part of it.

    Attributes:
        finished: whether an end token or a stop string has been reached.
    """

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str] = ()) -> None:
        self.finished = False
        self._tokenizer = tokenizer
        self._stop = tuple(stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._ready: list[str] = []

    def push(self, token: int) -> None:
        """Take the next token; after the end it is ignored.

        Raises:
            UserError: if the tokenizer does not know it.
        """
        if self.finished:
            return
        if token in END_IDS:
            self.close()
            return
        text = self._held + self._decoder.decode(self._tokenizer.decode_bytes([token]))
        found = [position for string in self._stop if (position := text.find(string)) >= 0]
        if found:
            self.finished = True
            self._held = ""
            self._ready.append(text[: min(found)])
        else:
            shown = len(text) - self._possible_stop(text)
            self._ready.append(text[:shown])
            self._held = text[shown:]

    def close(self) -> None:
        """End the text: what was held back for a stop string is shown after all, half a character is not."""
        self.finished = True
        self._ready.append(self._held)
        self._held = ""

    def take(self) -> str:
        """The text that has become certain since the last call; may be empty."""
        text = "".join(self._ready)
        self._ready.clear()
        return text

    def _possible_stop(self, text: str) -> int:
        """The length of the longest end of the text that a stop string begins with."""
        longest = max(map(len, self._stop), default=0)
        lengths = range(min(longest - 1, len(text)), 0, -1)
        return next((n for n in lengths if any(string.startswith(text[-n:]) for string in self._stop)), 0)
