"""Tokens as labels: what a person reads where the model has an id."""

from __future__ import annotations

from collections.abc import Iterable

from scratchgpt.inside.token_display import readable
from scratchgpt.tokenizer import Tokenizer


def token_label(tokenizer: Tokenizer, token_id: int) -> str:
    """The text of one token, as ``token_display`` shows it; ``#n`` for a row of the model that has no token."""
    return readable(tokenizer.token_bytes(token_id)) if token_id < len(tokenizer) else f"#{token_id}"


def token_labels(tokenizer: Tokenizer, ids: Iterable[int]) -> list[str]:
    """The labels of several tokens."""
    return [token_label(tokenizer, int(token_id)) for token_id in ids]
