import numpy as np
import pytest

from scratchgpt.kernels import layernorm_backward, layernorm_forward, num_threads, set_threads


@pytest.mark.parametrize("shape", [(1, 7), (2, 5), (64, 32), (65, 33), (200, 257)])
def test_equals_reference(shape, normal, agree):
    x, weight, bias = 3 + 2 * normal(*shape), normal(shape[1]), normal(shape[1])
    _, mean, rstd = agree(layernorm_forward, x, weight, bias, 1e-5)
    agree(layernorm_backward, normal(*shape), x, weight, mean, rstd)


def test_one_channel_is_its_own_mean(normal, dtype):
    x, weight, bias = normal(9, 1), normal(1), normal(1)
    y, mean, rstd = layernorm_forward(x, weight, bias, 1e-5)
    np.testing.assert_array_equal(y, np.broadcast_to(bias, y.shape))
    grad_x, grad_weight, _ = layernorm_backward(normal(9, 1), x, weight, mean, rstd)
    # Nothing but the rounding of grad * weight is left, times rstd, which is 316 here.
    np.testing.assert_allclose(grad_x, np.zeros_like(x), rtol=0, atol=4 * 316 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(grad_weight, [0])


def test_gradients_are_those_of_forward(slope):
    rng = np.random.default_rng(1)
    x, weight, bias, grad = (rng.standard_normal(s) for s in ((3, 5), 5, 5, (3, 5)))

    def loss(x, weight, bias):
        return float((layernorm_forward(x, weight, bias, 1e-5)[0] * grad).sum())

    _, mean, rstd = layernorm_forward(x, weight, bias, 1e-5)
    got = layernorm_backward(grad, x, weight, mean, rstd)
    np.testing.assert_allclose(got[0], slope(lambda a: loss(a, weight, bias), x), atol=1e-8)
    np.testing.assert_allclose(got[1], slope(lambda a: loss(x, a, bias), weight), atol=1e-8)
    np.testing.assert_allclose(got[2], slope(lambda a: loss(x, weight, a), bias), atol=1e-8)


def test_same_bits_with_any_number_of_threads():
    rng = np.random.default_rng(2)
    x, grad, weight = (rng.standard_normal(s).astype(np.float32) for s in ((500, 64), (500, 64), 64))
    _, mean, rstd = layernorm_forward(x, weight, weight, 1e-5)
    threads = num_threads()
    many = layernorm_backward(grad, x, weight, mean, rstd)
    set_threads(1)
    one = layernorm_backward(grad, x, weight, mean, rstd)
    set_threads(threads)
    assert all(np.array_equal(a, b) for a, b in zip(many, one, strict=True))


def test_nan_is_seen_and_shapes_are_checked():
    x = np.ones((2, 4), np.float32)
    x[1, 2] = np.nan
    y = layernorm_forward(x, np.ones(4, np.float32), np.zeros(4, np.float32), 1e-5)[0]
    assert np.isnan(y[1]).all() and not np.isnan(y[0]).any()
    with pytest.raises(ValueError, match=r"weight and bias of shape \(C,\)"):
        layernorm_forward(x, np.ones(5, np.float32), np.zeros(4, np.float32), 1e-5)


def test_every_shape_that_does_not_fit_is_refused(normal):
    ok = normal(6, 4), normal(4), normal(4)
    for place, wrong in ((0, (4,)), (0, (2, 3, 4)), (0, (6, 5)), (1, (5,)), (1, (4, 1)), (2, (5,)), (2, (1, 4))):
        arrays = [normal(*wrong) if i == place else array for i, array in enumerate(ok)]
        with pytest.raises(ValueError, match="needs weight and bias of shape"):
            layernorm_forward(*arrays, 1e-5)
    with pytest.raises(ValueError, match=r"needs weight and bias of shape"):
        layernorm_forward(normal(6, 0), normal(0), normal(0), 1e-5)
    with pytest.raises(ValueError, match=r"needs weight and bias of shape"):
        layernorm_forward(normal(4), normal(), normal(), 1e-5)


def test_every_shape_that_does_not_fit_on_the_way_back_is_refused(normal):
    ok = normal(6, 4), normal(6, 4), normal(4), normal(6), normal(6)
    layernorm_backward(*ok)
    for place, wrong, complaint in (
        (0, (6, 5), "do not fit"),
        (0, (24,), "do not fit"),
        (1, (6, 5), "do not fit"),
        (2, (5,), "do not fit"),
        (3, (5,), "one value a row"),
        (4, (5,), "one value a row"),
        (4, (6, 1), "one value a row"),
    ):
        arrays = [normal(*wrong) if i == place else array for i, array in enumerate(ok)]
        with pytest.raises(ValueError, match=complaint):
            layernorm_backward(*arrays)
    with pytest.raises(ValueError, match="do not fit"):
        layernorm_backward(normal(6, 0), normal(6, 0), normal(0), normal(6), normal(6))
    with pytest.raises(ValueError, match="do not fit"):
        layernorm_backward(normal(2, 3, 4), normal(2, 3, 4), normal(3, 4), normal(2), normal(2))
    with pytest.raises(ValueError, match="one value a row"):
        layernorm_backward(*ok[:3], normal(5), normal(5))
