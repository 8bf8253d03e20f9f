"""The cache: rows come, go and change places. test_gpt2_decoder.py fills it by a model."""

import numpy as np
import pytest

from scratchgpt.config import GPTConfig
from scratchgpt.models.cache import KVCache, packing_order

CONFIG = GPTConfig(vocab_size=9, emb_dim=4, num_heads=2, num_layers=3, context_size=5)


def filled(lengths: list[int], capacity: int) -> KVCache:
    """Rows of these lengths; every number says where it was written."""
    cache = KVCache(CONFIG, capacity, np.float64)
    cache.extend(len(lengths))
    cache.lengths[:] = lengths
    cache.keys[...] = np.arange(cache.keys.size).reshape(cache.keys.shape)
    cache.values[...] = -cache.keys
    return cache


def test_shapes_and_room():
    cache = KVCache(CONFIG, 7)
    assert cache.keys.shape == cache.values.shape == (3, 7, 5, 4)
    assert cache.keys.dtype == cache.values.dtype == np.float32
    assert (cache.capacity, cache.context_size) == (7, 5)
    assert len(cache.lengths) == 0


def test_rows_are_added_behind_those_that_are_there():
    cache = KVCache(CONFIG, 5)
    assert cache.extend(2).tolist() == [0, 1]
    cache.lengths[:] = [3, 4]
    assert cache.extend(3).tolist() == [2, 3, 4]
    assert cache.lengths.tolist() == [3, 4, 0, 0, 0]
    with pytest.raises(ValueError, match=r"cannot add 1 rows to 5, room for 5"):
        cache.extend(1)
    assert len(cache.lengths) == 5
    cache.clear()
    assert cache.extend(5).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("rows", [[0, 1, 2], [2, 0], [1, 1, 1, 1], [], [0, 2, 1, 0]])
def test_select_makes_each_row_what_another_was(rows):
    lengths = [2, 5, 3]
    cache = filled(lengths, 4)
    keys, values = cache.keys.copy(), cache.values.copy()
    cache.select(np.array(rows, int))
    assert cache.lengths.tolist() == [lengths[row] for row in rows]
    for new, old in enumerate(rows):
        used = slice(lengths[old])
        np.testing.assert_array_equal(cache.keys[:, new, used], keys[:, old, used])
        np.testing.assert_array_equal(cache.values[:, new, used], values[:, old, used])


@pytest.mark.parametrize("rows", [[0, 2], [0, 1, 1, 0], [-1]])
def test_a_selection_that_does_not_fit_is_refused(rows):
    cache = filled([1, 2], 3)
    with pytest.raises(ValueError, match="cannot select"):
        cache.select(np.array(rows))


def test_packing_order_keeps_every_kept_row_and_moves_few():
    rng = np.random.default_rng(0)
    for _ in range(50):
        keep = rng.random(rng.integers(1, 20)) < 0.6
        order = packing_order(keep)
        assert sorted(order) == np.flatnonzero(keep).tolist()
        stays = keep[: len(order)]
        np.testing.assert_array_equal(order[stays], np.arange(len(order))[stays])
