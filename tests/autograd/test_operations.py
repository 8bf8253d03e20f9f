"""Every operation against central differences: one table, one test.

A row of the table says how to call the operation and how hypothesis may choose its inputs. An operation
that has no row fails ``test_every_operation_is_in_the_table``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scratchgpt import autograd as ag
from scratchgpt import kernels
from scratchgpt.autograd import GradientError, Tensor, gradcheck

Draw = Callable[[st.SearchStrategy], object]


def values(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Distinct values away from each other and from 0, so that kinks (max, relu, clip) are never straddled."""
    count = int(np.prod(shape))
    grid = (np.arange(count) - count / 2 + 0.25) * (4.0 / max(count, 4))
    return rng.permutation(grid).reshape(shape)


def positive(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(0.5, 2.0, shape)


def strided(array: np.ndarray, how: int) -> np.ndarray:
    """The same values laid out in memory in another way: as is, transposed, or with gaps."""
    if how == 1:
        return array.T.copy().T
    if how == 2 and array.ndim:
        return np.repeat(array, 2, axis=-1)[..., ::2]
    return array


shapes = hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4)
broadcastable = hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3, min_dims=0)


@dataclass(frozen=True)
class Row:
    """``build(draw, rng)`` returns the function to check and its inputs."""

    build: Callable[[Draw, np.random.Generator], tuple[Callable[..., Tensor], tuple[np.ndarray, ...]]]


def unary(function: Callable[..., Tensor], make: Callable = values) -> Row:
    return Row(lambda draw, rng: (function, (make(rng, draw(shapes)),)))


def binary(function: Callable[..., Tensor], left: Callable = values, right: Callable = values) -> Row:
    def build(draw: Draw, rng: np.random.Generator):
        a, b = draw(broadcastable).input_shapes
        return function, (left(rng, a), right(rng, b) + (0.013 if right is values else 0.0))

    return Row(build)


def folded(function: Callable[..., Tensor]) -> Row:
    def build(draw: Draw, rng: np.random.Generator):
        shape = draw(shapes)
        axis = draw(st.one_of(st.none(), st.integers(-len(shape), len(shape) - 1), st.just(tuple(range(len(shape))))))
        keepdims = draw(st.booleans())
        return lambda x: function(x, axis=axis, keepdims=keepdims), (values(rng, shape),)

    return Row(build)


def along_axis(function: Callable[..., Tensor]) -> Row:
    def build(draw: Draw, rng: np.random.Generator):
        shape = draw(shapes)
        axis = draw(st.integers(-len(shape), len(shape) - 1))
        return lambda x: function(x, axis=axis), (values(rng, shape),)

    return Row(build)


def build_matmul(draw: Draw, rng: np.random.Generator):
    inner, rows, columns = (draw(st.integers(1, 4)) for _ in range(3))
    batch_a, batch_b = draw(broadcastable).input_shapes
    kind = draw(st.sampled_from(["matrices", "vector @ matrix", "matrix @ vector"]))
    a = values(rng, (inner,)) if kind == "vector @ matrix" else values(rng, (*batch_a, rows, inner))
    b = values(rng, (inner,)) if kind == "matrix @ vector" else values(rng, (*batch_b, inner, columns))
    return ag.matmul, (a, b)


def build_linear(draw: Draw, rng: np.random.Generator):
    shape = draw(shapes)
    out = draw(st.integers(1, 5))
    inputs = (values(rng, shape), values(rng, (shape[-1], out)), values(rng, (out,)))
    return ag.linear, inputs if draw(st.booleans()) else inputs[:2]


def build_layernorm(draw: Draw, rng: np.random.Generator):
    shape = draw(shapes)
    return ag.layernorm, (values(rng, shape), positive(rng, shape[-1:]), values(rng, shape[-1:]))


def build_embedding(draw: Draw, rng: np.random.Generator):
    table = values(rng, (draw(st.integers(1, 6)), draw(st.integers(1, 4))))
    ids = rng.integers(0, len(table), draw(shapes))  # repeated ids must add up
    return lambda weight: ag.embedding(weight, ids), (table,)


def build_attention(draw: Draw, rng: np.random.Generator):
    batch, time, heads, size = (draw(st.integers(1, n)) for n in (2, 9, 3, 4))
    return lambda qkv: ag.causal_attention(qkv, num_heads=heads), (values(rng, (batch, time, 3 * heads * size)),)


def drawn_targets(draw: Draw, rng: np.random.Generator, shape: tuple[int, ...], vocab: int) -> np.ndarray:
    targets = rng.integers(0, vocab, shape)
    targets[rng.random(shape) < draw(st.sampled_from([0.0, 0.4, 1.0]))] = ag.IGNORE_INDEX
    return targets


def build_token_losses(draw: Draw, rng: np.random.Generator):
    shape = draw(shapes)
    targets = drawn_targets(draw, rng, shape[:-1], shape[-1])
    return lambda logits: ag.token_losses(logits, targets), (values(rng, shape),)


def build_feed_forward(draw: Draw, rng: np.random.Generator):
    rows, width, inner = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 6))
    shapes = ((2, rows, width), (width, inner), (inner,), (inner, width), (width,))
    return ag.feed_forward, tuple(strided(values(rng, shape), draw(st.integers(0, 2))) for shape in shapes)


def build_linear_cross_entropy(draw: Draw, rng: np.random.Generator):
    shape, vocab = draw(shapes), draw(st.integers(1, 6))
    targets = drawn_targets(draw, rng, shape[:-1], vocab)
    weights = positive(rng, shape[:-1]) if draw(st.booleans()) else None
    inputs = values(rng, shape), values(rng, (vocab, shape[-1]))
    return lambda hidden, weight: ag.linear_cross_entropy(hidden, weight, targets, weights), inputs


def build_dropout(draw: Draw, rng: np.random.Generator):
    p, seed = draw(st.sampled_from([0.0, 0.3, 0.9])), int(rng.integers(2**63))
    return lambda x: ag.dropout(x, p=p, seed=seed), (values(rng, draw(shapes)),)


def build_reshape(draw: Draw, rng: np.random.Generator):
    x = values(rng, draw(shapes))
    shape = draw(st.sampled_from([(-1,), (x.size, 1), (1, *x.shape)]))
    return lambda x: ag.reshape(x, shape=shape), (x,)


def build_transpose(draw: Draw, rng: np.random.Generator):
    x = values(rng, draw(shapes))
    axes = draw(st.one_of(st.none(), st.permutations(range(x.ndim)).map(tuple)))
    return lambda x: ag.transpose(x, axes=axes), (x,)


def build_concatenate(draw: Draw, rng: np.random.Generator):
    shape, axis = draw(shapes), 0
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    lengths = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    parts = []
    for length in lengths:
        part = list(shape)
        part[axis] = length
        parts.append(values(rng, tuple(part)))
    return lambda *arrays: ag.concatenate(*arrays, axis=axis), tuple(parts)


def build_getitem(draw: Draw, rng: np.random.Generator):
    x = values(rng, (4, 3, 2))
    index = draw(
        st.sampled_from(
            [
                0,
                -1,
                slice(1, 3),
                (slice(None), 1),
                (Ellipsis, slice(None, None, -1)),
                (None, 2),
                np.array([0, 0, 3]),  # an element picked twice
                (np.array([[1, 1], [2, 0]]), slice(None), np.array([0, 1])),
                x[..., 0] > 0,
            ]
        )
    )
    return lambda x: ag.getitem(x, index=index), (x,)


def build_where(draw: Draw, rng: np.random.Generator):
    condition_shape, a, b = draw(hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3)).input_shapes
    condition = rng.random(condition_shape) < 0.5
    return lambda a, b: ag.where(condition, a, b), (values(rng, a), values(rng, b))


def build_clip(draw: Draw, rng: np.random.Generator):
    low, high = draw(st.sampled_from([(-0.6011, 0.7013), (None, 0.1017), (-0.3019, None), (None, None)]))
    return lambda x: ag.clip(x, low=low, high=high), (values(rng, draw(shapes)),)


TABLE: dict[str, Row] = {
    "add": binary(ag.add),
    "sub": binary(ag.sub),
    "mul": binary(ag.mul),
    "div": binary(ag.div, right=positive),
    "pow": binary(ag.pow, left=positive),
    "neg": unary(ag.neg),
    "exp": unary(ag.exp),
    "log": unary(ag.log, positive),
    "sqrt": unary(ag.sqrt, positive),
    "tanh": unary(ag.tanh),
    "sigmoid": unary(ag.sigmoid),
    "relu": unary(ag.relu),
    "gelu": unary(ag.gelu),
    "dropout": Row(build_dropout),
    "minimum": binary(ag.minimum),
    "maximum": binary(ag.maximum),
    "clip": Row(build_clip),
    "where": Row(build_where),
    "reshape": Row(build_reshape),
    "transpose": Row(build_transpose),
    "concatenate": Row(build_concatenate),
    "getitem": Row(build_getitem),
    "sum": folded(ag.sum),
    "mean": folded(ag.mean),
    "max": folded(ag.max),
    "logsumexp": folded(ag.logsumexp),
    "softmax": along_axis(ag.softmax),
    "log_softmax": along_axis(ag.log_softmax),
    "matmul": Row(build_matmul),
    "linear": Row(build_linear),
    "feed_forward": Row(build_feed_forward),
    "layernorm": Row(build_layernorm),
    "embedding": Row(build_embedding),
    "causal_attention": Row(build_attention),
    "token_losses": Row(build_token_losses),
    "linear_cross_entropy": Row(build_linear_cross_entropy),
}


def test_every_operation_is_in_the_table() -> None:
    assert TABLE.keys() == ag.OPERATIONS.keys()


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("name", sorted(TABLE))
def test_gradient(name: str, backend: str) -> None:
    @settings(max_examples=20, deadline=None, derandomize=True)
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
        function, inputs = TABLE[name].build(data.draw, rng)
        layout = data.draw(st.integers(0, 2))
        assert gradcheck(function, *(strided(x, layout) for x in inputs), atol=1e-8)

    before = kernels.backend()
    kernels.use(backend)
    try:
        check()
    finally:
        kernels.use(before)


def test_constant_exponent_of_a_negative_base() -> None:
    assert gradcheck(lambda x: x**3, np.array([-1.5, 0.5]))
    assert gradcheck(lambda x: 2.0**x, np.array([-1.5, 0.5]))


@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_is_the_weighted_mean_of_the_token_losses(weighted: bool) -> None:
    rng = np.random.default_rng(0)
    logits, targets = rng.standard_normal((2, 5, 7)), rng.integers(0, 7, (2, 5))
    targets[0, 0] = ag.IGNORE_INDEX
    weights = rng.uniform(0.5, 2, (2, 5)) if weighted else None
    assert gradcheck(lambda x: ag.cross_entropy(x, targets, weights), logits)
    losses = -np.log(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))
    kept = (targets != ag.IGNORE_INDEX) * (1 if weights is None else weights)
    picked = np.take_along_axis(losses, np.where(targets < 0, 0, targets)[..., None], -1)[..., 0]
    expected = (picked * kept).sum() / kept.sum()
    assert ag.cross_entropy(Tensor(logits), targets, weights).item() == pytest.approx(expected, rel=1e-12)
    hidden, head = rng.standard_normal((2, 5, 4)), rng.standard_normal((7, 4))
    fused = ag.linear_cross_entropy(Tensor(hidden), Tensor(head), targets, weights).item()
    assert fused == pytest.approx(ag.cross_entropy(Tensor(hidden @ head.T), targets, weights).item(), rel=1e-12)


def test_linear_cross_entropy_over_several_blocks_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    hidden, head, targets = rng.standard_normal((11, 3)), rng.standard_normal((5, 3)), rng.integers(0, 5, 11)
    monkeypatch.setattr("scratchgpt.autograd.layers.HEAD_ROWS", 4)
    assert gradcheck(lambda h, w: ag.linear_cross_entropy(h, w, targets), hidden, head)


def test_gradcheck_finds_a_wrong_gradient_and_says_where() -> None:
    @ag.operation
    def off_by_a_little(x: np.ndarray):
        factor = np.ones_like(x)
        factor[1, 2] = 1.001
        return x * 2, lambda grad: (grad * 2 * factor,)

    try:
        with pytest.raises(GradientError, match=r"input 0, element \(1, 2\)"):
            gradcheck(off_by_a_little, np.ones((2, 3)))
    finally:
        del ag.OPERATIONS["off_by_a_little"]


def test_gradcheck_finds_a_nan() -> None:
    with pytest.raises(GradientError), np.errstate(invalid="ignore"):
        gradcheck(ag.sqrt, np.array([-1.0]))
