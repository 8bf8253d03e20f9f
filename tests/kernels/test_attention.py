import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchgpt.kernels import attention_backward, attention_forward, num_threads, set_threads
from scratchgpt.kernels.attention import attention_forward_blocked
from tests.kernels import agreement

SHAPES = [
    (1, 1, 1, 1),  # batch, time, heads, head size
    (2, 2, 1, 8),
    (1, 31, 2, 32),
    (3, 32, 1, 64),
    (1, 33, 3, 33),
    (2, 65, 2, 16),
    (1, 128, 1, 128),
    (5, 200, 2, 40),
    (1, 1025, 1, 64),
]


def gradients_agree(agree, normal, batch, time, heads, size, spread=1):
    qkv = spread * normal(batch, time, 3 * heads * size)
    out, logsumexp = agree(attention_forward, qkv, heads)
    grad = normal(batch, time, heads * size)
    return agree(attention_backward, grad, qkv, out, logsumexp, heads)


@pytest.mark.parametrize("shape", SHAPES)
def test_equals_reference(shape, normal, agree):
    gradients_agree(agree, normal, *shape)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(1, 150), st.integers(1, 3), st.integers(1, 70))
def test_equals_reference_on_any_shape(batch, time, heads, size):
    rng = np.random.default_rng((batch, time, heads, size))
    gradients_agree(agreement.agree, lambda *shape: rng.standard_normal(shape), batch, time, heads, size)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_middle_rung_equals_both_sides(shape, normal):
    batch, time, heads, size = shape
    qkv = normal(batch, time, 3 * heads * size)
    scales = agreement.sensitivity(attention_forward.reference, qkv, heads)
    rung = attention_forward_blocked(qkv, heads)
    for side in (attention_forward.reference(qkv, heads), attention_forward.compiled(qkv, heads)):
        for parts in zip(rung, side, scales, strict=True):
            agreement.assert_near(*parts)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shape", [(1, 150, 1, 24), (1, 300, 3, 32), (2, 70, 4, 16)])
def test_any_number_of_threads(threads, shape, normal, agree):
    before = num_threads()
    if threads > before:
        pytest.skip("one core")
    set_threads(threads)
    first = gradients_agree(agree, normal, *shape)
    set_threads(before)
    assert np.isfinite(first).all()


def test_runs_repeat_bit_for_bit(normal):
    qkv, grad = normal(1, 300, 3 * 3 * 32), normal(1, 300, 3 * 32)
    out, logsumexp = attention_forward(qkv, 3)
    first = attention_backward(grad, qkv, out, logsumexp, 3)
    for _ in range(5):
        again, _ = attention_forward(qkv, 3)
        np.testing.assert_array_equal(again, out)
        np.testing.assert_array_equal(attention_backward(grad, qkv, out, logsumexp, 3), first)


def test_sharp_scores_stay_finite(normal, agree):
    # Scores of several hundred: without the running maximum the exponentials overflow.
    gradients_agree(agree, normal, 1, 100, 1, 16, spread=12)


def test_no_position_sees_a_later_one(normal):
    qkv = normal(1, 70, 3 * 16)
    out, _ = attention_forward(qkv, 1)
    changed = qkv.copy()
    changed[:, 40:] += 1
    again, _ = attention_forward(changed, 1)
    np.testing.assert_array_equal(again[:, :40], out[:, :40])
    assert np.abs(again[:, 40:] - out[:, 40:]).min(axis=-1).max() > 0


def test_gradient_is_that_of_forward(slope):
    rng = np.random.default_rng(8)
    qkv, grad = rng.standard_normal((1, 5, 3 * 4)), rng.standard_normal((1, 5, 4))
    out, logsumexp = attention_forward(qkv, 2)
    got = attention_backward(grad, qkv, out, logsumexp, 2)
    expected = slope(lambda a: float((attention_forward(a, 2)[0] * grad).sum()), qkv)
    np.testing.assert_allclose(got, expected, atol=1e-8)


MEMORY = """
import resource
from pathlib import Path

import numpy as np
from scratchgpt.kernels import attention_backward, attention_forward

def run(time, forward):
    qkv = np.random.default_rng(9).standard_normal((1, time, 3 * 8)).astype(np.float32)
    out, logsumexp = forward(qkv, 1)
    attention_backward(out, qkv, out, logsumexp, 1)

run(100, attention_forward)  # compiles, or loads what was compiled, and starts the threads
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 150_000_000,) * 2)
run(15_000, attention_forward)
try:
    run(15_000, attention_forward.reference)
except MemoryError:
    print("only the reference needs more")
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the size of a process is read from Linux's /proc")
def test_memory_is_linear_in_time():
    # One (T, T) matrix of float32 takes 900 MB here. A process of its own may take 150 MB more than it has: unlike
    # the highest memory a process ever had, that sees a matrix however much was in use before.
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True)
    assert done.stdout == "only the reference needs more\n", done.stderr


def test_nan_is_seen(normal):
    qkv = normal(1, 40, 3 * 8)
    qkv[0, 20, 3] = np.nan
    out, _ = attention_forward(qkv, 1)
    assert np.isfinite(out[0, :20]).all()
    assert np.isnan(out[0, 20]).any()


def test_shapes_are_checked(normal):
    with pytest.raises(ValueError, match="divisible by num_heads 5"):
        attention_forward(normal(1, 4, 12), 5)
    out, logsumexp = attention_forward(normal(1, 4, 12), 2)
    with pytest.raises(ValueError, match="grad"):
        attention_backward(normal(1, 3, 4), normal(1, 4, 12), out, logsumexp, 2)


def test_every_shape_that_does_not_fit_is_refused(normal):
    for qkv, heads in ((normal(4, 12), 2), (normal(1, 1, 4, 12), 2), (normal(1, 4, 12), 0), (normal(1, 4, 12), -2), (normal(1, 4, 0), 1), (normal(1, 4, 8), 1)):
        with pytest.raises(ValueError, match=r"must be \(B, T, 3C\)"):
            attention_forward(qkv, heads)
        with pytest.raises(ValueError, match=r"must be \(B, T, 3C\)"):
            attention_backward(qkv, qkv, qkv, qkv, heads)
    qkv = normal(2, 4, 12)
    out, logsumexp = attention_forward(qkv, 2)
    ok = normal(2, 4, 4), qkv, out, logsumexp
    for place, wrong in ((0, (2, 4, 5)), (0, (2, 16)), (2, (2, 5, 4)), (2, (2, 16)), (3, (2, 2, 5)), (3, (2, 3, 4)), (3, (4, 4))):
        arrays = [normal(*wrong) if i == place else array for i, array in enumerate(ok)]
        with pytest.raises(ValueError, match=r"attention: qkv .*, grad .*, out .*, logsumexp"):
            attention_backward(*arrays, 2)
    with pytest.raises(ValueError, match=r"attention: qkv .*, grad .*, out .*, logsumexp"):
        attention_backward(normal(2, 4, 8), qkv, normal(2, 4, 8), logsumexp, 2)
