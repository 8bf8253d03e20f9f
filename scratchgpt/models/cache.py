"""The keys and values that decoding keeps: one row a sequence, rows of lengths of their own."""

from __future__ import annotations

import numpy as np

from scratchgpt.config import GPTConfig


class KVCache:
    """Keys and values of every layer for the tokens that a batch of rows has seen.

    Rows have lengths of their own. What lies beyond a row's length is left over from other rows and is
    never read.

    Args:
        config: the model's sizes; a row holds at most ``context_size`` positions, S.
        batch_size: how many rows there is room for.
        dtype: of the model's parameters.

    Attributes:
        lengths: (B,) int64, positions in use in each of the B rows that are there; at first B is 0.
    """

    def __init__(self, config: GPTConfig, batch_size: int, dtype: np.dtype | type = np.float32) -> None:
        shape = (config.num_layers, batch_size, config.context_size, config.emb_dim)
        # Memory that is never written costs nothing: the system hands out pages at the first write.
        self._keys = np.empty(shape, dtype)
        self._values = np.empty(shape, dtype)
        self.lengths = np.zeros(0, np.int64)

    @property
    def capacity(self) -> int:
        """How many rows there is room for."""
        return self._keys.shape[1]

    @property
    def context_size(self) -> int:
        """How many positions a row has room for, S."""
        return self._keys.shape[2]

    @property
    def keys(self) -> np.ndarray:
        """(L, capacity, S, C): layer, row, position, channel; what lies beyond B rows is not in use."""
        return self._keys

    @property
    def values(self) -> np.ndarray:
        """As the keys."""
        return self._values

    def clear(self) -> None:
        """Forget all rows."""
        self.lengths = np.zeros(0, np.int64)

    def extend(self, count: int) -> np.ndarray:
        """Add rows without positions behind those that are there.

        Args:
            count: how many.

        Returns:
            (count,) int64, their indices.

        Raises:
            ValueError: if there is no room for so many.
        """
        batch = len(self.lengths)
        if batch + count > self.capacity:
            raise ValueError(f"cache: cannot add {count} rows to {batch}, room for {self.capacity}")
        self.lengths = np.concatenate([self.lengths, np.zeros(count, np.int64)])
        return np.arange(batch, batch + count)

    def select(self, rows: np.ndarray) -> None:
        """Make row i what row ``rows[i]`` was: to drop, reorder or repeat rows.

        Only rows that change their place are copied; :func:`packing_order` names an order that moves few.

        Args:
            rows: (B',) integers below B; B' is at most the capacity.

        Raises:
            ValueError: if a row does not exist or there is no room for so many.
        """
        rows = np.asarray(rows, np.int64)
        batch = len(self.lengths)
        if len(rows) > self.capacity or (len(rows) and not 0 <= rows.min() <= rows.max() < batch):
            raise ValueError(f"cache: cannot select rows {rows.tolist()} of {batch}, room for {self.capacity}")
        moved = np.flatnonzero(rows != np.arange(len(rows)))
        if len(moved):
            sources = rows[moved]
            longest = self.lengths[sources].max()
            for array in (*self._keys, *self._values):  # a layer at a time: the copy in between stays small
                array[moved, :longest] = array[sources, :longest]
        self.lengths = self.lengths[rows]


def packing_order(keep: np.ndarray) -> np.ndarray:
    """The kept rows in an order that moves as few of them as possible: the last ones fill the gaps.

    Args:
        keep: (B,) bool.

    Returns:
        (number kept,) indices, for :meth:`KVCache.select`.
    """
    count = int(np.count_nonzero(keep))
    rows = np.arange(count)
    if count == len(keep):
        return rows
    rows[~keep[:count]] = count + np.flatnonzero(keep[count:])
    return rows
