"""Operations that fold an axis: gradients, and what a mistake is called."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from scratchgpt import autograd as ag
from scratchgpt.autograd import ShapeError, Tensor
from tests.autograd.operation_cases import REDUCTIONS, check_gradient, check_needs

X = Tensor(np.ones((2, 3)))


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_gradient(name: str, backend: str) -> None:
    check_gradient(REDUCTIONS[name], backend)


@pytest.mark.parametrize("name", REDUCTIONS)
def test_a_constant_gets_no_gradient(name: str) -> None:
    check_needs(REDUCTIONS[name])


@pytest.mark.parametrize("axis", [2, -3])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_an_axis_that_is_not_there_is_a_wrong_value(name: str, axis: int) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: axis {axis} is out of bounds") as caught:
        ag.OPERATIONS[name](X, axis=axis)
    assert not isinstance(caught.value, ShapeError)


@pytest.mark.parametrize("name", ["sum", "mean", "max", "logsumexp"])
def test_an_axis_named_twice_is_a_wrong_value(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: duplicate value in 'axis'") as caught:
        ag.OPERATIONS[name](X, axis=(0, 0))
    assert not isinstance(caught.value, ShapeError)


@pytest.mark.parametrize("operation", [ag.max, ag.logsumexp, ag.softmax, ag.log_softmax])
def test_an_axis_without_elements_has_no_largest(operation: Callable[..., Tensor]) -> None:
    nothing = Tensor(np.ones((2, 0)))
    with pytest.raises(ShapeError, match=r"arguments of shapes \(2, 0\) do not fit: axis 1 has no elements"):
        operation(nothing, axis=1)
    assert operation(nothing, axis=0).size == 0  # every fold there is has elements: there are none of them
