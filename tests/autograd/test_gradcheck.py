"""The gradient check itself: what it finds, and that it says where."""

from __future__ import annotations

import numpy as np
import pytest

from scratchgpt import autograd as ag
from scratchgpt.autograd import GradientError, Tensor, gradcheck


def test_a_wrong_gradient_is_found_and_its_place_named() -> None:
    @ag.operation
    def off_by_a_little(x: np.ndarray):
        factor = np.ones_like(x)
        factor[1, 2] = 1.001
        return x * 2, lambda grad: (grad * 2 * factor,)

    try:
        with pytest.raises(GradientError, match=r"input 0, element \(1, 2\)"):
            gradcheck(off_by_a_little, np.ones((2, 3)))
    finally:
        del ag.OPERATIONS["off_by_a_little"]


def test_a_gradient_that_is_left_out_is_found() -> None:
    with pytest.raises(GradientError, match=r"input 1, element \(0,\): backward gives 0"):
        gradcheck(lambda a, b: a * Tensor(b.data), np.ones(2), np.ones(2))


def test_a_nan_is_found() -> None:
    with pytest.raises(GradientError), np.errstate(invalid="ignore"):
        gradcheck(ag.sqrt, np.array([-1.0]))


def test_a_gradient_may_hide_behind_no_symmetry() -> None:
    @ag.operation
    def softmax_without_gradient(x: np.ndarray):
        y = np.exp(x) / np.exp(x).sum()
        return y, lambda grad: (np.zeros_like(x),)

    try:
        with pytest.raises(GradientError):  # the sum of a softmax does not depend on its input
            gradcheck(softmax_without_gradient, np.array([0.3, -0.5, 1.0]))
    finally:
        del ag.OPERATIONS["softmax_without_gradient"]


def test_the_inputs_are_left_as_they_were() -> None:
    x = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3).T
    before = x.copy()
    assert gradcheck(ag.exp, x)
    np.testing.assert_array_equal(x, before)
    assert x.dtype == np.float32
