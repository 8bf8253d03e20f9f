"""The byte-level alphabet: every byte a printable character, and the id of every byte.

A ``tokenizer.json`` is text, but a token may be any bytes, also half a character. GPT-2 spells byte
b as the character chr(b) where that is printable and as chr(256 + n) for the n-th one that is not
(Radford et al. 2019, ``bytes_to_unicode`` of its encoder). Bytes take their ids in the order of these
characters, which is the order in which the ``tokenizers`` package numbers its initial alphabet; so
ties between pairs of equal count fall the same way here and there.
"""

import numpy as np

from scratchgpt.tokenizer.special_tokens import SPECIAL_TOKENS

FIRST_BYTE_ID = len(SPECIAL_TOKENS)
FIRST_MERGE_ID = FIRST_BYTE_ID + 256
"""Merge r makes this id plus r."""


def _byte_characters() -> list[str]:
    ranges = (("!", "~"), ("¡", "¬"), ("®", "ÿ"))
    printable = {byte for first, last in ranges for byte in range(ord(first), ord(last) + 1)}
    characters, num_hidden = [], 0
    for byte in range(256):
        if byte in printable:
            characters.append(chr(byte))
        else:
            characters.append(chr(256 + num_hidden))
            num_hidden += 1
    return characters


BYTE_TO_CHARACTER = _byte_characters()
"""The character that spells each byte, by its value."""

BYTES_IN_ID_ORDER = sorted(range(256), key=BYTE_TO_CHARACTER.__getitem__)
"""The byte of id FIRST_BYTE_ID + i, for i in 0..255."""

BYTE_IDS = np.empty(256, dtype=np.int32)
"""(256,) int32: the id of each byte."""
BYTE_IDS[BYTES_IN_ID_ORDER] = np.arange(FIRST_BYTE_ID, FIRST_MERGE_ID)


def spell(token: bytes) -> str:
    """The byte-level spelling of ``token``, as ``tokenizer.json`` holds it: b" the" gives "Ġthe"."""
    return "".join(BYTE_TO_CHARACTER[byte] for byte in token)
