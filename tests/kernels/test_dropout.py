import numpy as np
import pytest

from scratchgpt.kernels import dropout_backward, dropout_forward


@pytest.mark.parametrize("seed", [0, 1, 2**40 + 5, 2**64 - 1])
def test_equals_reference_in_every_bit(seed, normal):
    x = normal(3, 5000)
    y = dropout_forward.compiled(x, 0.3, seed)
    np.testing.assert_array_equal(y, dropout_forward.reference(x, 0.3, seed), strict=True)
    np.testing.assert_array_equal(dropout_backward(x, 0.3, seed), y)


def test_share_and_scale_and_independence(dtype):
    x = np.ones(200_000, dtype)
    masks = [dropout_forward(x, 0.1, seed) for seed in (1, 2, 1 << 32)]
    for y in masks:
        assert set(np.unique(y)) == {0, dtype.type(1 / 0.9)}
        assert abs((y == 0).mean() - 0.1) < 0.003
        kept = (y != 0).astype(np.float64) - 0.9
        neighbours = (kept[1:] * kept[:-1]).mean() / 0.09
        assert abs(neighbours) < 0.01
    for i, j in ((0, 1), (0, 2), (1, 2)):
        both = ((masks[i] == 0) & (masks[j] == 0)).mean()
        assert abs(both - 0.01) < 0.001


@pytest.mark.parametrize("p", [0.02, 0.1, 0.5, 0.9])
def test_rows_positions_and_channels_are_dropped_independently(p):
    """(B, T, C) as a model has it, seen as heads: shares and pairs of neighbours in each direction within 5 deviations."""
    batch, time, heads, size = 4, 64, 4, 32
    dropped = dropout_forward(np.ones((batch, time, heads, size), np.float32), p, 12) == 0
    # Binomial: a share of n elements lies within 5 deviations of p. So do those of each row, position, head, channel.
    for axes in ((0, 1, 2, 3), (1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2)):
        n = np.prod([dropped.shape[axis] for axis in axes])
        assert (np.abs(dropped.mean(axis=axes) - p) < 5 * np.sqrt(p * (1 - p) / n)).all(), axes
    deviation = dropped - p
    for axis in range(4):
        ahead, behind = (np.delete(deviation, place, axis) for place in (0, -1))
        correlation = (ahead * behind).mean() / (p * (1 - p))
        assert abs(correlation) < 5 / np.sqrt(ahead.size), axis


def test_p_zero_keeps_all_and_p_one_is_refused(normal):
    x = normal(100)
    np.testing.assert_array_equal(dropout_forward(x, 0.0, 3), x)
    for p in (-0.1, 1.0):
        with pytest.raises(ValueError, match="p must be"):
            dropout_forward(x, p, 3)


def test_both_halves_of_a_seed_count_and_the_largest_p_is_held_below_one(normal):
    x = np.ones(4096)
    masks = {dropout_forward.reference(x, 0.5, seed).tobytes() for seed in (1, 2, 1 << 32, 2 << 32, (1 << 32) + 1, 1 << 63)}
    assert len(masks) == 6
    nearly = np.nextafter(1.0, 0.0)
    for implementation in (dropout_forward.compiled, dropout_forward.reference):
        assert not implementation(x, nearly, 3).any()
        with pytest.raises(ValueError, match="p must be"):
            implementation(x, 1.0, 3)
    strided = normal(60, 40)[::2].T
    np.testing.assert_array_equal(dropout_forward(strided, 0.4, 9), dropout_forward(strided.copy(), 0.4, 9))
