"""Operations that move elements: gradients, what is not computed, and what a mistake is called."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from scratchgpt import autograd as ag
from scratchgpt.autograd import ShapeError, Tensor
from tests.autograd.operation_cases import SHAPING, check_gradient, check_needs

X = Tensor(np.ones((2, 3)))


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("name", SHAPING)
def test_gradient(name: str, backend: str) -> None:
    check_gradient(SHAPING[name], backend)


@pytest.mark.parametrize("name", SHAPING)
def test_only_needed_gradients_are_computed(name: str) -> None:
    check_needs(SHAPING[name])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: X.reshape(4, 2), r"^reshape: arguments of shapes \(2, 3\) do not fit"),
        (lambda: X.reshape(-1, -1), r"^reshape: arguments of shapes \(2, 3\) do not fit"),
        (lambda: ag.concatenate(X, Tensor(np.ones((2, 4)))), r"^concatenate: arguments of shapes \(2, 3\), \(2, 4\)"),
        (lambda: ag.concatenate(X, Tensor(np.ones(3))), r"^concatenate: arguments of shapes \(2, 3\), \(3,\)"),
        (lambda: ag.concatenate(Tensor(1.0), Tensor(2.0)), r"^concatenate: arguments of shapes \(\), \(\)"),
    ],
)
def test_a_wrong_shape_is_named(wrong: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        wrong()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: X.transpose(0, 2), "^transpose: axis 2 is out of bounds"),
        (lambda: X.transpose(0, 0), "^transpose: repeated axis"),
        (lambda: X.transpose(0), "^transpose: axes don't match"),
        (lambda: ag.concatenate(X, X, axis=2), "^concatenate: axis 2 is out of bounds"),
        (lambda: ag.concatenate(), "^concatenate: there are no arrays"),
    ],
)
def test_a_wrong_value_is_not_called_a_wrong_shape(wrong: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        wrong()
    assert not isinstance(caught.value, ShapeError)


def test_an_index_that_is_not_there_is_an_index_error() -> None:
    with pytest.raises(IndexError, match="index 2 is out of bounds"):
        X[2]
    with pytest.raises(IndexError, match="boolean index did not match"):
        X[np.array([True, False, True])]
