import numpy as np
import pytest

from scratchgpt.kernels.matrix.packing import element_type, pack_weights, plain
from scratchgpt.kernels.runtime.precision import has_bf16, precision, set_precision


@pytest.mark.parametrize(("depth", "columns"), [(1, 1), (3, 32), (16, 64), (35, 65), (64, 31), (50, 100)])
@pytest.mark.parametrize("turned", [False, True], ids=["rows", "columns"])
def test_packing_equals_the_definition(depth, columns, turned, normal):
    weight = normal(columns, depth).T if turned else normal(depth, columns)
    packed = pack_weights.compiled([weight, 2 * weight])
    np.testing.assert_array_equal(packed[:, :, :depth], pack_weights.reference([weight, 2 * weight])[:, :, :depth])
    panels = packed[1, :, :depth] / 2
    width = panels.shape[2]
    for column in range(len(panels) * width):
        want = weight[:, column] if column < columns else 0
        np.testing.assert_array_equal(panels[column // width, :, column % width], want)


def test_an_element_is_what_the_precision_makes_of_a_float32():
    assert element_type(np.zeros(2)) == np.float64
    before = precision()
    for name, kind in (("float32", np.float32), *((("bf16", np.uint32),) if has_bf16() else ())):
        set_precision(name)
        try:
            assert element_type(np.zeros(2, np.float32)) == kind
            assert pack_weights([np.ones((6, 5), np.float32)]).dtype == kind
        finally:
            set_precision(before)


def test_plain_copies_only_what_lies_across_memory():
    whole = np.arange(24.0).reshape(4, 6)
    assert plain(whole) is whole
    assert np.shares_memory(plain(whole.T), whole)
    part = plain(whole[:, ::2])
    assert not np.shares_memory(part, whole) and np.array_equal(part, whole[:, ::2])
