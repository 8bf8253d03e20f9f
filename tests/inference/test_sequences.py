"""Sequences that grow: their logits are those of the model for their windows, whoever joins or leaves."""

import warnings

import numpy as np
import pytest

from scratchgpt.autograd import no_grad
from scratchgpt.config import GPTConfig
from scratchgpt.errors import ContextWindowWarning, UserError
from scratchgpt.inference import sequences
from scratchgpt.inference.sequences import Sequences
from scratchgpt.models.decoder import RereadingDecoder
from scratchgpt.models.gpt2 import GPT
from tests.inference.random_model import random_model

CONFIG = GPTConfig(vocab_size=23, emb_dim=16, num_heads=2, num_layers=2, context_size=7, dropout=0.5)

pytestmark = pytest.mark.filterwarnings("ignore::scratchgpt.errors.ContextWindowWarning")


@pytest.fixture(scope="module")
def model() -> GPT:
    return random_model(CONFIG)


def logits_of(model: GPT, windows: list[list[int]]) -> np.ndarray:
    """(B, V) after each window, by the model itself."""
    model.eval()
    with no_grad():
        logits = [model(np.array([window]))[0].data[0, -1] for window in windows]
    model.train()
    return np.array(logits)


def grown(window: list[int], token: int) -> list[int]:
    """The rule: a full window keeps its last half."""
    kept = window[-(CONFIG.context_size // 2) :] if len(window) == CONFIG.context_size else window
    return [*kept, token]


@pytest.mark.parametrize("decoder_of", [GPT.decoder, RereadingDecoder], ids=["cached", "rereading"])
def test_rows_join_leave_repeat_and_slide(model, decoder_of):
    rng = np.random.default_rng(0)
    batch = Sequences(model, 6, decoder_of)
    windows: list[list[int]] = []
    slid = 0
    for step in range(40):
        if step % 3 == 0 and len(windows) < 6:
            new = [rng.integers(0, 23, rng.integers(1, 8)).tolist() for _ in range(rng.integers(1, 7 - len(windows)))]
            batch.join(new)
            windows += new
        else:
            rows = rng.integers(0, len(windows), rng.integers(1, 7))
            tokens = rng.integers(0, 23, len(rows))
            slid += sum(len(windows[row]) == CONFIG.context_size for row in rows)
            batch.advance(rows, tokens)
            windows = [grown(windows[row], int(token)) for row, token in zip(rows, tokens, strict=True)]
        assert len(batch) == len(windows)
        np.testing.assert_allclose(batch.logits, logits_of(model, windows), rtol=0, atol=2e-4)
    assert slid > 5


def test_after_all_have_left_the_model_is_asked_anew():
    model = random_model(CONFIG)
    batch = Sequences(model, 2)
    assert len(batch) == 0
    batch.join([[1, 2]])
    model.transformer.wte.weight.data[1] += 1
    batch.clear()
    assert len(batch) == 0
    batch.join([[1, 2], [3]])
    np.testing.assert_allclose(batch.logits, logits_of(model, [[1, 2], [3]]), rtol=0, atol=2e-4)


def test_there_is_room_for_so_many_and_no_more(model):
    batch = Sequences(model, 2)
    batch.join([[1]])
    with pytest.raises(ValueError, match="room for 2"):
        batch.join([[2], [3]])


@pytest.mark.parametrize(
    ("prompt", "message"), [([], "empty"), ([1] * 8, "8 tokens.*only 7"), ([23], "id 23.*0 to 22")]
)
def test_prompts_that_do_not_fit_are_refused(model, prompt, message):
    with pytest.raises(UserError, match=message):
        Sequences(model, 2).join([[1], prompt])


def test_that_the_window_slides_is_said_once(model):
    sequences.note_sliding_window.cache_clear()
    batch = Sequences(model, 1)
    batch.join([[1] * 6])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        batch.advance(np.array([0]), np.array([2]))
        assert not caught
        for _ in range(10):
            batch.advance(np.array([0]), np.array([2]))
    assert [w.category for w in caught] == [ContextWindowWarning]
