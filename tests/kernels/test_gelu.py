import numpy as np
import pytest

from scratchgpt.kernels import gelu_backward, gelu_forward


def lost(size):
    """What the reference loses: 1 + tanh cancels where its argument is far below zero."""
    return 4 * np.finfo(size.dtype).eps * np.abs(size)


@pytest.mark.parametrize("shape", [(1,), (33,), (3, 5, 7), (4097,), (0,)])
def test_equals_reference(shape, normal, agree):
    x, grad = 3 * normal(*shape), normal(*shape)
    agree(gelu_forward, x, floor=lost(x))
    agree(gelu_backward, grad, x, floor=np.abs(grad) * lost(1 + x**2))


def test_extremes(dtype, agree):
    x = np.array([-1e4, -60, -20, -1e-8, 0, 1e-8, 20, 60, 1e4], dtype)
    y = agree(gelu_forward, x, floor=lost(x))
    assert abs(y[0]) < 1e-30 and y[-1] == x[-1]
    agree(gelu_backward, np.ones_like(x), x, floor=lost(np.ones_like(x)))
    assert np.isnan(gelu_forward(np.array([np.nan], dtype)))


def test_strided_input_and_gradient(slope):
    x = np.random.default_rng(3).standard_normal((6, 4))[::2].T
    np.testing.assert_array_equal(gelu_forward(x), gelu_forward(x.copy()))
    expected = slope(lambda a: float(gelu_forward(a).sum()), x.copy())
    np.testing.assert_allclose(gelu_backward(np.ones_like(x), x), expected, atol=1e-8)


def test_a_gradient_of_another_shape_is_refused():
    for shape in ((4,), (2, 2), (1, 5)):
        with pytest.raises(ValueError, match="differ in shape"):
            gelu_backward(np.ones(shape), np.ones(5))
