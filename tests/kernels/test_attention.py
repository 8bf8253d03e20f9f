import resource

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchgpt.kernels import attention_backward, attention_forward, num_threads, set_threads

SHAPES = [
    (1, 1, 1, 1),  # batch, time, heads, head size
    (2, 2, 1, 8),
    (1, 31, 2, 32),
    (3, 32, 1, 64),
    (1, 33, 3, 33),
    (2, 65, 2, 16),
    (1, 128, 1, 128),
    (5, 200, 2, 40),
    (1, 1025, 1, 64),
]


def gradients_agree(agree, normal, batch, time, heads, size, spread=1):
    qkv = spread * normal(batch, time, 3 * heads * size)
    out, logsumexp = agree(attention_forward, qkv, heads)
    grad = normal(batch, time, heads * size)
    tolerance = 1e-4 if qkv.itemsize == 4 else 1e-11
    return agree(attention_backward, grad, qkv, out, logsumexp, heads, tolerance=tolerance)


@pytest.mark.parametrize("shape", SHAPES)
def test_equals_reference(shape, normal, agree):
    gradients_agree(agree, normal, *shape)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(1, 150), st.integers(1, 3), st.integers(1, 70))
def test_equals_reference_on_any_shape(batch, time, heads, size):
    rng = np.random.default_rng((batch, time, heads, size))
    qkv, grad = rng.standard_normal((batch, time, 3 * heads * size)), rng.standard_normal((batch, time, heads * size))
    out, logsumexp = attention_forward.compiled(qkv, heads)
    expected_out, expected_logsumexp = attention_forward.reference(qkv, heads)
    np.testing.assert_allclose(out, expected_out, atol=1e-11)
    np.testing.assert_allclose(logsumexp, expected_logsumexp, atol=1e-11)
    got = attention_backward.compiled(grad, qkv, out, logsumexp, heads)
    expected = attention_backward.reference(grad, qkv, out, logsumexp, heads)
    np.testing.assert_allclose(got, expected, atol=1e-10)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shape", [(1, 150, 1, 24), (1, 300, 3, 32), (2, 70, 4, 16)])
def test_any_number_of_threads(threads, shape, normal, agree):
    before = num_threads()
    if threads > before:
        pytest.skip("one core")
    set_threads(threads)
    first = gradients_agree(agree, normal, *shape)
    set_threads(before)
    assert np.isfinite(first).all()


def test_runs_repeat_bit_for_bit(normal):
    qkv, grad = normal(1, 300, 3 * 3 * 32), normal(1, 300, 3 * 32)
    out, logsumexp = attention_forward(qkv, 3)
    first = attention_backward(grad, qkv, out, logsumexp, 3)
    for _ in range(5):
        again, _ = attention_forward(qkv, 3)
        np.testing.assert_array_equal(again, out)
        np.testing.assert_array_equal(attention_backward(grad, qkv, out, logsumexp, 3), first)


def test_sharp_scores_stay_finite(normal, agree):
    # Scores of several hundred: without the running maximum the exponentials overflow.
    gradients_agree(agree, normal, 1, 100, 1, 16, spread=12)


def test_no_position_sees_a_later_one(normal):
    qkv = normal(1, 70, 3 * 16)
    out, _ = attention_forward(qkv, 1)
    changed = qkv.copy()
    changed[:, 40:] += 1
    again, _ = attention_forward(changed, 1)
    np.testing.assert_array_equal(again[:, :40], out[:, :40])
    assert np.abs(again[:, 40:] - out[:, 40:]).min(axis=-1).max() > 0


def test_gradient_is_that_of_forward(slope):
    rng = np.random.default_rng(8)
    qkv, grad = rng.standard_normal((1, 5, 3 * 4)), rng.standard_normal((1, 5, 4))
    out, logsumexp = attention_forward(qkv, 2)
    got = attention_backward(grad, qkv, out, logsumexp, 2)
    expected = slope(lambda a: float((attention_forward(a, 2)[0] * grad).sum()), qkv)
    np.testing.assert_allclose(got, expected, atol=1e-8)


def test_memory_is_linear_in_time():
    # One (T, T) matrix of float32 would take 900 MB here.
    time = 15_000
    qkv = np.random.default_rng(9).standard_normal((1, time, 3 * 8)).astype(np.float32)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    out, logsumexp = attention_forward(qkv, 1)
    attention_backward(out, qkv, out, logsumexp, 1)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000  # kB


def test_nan_is_seen(normal):
    qkv = normal(1, 40, 3 * 8)
    qkv[0, 20, 3] = np.nan
    out, _ = attention_forward(qkv, 1)
    assert np.isfinite(out[0, :20]).all()
    assert np.isnan(out[0, 20]).any()


def test_shapes_are_checked(normal):
    with pytest.raises(ValueError, match="divisible by num_heads 5"):
        attention_forward(normal(1, 4, 12), 5)
    out, logsumexp = attention_forward(normal(1, 4, 12), 2)
    with pytest.raises(ValueError, match="grad"):
        attention_backward(normal(1, 3, 4), normal(1, 4, 12), out, logsumexp, 2)
