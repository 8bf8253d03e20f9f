"""The engine itself: recording, the walk back, accumulation, freeing, errors."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from scratchgpt import autograd as ag
from scratchgpt.autograd import ShapeError, Tensor, no_grad


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


def test_detach_cuts_the_graph_and_shares_the_array() -> None:
    x = Tensor(np.array(3.0), requires_grad=True)
    y = x * x
    (y.detach() * x).backward()
    assert x.grad == 9
    assert y.detach().data is y.data


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
    with pytest.raises(ShapeError, match=r"layernorm.*\(2, 3\)"):
        ag.layernorm(Tensor(np.ones((2, 3))), Tensor(np.ones(2)), Tensor(np.ones(2)))


def test_backward_without_a_gradient_needs_one_element() -> None:
    with pytest.raises(ShapeError, match=r"\(2,\)"):
        Tensor(np.ones(2), requires_grad=True).backward()
    with pytest.raises(RuntimeError, match="no gradient"):
        Tensor(np.ones(())).backward()


def test_integers_have_no_gradient() -> None:
    with pytest.raises(TypeError, match="int64"):
        Tensor(np.arange(3), requires_grad=True)


def test_an_id_outside_the_table_is_an_error() -> None:
    with pytest.raises(IndexError, match="rows 0 to 3"):
        ag.embedding(Tensor(np.ones((4, 2))), np.array([0, 4]))


def test_a_target_outside_the_vocabulary_is_an_error() -> None:
    with pytest.raises(ValueError, match="vocabulary has 3"):
        ag.cross_entropy(Tensor(np.ones((2, 3))), np.array([0, 3]))
