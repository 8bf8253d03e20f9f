"""Operations on every element by itself: gradients, what is not computed, and what a mistake is called."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scratchgpt import autograd as ag
from scratchgpt.autograd import ShapeError, Tensor, gradcheck
from tests.autograd.operation_cases import ELEMENTWISE, check_gradient, check_needs

BROADCASTING = {"add": 2, "sub": 2, "mul": 2, "div": 2, "pow": 2, "minimum": 2, "maximum": 2, "where": 3}
"""Operations whose arguments are stretched to one shape, and how many arguments they have."""
X = Tensor(np.ones((2, 3)))


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_gradient(name: str, backend: str) -> None:
    check_gradient(ELEMENTWISE[name], backend)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_only_needed_gradients_are_computed(name: str) -> None:
    check_needs(ELEMENTWISE[name])


def test_constant_exponent_of_a_negative_base() -> None:
    assert gradcheck(lambda x: x**3, np.array([-1.5, 0.5]))
    assert gradcheck(lambda x: 2.0**x, np.array([-1.5, 0.5]))


@pytest.mark.parametrize("name", BROADCASTING)
def test_shapes_that_cannot_be_stretched_are_named(name: str) -> None:
    @settings(max_examples=20, deadline=None, derandomize=True)
    @given(shapes=st.tuples(*[hnp.array_shapes(max_dims=3, max_side=3)] * BROADCASTING[name]))
    def check(shapes: tuple[tuple[int, ...], ...]) -> None:
        try:
            np.broadcast_shapes(*shapes)
        except ValueError:
            with pytest.raises(ShapeError) as caught:
                ag.OPERATIONS[name](*(Tensor(np.ones(shape)) for shape in shapes))
            assert str(caught.value).startswith(f"{name}: arguments of shapes {', '.join(map(str, shapes))} ")
        else:
            assume(False)

    check()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: ag.dropout(X, p=2.0, seed=0), r"^dropout: p must be in \[0, 1\), not 2.0$"),
        (lambda: ag.dropout(X, p=-0.1, seed=0), r"^dropout: p must be in \[0, 1\), not -0.1$"),
        (lambda: ag.dropout(X, p=float("nan"), seed=0), r"^dropout: p must be in \[0, 1\), not nan$"),
        (lambda: ag.clip(X, low=1.0, high=0.5), r"^clip: low = 1.0 is above high = 0.5$"),
        (lambda: ag.pow(Tensor(np.array([2])), Tensor(np.array([-1]))), r"^pow: Integers to negative integer powers"),
    ],
)
def test_a_wrong_value_is_not_called_a_wrong_shape(wrong: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        wrong()
    assert not isinstance(caught.value, ShapeError)


# -- what no central difference sees: values at kinks, at borders, and where nothing changes --------------------
def gradients(function: Callable[..., Tensor], *inputs: list[float]) -> list[list[float]]:
    tensors = [Tensor(np.array(x), requires_grad=True) for x in inputs]
    function(*tensors).sum().backward()
    return [tensor.grad.tolist() for tensor in tensors]


def test_gradients_at_the_kinks() -> None:
    assert gradients(ag.relu, [-1.0, 0.0, 2.0]) == [[0, 0, 1]]
    assert gradients(lambda x: ag.clip(x, low=-1.0, high=1.0), [-1.5, -1.0, 0.0, 1.0, 1.5]) == [[0, 1, 1, 1, 0]]
    assert gradients(ag.minimum, [1.0, 2.0, 3.0], [2.0, 2.0, 2.0]) == [[1, 0.5, 0], [0, 0.5, 1]]
    assert gradients(ag.maximum, [1.0, 2.0, 3.0], [2.0, 2.0, 2.0]) == [[0, 0.5, 1], [1, 0.5, 0]]


def test_a_power_of_zero_has_no_gradient_by_its_exponent_and_warns_of_nothing() -> None:
    with np.errstate(all="raise"):
        base, exponent = gradients(ag.pow, [0.0, 2.0, 1.0], [2.0, 3.0, 5.0])
    assert base == [0, 12, 5]
    np.testing.assert_allclose(exponent, [0, 8 * np.log(2), 0], rtol=1e-15)


def test_an_integer_exponent_of_a_float_base() -> None:
    x = Tensor(np.array([2.0, -3.0], np.float32), requires_grad=True)
    (x ** np.array([0, 2])).sum().backward()
    assert x.grad.tolist() == [0, -6] and x.grad.dtype == np.float32


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (ag.exp, np.exp), (ag.log, np.log), (ag.sqrt, np.sqrt), (ag.tanh, np.tanh), (ag.neg, np.negative),
        (ag.sigmoid, lambda x: 1 / (1 + np.exp(-x))), (ag.relu, lambda x: np.where(x > 0, x, 0)),
        (ag.gelu, lambda x: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))),
    ],
)  # fmt: skip
def test_values(operation: Callable[..., Tensor], expected: Callable[[np.ndarray], np.ndarray]) -> None:
    x = np.array([0.1, 0.7, 1.5, 4.0])
    np.testing.assert_allclose(operation(Tensor(x)).data, expected(x), rtol=1e-14)


def test_the_sigmoid_of_large_numbers_is_0_or_1() -> None:
    with np.errstate(all="raise"):
        assert ag.sigmoid(Tensor(np.array([-1e4, 1e4]))).data.tolist() == [0, 1]


def test_values_that_stand_at_a_border() -> None:
    x = Tensor(np.array([-2.0, 0.5, 2.0]))
    assert ag.clip(x, low=1.0, high=1.0).data.tolist() == [1, 1, 1]
    assert ag.clip(x, low=-1.0).data.tolist() == [-1, 0.5, 2] and ag.clip(x, high=1.0).data.tolist() == [-2, 0.5, 1]
    assert ag.where(np.array([True, False, True]), x, 7.0).data.tolist() == [-2, 7, 2]
    np.testing.assert_array_equal(ag.dropout(x, p=0.0, seed=1).data, x.data)
    with pytest.raises(ValueError, match=r"^dropout: p must be in \[0, 1\), not 1.0$"):
        ag.dropout(x, p=1.0, seed=0)


def test_a_gradient_that_lies_across_memory_is_laid_out_for_the_kernel() -> None:
    across = np.arange(6.0).reshape(2, 3).T
    for operation in (ag.gelu, lambda x: ag.dropout(x, p=0.4, seed=5)):
        first, second = (Tensor(np.ones((3, 2)) / 2, requires_grad=True) for _ in range(2))
        operation(first).backward(across)
        operation(second).backward(across.copy())
        np.testing.assert_array_equal(first.grad, second.grad)
