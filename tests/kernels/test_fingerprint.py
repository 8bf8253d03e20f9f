"""The fingerprint: compiled as in NumPy, and different for whatever differs."""

import numpy as np
import pytest

from scratchgpt.kernels.fingerprint import BLOCK, fingerprint


def numbers(size: int, dtype: type = np.float32) -> np.ndarray:
    return np.random.default_rng(size).standard_normal(size).astype(dtype)


@pytest.mark.parametrize("size", [0, 1, 2, 7, 64, 2 * BLOCK - 1, 2 * BLOCK, 2 * BLOCK + 1, 5 * BLOCK + 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_equals_reference(size, dtype):
    arrays = [numbers(size, dtype), numbers(11)]
    assert fingerprint.compiled(arrays) == fingerprint.reference(arrays)


@pytest.fixture(params=["compiled", "reference"])
def number_of(request):
    return getattr(fingerprint, request.param)


def test_every_element_counts(number_of):
    array = numbers(41)
    seen = {number_of([array])}
    for i in range(array.size):
        array[i] = np.nextafter(array[i], 9)
        seen.add(number_of([array]))
    assert len(seen) == 1 + array.size


def test_changes_that_a_plain_sum_would_miss_show(number_of):
    array = numbers(64)
    for change in (
        lambda a: a[::-1],
        lambda a: np.roll(a, 2),
        lambda a: -a,
        lambda a: np.where(np.isin(np.arange(64), [3, 11]), -a, a),  # two sign bits
        lambda a: a.reshape(8, 8).T.reshape(-1),
        lambda a: np.append(a, np.float32(0)),
    ):
        assert number_of([change(array).astype(np.float32)]) != number_of([array])


def test_the_order_and_the_bounds_of_arrays_count(number_of):
    a, b = numbers(16), numbers(24)
    parts = [[a, b], [b, a], [np.append(a, b)], [np.append(a, b[:2]), b[2:]], [a, b, a[:0]], [a], [b], []]
    assert len({number_of(arrays) for arrays in parts}) == len(parts)


def test_contents_count_and_not_how_they_lie_in_memory(number_of):
    array = numbers(48).reshape(6, 8)
    assert number_of([np.asfortranarray(array)]) == number_of([array])
    assert number_of([array[:, ::2]]) == number_of([array[:, ::2].copy()])
