"""Each step from logits to a token, against its definition."""

import numpy as np
import pytest

from scratchgpt.errors import UserError
from scratchgpt.inference.sampling import (
    RowSettings,
    SamplingConfig,
    penalize_repetition,
    row_seed,
    sample_logits,
    sample_rows,
)


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def frequencies(logits: np.ndarray, config: SamplingConfig, draws: int = 40_000) -> np.ndarray:
    """How often each token is drawn from the same logits (V,), by independent uniforms."""
    uniforms = np.random.default_rng(11).random(draws)
    tokens = sample_logits(np.tile(logits, (draws, 1)), uniforms, config)
    return np.bincount(tokens, minlength=len(logits)) / draws


LOGITS = np.array([1.0, -0.5, 2.0, 0.3, -4.0, 1.9], np.float32)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_are_the_softmax(temperature):
    expected = softmax(LOGITS.astype(float) / temperature)
    measured = frequencies(LOGITS, SamplingConfig(temperature=temperature))
    deviation = np.sqrt(expected * (1 - expected) / 40_000)
    assert (np.abs(measured - expected) < 4.5 * deviation).all()


def test_frequencies_after_top_k_and_top_p_are_renormalised():
    # top_k leaves tokens 2, 5, 0 (0.427, 0.386, 0.157 of what is left), of which top_p 0.8 leaves 2 and 5
    expected = np.zeros(6)
    expected[[2, 5]] = softmax(LOGITS[[2, 5]].astype(float))
    measured = frequencies(LOGITS, SamplingConfig(top_k=3, top_p=0.8))
    np.testing.assert_allclose(measured, expected, atol=0.012)
    assert (measured[expected == 0] == 0).all()


def test_greedy_takes_the_first_of_the_largest():
    logits = np.array([[0.0, 3.0, 3.0], [5.0, -1.0, 2.0]], np.float32)
    tokens = sample_logits(logits, np.array([0.99, 0.99]), SamplingConfig(temperature=0))
    assert tokens.tolist() == [1, 0]


@pytest.mark.parametrize("temperature", [1e-300, 1e-30, 1e-6, 1e-4])
def test_a_tiny_temperature_is_greedy_and_does_not_overflow(temperature):
    with np.errstate(all="raise", under="ignore"):
        tokens = sample_logits(1e6 * LOGITS[None], np.array([0.999]), SamplingConfig(temperature=temperature))
    assert tokens.tolist() == [2]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_diverged_model_is_reported(bad, temperature):
    with pytest.raises(UserError, match="not finite"):
        sample_logits(np.array([[0.0, bad]]), np.array([0.5]), SamplingConfig(temperature=temperature))


def test_penalty_lowers_seen_tokens_of_either_sign():
    logits = np.array([[2.0, -2.0, 0.0, 5.0]], np.float32)
    seen = np.array([[True, True, True, False]])
    np.testing.assert_allclose(penalize_repetition(logits, seen, 1.25), [[1.6, -2.5, 0.0, 5.0]])
    np.testing.assert_array_equal(logits, [[2.0, -2.0, 0.0, 5.0]])
    penalties = np.array([[1.0], [1.25]])
    rows = penalize_repetition(np.repeat(logits, 2, axis=0), np.repeat(seen, 2, axis=0), penalties)
    np.testing.assert_array_equal(rows, [logits[0], penalize_repetition(logits, seen, 1.25)[0]])
    assert rows.dtype == np.float32


def test_top_p_after_top_k_looks_only_at_what_is_left():
    logits = np.log(np.array([0.4, 0.3, 0.2, 0.1]))  # 0.4 / 0.7 = 0.57 reaches 0.55 alone
    assert frequencies(logits, SamplingConfig(top_k=2, top_p=0.55), draws=200).tolist() == [1, 0, 0, 0]


def test_rows_have_random_numbers_of_their_own():
    numbers = [np.random.default_rng(row_seed(seed, row)).random(10) for seed in (5, 6) for row in range(4)]
    assert len(np.unique(numbers)) == 80
    np.testing.assert_array_equal(np.random.default_rng(row_seed(5, 0)).random(6), numbers[0][:6])


def test_rows_may_have_settings_of_their_own():
    rng = np.random.default_rng(0)
    configs = [
        SamplingConfig(),
        SamplingConfig(temperature=0),
        SamplingConfig(temperature=0.7, top_k=2),
        SamplingConfig(temperature=2.0, top_p=0.6),
        SamplingConfig(temperature=1e-7, top_k=3, top_p=0.5),
    ] * 20
    logits, uniforms = rng.standard_normal((100, 30)).astype(np.float32), rng.random(100)
    together = sample_rows(logits, uniforms, RowSettings.of(configs))
    alone = [sample_logits(logits[i : i + 1], uniforms[i : i + 1], config)[0] for i, config in enumerate(configs)]
    assert together.tolist() == alone
    assert together[1::5].tolist() == logits[1::5].argmax(axis=1).tolist()
    assert len(set(together[0::5])) > 5


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_k", -1),
        ("top_p", 0.0),
        ("top_p", 1.01),
        ("top_p", float("nan")),
        ("repetition_penalty", 0.0),
    ],
)
def test_values_out_of_range_are_named(field, value):
    with pytest.raises(UserError, match=field):
        SamplingConfig(**{field: value})
