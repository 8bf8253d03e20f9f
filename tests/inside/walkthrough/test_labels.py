"""Labels of tokens: what a person reads where the model has an id."""

from __future__ import annotations

import numpy as np

from scratchgpt.inside.walkthrough.labels import token_label, token_labels
from scratchgpt.tokenizer import BPETokenizer, CharTokenizer


def test_labels_of_tokens() -> None:
    characters = CharTokenizer()
    characters.build_vocab(["我 爱\n"])
    assert token_labels(characters, characters.encode("我 \n")) == ["我", "␣", "↵"]
    assert token_label(characters, 5) == "<|im_end|>" and token_label(characters, 999) == "#999"
    pieces = BPETokenizer(270)
    pieces.fit(["我"])
    assert token_label(pieces, pieces.encode("爱")[0]) == "⟨E7⟩"


def test_ids_may_come_as_an_array() -> None:
    characters = CharTokenizer()
    characters.build_vocab(["我爱"])
    assert token_labels(characters, np.array(characters.encode("爱我"))) == ["爱", "我"]
