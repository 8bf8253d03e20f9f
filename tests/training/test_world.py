"""One process by itself agrees with itself; what several do together is tested with the update."""

from __future__ import annotations

import numpy as np

from scratchgpt.nn.modules import Parameter
from scratchgpt.training.world import ALONE


def test_alone_every_answer_is_ones_own() -> None:
    parameter = Parameter(np.ones(3))
    parameter.grad = np.arange(3.0)
    ALONE.sum_gradients([parameter])
    np.testing.assert_array_equal(parameter.grad, np.arange(3.0))
    assert (ALONE.size, ALONE.rank, ALONE.sum(3), ALONE.any(False), ALONE.any(True)) == (1, 0, 3, False, True)
