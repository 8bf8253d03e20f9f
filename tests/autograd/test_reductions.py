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


# -- values, and what no central difference sees ----------------------------------------------------------------
@pytest.mark.parametrize("size", [-1e4, 0.0, 1e4])
def test_large_numbers_neither_overflow_nor_vanish(size: float) -> None:
    x = np.array([[1.0, 2.0, 4.0]]) + size
    weights = np.exp([[-3.0, -2.0, 0.0]])
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        assert ag.logsumexp(Tensor(x), axis=1).item() == pytest.approx(size + 4 + np.log(weights.sum()), rel=1e-12)
        np.testing.assert_allclose(ag.softmax(Tensor(x)).data, weights / weights.sum(), rtol=1e-12)
        log_probabilities = np.log(weights / weights.sum())
        np.testing.assert_allclose(ag.log_softmax(Tensor(x)).data, log_probabilities, rtol=1e-12)


def test_equal_largest_elements_share_the_gradient() -> None:
    x = Tensor(np.array([[1.0, 3.0, 3.0], [5.0, 2.0, 5.0], [0.0, 0.0, 0.0]]), requires_grad=True)
    ag.max(x, axis=1).backward(np.array([1.0, 4.0, 6.0]))
    assert x.grad.tolist() == [[0, 0.5, 0.5], [2, 0, 2], [2, 2, 2]]


def test_axes_may_be_several_and_negative() -> None:
    array = np.random.default_rng(0).standard_normal((2, 3, 4))
    for axis in ((0, 2), (-1, 0), (1,), -2, None):
        for name, fold in (("sum", np.sum), ("mean", np.mean), ("max", np.max)):
            for keepdims in (False, True):
                x = Tensor(array, requires_grad=True)
                y = ag.OPERATIONS[name](x, axis=axis, keepdims=keepdims)
                np.testing.assert_allclose(y.data, fold(array, axis=axis, keepdims=keepdims))
                y.backward(np.arange(1.0, y.size + 1).reshape(y.shape))
                kept = np.arange(1.0, y.size + 1).reshape(fold(array, axis=axis, keepdims=True).shape)
                shares = {"sum": 1.0, "mean": y.size / x.size, "max": array == array.max(axis=axis, keepdims=True)}
                np.testing.assert_allclose(x.grad, np.broadcast_to(kept, array.shape) * shares[name])


def test_folds_of_nothing() -> None:
    nothing = Tensor(np.ones((0, 3)), requires_grad=True)
    ag.mean(nothing, axis=1).backward(np.ones(0))
    assert nothing.grad.shape == (0, 3)
    assert ag.sum(nothing).item() == 0
    for fold in (ag.softmax, ag.log_softmax):
        assert fold(nothing).shape == (0, 3)


def test_axis_and_keepdims_by_default() -> None:
    array = np.arange(6.0).reshape(2, 3)
    x = Tensor(array)
    assert (ag.sum(x).data, ag.mean(x).data, ag.max(x).data) == (15, 2.5, 5)
    assert ag.logsumexp(x).shape == () and ag.logsumexp(x, axis=1, keepdims=True).shape == (2, 1)
    np.testing.assert_allclose(ag.softmax(x).data.sum(axis=1), [1, 1])
    np.testing.assert_allclose(np.exp(ag.log_softmax(x).data).sum(axis=1), [1, 1])
