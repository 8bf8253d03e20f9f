"""The six special tokens: saved models depend on every one of their ids."""

from scratchgpt.tokenizer import special_tokens
from scratchgpt.tokenizer.special_tokens import END_IDS, SPECIAL_TOKENS


def test_ids_are_the_places_in_the_list() -> None:
    assert SPECIAL_TOKENS == ("<PAD>", "<UNK>", "<BOS>", "<EOS>", "<|im_start|>", "<|im_end|>")
    for name in ("PAD", "UNK", "BOS", "EOS", "IM_START", "IM_END"):
        spelling, token_id = getattr(special_tokens, name), getattr(special_tokens, f"{name}_ID")
        assert SPECIAL_TOKENS[token_id] == spelling
        assert name.lower() in spelling.lower()


def test_what_ends_an_answer() -> None:
    assert [SPECIAL_TOKENS[token_id] for token_id in END_IDS] == ["<EOS>", "<|im_start|>", "<|im_end|>"]
