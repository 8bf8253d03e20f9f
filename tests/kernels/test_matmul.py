import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchgpt.kernels import matmul, matmul_bias_gelu

SIZE = st.integers(1, 90)


@settings(max_examples=40, deadline=None)
@given(rows=SIZE, depth=st.sampled_from([1, 2, 31, 255, 256, 257, 600]), columns=SIZE, double=st.booleans())
def test_equals_reference(rows, depth, columns, double):
    rng = np.random.default_rng((rows, depth, columns))
    kind = np.float64 if double else np.float32
    a, b = rng.standard_normal((rows, depth)).astype(kind), rng.standard_normal((depth, columns)).astype(kind)
    bias = rng.standard_normal(columns).astype(kind)
    limit = (1e-12 if double else 1e-5) * depth**0.5
    np.testing.assert_allclose(matmul.compiled(a, b), a @ b, rtol=0, atol=limit)
    got, want = matmul_bias_gelu.compiled(a, b, bias), matmul_bias_gelu.reference(a, b, bias)
    np.testing.assert_allclose(got[0], want[0], rtol=0, atol=limit)
    np.testing.assert_allclose(got[1], want[1], rtol=0, atol=limit)


def test_many_row_blocks_and_transposed_operands(normal, agree):
    agree(matmul, normal(300, 70), normal(70, 200))
    for rows, depth, columns in ((300, 70, 200), (33, 300, 64), (8, 256, 32), (130, 520, 100)):
        agree(matmul, normal(depth, rows).T, normal(columns, depth).T)
    agree(matmul, normal(3, 40)[:, ::2], normal(20, 8)[:, ::-1])


def test_shapes_are_checked(normal):
    with pytest.raises(ValueError, match="do not fit"):
        matmul(normal(2, 3), normal(4, 5))
    with pytest.raises(ValueError, match="bias"):
        matmul_bias_gelu(normal(2, 3), normal(3, 5), normal(4))
