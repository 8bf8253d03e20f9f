"""Every differentiable operation: how hypothesis may choose its inputs, and what is checked of each.

A row of a table says how to call the operation. The tables are those of the engine's modules; an operation without
a row fails a test of ``test_tensor.py``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scratchgpt import autograd as ag
from scratchgpt import kernels
from scratchgpt.autograd import Tensor, gradcheck
from scratchgpt.autograd.watch import Observer, watch

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


Build = Callable[[Draw, np.random.Generator], tuple[Callable[..., Tensor], tuple[np.ndarray, ...]]]
"""Returns the function to check and its inputs."""


def unary(function: Callable[..., Tensor], make: Callable = values) -> Build:
    return lambda draw, rng: (function, (make(rng, draw(shapes)),))


def binary(function: Callable[..., Tensor], left: Callable = values, right: Callable = values) -> Build:
    def build(draw: Draw, rng: np.random.Generator):
        a, b = draw(broadcastable).input_shapes
        return function, (left(rng, a), right(rng, b) + (0.013 if right is values else 0.0))

    return build


def folded(function: Callable[..., Tensor]) -> Build:
    def build(draw: Draw, rng: np.random.Generator):
        shape = draw(shapes)
        axis = draw(st.one_of(st.none(), st.integers(-len(shape), len(shape) - 1), st.just(tuple(range(len(shape))))))
        keepdims = draw(st.booleans())
        return lambda x: function(x, axis=axis, keepdims=keepdims), (values(rng, shape),)

    return build


def along_axis(function: Callable[..., Tensor]) -> Build:
    def build(draw: Draw, rng: np.random.Generator):
        shape = draw(shapes)
        axis = draw(st.integers(-len(shape), len(shape) - 1))
        return lambda x: function(x, axis=axis), (values(rng, shape),)

    return build


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
    count = draw(st.one_of(st.none(), st.integers(1, 20)))
    inputs = values(rng, shape), values(rng, (vocab, shape[-1]))
    return lambda hidden, weight: ag.linear_cross_entropy(hidden, weight, targets, count=count), inputs


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


ELEMENTWISE: dict[str, Build] = {
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
    "dropout": build_dropout,
    "minimum": binary(ag.minimum),
    "maximum": binary(ag.maximum),
    "clip": build_clip,
    "where": build_where,
}
SHAPING: dict[str, Build] = {
    "reshape": build_reshape,
    "transpose": build_transpose,
    "concatenate": build_concatenate,
    "getitem": build_getitem,
}
REDUCTIONS: dict[str, Build] = {
    "sum": folded(ag.sum),
    "mean": folded(ag.mean),
    "max": folded(ag.max),
    "logsumexp": folded(ag.logsumexp),
    "softmax": along_axis(ag.softmax),
    "log_softmax": along_axis(ag.log_softmax),
}
LAYERS: dict[str, Build] = {
    "matmul": build_matmul,
    "linear": build_linear,
    "feed_forward": build_feed_forward,
    "layernorm": build_layernorm,
    "embedding": build_embedding,
    "causal_attention": build_attention,
    "token_losses": build_token_losses,
    "linear_cross_entropy": build_linear_cross_entropy,
}


def check_gradient(build: Build, backend: str) -> None:
    """Hold the operation's gradients to central differences, with any inputs and any layout in memory."""

    @settings(max_examples=20, deadline=None, derandomize=True)
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
        function, inputs = build(data.draw, rng)
        layout = data.draw(st.integers(0, 2))
        # Ten times what rounding leaves of a central difference here; gradcheck's own tolerances allow for larger numbers.
        assert gradcheck(function, *(strided(x, layout) for x in inputs), atol=1e-7, rtol=1e-6)

    before = kernels.backend()
    kernels.use(backend)
    try:
        check()
    finally:
        kernels.use(before)


class _Gradients(Observer):
    """What the vector-Jacobian product of the last operation returned."""

    def __init__(self) -> None:
        self.returned: tuple[Any, ...] = ()

    def after_backward(self, call, gradient, gradients, started, ended) -> None:
        self.returned = gradients


def _gradients_of(
    function: Callable[..., Tensor], inputs: tuple[np.ndarray, ...], needed: tuple[bool, ...]
) -> tuple[list[np.ndarray | None], int]:
    """Every input's gradient, and how many gradients the operation itself computed."""
    tensors = [Tensor(x, requires_grad=need) for x, need in zip(inputs, needed, strict=True)]
    seen = _Gradients()
    with watch(seen):
        output = function(*tensors)
        output.backward(np.random.default_rng(0).uniform(0.5, 1.5, output.shape))
    return [tensor.grad for tensor in tensors], sum(gradient is not None for gradient in seen.returned)


def check_needs(build: Build) -> None:
    """Only the gradients that are needed are computed, and they are the ones they would be if all were."""

    @settings(max_examples=10, deadline=None, derandomize=True)
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        function, inputs = build(data.draw, np.random.default_rng(data.draw(st.integers(0, 2**32))))
        everything, computed = _gradients_of(function, inputs, (True,) * len(inputs))
        assert computed == len(inputs)
        for needed in itertools.product([False, True], repeat=len(inputs)):
            if not any(needed):
                assert not function(*(Tensor(x) for x in inputs)).requires_grad
                continue
            some, computed = _gradients_of(function, inputs, needed)
            assert computed == sum(needed)
            for gradient, whole, need in zip(some, everything, needed, strict=True):
                assert (gradient is not None) == need
                if need:
                    np.testing.assert_allclose(gradient, whole, rtol=1e-11, atol=1e-13)

    check()
