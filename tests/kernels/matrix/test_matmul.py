import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchgpt.kernels import (
    add_matmul,
    matmul,
    matmul_gelu,
    matmul_gelu_backward,
    num_threads,
    pack,
    precision,
    set_precision,
    set_threads,
    weight_gradient,
)
from scratchgpt.kernels.matrix.matmul import matmul_blocked
from scratchgpt.kernels.runtime.precision import has_bf16
from tests.kernels import agreement

SIZE = st.integers(1, 90)
DEPTH = st.sampled_from([1, 2, 31, 255, 256, 257, 600, 1025])
SHAPES = [(300, 70, 200), (33, 300, 64), (8, 256, 32), (130, 1037, 100), (1, 7, 513)]


@pytest.fixture(params=["float32", "bf16"], autouse=True)
def in_precision(request, monkeypatch):
    """Every test here runs in both precisions; in bf16 the reference rounds the operands as the kernel does."""
    if request.param == "bf16" and not has_bf16():
        pytest.skip("this CPU has no avx512_bf16")
    before = precision()
    set_precision(request.param)
    yield request.param
    set_precision(before)


@settings(max_examples=30, deadline=None)
@given(rows=SIZE, depth=DEPTH, columns=SIZE, double=st.booleans())
def test_equals_reference(rows, depth, columns, double):
    rng = np.random.default_rng((rows, depth, columns))
    kind = np.float64 if double else np.float32
    a, b = rng.standard_normal((rows, depth)).astype(kind), rng.standard_normal((depth, columns)).astype(kind)
    bias, grad = rng.standard_normal(columns).astype(kind), rng.standard_normal((rows, columns)).astype(kind)
    agreement.agree(matmul, a, b)
    agreement.agree(matmul, a, b, bias)
    agreement.agree(weight_gradient, np.ascontiguousarray(a.T), b)
    gelu_products_agree(a, b, bias, grad)


def gelu_products_agree(a, b, bias, pre):
    """The fused products. GELU's reference takes 1 + tanh, which cancels where its argument is far below zero."""
    eps = 4 * np.finfo(a.dtype).eps
    into, product = np.abs(a @ b + bias), np.abs(a @ b)
    agreement.agree(matmul_gelu, a, b, bias, floor=(0.0, eps * into))
    agreement.agree(matmul_gelu_backward, a, b, pre, floor=(eps * product * (1 + pre**2), eps * np.abs(pre)))


@settings(max_examples=30, deadline=None)
@given(rows=SIZE, depth=DEPTH, columns=SIZE, double=st.booleans(), turned=st.booleans())
def test_the_middle_rung_equals_both_sides(rows, depth, columns, double, turned):
    if precision() == "bf16":
        return  # it rounds nothing
    rng = np.random.default_rng((rows, depth, columns))
    kind = np.float64 if double else np.float32
    a, b = rng.standard_normal((rows, depth)).astype(kind), rng.standard_normal((depth, columns)).astype(kind)
    if turned:
        b = np.ascontiguousarray(b.T).T
    rung, (scale,) = matmul_blocked(a, b), agreement.sensitivity(matmul.reference, a, b)
    agreement.assert_near(rung, matmul.reference(a, b), scale)
    agreement.assert_near(rung, matmul.compiled(a, b), scale)


@pytest.mark.parametrize("shape", SHAPES)
def test_transposed_operands(normal, agree, shape):
    rows, depth, columns = shape
    agree(matmul, normal(rows, depth), normal(columns, depth).T)
    agree(matmul, normal(depth, rows).T, normal(depth, columns))
    agree(matmul, normal(depth, rows).T, normal(columns, depth).T)
    gelu_products_agree(normal(rows, depth), normal(columns, depth).T, normal(columns), normal(rows, columns))
    agree(matmul, normal(3, 40)[:, ::2], normal(20, 8)[:, ::-1])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_packed_operand_serves_many_products(normal, shape):
    rows, depth, columns = shape
    b, bias = normal(depth, columns), normal(columns)
    packed = pack(b)
    for a in (normal(rows, depth), normal(depth, 5).T):
        np.testing.assert_array_equal(matmul(a, packed, bias), matmul(a, b, bias))
        np.testing.assert_array_equal(matmul(a, pack(np.ascontiguousarray(b.T).T)), matmul(a, packed))


def test_add_matmul_adds_in_place(normal):
    for rows, depth, columns in SHAPES:
        c, a, b = normal(rows, columns), normal(depth, rows).T, normal(depth, columns)
        (scale,) = agreement.sensitivity(lambda c, a, b: c + a @ b, c, a, b)
        want = c + matmul.reference(a, b)
        add_matmul(c, a, b)
        agreement.assert_near(c, want, scale)


def test_weight_gradient_is_the_same_from_any_share_of_the_tokens(normal, agree):
    """One group of rows is split over the tokens, several are not; the last share may be short or empty."""
    threads = num_threads()
    try:
        for count in {1, threads}:
            set_threads(count)
            for tokens, rows, columns in ((1200, 70, 40), (1, 8, 33), (700, 600, 90), (4, 1, 1), (9, 1, 70), (9, 257, 1)):
                agree(weight_gradient, normal(tokens, rows), normal(tokens, columns))
    finally:
        set_threads(threads)


def test_a_long_sum_rounds_no_more_than_blocks_of_it():
    # Each block of terms is summed by itself; one sum of all 4,096 would be off by 1.1e-6 here.
    rng = np.random.default_rng(0)
    shares = rng.standard_normal((2, 4096, 96)).astype(np.float32)
    x, grad = (shares.view(np.uint32) & 0xFFFF0000).view(np.float32)  # floats that bf16 holds, too
    exact = x.T.astype(np.float64) @ grad.astype(np.float64)
    for product in (matmul(x.T, grad), weight_gradient(x, grad)[0]):
        assert np.linalg.norm(product - exact) < 6e-7 * np.linalg.norm(exact)


def test_bf16_rounds_the_operands_and_sums_in_float32(in_precision):
    if in_precision != "bf16":
        pytest.skip("a property of bf16")
    one_bit_more = np.float32(1 + 2**-9)  # needs 9 bits of mantissa; bfloat16 has 8 with the leading one
    a, b = np.full((1, 600), one_bit_more, np.float32), np.ones((600, 1), np.float32)
    assert matmul(a, b)[0, 0] == 600
    assert matmul(a.astype(np.float64), b.astype(np.float64))[0, 0] == 600 * float(one_bit_more)
    small = np.full((1, 600), 2**-12, np.float32)
    small[0, 0] = 1  # a sum in bfloat16 would lose every small term
    assert matmul(small, b)[0, 0] == 1 + 599 * 2**-12


def test_a_diverged_operand_is_seen(in_precision):
    a, b = np.ones((3, 9), np.float32), np.ones((9, 3), np.float32)
    a[1, 4], a[2, 0] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        products = matmul.compiled(a, b), matmul.reference(a, b)
    for product in products:
        assert np.isfinite(product[0]).all() and np.isnan(product[1]).all() and np.isinf(product[2]).all()


def test_shapes_are_checked(normal):
    with pytest.raises(ValueError, match="do not fit"):
        matmul(normal(2, 3), normal(4, 5))
    with pytest.raises(ValueError, match="do not fit"):
        matmul(normal(2, 3), pack(normal(4, 5)))
    with pytest.raises(ValueError, match="do not fit"):
        weight_gradient(normal(2, 3), normal(3, 3))
    with pytest.raises(ValueError, match="bias"):
        matmul_gelu(normal(2, 3), normal(3, 5), normal(4))
    with pytest.raises(ValueError, match="pre"):
        matmul_gelu_backward(normal(2, 3), normal(3, 5), normal(2, 4))
    with pytest.raises(ValueError, match="add_matmul"):
        add_matmul(normal(2, 4), normal(2, 3), normal(3, 5))
    with pytest.raises(ValueError, match="pack"):
        pack(normal(4))


def test_every_operand_that_does_not_fit_is_refused(normal, in_precision):
    a, b, bias = normal(2, 3), normal(3, 5), normal(5)
    other = np.float64 if a.dtype == np.float32 else np.float32
    for left, right in ((normal(3), b), (a, normal(3)), (normal(1, 2, 3), b), (normal(2, 0), normal(0, 5)), (a, normal(4, 5)), (a.astype(other), b)):
        with pytest.raises(ValueError, match=r"matmul: a .* and b .* do not fit"):
            matmul(left, right)
    for wrong in (normal(4), normal(1, 5), bias.astype(other)):
        with pytest.raises(ValueError, match=r"matmul: bias .* for 5 columns"):
            matmul(a, b, wrong)
    for pre in (normal(3, 5), normal(10), normal(2, 5).astype(other)):
        with pytest.raises(ValueError, match="matmul_gelu_backward: pre"):
            matmul_gelu_backward(a, b, pre)
    for c in (normal(3, 5), normal(2, 5).astype(other), normal(5, 2).T, normal(4, 5)[::2]):
        with pytest.raises(ValueError, match="add_matmul: c"):
            add_matmul(c, a, b)
    for wrong in (normal(0, 5), normal(2, 3, 4)):
        with pytest.raises(ValueError, match="pack: b must be a matrix"):
            pack(wrong)
        with pytest.raises(ValueError, match="pack: b must be a matrix"):
            pack.reference(wrong)
