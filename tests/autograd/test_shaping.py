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


def test_values_and_defaults() -> None:
    array = np.arange(24.0).reshape(2, 3, 4)
    x = Tensor(array, requires_grad=True)
    assert x.reshape(4, -1).shape == x.reshape((4, 6)).shape == x.reshape([4, 6]).shape == (4, 6)
    assert x.reshape(24).shape == x.reshape(-1).shape == x.reshape((24,)).shape == (24,)
    for axes in ((1, 0, 2), (-1, 0, 1), (0, -1, -2)):
        turned = x.transpose(*axes)
        np.testing.assert_array_equal(turned.data, array.transpose(axes))
        np.testing.assert_array_equal(x.transpose(axes).data, turned.data)
        x.grad = None
        turned.backward(np.arange(24.0).reshape(turned.shape))
        np.testing.assert_array_equal(x.grad.transpose(axes), np.arange(24.0).reshape(turned.shape))
    for turned in (x.transpose(), x.T, ag.transpose(x)):
        np.testing.assert_array_equal(turned.data, array.T)
    np.testing.assert_array_equal(ag.concatenate(x, x).data, np.concatenate([array, array]))
    np.testing.assert_array_equal(ag.concatenate(x, x, axis=-1).data, np.concatenate([array, array], axis=-1))


@pytest.mark.parametrize(
    "index",
    [(np.array([0, 0, 1]), slice(None)), (slice(None), [1, 1, 1]), (0, np.array([2, 2])), [1, 1], np.array([0, 0])],
    ids=str,
)
def test_an_element_picked_several_times_gets_the_sum_of_its_gradients(index: object) -> None:
    x = Tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    picked = x[index]
    picked.backward(np.arange(1.0, picked.size + 1).reshape(picked.shape))
    expected = np.zeros((2, 3))
    np.add.at(expected, index, np.arange(1.0, picked.size + 1).reshape(picked.shape))
    np.testing.assert_array_equal(x.grad, expected)


def test_parts_of_a_concatenation_that_need_no_gradient_get_none() -> None:
    a, b, c = Tensor(np.ones((1, 2))), Tensor(np.ones((2, 2)), requires_grad=True), Tensor(np.ones((3, 2)))
    ag.concatenate(a, b, c).backward(np.arange(12.0).reshape(6, 2))
    assert b.grad.tolist() == [[2, 3], [4, 5]] and a.grad is None and c.grad is None
