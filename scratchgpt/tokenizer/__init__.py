"""Tokenizers: text to ids and back, and the chat format. They know nothing of the model.

Read in this order: ``special_tokens``, ``char`` (the simplest), ``split_pattern``, ``byte_level``,
``plain_bpe``, ``bpe_training``, ``bpe``, ``chat_format``. ``base`` holds what they share and the files on
disk. How it is made fast: ``splitting``, ``chunk_counts``, ``bpe_merging``, and ``stretches``, how compiled
code sees a chunk.
"""

import os
from pathlib import Path

from scratchgpt.tokenizer.base import Tokenizer, read_tokenizer_file
from scratchgpt.tokenizer.bpe import BPETokenizer
from scratchgpt.tokenizer.char import CharTokenizer
from scratchgpt.tokenizer.chat_format import CHAT_TEMPLATE, Message, encode_chat, encode_chat_with_mask, render_chat
from scratchgpt.tokenizer.special_tokens import (
    BOS,
    BOS_ID,
    END_IDS,
    EOS,
    EOS_ID,
    IM_END,
    IM_END_ID,
    IM_START,
    IM_START_ID,
    PAD,
    PAD_ID,
    SPECIAL_TOKENS,
    UNK,
    UNK_ID,
)

__all__ = [
    "BOS",
    "BOS_ID",
    "CHAT_TEMPLATE",
    "END_IDS",
    "EOS",
    "EOS_ID",
    "IM_END",
    "IM_END_ID",
    "IM_START",
    "IM_START_ID",
    "PAD",
    "PAD_ID",
    "SPECIAL_TOKENS",
    "UNK",
    "UNK_ID",
    "BPETokenizer",
    "CharTokenizer",
    "Message",
    "Tokenizer",
    "encode_chat",
    "encode_chat_with_mask",
    "load_tokenizer",
    "render_chat",
]


def load_tokenizer(path: str | os.PathLike[str]) -> BPETokenizer | CharTokenizer:
    """The tokenizer saved in a directory or a tokenizer.json, of whichever kind it is.

    Raises:
        UserError: if it is missing or malformed.
    """
    contents = read_tokenizer_file(path)
    model = contents.get("model")
    is_char = isinstance(model, dict) and model.get("type") == CharTokenizer.model_type
    return (CharTokenizer if is_char else BPETokenizer).from_contents(contents, Path(path))
