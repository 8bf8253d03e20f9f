"""CharTokenizer: one character, one id. The simplest tokenizer there is, to compare BPE with.

A character that was not in the training text has no id of its own and becomes ``<UNK>``, which is shown as U+FFFD:
unlike BPE's, the round trip of unseen text loses something, but not without a sign.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Self

from scratchgpt.errors import UserError
from scratchgpt.tokenizer.base import Tokenizer, ids_in_order
from scratchgpt.tokenizer.special_tokens import SPECIAL_TOKENS, UNK, UNK_ID

UNKNOWN_CHARACTER = "\ufffd".encode()
"""What stands in a text for a character that the tokenizer does not know."""


class CharTokenizer(Tokenizer):
    """One id for each character, the most frequent first.

    Args:
        vocab_size: how many ids there may be at most, the special tokens among them; None: no limit.

    Raises:
        UserError: if ``vocab_size`` leaves no id beside the special tokens.
    """

    model_type = "WordLevel"

    def __init__(self, vocab_size: int | None = None) -> None:
        super().__init__()
        if vocab_size is not None and vocab_size <= len(SPECIAL_TOKENS):
            raise UserError(
                f"vocab_size {vocab_size} is too small for CharTokenizer: the special tokens alone need "
                f"{len(SPECIAL_TOKENS)}; choose {len(SPECIAL_TOKENS) + 1} or more"
            )
        self._target_size = vocab_size
        self._ids: dict[str, int] = {}

    def build_vocab(self, texts: Iterable[str]) -> None:
        """Give ids to the characters of ``texts``, by falling count, then by code point.

        Lone surrogates, which no file can hold, get none.

        Raises:
            UserError: if the texts are empty.
        """
        counts: Counter[str] = Counter()
        for text in [texts] if isinstance(texts, str) else texts:
            counts.update(text)
        characters = sorted(counts, key=lambda character: (-counts[character], character))
        characters = [character for character in characters if not "\ud800" <= character <= "\udfff"]
        if not characters:
            raise UserError("cannot build a vocabulary from an empty corpus: give a text that is not empty")
        if self._target_size is not None:
            characters = characters[: self._target_size - len(SPECIAL_TOKENS)]
        self._set_characters(characters)

    def fit(self, texts: Iterable[str]) -> None:
        """The same as ``build_vocab``, under the name that every tokenizer has.

        Raises:
            UserError: if the texts are empty.
        """
        self.build_vocab(texts)

    def encode(self, text: str) -> list[int]:
        """The id of each character, ``UNK_ID`` for an unknown one. Special spellings are plain text.

        Raises:
            UserError: before training.
        """
        self._require_trained()
        return [self._ids.get(character, UNK_ID) for character in text]

    def decode_bytes(self, ids: Iterable[int], skip_special_tokens: bool = True) -> bytes:
        """The bytes of ``ids``. ``<UNK>`` is no special token here but a character, and gives that of U+FFFD.

        Args:
            ids: what to decode.
            skip_special_tokens: leave the special tokens out instead of spelling them, ``<UNK>`` among them.

        Raises:
            UserError: for an unknown id.
        """
        if not skip_special_tokens:
            return super().decode_bytes(ids, skip_special_tokens)
        known: list[list[int]] = [[]]
        for token_id in map(int, ids):
            if token_id == UNK_ID:
                known.append([])
            else:
                known[-1].append(token_id)
        decode = super().decode_bytes
        return UNKNOWN_CHARACTER.join([decode(part) for part in known])

    def _set_characters(self, characters: list[str]) -> None:
        self._tokens = [token.encode() for token in (*SPECIAL_TOKENS, *characters)]
        self._ids = {character: i for i, character in enumerate(characters, start=len(SPECIAL_TOKENS))}

    def _sections(self) -> dict[str, Any]:
        vocab = {token: i for i, token in enumerate(SPECIAL_TOKENS)} | self._ids
        split = {"type": "Split", "pattern": {"Regex": r"[\s\S]"}, "behavior": "Isolated", "invert": False}
        return {
            "pre_tokenizer": split,
            "decoder": {"type": "Fuse"},
            "model": {"type": self.model_type, "vocab": vocab, "unk_token": UNK},
        }

    @classmethod
    def _from_sections(cls, contents: dict[str, Any]) -> Self:
        characters = ids_in_order(contents["model"]["vocab"])[len(SPECIAL_TOKENS) :]
        longer = next((token for token in characters if len(token) != 1), None)
        if longer is not None:
            raise ValueError(f"its token {longer!r} is not one character")
        tokenizer = cls()
        tokenizer._set_characters(characters)
        return tokenizer
