"""BPETokenizer: byte-level byte-pair encoding (Sennrich et al. 2016, on bytes as in GPT-2).

Text -> bytes -> chunks (``splitting``) -> merges (``bpe_merging``) -> ids; ``plain_bpe`` does the same in twenty lines,
to be read first. Every string has ids, since every byte has one; the merges (``bpe_training``) only make the sequence
shorter. Ids: 6 special tokens, 256 bytes, then one for each merge in the order it was learned.
"""

from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from numba import njit

from scratchgpt.errors import UserError
from scratchgpt.kernels.runtime.cache import cached
from scratchgpt.tokenizer.base import Tokenizer, ids_in_order
from scratchgpt.tokenizer.bpe_merging import MAX_VOCAB_SIZE, MergeTable, build_merge_table, encode_chunks
from scratchgpt.tokenizer.bpe_training import train
from scratchgpt.tokenizer.byte_level import BYTE_IDS, BYTES_IN_ID_ORDER, FIRST_BYTE_ID, FIRST_MERGE_ID, spell
from scratchgpt.tokenizer.chunk_counts import count_chunks
from scratchgpt.tokenizer.plain_bpe import Pair
from scratchgpt.tokenizer.special_tokens import SPECIAL_TOKENS
from scratchgpt.tokenizer.split_pattern import SPLIT_PATTERN
from scratchgpt.tokenizer.splitting import TRANSITIONS, character_classes, split_compiled

WRONG_ORDER = "its vocab is not specials, bytes and merged tokens in the order of the merges"


class BPETokenizer(Tokenizer):
    """Byte-level BPE: text of any kind to ids and back, without loss.

    Args:
        vocab_size: how many ids training may make at most, of which special tokens and bytes take 262.
        max_token_length: the longest token that training may make, in bytes (a Han character has 3); None: no limit.
            Chinese has no spaces to stop a merge, so on text with often repeated sentences whole sentences would
            become tokens, from which nothing can be learned about their words.

    Raises:
        UserError: if ``vocab_size`` is below 262 or above 2^20.
    """

    model_type = "BPE"

    def __init__(self, vocab_size: int = 6400, max_token_length: int | None = None) -> None:
        super().__init__()
        if not FIRST_MERGE_ID <= vocab_size <= MAX_VOCAB_SIZE:
            raise UserError(
                f"vocab_size {vocab_size} is out of range for BPETokenizer: choose {FIRST_MERGE_ID} "
                f"({len(SPECIAL_TOKENS)} special tokens and 256 bytes) to {MAX_VOCAB_SIZE}"
            )
        self._target_size = vocab_size
        self._max_token_length = max_token_length
        self._merges: list[Pair] = []

    @property
    def vocab_size(self) -> int:
        """The number of ids; before training the number asked for. A small corpus may not give that many."""
        return len(self) or self._target_size

    @property
    def merges(self) -> list[Pair]:
        """The merges as pairs of ids, in the order learned: merge r makes id 262 + r."""
        return list(self._merges)

    def fit(self, texts: Iterable[str]) -> None:
        """Learn the merges from ``texts`` until there are ``vocab_size`` ids or nothing is left to merge.

        Of pairs with equal counts the smallest ids win, as in the ``tokenizers`` package.

        Raises:
            UserError: if the texts are empty.
        """
        chunk_counts = count_chunks([texts] if isinstance(texts, str) else texts)
        if not chunk_counts:
            raise UserError("cannot train a tokenizer on an empty corpus: give fit a text that is not empty")
        self._set_merges(train(chunk_counts, self._target_size - FIRST_MERGE_ID, self._max_token_length))

    def encode(self, text: str) -> list[int]:
        """The ids of any string; ``decode`` gives it back. Special spellings are encoded as plain text.

        Raises:
            UserError: before training.
        """
        return self.encode_bytes(text.encode("utf-8", "surrogatepass"))

    def encode_bytes(self, data: bytes) -> list[int]:
        """The ids of any bytes; ``decode_bytes`` gives them back. For valid UTF-8 the ids of the text.

        Raises:
            UserError: before training.
        """
        self._require_trained()
        ids = _encode(data, character_classes(), TRANSITIONS, *self._table)
        # picks ready-made ints: faster than to make a new one for every token, and in less memory
        return self._ints.take(ids).tolist()

    def _set_merges(self, merges: list[Pair]) -> None:
        tokens = [token.encode() for token in SPECIAL_TOKENS] + [bytes([byte]) for byte in BYTES_IN_ID_ORDER]
        for left, right in merges:
            tokens.append(tokens[left] + tokens[right])
        self._merges = merges
        self._tokens = tokens
        self._table = build_merge_table(merges, BYTE_IDS, FIRST_MERGE_ID)
        self._ints = np.arange(len(tokens)).astype(object)

    def _spellings(self) -> list[str]:
        return [*SPECIAL_TOKENS, *map(spell, self._tokens[len(SPECIAL_TOKENS) :])]

    def _sections(self) -> dict[str, Any]:
        spellings = self._spellings()
        pattern = {"Regex": SPLIT_PATTERN}
        split = {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}
        flags = {"add_prefix_space": False, "trim_offsets": True, "use_regex": False}
        byte_level = {"type": "ByteLevel", **flags}
        return {
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
            "decoder": byte_level,
            "model": {
                "type": self.model_type,
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": False,
                "vocab": {spelling: i for i, spelling in enumerate(spellings)},
                "merges": [[spellings[left], spellings[right]] for left, right in self._merges],
            },
        }

    @classmethod
    def _from_sections(cls, contents: dict[str, Any]) -> Self:
        split = contents["pre_tokenizer"]["pretokenizers"][0]
        if split["pattern"]["Regex"] != SPLIT_PATTERN:
            raise ValueError("it splits text with a pattern that is not this version's SPLIT_PATTERN")
        vocab = contents["model"]["vocab"]
        spellings = ids_in_order(vocab)
        tokenizer = cls(max(len(spellings), FIRST_MERGE_ID))
        tokenizer._set_merges(_merges_of(contents["model"]["merges"], vocab, spellings))
        if tokenizer._spellings() != spellings:
            raise ValueError(WRONG_ORDER)
        return tokenizer


def _merges_of(merges: list[list[str]], vocab: dict[str, int], spellings: list[str]) -> list[Pair]:
    """The merges as pairs of ids, each seen to make the token that has its id in the vocab.

    Before any token is put together: forty merges, each doubling the last, would make one of a terabyte.
    """
    if len(merges) != len(spellings) - FIRST_MERGE_ID:
        raise ValueError(WRONG_ORDER)
    pairs: list[Pair] = []
    for made, parts in enumerate(merges, start=FIRST_MERGE_ID):
        if not isinstance(parts, list) or len(parts) != 2:
            raise ValueError("one of its merges is no pair of tokens")
        left, right = parts
        pair = vocab[left], vocab[right]
        if min(pair) < FIRST_BYTE_ID:
            raise ValueError("one of its merges contains a special token")
        if max(pair) >= made or left + right != spellings[made]:
            raise ValueError(WRONG_ORDER)
        pairs.append(pair)
    return pairs


# one function, and a named tuple taken apart: handing over to compiled code is what a short text costs most
@cached
@njit
def _encode(data, classes, transitions, entries, byte_pairs, byte_ids):
    """From the bytes of a text to its ids, (M,) int32."""
    array = np.frombuffer(data, dtype=np.uint8)
    ends = split_compiled(array, classes, transitions)
    return encode_chunks(array, ends, MergeTable(entries, byte_pairs, byte_ids))
