"""What all kernel tests share: both dtypes, seeded arrays, and one way to compare kernel and reference."""

import numpy as np
import pytest

TOLERANCE = {np.dtype(np.float32): 2e-5, np.dtype(np.float64): 1e-12}


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
    """agree(kernel, *args): the compiled kernel equals its reference, relative to the largest element of each
    result, in shape and dtype; returns what the compiled one returned."""

    def check(kernel, *args, tolerance=None):
        got, want = kernel.compiled(*args), kernel.reference(*args)
        pairs = zip(got, want, strict=True) if isinstance(got, tuple) else [(got, want)]
        for ours, theirs in pairs:
            assert ours.shape == theirs.shape
            assert ours.dtype == theirs.dtype
            limit = tolerance or TOLERANCE[ours.dtype]
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=limit * max(1e-3, np.abs(theirs).max(initial=0)))
        return got

    return check


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
