import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchgpt.errors import UserError
from scratchgpt.kernels import matmul, precision, precision_reason, set_precision
from scratchgpt.kernels.runtime.precision import has_bf16, rounded


@pytest.fixture(autouse=True)
def as_before():
    before = precision()
    yield
    set_precision(before)


@given(st.floats(width=32, allow_nan=False))
def test_rounded_is_the_nearest_bfloat16(x):
    x = np.float32(x)
    result = rounded(np.array([x]))[0]
    bits = np.array(result).view(np.uint32)
    if not np.isfinite(x):
        assert result == x
        return
    assert bits & 0xFFFF == 0
    if np.isfinite(result):
        # Neither neighbour among the bfloat16 numbers is nearer.
        neighbours = [np.array((int(bits) + step) & 0xFFFFFFFF, np.uint32).view(np.float32) for step in (-65536, 65536)]
        distance = abs(float(result) - float(x))
        assert all(not np.isfinite(n) or distance <= abs(float(n) - float(x)) for n in neighbours)


def test_rounded_breaks_ties_to_even_and_keeps_what_is_no_number():
    given_, expected = [1 + 2**-8, 1 + 3 * 2**-8, -(1 + 2**-8), 0.0], [1.0, 1 + 4 * 2**-8, -1.0, 0.0]
    np.testing.assert_array_equal(rounded(np.array(given_, np.float32)), np.array(expected, np.float32))
    odd = rounded(np.array([np.nan, np.inf, -np.inf], np.float32))
    assert np.isnan(odd[0]) and odd[1] == np.inf and odd[2] == -np.inf


def test_choosing_a_precision():
    assert set_precision("float32") == precision() == "float32"
    assert "float32" in precision_reason()
    chosen = set_precision("auto")
    assert chosen in ("float32", "bf16") and chosen == precision()
    if has_bf16():
        assert set_precision("bf16") == "bf16"
        assert "bf16" in precision_reason()


def test_an_unknown_or_impossible_precision_is_one_clear_line(monkeypatch):
    with pytest.raises(UserError, match="no 'float16'; choose one of float32, bf16, auto"):
        set_precision("float16")
    monkeypatch.setattr("scratchgpt.kernels.runtime.precision.has_bf16", lambda: False)
    set_precision("float32")
    with pytest.raises(UserError, match="cannot multiply bf16"):
        set_precision("bf16")
    assert set_precision("auto") == "float32"


def test_float64_is_never_rounded():
    if not has_bf16():
        pytest.skip("this CPU has no avx512_bf16")
    set_precision("bf16")
    a = np.random.default_rng(0).standard_normal((20, 20))
    np.testing.assert_allclose(matmul(a, a), a @ a, rtol=0, atol=1e-12)
