import numba
import numpy as np
import pytest

from scratchgpt.kernels.runtime.vector_math import exp, maximum, nearest, sigmoid


@numba.njit
def apply_exp(x):
    y = np.empty_like(x)
    for i in range(x.size):
        y[i] = exp(x[i])
    return y


@numba.njit
def apply_sigmoid(x):
    y = np.empty_like(x)
    for i in range(x.size):
        y[i] = sigmoid(x[i])
    return y


@numba.njit
def largest(x):
    top = x[0]
    for i in range(x.size):
        top = maximum(top, x[i])
    return top


@numba.njit
def round_it(x):
    return nearest(x)


def test_exp_is_accurate_over_its_whole_range(dtype):
    lowest, highest, limit = (-87, 88, 4e-7) if dtype == np.float32 else (-708, 709, 2e-15)
    x = np.concatenate([np.linspace(lowest, highest, 20_001), np.linspace(-2, 2, 20_001)]).astype(dtype)
    exact = np.exp(x.astype(np.longdouble))
    error = np.abs(apply_exp(x) / exact - 1).max()
    assert error < limit


def test_exp_beyond_its_range(dtype):
    y = apply_exp(np.array([-np.inf, -1e30, -1000, 0, 1000, np.nan], dtype))
    assert (y[:3] == 0).all() and y[3] == 1 and y[4] > 1e38 and np.isnan(y[5])


@pytest.mark.parametrize("x", [-1000, -50, -1, 0, 1e-3, 30, 1000])
def test_sigmoid(x, dtype):
    with np.errstate(over="ignore"):
        exact = 1 / (1 + np.exp(-np.longdouble(x)))
    got = apply_sigmoid(np.array([x], dtype))[0]
    assert abs(got - exact) < (2e-7 if dtype == np.float32 else 1e-15)


def test_maximum_and_nearest(dtype, normal):
    x = normal(1001)
    assert largest(x) == x.max()
    assert [round_it(dtype.type(v)) for v in (-1.6, -0.5, 0.4, 1.5)] == [-2, 0, 0, 2]
