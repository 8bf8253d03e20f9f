"""The compiled draw against the reference, and the reference against the definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchgpt.kernels.sample import draw, keep_top_k, keep_top_p, sample


def settings(rows, temperature=1.0, top_k=0, top_p=1.0):
    """The same settings for every row."""
    return np.full(rows, temperature), np.full(rows, top_k), np.full(rows, top_p)


def softmax(logits):
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


@pytest.mark.parametrize("columns", [1, 5, 63, 64, 65, 1000])
@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"), [(1.0, 0, 1.0), (0.7, 4, 1.0), (2.0, 0, 0.8), (1.0, 9, 0.5), (1e-6, 3, 0.9)]
)
def test_equals_reference(columns, temperature, top_k, top_p, normal):
    logits = 3 * normal(60, columns)
    logits[::3] = np.round(logits[::3])  # ties
    uniforms = np.random.default_rng(columns).random(60)
    arguments = (logits, uniforms, *settings(60, temperature, top_k, top_p))
    np.testing.assert_array_equal(sample.compiled(*arguments), sample.reference(*arguments))


@pytest.mark.parametrize("implementation", [sample.compiled, sample.reference], ids=["compiled", "reference"])
def test_the_edges_of_the_distribution_function(implementation, dtype):
    with np.errstate(divide="ignore"):
        logits = np.log(np.array([[0.0, 1.0, 0.0, 3.0, 0.0]] * 5)).astype(dtype)
    uniforms = np.array([0.0, 0.25 - 1e-6, 0.25 + 1e-6, 1 - 2**-53, 1.0])
    assert implementation(logits, uniforms, *settings(5)).tolist() == [1, 1, 3, 3, 3]


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


@pytest.mark.parametrize("k", [1, 2, 5, 6, 7, 100])
def test_top_k_keeps_the_k_largest(k):
    weights = np.random.default_rng(k).random((20, 6))
    for row, result in zip(weights, keep_top_k(weights, k), strict=True):
        largest = np.argsort(-row)[:k]
        assert set(np.flatnonzero(result)) == set(largest)
        np.testing.assert_array_equal(result[largest], row[largest])


def test_ties_with_the_last_one_kept_stay_in():
    weights = np.array([[0.1, 0.4, 0.4, 0.1]])
    assert (keep_top_k(weights, 1) > 0).tolist() == [[False, True, True, False]]
    assert (keep_top_p(weights, 0.3) > 0).tolist() == [[False, True, True, False]]
    uniforms = np.linspace(0, 0.999, 8)
    tokens = sample(np.log(np.repeat(weights, 8, axis=0)), uniforms, *settings(8, top_k=1))
    assert tokens.tolist() == [1] * 4 + [2] * 4


@pytest.mark.parametrize("p", [1e-9, 0.1, 0.5, 0.9, 0.999, 1.0])
def test_top_p_is_the_smallest_set_that_reaches_p(p):
    rng = np.random.default_rng(7)
    for logits in [*rng.standard_normal((20, 9)) * 3, *rng.standard_normal((5, 500)) * 0.1]:
        probabilities = softmax(logits)
        nucleus, total = set(), 0.0
        for token in np.argsort(-probabilities):
            nucleus.add(token)
            total += probabilities[token]
            if total >= p - 1e-12:
                break
        assert set(np.flatnonzero(keep_top_p(probabilities[None], p)[0])) == nucleus


def test_shapes_that_do_not_fit_are_refused(normal):
    with pytest.raises(ValueError, match="uniforms"):
        sample(normal(3, 5), np.zeros(2), *settings(3))
    with pytest.raises(ValueError, match="settings"):
        sample(normal(3, 5), np.zeros(3), *settings(2))
    for logits, uniforms in ((normal(5), np.zeros(5)), (normal(3, 0), np.zeros(3)), (normal(3, 1, 5), np.zeros(3))):
        with pytest.raises(ValueError, match=r"are not \(B, V\) and \(B,\)"):
            sample(logits, uniforms, *settings(len(logits)))
    for place in range(3):
        of_three_rows, of_two = settings(3), settings(2)
        of_each = [*of_three_rows[:place], of_two[place], *of_three_rows[place + 1 :]]
        with pytest.raises(ValueError, match=r"settings .* of 3 rows"):
            sample(normal(3, 5), np.zeros(3), *of_each)


rows_of_settings = st.lists(
    st.tuples(
        st.floats(1e-6, 50),
        st.one_of(st.just(0), st.integers(1, 80)),
        st.one_of(st.just(1.0), st.floats(1e-6, 1)),
        st.floats(0, 1, exclude_max=True),
    ),
    min_size=1,
    max_size=12,
)


@given(rows=rows_of_settings, columns=st.integers(1, 150), seed=st.integers(0, 1000))
def test_rows_have_settings_of_their_own(rows, columns, seed):
    temperature, top_k, top_p, uniforms = (np.array(column) for column in zip(*rows, strict=True))
    logits = (3 * np.random.default_rng(seed).standard_normal((len(rows), columns))).round(1)  # ties
    tokens = sample.compiled(logits, uniforms, temperature, top_k, top_p)
    np.testing.assert_array_equal(tokens, sample.reference(logits, uniforms, temperature, top_k, top_p))
    for row, (t, k, p, u) in enumerate(rows):
        alone = logits[row : row + 1], np.array([u]), *settings(1, t, k, p)
        assert sample.compiled(*alone) == sample.reference(*alone) == tokens[row]
