import numpy as np
import pytest

from scratchgpt.kernels.panels import linear, linear_add_into, linear_gelu, pack_weights

SHAPES = [(1, 1, 1), (1, 256, 70), (7, 33, 31), (8, 16, 32), (9, 40, 33), (70, 5, 100), (600, 20, 65)]


def packed(weight):
    return pack_weights([weight])[0]


@pytest.mark.parametrize(("depth", "columns"), [(1, 1), (3, 32), (16, 64), (35, 65), (64, 31), (50, 100)])
@pytest.mark.parametrize("turned", [False, True], ids=["rows", "columns"])
def test_packing_equals_the_definition(depth, columns, turned, normal):
    weight = normal(columns, depth).T if turned else normal(depth, columns)
    packed = pack_weights.compiled([weight, 2 * weight])
    np.testing.assert_array_equal(packed, pack_weights.reference([weight, 2 * weight]))
    panels = packed[1] / 2
    width = panels.shape[2]
    for column in range(len(panels) * width):
        want = weight[:, column] if column < columns else 0
        np.testing.assert_array_equal(panels[column // width, :, column % width], want)


@pytest.mark.parametrize(("rows", "depth", "columns"), SHAPES)
def test_equals_reference_and_the_plain_product(rows, depth, columns, normal, agree):
    x, weight, bias = normal(rows, depth), normal(depth, columns), normal(columns)
    product = agree(linear, x, packed(weight), bias)
    np.testing.assert_allclose(product, x @ weight + bias, rtol=0, atol=1e-4 if x.dtype == np.float32 else 1e-12)
    agree(linear_gelu, x, packed(weight), bias)
    total = normal(rows, columns)
    expected = total + product
    linear_add_into(x, packed(weight), bias, total, 2)
    np.testing.assert_allclose(total, expected, rtol=0, atol=1e-5 if x.dtype == np.float32 else 1e-12)


def test_a_row_does_not_depend_on_the_others(normal):
    x, panels, bias = normal(90, 64), packed(normal(64, 100)), normal(100)
    together = linear(x, panels, bias)
    for rows in (slice(0, 1), slice(3, 20), slice(60, 90)):
        np.testing.assert_array_equal(linear(x[rows].copy(), panels, bias), together[rows])


def test_what_does_not_fit_is_refused(normal):
    weight, bias = normal(8, 40), normal(40)
    with pytest.raises(ValueError, match="one shape"):
        pack_weights([weight, weight[:, :5]])
    for x, b in ((normal(2, 9), bias), (normal(2, 8), normal(32)), (normal(2, 8), normal(65))):
        with pytest.raises(ValueError, match="do not fit"):
            linear(x, packed(weight), b)
    with pytest.raises(ValueError, match="dtypes"):
        linear_gelu(normal(2, 8), packed(weight), bias.astype(np.float16))
