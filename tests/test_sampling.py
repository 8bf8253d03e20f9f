"""Each step from logits to a token, against its definition."""

import numpy as np
import pytest

from scratchgpt.errors import UserError
from scratchgpt.sampling import (
    SamplingConfig,
    draw,
    keep_top_k,
    keep_top_p,
    penalize_repetition,
    row_uniforms,
    sample_logits,
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


def test_draw_at_the_edges():
    weights = np.array([[0.0, 1.0, 0.0, 3.0, 0.0]] * 5)
    uniforms = np.array([0.0, 0.25 - 1e-12, 0.25, 1 - 2**-53, 1.0])
    assert draw(weights, uniforms).tolist() == [1, 1, 3, 3, 3]


@pytest.mark.parametrize("size", [1, 63, 64, 65, 128, 200])
def test_draw_inverts_the_distribution_function(size):
    rng = np.random.default_rng(size)
    weights = rng.random((300, size)) ** 8 * (rng.random((300, size)) < 0.5)
    weights[:, rng.integers(size)] += 0.1
    uniforms = rng.random(300)
    for row, uniform, token in zip(weights, uniforms, draw(weights, uniforms), strict=True):
        assert token == np.searchsorted(np.cumsum(row) / row.sum(), uniform, side="right")
        assert row[token] > 0


def test_penalty_lowers_seen_tokens_of_either_sign():
    logits = np.array([[2.0, -2.0, 0.0, 5.0]], np.float32)
    seen = np.array([[True, True, True, False]])
    np.testing.assert_allclose(penalize_repetition(logits, seen, 1.25), [[1.6, -2.5, 0.0, 5.0]])
    np.testing.assert_array_equal(logits, [[2.0, -2.0, 0.0, 5.0]])


@pytest.mark.parametrize("k", [1, 2, 5, 6, 7, 100])
def test_top_k_keeps_the_k_largest(k):
    rng = np.random.default_rng(k)
    logits = rng.standard_normal((20, 6)).astype(np.float32)
    kept = keep_top_k(logits, k)
    for row, result in zip(logits, kept, strict=True):
        largest = set(np.argsort(-row)[:k].tolist())
        assert set(np.flatnonzero(np.isfinite(result)).tolist()) == largest
        np.testing.assert_array_equal(result[list(largest)], row[list(largest)])


def test_top_k_keeps_ties():
    kept = np.isfinite(keep_top_k(np.array([[1.0, 2.0, 2.0, 0.0]]), 1))
    assert kept.tolist() == [[False, True, True, False]]


@pytest.mark.parametrize("p", [1e-9, 0.1, 0.5, 0.9, 0.999, 1.0])
def test_top_p_is_the_smallest_set_that_reaches_p(p):
    rng = np.random.default_rng(7)
    for logits in [*rng.standard_normal((20, 9)) * 3, *rng.standard_normal((5, 500)) * 0.1]:
        probabilities = softmax(logits)
        nucleus, total = set(), 0.0
        for token in np.argsort(-probabilities):
            nucleus.add(int(token))
            total += probabilities[token]
            if total >= p - 1e-12:
                break
        kept = np.isfinite(keep_top_p(logits[None], p)[0])
        assert set(np.flatnonzero(kept).tolist()) == nucleus


def test_top_p_after_top_k_looks_only_at_what_is_left():
    logits = np.log(np.array([[0.4, 0.3, 0.2, 0.1]]))
    kept = keep_top_p(keep_top_k(logits, 2), 0.55)  # 0.4 / 0.7 = 0.57 reaches 0.55 alone
    assert np.isfinite(kept).tolist() == [[True, False, False, False]]


def test_row_uniforms_depend_on_seed_row_and_position_only():
    numbers = row_uniforms(5, 4, 10)
    np.testing.assert_array_equal(row_uniforms(5, 2, 6), numbers[:2, :6])
    assert len(np.unique(numbers)) == 40
    assert not np.isin(row_uniforms(6, 4, 10), numbers).any()


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
