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
