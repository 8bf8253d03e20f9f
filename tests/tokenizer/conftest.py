"""The tokenizer that several test modules try, trained once."""

import pytest

from scratchgpt.tokenizer import BPETokenizer
from tests.tokenizer.texts import corpus


@pytest.fixture(scope="session")
def tokenizer() -> BPETokenizer:
    """A thousand ids, learned from the passages."""
    tokenizer = BPETokenizer(vocab_size=1000)
    tokenizer.fit(corpus())
    return tokenizer
