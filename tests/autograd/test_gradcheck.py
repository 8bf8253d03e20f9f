"""The gradient check itself: what it finds, and that it says where."""

from __future__ import annotations

import re

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


def off_by(factor: float, offset: float = 0.0):
    """A function whose gradient is too large by a factor and an offset; the caller takes it out of the table."""

    @ag.operation
    def off(x: np.ndarray):
        return x * 2.0, lambda grad: (grad * 2.0 * factor + offset,)

    return off


@pytest.mark.parametrize(
    ("factor", "offset", "tolerances", "passes"),
    [
        (1 + 5e-6, 0.0, {}, True),
        (1 + 3e-5, 0.0, {}, False),
        (1 - 3e-5, 0.0, {}, False),
        (1.009, 0.0, {"rtol": 1e-2}, True),
        (1.011, 0.0, {"rtol": 1e-2, "atol": 0.0}, False),
        (1.0, 0.09, {"atol": 0.1, "rtol": 0.0}, True),
        (1.0, 0.11, {"atol": 0.1, "rtol": 0.0}, False),
    ],
)
def test_the_tolerances_are_what_they_say(factor: float, offset: float, tolerances: dict, passes: bool) -> None:
    try:
        if passes:
            assert gradcheck(off_by(factor, offset), np.array([1.0, -2.0]), **tolerances) is True
        else:
            with pytest.raises(GradientError):
                gradcheck(off_by(factor, offset), np.array([1.0, -2.0]), **tolerances)
    finally:
        del ag.OPERATIONS["off"]


def test_of_several_wrong_gradients_the_worst_is_named_with_both_values() -> None:
    @ag.operation
    def off(x: np.ndarray):
        return x * 2.0, lambda grad: (grad * 2.0 * np.array([1.001, 1.5, 1.01]),)

    try:
        with pytest.raises(GradientError) as caught:
            gradcheck(off, np.ones(3))
    finally:
        del ag.OPERATIONS["off"]
    found = re.search(
        r"^gradcheck: input 0, element \(1,\): backward gives (\S+), central differences give (\S+) "
        r"\((\S+) times the tolerance\)$",
        str(caught.value),
    )
    assert found is not None
    backward, difference, times = map(float, found.groups())
    assert backward == pytest.approx(1.5 * difference, rel=1e-6)
    excess = abs(backward - difference) / (1e-6 + 1e-5 * abs(difference))
    assert times == pytest.approx(excess, rel=1e-3)


def test_the_step_is_as_wide_as_it_is_said() -> None:
    seen: list[float] = []

    def square(x: Tensor) -> Tensor:
        seen.append(float(x.data[0]))
        return x * x

    assert gradcheck(square, np.array([3.0]), eps=1e-3)
    assert seen == [3.0, 3.0 + 1e-3, 3.0 - 1e-3]


def test_inputs_are_checked_as_they_lie_in_memory() -> None:
    strides: list[tuple[int, ...]] = []

    def looked_at(x: Tensor) -> Tensor:
        strides.append(x.data.strides)
        return x * 1.0

    whole = np.ones((2, 3))
    for given, expected in ((whole, (24, 8)), (whole.T, (64, 16)), (np.ones((0, 3)).T, (8, 24))):
        strides.clear()
        assert gradcheck(looked_at, given)
        if given.size:
            assert set(strides) == {expected}
    assert gradcheck(lambda x: x * 2.0, Tensor(np.ones(2, np.float32)))
