import numpy as np
import pytest

from scratchgpt.kernels.matrix.packing import pack_weights
from scratchgpt.kernels.matrix.panels import (
    linear,
    linear_add_into,
    linear_gelu,
    linear_gelu_into,
    linear_into,
)
from scratchgpt.kernels.runtime.precision import has_bf16, rounded, set_precision
from tests.kernels import agreement

SHAPES = [(1, 1, 1), (1, 256, 70), (7, 33, 31), (8, 16, 32), (9, 40, 33), (70, 5, 100), (600, 20, 65)]


def packed(weight):
    return pack_weights([weight])[0]


@pytest.mark.parametrize(("rows", "depth", "columns"), SHAPES)
def test_equals_reference_and_the_plain_product(rows, depth, columns, normal, agree):
    x, weight, bias = normal(rows, depth), normal(depth, columns), normal(columns)
    product = agree(linear, x, packed(weight), bias)
    plain, (scale,) = x @ weight + bias, agreement.sensitivity(lambda x, w, b: x @ w + b, x, weight, bias)
    agreement.assert_near(product, plain, scale)
    # GELU's reference takes 1 + tanh, which cancels where its argument is far below zero.
    agree(linear_gelu, x, packed(weight), bias, floor=4 * np.finfo(x.dtype).eps * np.abs(plain))
    start = normal(rows, columns)
    for threads in (1, 2):
        total = start.copy()
        linear_add_into(x, packed(weight), bias, total, threads)
        agreement.assert_near(total, start + product, scale + np.abs(start))


@pytest.mark.parametrize("rows", [1, 3, 70])
def test_one_thread_gives_what_several_give(rows, normal):
    x, panels, bias = normal(rows, 40), packed(normal(40, 100)), normal(100)
    for into in (linear_into, linear_gelu_into, linear_add_into):
        alone, together = np.zeros((rows, 100), x.dtype), np.zeros((rows, 100), x.dtype)
        into(x, panels, bias, alone, 1)
        into(x, panels, bias, together, 2)
        np.testing.assert_array_equal(alone, together)


def test_a_row_does_not_depend_on_the_others(normal):
    x, panels, bias = normal(90, 64), packed(normal(64, 100)), normal(100)
    together = linear(x, panels, bias)
    for rows in (slice(0, 1), slice(3, 20), slice(60, 90)):
        np.testing.assert_array_equal(linear(x[rows].copy(), panels, bias), together[rows])


@pytest.fixture
def bf16():
    if not has_bf16():
        pytest.skip("this CPU has no bf16 products")
    set_precision("bf16")
    yield
    set_precision("float32")


@pytest.mark.parametrize(("rows", "depth", "columns"), [*SHAPES, (3, 31, 40)])
@pytest.mark.parametrize("turned", [False, True], ids=["rows", "columns"])
def test_in_bf16_the_operands_are_rounded_and_nothing_else(rows, depth, columns, turned, bf16):
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.standard_normal(s).astype(np.float32) for s in [(rows, depth), (depth, columns), columns])
    panels = packed(np.ascontiguousarray(weight.T).T if turned else weight)
    assert panels.dtype == np.uint32
    pairs = (depth + 1) // 2
    np.testing.assert_array_equal(panels[:, :pairs], pack_weights.reference([weight])[0, :, :pairs])
    expected = rounded(x) @ rounded(weight) + bias
    (scale,) = agreement.sensitivity(lambda x, w, b: x @ w + b, x, weight, bias)
    for product in (linear.compiled(x, panels, bias), linear.reference(x, panels, bias)):
        agreement.assert_near(product, expected, scale)
    alone = linear(x[:1].copy(), panels, bias)
    np.testing.assert_array_equal(alone, linear(x, panels, bias)[:1])


def test_in_bf16_float64_stays_what_it_is(bf16):
    assert packed(np.ones((3, 5))).dtype == np.float64


def test_what_does_not_fit_is_refused(normal):
    weight, bias = normal(8, 40), normal(40)
    with pytest.raises(ValueError, match="one shape"):
        pack_weights([weight, weight[:, :5]])
    for x, b in ((normal(2, 33), bias), (normal(2, 8), normal(32)), (normal(2, 8), normal(65))):
        with pytest.raises(ValueError, match="do not fit"):
            linear(x, packed(weight), b)
    with pytest.raises(ValueError, match="dtypes"):
        linear_gelu(normal(2, 8), packed(weight), bias.astype(np.float16))


@pytest.mark.parametrize("product", [linear, linear_gelu])
def test_each_size_is_held_to_the_panels_on_both_sides(product, normal):
    depth = 8
    panels = packed(normal(depth, 40))
    count, deep, width = panels.shape
    x = normal(2, depth)
    for columns in ((count - 1) * width + 1, count * width):  # as many as these panels can stand for
        assert product(x, panels, normal(columns)).shape == (2, columns)
    for columns in ((count - 1) * width, count * width + 1):
        with pytest.raises(ValueError, match="do not fit"):
            product(x, panels, normal(columns))
    for length in (deep - width + 1, deep):
        assert product(normal(2, length), panels, normal(40)).shape == (2, 40)
    lengths = [length for length in (deep - width, deep + 1) if length >= 0]
    for wrong in (*(normal(2, length) for length in lengths), normal(depth), normal(1, 2, depth)):
        with pytest.raises(ValueError, match="do not fit"):
            product(wrong, panels, normal(40))
    for pieces in ((panels[0], normal(40)), (panels[None], normal(40)), (panels, normal(40, 1)), (panels, normal())):
        with pytest.raises(ValueError, match="do not fit"):
            product(x, *pieces)
    other = np.float64 if x.dtype == np.float32 else np.float32
    for arrays in ((x.astype(other), panels, normal(40)), (x, np.zeros(panels.shape, other), normal(40)), (x, panels, normal(40).astype(other))):
        with pytest.raises(ValueError, match="dtypes"):
            product(*arrays)


def test_pairs_of_bf16_are_multiplied_by_float32_alone(bf16):
    panels = packed(np.ones((9, 5), np.float32))
    assert linear(np.ones((2, 9), np.float32), panels, np.zeros(5, np.float32)).tolist() == [[9] * 5] * 2
    with pytest.raises(ValueError, match="dtypes"):
        linear(np.ones((2, 9)), panels, np.zeros(5))
    with pytest.raises(ValueError, match="do not fit"):
        linear(np.ones((2, 2 * panels.shape[1] + 1), np.float32), panels, np.zeros(5, np.float32))
