"""What all kernel tests share: both dtypes, seeded arrays, and one way to compare kernel and reference."""

import numpy as np
import pytest

from tests.kernels import agreement


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)


@pytest.fixture
def normal(dtype):
    """normal(*shape): seeded standard normal numbers of the dtype under test."""
    rng = np.random.default_rng(7)
    return lambda *shape: rng.standard_normal(shape).astype(dtype)


@pytest.fixture
def agree():
    """agree(kernel, *args): the compiled kernel equals its reference within rounding; see tests/kernels/agreement.py."""
    return agreement.agree


@pytest.fixture
def slope():
    """slope(f, x): the gradient of the scalar f at x by central differences, in float64."""

    def numerical(f, x, step=1e-5):
        gradient = np.empty_like(x)
        for place in np.ndindex(x.shape):
            up, down = x.copy(), x.copy()
            up[place] += step
            down[place] -= step
            gradient[place] = (f(up) - f(down)) / (2 * step)
        return gradient

    return numerical
