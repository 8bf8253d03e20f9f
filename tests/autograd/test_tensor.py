"""The engine itself: recording, the walk back, accumulation, freeing, errors."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import numpy as np
import pytest

from scratchgpt import autograd as ag
from scratchgpt.autograd import ShapeError, Tensor, is_grad_enabled, no_grad
from scratchgpt.autograd.watch import Observer, watch
from tests.autograd.operation_cases import ELEMENTWISE, LAYERS, REDUCTIONS, SHAPING


class Backward(Observer):
    """Writes down the way back."""

    def __init__(self) -> None:
        self.operations: list[str] = []

    def before_backward(self, call, gradient) -> None:
        self.operations.append(call.operation)


def test_a_shared_node_receives_the_sum_of_its_gradients() -> None:
    x = Tensor(np.array([2.0, 3.0]), requires_grad=True)
    y = x * x  # used three times below
    (y + y * y).sum().backward()
    np.testing.assert_allclose(x.grad, 2 * x.data + 4 * x.data**3)


def test_backward_calls_add_up_in_the_leaf() -> None:
    x = Tensor(np.array(3.0), requires_grad=True)
    (x * 2).backward()
    (x * 5).backward()
    assert x.grad == 7


def test_gradients_do_not_alias_each_other() -> None:
    a = Tensor(np.ones(3), requires_grad=True)
    b = Tensor(np.ones(3), requires_grad=True)
    (a + b).sum().backward()  # add hands the same array to both
    a.grad += 1
    np.testing.assert_array_equal(b.grad, np.ones(3))


def test_a_second_backward_through_the_same_graph_says_what_to_do() -> None:
    x = Tensor(np.array(2.0), requires_grad=True)
    y = x * x
    y.backward()
    with pytest.raises(RuntimeError, match="retain_graph"):
        y.backward()


def test_retain_graph_allows_a_second_backward() -> None:
    x = Tensor(np.array(2.0), requires_grad=True)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad == 8


def test_saved_arrays_are_freed_as_backward_goes() -> None:
    x = Tensor(np.ones(1000), requires_grad=True)
    middle = ag.exp(x)
    saved = weakref.ref(middle)
    out = (middle * 2).sum()
    del middle
    assert saved() is not None
    out.backward()
    gc.collect()
    assert saved() is None  # although `out` is still alive


def test_no_grad_records_nothing_and_ends_even_after_an_error() -> None:
    x = Tensor(np.ones(2), requires_grad=True)
    with pytest.raises(ZeroDivisionError), no_grad():
        y = x * 2
        raise ZeroDivisionError
    assert not y.requires_grad
    assert (x * 2).requires_grad


def test_a_chain_of_50_000_nodes() -> None:
    x = Tensor(np.array(1.0), requires_grad=True)
    y = x
    for _ in range(50_000):
        y = y + 1
    y.backward()
    assert y.item() == 50_001 and x.grad == 1
    del y  # must not overflow the stack on the way out either


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept_forward_and_backward(dtype: type) -> None:
    x = Tensor(np.linspace(0.1, 1, 6, dtype=dtype).reshape(2, 3), requires_grad=True)
    y = ag.softmax((x * 2 + 1) ** 2 / 3).max(axis=0).mean()
    y.backward()
    assert y.dtype == dtype and x.grad.dtype == dtype


def test_python_numbers_and_lists_become_float32() -> None:
    assert Tensor([1.0, 2.0]).dtype == np.float32
    assert (1.5 + Tensor(np.zeros(2, np.float32))).dtype == np.float32


def test_an_array_on_the_left_of_an_operator() -> None:
    x = Tensor(np.ones(3), requires_grad=True)
    y = np.arange(3.0) * x - x / 2 + np.eye(3) @ x
    assert isinstance(y, Tensor)
    y.sum().backward()
    np.testing.assert_allclose(x.grad, np.arange(3.0) + 0.5)


def test_a_shape_mismatch_names_the_operation_and_both_shapes() -> None:
    with pytest.raises(ShapeError, match=r"matmul.*\(2, 3\).*\(4, 5\)"):
        Tensor(np.ones((2, 3))) @ Tensor(np.ones((4, 5)))
    with pytest.raises(ShapeError, match=r"add.*\(2,\).*\(3,\)"):
        Tensor(np.ones(2)) + Tensor(np.ones(3))


def test_an_error_about_a_value_names_the_operation_and_is_no_shape_error() -> None:
    @ag.operation
    def picky(x: np.ndarray, *, level: int):
        raise ValueError(f"level must be even, not {level}")

    try:
        with pytest.raises(ValueError, match=r"^picky: level must be even, not 3$") as caught:
            picky(Tensor(np.ones(2)), level=3)
    finally:
        del ag.OPERATIONS["picky"]
    assert not isinstance(caught.value, ShapeError)


def test_backward_without_a_gradient_needs_one_element() -> None:
    with pytest.raises(ShapeError, match=r"\(2,\)"):
        Tensor(np.ones(2), requires_grad=True).backward()
    with pytest.raises(RuntimeError, match="no gradient"):
        Tensor(np.ones(())).backward()


def test_integers_have_no_gradient() -> None:
    with pytest.raises(TypeError, match="int64"):
        Tensor(np.arange(3), requires_grad=True)


def test_every_operation_is_in_a_table_and_its_gradients_are_checked() -> None:
    assert ELEMENTWISE.keys() | SHAPING.keys() | REDUCTIONS.keys() | LAYERS.keys() == ag.OPERATIONS.keys()


def test_a_branch_in_which_nothing_needs_a_gradient_is_not_walked() -> None:
    frozen, x = Tensor(np.ones(3)), Tensor(np.ones(3), requires_grad=True)
    notes = Backward()
    with watch(notes):
        below = ag.exp(frozen) * 2
        assert not below.requires_grad and not below._parents
        (below * x).sum().backward()
    assert notes.operations == ["sum", "mul"]
    np.testing.assert_allclose(x.grad, 2 * np.e * np.ones(3))
    assert frozen.grad is None


def test_what_needs_a_gradient_is_settled_on_the_way_forward() -> None:
    a, b = Tensor(np.array(3.0), requires_grad=True), Tensor(np.array(5.0))
    y = a * b
    a.requires_grad, b.requires_grad = False, True
    y.backward()
    assert a.grad == 5 and b.grad is None


def test_an_operation_is_told_which_gradients_are_needed_even_of_arguments_left_out() -> None:
    told = []

    @ag.operation
    def scaled(x: np.ndarray, scale: np.ndarray = 2.0, shift: np.ndarray = 0.0, *, needs: tuple[bool, ...]):
        told.append(needs)
        return x * scale + shift, lambda grad: (grad * scale if needs[0] else None, None, None)

    try:
        x = Tensor(np.ones(2), requires_grad=True)
        scaled(x), scaled(1.0, x), scaled(1.0, 2.0, x)
        with no_grad():
            scaled(x)
    finally:
        del ag.OPERATIONS["scaled"]
    assert told == [(True, False, False), (False, True, False), (False, False, True), (False, False, False)]


# -- switches belong to a thread ----------------------------------------------------------------------------
def in_a_thread(work: Callable[[], Any]) -> Any:
    """The result of ``work`` done on a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result(timeout=60)


def test_no_grad_holds_for_its_own_thread_only() -> None:
    x = Tensor(np.ones(2), requires_grad=True)
    with no_grad():
        assert in_a_thread(lambda: is_grad_enabled() and (x * 2).requires_grad)
        assert not is_grad_enabled() and not (x * 2).requires_grad


def test_overlapping_blocks_in_two_threads_leave_gradients_on() -> None:
    first_is_in, second_is_in, first_is_out = Event(), Event(), Event()

    def first() -> tuple[bool, bool]:
        with no_grad():
            first_is_in.set()
            assert second_is_in.wait(60)
            inside = is_grad_enabled()
        first_is_out.set()
        return inside, is_grad_enabled()

    def second() -> tuple[bool, bool]:
        assert first_is_in.wait(60)
        with no_grad():
            second_is_in.set()
            assert first_is_out.wait(60)
            inside = is_grad_enabled()
        return inside, is_grad_enabled()

    with ThreadPoolExecutor(2) as pool:
        results = [future.result(timeout=60) for future in (pool.submit(first), pool.submit(second))]
    assert results == [(False, True)] * 2 and is_grad_enabled()


def suspended() -> Iterator[None]:
    """Stops inside a no_grad block, and leaves it when it goes on."""
    with no_grad():
        yield


def test_blocks_may_end_in_any_order() -> None:
    first, second = suspended(), suspended()
    next(first), next(second)
    first.close()
    assert not is_grad_enabled()  # the second block is still open
    second.close()
    assert is_grad_enabled()


def test_a_block_left_on_another_thread_ends_where_it_began() -> None:
    block = suspended()
    next(block)
    assert in_a_thread(lambda: (block.close(), is_grad_enabled())[1])
    assert is_grad_enabled()


# -- what a tensor is ---------------------------------------------------------------------------------------
def test_what_a_tensor_says_of_itself() -> None:
    x = Tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    assert (x.shape, x.ndim, x.size, x.dtype, len(x)) == ((2, 3), 2, 6, np.float64, 2)
    assert x.numpy() is x.data and Tensor(x).data is x.data and not Tensor(x).requires_grad
    assert repr(x) == "Tensor([[0. 1. 2.]\n [3. 4. 5.]], float64, requires_grad=True)"
    assert repr(Tensor(np.array([1.23456789]))) == "Tensor([1.2346], float64)"
    assert repr(Tensor(np.zeros(20))).count("0.") == 20 and "..." in repr(Tensor(np.zeros(21)))
    assert Tensor(np.float64(2.5)).item() == 2.5 and Tensor(np.float64(2.5)).dtype == np.float64
    assert Tensor(2.5).dtype == Tensor([2.5]).dtype == np.float32 and Tensor(7).dtype == np.int64
    with pytest.raises(AttributeError, match="no attribute or operation 'nothing'"):
        _ = x.nothing


def test_each_operator_from_either_side() -> None:
    array = np.array([[1.0, 2.0], [3.0, 5.0]])
    x, other = Tensor(array), np.array([[7.0, 2.0], [1.0, 4.0]])
    for operate in (
        lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: a / b, lambda a, b: a**b,
        lambda a, b: a @ b,
    ):  # fmt: skip
        np.testing.assert_array_equal(operate(x, other).data, operate(array, other))
        np.testing.assert_array_equal(operate(other, x).data, operate(other, array))
        np.testing.assert_array_equal(operate(x, Tensor(other)).data, operate(array, other))
    for number in (3, 3.0):
        assert (number - x).data.tolist() == (number - array).tolist()
        assert (number / x).data.tolist() == (number / array).tolist()
        assert (number**x).data.tolist() == (number**array).tolist()
    assert (-x).data.tolist() == (-array).tolist()
    assert x[1].data.tolist() == [3, 5] and x.sum(axis=0).data.tolist() == [4, 7]


# -- the gradient that is handed in, and those that are handed on -------------------------------------------
def test_the_gradient_of_the_output_may_be_a_tensor_an_array_or_a_list_of_its_shape() -> None:
    for given in (Tensor(np.array([3.0, 4.0])), np.array([3, 4]), [3.0, 4.0]):
        x = Tensor(np.ones(2, np.float32), requires_grad=True)
        (x * 2).backward(given)
        assert x.grad.tolist() == [6, 8] and x.grad.dtype == np.float32
    for wrong in (np.ones(3), np.ones((1, 2)), 1.0):
        with pytest.raises(ShapeError, match=r"backward: gradient of shape .* for a tensor of shape \(2,\)"):
            (x * 2).backward(wrong)
    x = Tensor(np.ones((1, 1)), requires_grad=True)
    (x * 3).backward()
    assert x.grad.tolist() == [[3]]


def test_a_gradient_handed_to_two_is_not_added_to_in_place() -> None:
    x = Tensor(np.ones(3), requires_grad=True)
    shared, other = x * 1.0, x * 1.0
    scaled = shared * 3.0
    both = shared + other  # made last, so walked first: it hands one array to both
    seed = np.array([1.0, 2.0, 3.0])
    notes = Backward()
    with watch(notes):
        (both.reshape(3) + scaled).backward(seed)
    np.testing.assert_array_equal(x.grad, 5 * np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(seed, [1, 2, 3])


def test_a_gradient_that_comes_in_three_parts() -> None:
    x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    middle = x * 1.0
    (middle * 2.0 + middle * 3.0 + middle * 5.0 + middle).backward(np.array([1.0, 10.0]))
    assert x.grad.tolist() == [11, 110]


def test_a_parent_that_is_given_no_gradient_gets_zeros() -> None:
    @ag.operation
    def careless(a: np.ndarray, b: np.ndarray):
        return a + b, lambda grad: (grad, None)

    try:
        a, b = Tensor(np.ones(2), requires_grad=True), Tensor(np.ones(2), requires_grad=True)
        careless(a, b).sum().backward()
    finally:
        del ag.OPERATIONS["careless"]
    assert a.grad.tolist() == [1, 1] and b.grad.tolist() == [0, 0]


def test_an_operation_is_named_without_the_line_that_keeps_it_from_a_builtin() -> None:
    @ag.operation
    def round_(x: np.ndarray, *rest: np.ndarray, level: int = 0):
        return np.round(x), lambda grad: (grad,)

    try:
        assert ag.OPERATIONS["round"] is round_ and round_.__name__ == "round_"
        assert Tensor(np.array([1.4])).round().data.tolist() == [1]
    finally:
        del ag.OPERATIONS["round"]


def test_gradients_of_stretched_arguments_are_summed_over_what_was_stretched() -> None:
    grad = np.arange(24.0).reshape(2, 3, 4)
    for shape in ((2, 3, 4), (3, 4), (1, 3, 4), (2, 1, 4), (1, 1, 1), (4,), (1,), ()):
        x = Tensor(np.ones(shape), requires_grad=True)
        (x + np.zeros((2, 3, 4))).backward(grad)
        extra = tuple(range(3 - len(shape)))
        stretched = tuple(i + len(extra) for i, length in enumerate(shape) if length == 1)
        np.testing.assert_array_equal(x.grad, grad.sum(axis=extra + stretched, keepdims=True).reshape(shape))
