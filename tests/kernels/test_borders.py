"""Every family of kernels where things go wrong: beside every border of its blocks, on 1, 2 and 3 threads, on arrays that
are not contiguous, and on numbers that are all equal, of size 1e30, denormal, or masked altogether.

Three threads need a process of their own, since Numba counts at its start what it may use. It runs `main` below, every
check in both precisions of NumPy, and prints what each of them found; the tests read it.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scratchgpt import kernels
from scratchgpt.kernels import adamw, attention, dropout, embedding, gelu, layernorm, sample
from scratchgpt.kernels.decode import DecoderWeights, decode
from scratchgpt.kernels.matrix import matmul, packing, panels, register_tile
from scratchgpt.kernels.runtime.threads import SMALL
from tests.kernels import agreement

ROOT = Path(__file__).resolve().parent.parent.parent
THREADS = (1, 2, 3)
HUGE = 1e30
CHECKS: dict[str, Callable[[Numbers], None]] = {}
"""What the other process runs, by name."""


def check(function: Callable[[Numbers], None]) -> Callable[[Numbers], None]:
    """Make a function one of the checks that the other process runs."""
    CHECKS[function.__name__.removeprefix("check_")] = function
    return function


class Numbers:
    """Arrays of one dtype.

    Args:
        dtype: of all floating arrays; it decides how wide a tile is.
    """

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self.rng = np.random.default_rng(3)
        self.tiny = float(np.finfo(dtype).smallest_subnormal)
        single = self.dtype == np.float32
        self.tile_columns = register_tile.COLUMNS32 if single else register_tile.COLUMNS64
        self.lanes = register_tile.VECTOR_BYTES // self.dtype.itemsize
        self.query_block = attention.QUERY_BLOCK if single else attention.QUERY_BLOCK64

    def normal(self, *shape: int, scale: float = 1.0) -> np.ndarray:
        """Standard normal numbers times ``scale``."""
        return (scale * self.rng.standard_normal(shape)).astype(self.dtype)

    def equal(self, *shape: int, value: float = 0.7) -> np.ndarray:
        """One number everywhere."""
        return np.full(shape, value, self.dtype)

    def denormal(self, *shape: int) -> np.ndarray:
        """Up to a thousand times the smallest number there is."""
        return (self.tiny * self.rng.integers(-1000, 1000, shape)).astype(self.dtype)

    def kinds(self, *shape: int) -> Iterator[np.ndarray]:
        """Arrays of one shape: not contiguous, in three ways, and with numbers of every special kind."""
        *front, last = shape
        yield self.normal(*front, 2 * last)[..., ::2]
        yield self.normal(*shape)[..., ::-1]
        yield np.asfortranarray(self.normal(*shape))
        yield self.equal(*shape)
        yield self.normal(*shape, scale=HUGE)
        yield self.denormal(*shape)


def around(*borders: int) -> list[int]:
    """The sizes at each border, one below and one above."""
    return sorted({size for border in borders for size in (border - 1, border, border + 1) if size > 0})


def copied(value: Any) -> Any:
    """An argument that a kernel may overwrite, with the strides it had."""
    if isinstance(value, np.ndarray):
        return value.copy(order="K")
    return value


def same(kernel: Any, *args: Any, floor: Any = 0.0, written: tuple[int, ...] = ()) -> None:
    """With any number of threads a compiled kernel is as near to its reference as rounding allows.

    Args:
        floor: an absolute error allowed besides, as in `agreement.assert_near`, or a tuple with one for each result.
        written: which arguments it overwrites; they are compared, too, after what it returns.
    """

    def results(function: Callable[..., Any], *args: Any) -> tuple[np.ndarray, ...]:
        given = tuple(copied(arg) for arg in args)
        with np.errstate(all="ignore"):
            returned = function(*given)
        return (*(agreement.results(returned) if returned is not None else ()), *(given[i] for i in written))

    reference = functools.partial(results, kernel.reference)
    want, scales = reference(*args), agreement.sensitivity(reference, *args)
    # Where what moves overflows, only the rounding of the result itself is allowed.
    scales = [np.nan_to_num(scale, nan=0.0, posinf=0.0) for scale in scales]
    floors = floor if isinstance(floor, tuple) else (floor,) * len(want)
    for threads in THREADS:
        kernels.set_threads(threads)
        got = results(kernel, *args)
        for i, (ours, theirs, scale, below) in enumerate(zip(got, want, scales, floors, strict=True)):
            shapes = [arg.shape if isinstance(arg, np.ndarray) else type(arg).__name__ for arg in args]
            compare(ours, theirs, scale, below, f"{kernel.__name__}{shapes}, result {i}, {threads} threads")


def compare(ours: np.ndarray, theirs: np.ndarray, scale: np.ndarray, floor: Any, name: str) -> None:
    """What is not finite stands in the same places, everything else is near."""
    finite = np.isfinite(theirs)
    np.testing.assert_array_equal(np.isfinite(ours), finite, name)
    floor = np.broadcast_to(floor, theirs.shape)
    agreement.assert_near(ours[finite], theirs[finite], scale[finite], floor[finite], name)


# -- products -----------------------------------------------------------------------------------------------
def shapes_of_products(numbers: Numbers) -> list[tuple[int, int, int]]:
    """(rows, depth, columns), one of them at a border, and all of them."""
    rows = around(register_tile.TILE_ROWS, matmul.ROW_BLOCK, matmul.ROW_GROUP)
    depths = around(1, numbers.tile_columns, packing.DEPTH_BLOCK)
    columns = around(numbers.tile_columns, packing.PANEL_GROUP * numbers.tile_columns)
    shapes = [(size, 5, 7) for size in rows] + [(9, size, 7) for size in depths] + [(9, 5, size) for size in columns]
    return [*shapes, (matmul.ROW_BLOCK + 1, packing.DEPTH_BLOCK + 1, numbers.tile_columns + 1)]


def floors_of_gelu(numbers: Numbers, product: np.ndarray, pre: np.ndarray) -> tuple[Any, Any]:
    """What the reference loses, whose 1 + tanh cancels where its argument is far below zero: gradient, value."""
    lost = 4 * np.finfo(numbers.dtype).eps
    return lost * np.abs(product) * (1 + pre.astype(np.float64) ** 2), lost * np.abs(pre)


@check
def check_products(numbers: Numbers) -> None:
    """A B, A B^T and A^T B, with a bias, added to what is there."""
    for rows, depth, columns in shapes_of_products(numbers):
        a, b = numbers.normal(rows, depth), numbers.normal(depth, columns)
        same(kernels.matmul, a, b, numbers.normal(columns))
        same(kernels.matmul, a, numbers.normal(columns, depth).T)
        same(kernels.matmul, numbers.normal(depth, rows).T, b)
        same(kernels.add_matmul, numbers.normal(rows, columns), a, b, written=(0,))


@check
def check_deep_products(numbers: Numbers) -> None:
    """So many columns that B is packed in parts of the depth."""
    columns = matmul.PACKED_ELEMENTS // packing.DEPTH_BLOCK + 1
    for depth in around(2 * packing.DEPTH_BLOCK):
        same(kernels.matmul, numbers.normal(2, depth), numbers.normal(depth, columns), numbers.normal(columns))


@check
def check_weight_gradients(numbers: Numbers) -> None:
    """X^T G: the depth is the number of tokens, which few rows share out among the threads."""
    for rows, depth, columns in shapes_of_products(numbers):
        same(kernels.weight_gradient, numbers.normal(depth, rows), numbers.normal(depth, columns))


@check
def check_products_with_gelu(numbers: Numbers) -> None:
    """What a linear layer before a GELU needs."""
    for rows, depth, columns in shapes_of_products(numbers):
        a, b, bias, pre = (numbers.normal(*s) for s in ((rows, depth), (depth, columns), (columns,), (rows, columns)))
        _, lost = floors_of_gelu(numbers, pre, a @ b + bias)
        same(kernels.matmul_gelu, a, b, bias, floor=(0.0, lost))
        same(kernels.matmul_gelu_backward, a, b, pre, floor=floors_of_gelu(numbers, a @ b, pre))


@check
def check_products_of_special_numbers(numbers: Numbers) -> None:
    """In all three directions."""
    rows, depth, columns = register_tile.TILE_ROWS + 1, numbers.tile_columns + 1, numbers.tile_columns + 1
    b = numbers.normal(depth, columns)
    for a in numbers.kinds(rows, depth):
        same(kernels.matmul, a, b)
        same(kernels.matmul, b.T, a.T)
        same(kernels.weight_gradient, a.T, numbers.normal(depth, columns))
        same(kernels.weight_gradient, b, np.asfortranarray(b))
        same(panels.linear, a, packing.pack_weights([b])[0], numbers.normal(columns))


@check
def check_products_of_generating(numbers: Numbers) -> None:
    """By weights that are packed once; beyond ``SMALL`` the threads share them out."""
    width = numbers.tile_columns
    shapes = [(rows, 5, 7) for rows in around(register_tile.TILE_ROWS, panels.ROW_BLOCK)]
    shapes += [(3, 5, columns) for columns in around(width, 3 * width)]
    deep = SMALL // (panels.ROW_BLOCK * 3 * width)
    shapes += [(rows, deep, 3 * width) for rows in around(panels.ROW_BLOCK)] + [(1, SMALL // width + 1, width + 1)]
    shapes += [(4 * THREADS[-1] * panels.ROW_BLOCK + 1, 2 * width, 2 * width + 1)]  # the rows alone are enough to share
    for rows, depth, columns in shapes:
        x, bias = numbers.normal(rows, depth), numbers.normal(columns)
        weight = numbers.normal(depth, columns, scale=1 / np.sqrt(depth))
        packed = packing.pack_weights([weight])[0]
        np.testing.assert_array_equal(
            packed[:, :depth], packing.pack_weights.reference([weight])[0][:, :depth], "pack_weights"
        )
        same(panels.linear, x, packed, bias)
        into = x @ weight + bias
        _, lost = floors_of_gelu(numbers, into, into)
        same(panels.linear_gelu, x, packed, bias, floor=lost)


# -- attention ----------------------------------------------------------------------------------------------
class AttentionBackAndForth:
    """Backward from what the same implementation's forward returned: where a score is of size 1e30, the rounding of
    another's logsumexp would be a factor of any size."""

    __name__ = "attention_backward"

    def __call__(self, grad: np.ndarray, qkv: np.ndarray, heads: int) -> np.ndarray:
        return kernels.attention_backward(grad, qkv, *kernels.attention_forward(qkv, heads), heads)

    @staticmethod
    def reference(grad: np.ndarray, qkv: np.ndarray, heads: int) -> np.ndarray:
        """On the NumPy kernels."""
        forward = kernels.attention_forward.reference(qkv, heads)
        return kernels.attention_backward.reference(grad, qkv, *forward, heads)


@check
def check_attention(numbers: Numbers) -> None:
    """As many tokens and channels as a block of keys, of queries, a tile; heads that the threads share evenly or not."""
    times = around(attention.KEY_STEP, numbers.query_block, attention.KEY_BLOCK)
    shapes = [(1, time, heads, 5) for time in times for heads in (1, 4)]
    shapes += [(2, numbers.query_block + 1, 1, size) for size in around(1, numbers.tile_columns)]
    for batch, time, heads, size in shapes:
        qkv, grad = numbers.normal(batch, time, 3 * heads * size), numbers.normal(batch, time, heads * size)
        same(kernels.attention_forward, qkv, heads)
        same(kernels.attention_backward, grad, qkv, *kernels.attention_forward.reference(qkv, heads), heads)


@check
def check_attention_to_special_numbers(numbers: Numbers) -> None:
    """Scores of 1e30 of both signs, too: a hidden key stays hidden however small the others' scores are."""
    time, size = attention.KEY_BLOCK + 1, 8
    eps = np.finfo(numbers.dtype).eps
    for qkv in numbers.kinds(1, time, 3 * 2 * size):
        big = np.abs(qkv).max() > 1e9
        if big:  # both factors of a score that size would overflow
            qkv = qkv.copy()
            qkv[:, :, 2 * size :] = numbers.normal(1, time, 4 * size)
        # Where one key has all the weight, or all values are equal, what is left of dS is rounding, times a query.
        lost = (1e3 if big else 64) * eps * float(np.abs(qkv).max())
        same(kernels.attention_forward, qkv, 2)
        same(AttentionBackAndForth(), numbers.normal(1, time, 2 * size), qkv, 2, floor=lost)
    for sign in (-1, 1):
        qkv = numbers.normal(1, time, 3 * size)
        qkv[:, :, :size], qkv[:, :, size : 2 * size] = HUGE, sign * np.linspace(1, 9, time)[:, None]
        same(kernels.attention_forward, qkv, 1)
        same(AttentionBackAndForth(), numbers.normal(1, time, size), qkv, 1, floor=1e3 * eps * HUGE)


@check
def check_attention_of_one_token(numbers: Numbers) -> None:
    """Few rows, whose heads the threads share out, and many; caches below and above ``SMALL``."""
    for rows, heads, channels in ((1, 4, 256), (THREADS[-1], 4, 64), (THREADS[-1] + 1, 1, 64)):
        for length in around(SMALL // (rows * channels)):
            keys, values = numbers.normal(rows, length, channels), numbers.normal(rows, length, channels)
            lengths = numbers.rng.integers(1, length + 1, rows)
            lengths[0] = length
            same(kernels.attention_decode, numbers.normal(rows, channels), keys, values, lengths, heads)
    rows, length, channels = 3, numbers.lanes + 1, 2 * numbers.lanes
    lengths = np.array([length, 1, length - 1])
    for q in numbers.kinds(rows, channels):
        keys, values = numbers.normal(channels, length, rows).T, numbers.normal(rows, 2 * length, channels)[:, ::2]
        same(kernels.attention_decode, q, keys, values, lengths, 2)
        same(kernels.attention_decode, numbers.normal(rows, channels), keys, -values, lengths, 1)


# -- what works row by row or element by element ------------------------------------------------------------
@check
def check_softmax_and_its_loss(numbers: Numbers) -> None:
    """Cross-entropy forward, back and both at once; some rows, all and none are masked."""
    for rows in around(*THREADS):
        for columns in around(1, numbers.lanes):
            same_cross_entropy(numbers, numbers.normal(rows, columns))
    for logits in numbers.kinds(7, 2 * numbers.lanes + 1):
        same_cross_entropy(numbers, logits)


def same_cross_entropy(numbers: Numbers, logits: np.ndarray) -> None:
    rows, columns = logits.shape
    targets = numbers.rng.integers(0, columns, rows)
    grad = numbers.normal(rows)
    # A loss is a difference of numbers of the logits' size.
    lost = 8 * np.finfo(numbers.dtype).eps * float(np.abs(logits).max())
    for mask in (np.zeros(rows, bool), np.arange(rows) % 3 == 1, np.ones(rows, bool)):
        masked = np.where(mask, -100, targets)
        same(kernels.cross_entropy_forward, logits, masked, -100, floor=lost)
        logsumexp = kernels.cross_entropy_forward.reference(logits, masked, -100)[1]
        same(kernels.cross_entropy_backward, grad, logits, masked, logsumexp, -100, floor=lost_gradient(grad, lost))
        overwritten = np.ascontiguousarray(logits)
        floor = (lost, lost_gradient(grad, lost))
        same(kernels.cross_entropy_gradient, overwritten, masked, grad, -100, floor=floor, written=(0,))


def lost_gradient(grad: np.ndarray, lost: float) -> np.ndarray:
    """The probabilities' share in ``lost``: an error in logsumexp is a relative one of theirs, of 1 at most."""
    return min(lost, 1.0) * np.abs(grad)[:, None]


@check
def check_layernorm(numbers: Numbers) -> None:
    """Rows at the border of a block of them, channels at that of a vector."""
    shapes = [(rows, 5) for rows in around(layernorm.ROW_BLOCK)] + [(3, size) for size in around(1, numbers.lanes)]
    for shape in shapes:
        same_layernorm(numbers, numbers.normal(*shape) + numbers.dtype.type(3), 0.0)
    for x in numbers.kinds(layernorm.ROW_BLOCK + 1, numbers.lanes + 1):
        if np.abs(x).max() > 1e9 and numbers.dtype == np.float32:
            x /= np.float32(np.sqrt(HUGE))  # else the variance overflows, and there is nothing to compare
        # Of equal numbers nothing is left but the rounding of their mean, times rstd.
        same_layernorm(numbers, x, 16 * np.finfo(numbers.dtype).eps * min(float(np.abs(x).max()), 1.0) / np.sqrt(1e-5))


def same_layernorm(numbers: Numbers, x: np.ndarray, lost: float) -> None:
    weight, bias, grad = numbers.normal(x.shape[1]), numbers.normal(x.shape[1]), numbers.normal(*x.shape)
    lost = max(lost, 16 * np.finfo(numbers.dtype).eps / np.sqrt(1e-5) if x.shape[1] == 1 else 0.0)
    same(kernels.layernorm_forward, x, weight, bias, 1e-5, floor=(lost * np.abs(weight).max(), 0.0, 0.0))
    with np.errstate(all="ignore"):
        _, mean, rstd = kernels.layernorm_forward.reference(x, weight, bias, 1e-5)
    floors = (lost * np.abs(grad * weight).max(), lost * np.abs(grad).sum(), 0.0)
    same(kernels.layernorm_backward, grad, x, weight, mean, rstd, floor=floors)


@check
def check_gelu(numbers: Numbers) -> None:
    """Forward and back; the gradient at 1e30 is not finite in float32, as PyTorch's: the square overflows."""
    arrays = [numbers.normal(size, scale=3) for size in around(gelu.BLOCK)]
    for x in [*arrays, *numbers.kinds(3, gelu.BLOCK // 2)]:
        grad = np.ones_like(x)
        backward, forward = floors_of_gelu(numbers, grad, x)
        same(kernels.gelu_forward, x, floor=forward)
        same(kernels.gelu_backward, grad, x, floor=backward)
    assert np.abs(kernels.gelu_forward(numbers.equal(9, value=-HUGE))).max() < 1e-6
    np.testing.assert_array_equal(kernels.gelu_forward(numbers.equal(9, value=HUGE)), numbers.equal(9, value=HUGE))


@check
def check_dropout(numbers: Numbers) -> None:
    """Its mask does not depend on the threads."""
    arrays = [numbers.normal(size) for size in around(dropout.BLOCK)]
    for x in [*arrays, *numbers.kinds(3, dropout.BLOCK // 2)]:
        same(kernels.dropout_forward, x, 0.3, 7)


@check
def check_embedding(numbers: Numbers) -> None:
    """The gradients of rows that are looked up once, never, and all the same."""
    for channels in around(embedding.CHANNEL_BLOCK):
        grad = numbers.normal(11, channels)
        for ids in (numbers.rng.integers(0, 5, 11), np.full(11, 3), np.arange(22)[::2]):
            same(kernels.embedding_backward, grad, ids, 22)
    for grad in numbers.kinds(11, embedding.CHANNEL_BLOCK + 1):
        same(kernels.embedding_backward, grad, numbers.rng.integers(0, 5, 11), 5)


@check
def check_adamw(numbers: Numbers) -> None:
    """A gradient of 1e30 overflows its square in float32, one of denormal size has none."""
    rest = (1e-2, 0.9, 0.95, 1e-8, 0.1, 3, 0.5)
    special = [np.ascontiguousarray(grad) for grad in numbers.kinds(adamw.BLOCK + 1)]
    for grad in [*(numbers.normal(size) for size in around(adamw.BLOCK)), *special]:
        param, m, v = numbers.normal(grad.size), numbers.normal(grad.size), np.abs(numbers.normal(grad.size))
        same(kernels.adamw_step, param, grad, m, v, *rest, written=(0, 2, 3))
        same(kernels.adamw_step, param, grad, np.zeros_like(m), np.zeros_like(v), *rest, written=(0, 2, 3))


# -- generating ---------------------------------------------------------------------------------------------
@check
def check_sample(numbers: Numbers) -> None:
    """The same tokens as the reference, with every setting, whatever the threads."""
    arrays = [numbers.normal(9, columns, scale=3) for columns in around(1, sample.BLOCK, 2 * sample.BLOCK)]
    for logits in [*arrays, *numbers.kinds(9, sample.BLOCK + 1)]:
        rows = len(logits)
        temperature, top_k = np.full(rows, 0.8), numbers.rng.integers(0, 5, rows)
        top_p = np.where(np.arange(rows) % 2, 1.0, 0.9)
        uniforms = numbers.rng.random(rows)
        want = sample.sample.reference(logits, uniforms, temperature, top_k, top_p)
        for threads in THREADS:
            kernels.set_threads(threads)
            got = sample.sample(logits, uniforms, temperature, top_k, top_p)
            np.testing.assert_array_equal(got, want, f"sample {logits.shape}, {threads} threads")


@check
def check_the_step_of_generating(numbers: Numbers) -> None:
    """A whole model, few rows and so many that the threads share its products out."""
    layers, channels, heads, size, vocabulary = 2, 2 * numbers.tile_columns, 4, 6, 3 * numbers.tile_columns + 1

    def matrices(depth: int, columns: int, count: int = layers) -> np.ndarray:
        return packing.pack_weights(list(numbers.normal(count, depth, columns, scale=1 / np.sqrt(depth))))

    c, normal = channels, numbers.normal
    weights = DecoderWeights(
        normal(vocabulary, c), normal(size, c), normal(layers, c), normal(layers, c),
        matrices(c, 3 * c), normal(layers, 3 * c), matrices(c, c), normal(layers, c),
        normal(layers, c), normal(layers, c), matrices(c, 4 * c), normal(layers, 4 * c),
        matrices(4 * c, c), normal(layers, c), normal(c), normal(c),
        matrices(c, vocabulary, 1)[0], np.zeros(vocabulary, numbers.dtype), heads, 1e-5,
    )  # fmt: skip
    shared = SMALL // (c * c)
    for rows in (1, *around(register_tile.TILE_ROWS, panels.ROW_BLOCK), shared + 1):
        keys, values = normal(layers, rows, size, c), normal(layers, rows, size, c)
        positions, tokens = numbers.rng.integers(0, size, rows), numbers.rng.integers(0, vocabulary, rows)
        same(StepOfGenerating(), weights, keys, values, positions, tokens, written=(1, 2))


class StepOfGenerating:
    """`decode` with a reference whose parts are references, too."""

    __name__ = "decode"

    def __call__(self, *args: Any) -> np.ndarray:
        return decode(*args)

    @staticmethod
    def reference(*args: Any) -> np.ndarray:
        """On the NumPy kernels."""
        kernels.use("numpy")
        try:
            return decode.reference(*args)
        finally:
            kernels.use("numba")


# -- in the other process, and what it found ----------------------------------------------------------------
def main() -> None:
    """Run every check; print, as one line of JSON, what each has to say: nothing if it holds."""
    found = {}
    for name, function in CHECKS.items():
        for dtype in ("float32", "float64"):
            try:
                function(Numbers(dtype))
            except Exception:
                found[f"{name} {dtype}"] = traceback.format_exc()
            else:
                found[f"{name} {dtype}"] = ""
    print(json.dumps(found))


@pytest.fixture(scope="module")
def found() -> dict[str, str]:
    """What each check has to say."""
    settings = {**os.environ, "NUMBA_NUM_THREADS": str(THREADS[-1]), "SCRATCHGPT_KERNELS": "numba"}
    command = [sys.executable, "-m", "tests.kernels.test_borders"]
    done = subprocess.run(command, env=settings, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CHECKS)
def test_kernels_hold_at_their_borders(name: str, dtype: str, found: dict[str, str]) -> None:
    assert found[f"{name} {dtype}"] == "", found[f"{name} {dtype}"]


if __name__ == "__main__":
    main()
