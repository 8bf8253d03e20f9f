"""What a transformer is made of: gradients, what is not computed, losses as a sum and a count, and mistakes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from scratchgpt import autograd as ag
from scratchgpt import kernels
from scratchgpt.autograd import ShapeError, Tensor, gradcheck, no_grad
from tests.autograd.operation_cases import LAYERS, check_gradient, check_needs


def ones(*shape: int) -> Tensor:
    return Tensor(np.ones(shape))


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("name", LAYERS)
def test_gradient(name: str, backend: str) -> None:
    check_gradient(LAYERS[name], backend)


@pytest.mark.parametrize("name", LAYERS)
def test_only_needed_gradients_are_computed(name: str) -> None:
    check_needs(LAYERS[name])


PRODUCTS = ("matmul", "add_matmul", "matmul_gelu", "matmul_gelu_backward", "weight_gradient")


@pytest.mark.parametrize(
    ("needed", "products"),
    [
        ("", ["matmul_gelu", "matmul"]),
        ("x", ["matmul_gelu", "matmul", "matmul_gelu_backward", "matmul"]),
        ("weight_in", ["matmul_gelu", "matmul", "matmul_gelu_backward", "weight_gradient"]),
        ("weight_out", ["matmul_gelu", "matmul", "weight_gradient"]),
        ("bias_out", ["matmul_gelu", "matmul"]),
    ],
)
def test_the_feed_forward_layer_multiplies_only_for_what_is_needed(
    needed: str, products: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = {"x": (5, 3), "weight_in": (3, 4), "bias_in": (4,), "weight_out": (4, 2), "bias_out": (2,)}
    arguments = [Tensor(np.ones(shape), requires_grad=name == needed) for name, shape in shapes.items()]
    calls = _counted_products(monkeypatch)
    y = ag.feed_forward(*arguments)
    if needed:
        y.sum().backward()
    assert calls == products


@pytest.mark.parametrize(
    ("needed", "products"),
    [((False, False), ["matmul"]), ((True, False), ["matmul"] * 2), ((False, True), ["matmul", "add_matmul"])],
)
def test_the_head_makes_only_the_gradients_that_are_needed(
    needed: tuple[bool, bool], products: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [Tensor(np.ones(shape), requires_grad=n) for shape, n in zip([(5, 3), (4, 3)], needed, strict=True)]
    calls = _counted_products(monkeypatch)
    ag.linear_cross_entropy(*arguments, np.arange(5) % 4)
    assert calls == products  # all of them on the way forward


def test_under_no_grad_the_head_makes_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [Tensor(np.ones(shape), requires_grad=True) for shape in ((5, 3), (4, 3))]
    calls = _counted_products(monkeypatch)
    with no_grad():
        loss = ag.linear_cross_entropy(*arguments, np.arange(5) % 4)
    assert calls == ["matmul"] and not loss.requires_grad
    assert loss.item() == ag.linear_cross_entropy(*arguments, np.arange(5) % 4).item()


def _counted_products(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the matrix products that are called from now on."""
    calls: list[str] = []

    def counted(name: str, product: Callable) -> Callable:
        def call(*arguments):
            calls.append(name)
            return product(*arguments)

        return call

    for name in PRODUCTS:
        monkeypatch.setattr(kernels, name, counted(name, getattr(kernels, name)))
    return calls


def losses_case() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Hidden states (3, 5, 4), a head (7, 4), targets (3, 5) of which some are ignored, and their losses (3, 5)."""
    rng = np.random.default_rng(0)
    hidden, head, targets = rng.standard_normal((3, 5, 4)), rng.standard_normal((7, 4)), rng.integers(0, 7, (3, 5))
    targets[0, 0] = targets[1, 2:] = ag.IGNORE_INDEX
    logits = hidden @ head.T
    log_probabilities = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    picked = np.take_along_axis(log_probabilities, np.where(targets < 0, 0, targets)[..., None], -1)[..., 0]
    return hidden, head, targets, np.where(targets < 0, 0, -picked)


@pytest.mark.parametrize("count", [None, 1, 30])
def test_cross_entropy_is_the_sum_of_the_token_losses_over_a_count(count: int | None) -> None:
    hidden, head, targets, losses = losses_case()
    logits = hidden @ head.T
    assert gradcheck(lambda x: ag.cross_entropy(x, targets, count=count), logits)
    expected = losses.sum() / (count or (targets != ag.IGNORE_INDEX).sum())
    assert ag.cross_entropy(Tensor(logits), targets, count=count).item() == pytest.approx(expected, rel=1e-12)
    fused = ag.linear_cross_entropy(Tensor(hidden), Tensor(head), targets, count=count)
    assert fused.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_mean_is_the_sum_over_the_number_of_targets_bit_for_bit(dtype: type) -> None:
    hidden, head, targets, _ = losses_case()
    count = int((targets != ag.IGNORE_INDEX).sum())
    results = []
    for given in (None, count):
        tensors = [Tensor(array.astype(dtype), requires_grad=True) for array in (hidden, head)]
        loss = ag.linear_cross_entropy(*tensors, targets, count=given)
        loss.backward()
        results.append([loss.data, *(tensor.grad for tensor in tensors)])
    for mean, counted in zip(*results, strict=True):
        np.testing.assert_array_equal(mean, counted)


def test_the_losses_and_gradients_of_shards_add_up_to_those_of_the_batch() -> None:
    hidden, head, targets, _ = losses_case()
    count = int((targets != ag.IGNORE_INDEX).sum())
    whole = Tensor(head, requires_grad=True)
    mean = ag.linear_cross_entropy(Tensor(hidden), whole, targets)
    mean.backward()
    shared, total = Tensor(head, requires_grad=True), 0.0
    for shard in range(3):
        loss = ag.linear_cross_entropy(Tensor(hidden[shard]), shared, targets[shard], count=count)
        loss.backward()
        total += loss.item()
    assert total == pytest.approx(mean.item(), rel=1e-12)
    np.testing.assert_allclose(shared.grad, whole.grad, rtol=1e-12)


def test_a_batch_in_which_nothing_takes_part_has_loss_zero() -> None:
    hidden, head = Tensor(np.ones((2, 3)), requires_grad=True), Tensor(np.ones((4, 3)), requires_grad=True)
    loss = ag.linear_cross_entropy(hidden, head, np.full(2, ag.IGNORE_INDEX))
    loss.backward()
    assert loss.item() == 0 and not hidden.grad.any() and not head.grad.any()


def test_linear_cross_entropy_over_several_blocks_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    hidden, head, targets = rng.standard_normal((11, 3)), rng.standard_normal((5, 3)), rng.integers(0, 5, 11)
    monkeypatch.setattr("scratchgpt.autograd.layers.HEAD_ROWS", 4)
    assert gradcheck(lambda h, w: ag.linear_cross_entropy(h, w, targets), hidden, head)


IDS = np.zeros((2, 5), int)
WRONG_SHAPES: dict[str, list[tuple[Callable[[], Tensor], str]]] = {
    "matmul": [
        (lambda: ag.matmul(ones(2, 3), ones(4, 5)), r"\(2, 3\), \(4, 5\)"),
        (lambda: ag.matmul(ones(2, 2, 3), ones(3, 3, 5)), r"\(2, 2, 3\), \(3, 3, 5\)"),
        (lambda: ag.matmul(ones(3), ones(2)), r"\(3,\), \(2,\)"),
        (lambda: ag.matmul(ones(), ones(2)), r"\(\), \(2,\)"),
    ],
    "linear": [
        (lambda: ag.linear(ones(2, 3), ones(4, 5), ones(5)), r"\(2, 3\), \(4, 5\), \(5,\)"),
        (lambda: ag.linear(ones(2, 3), ones(3, 5), ones(4)), r"\(2, 3\), \(3, 5\), \(4,\)"),
        (lambda: ag.linear(ones(2, 3), ones(3), None), r"\(2, 3\), \(3,\)"),
        (lambda: ag.linear(ones(), ones(3, 5)), r"\(\), \(3, 5\)"),
    ],
    "feed_forward": [
        (lambda: ag.feed_forward(ones(2, 3), ones(4, 5), ones(5), ones(5, 3), ones(3)), r"\(2, 3\), \(4, 5\)"),
        (lambda: ag.feed_forward(ones(2, 3), ones(3, 5), ones(4), ones(5, 3), ones(3)), r"\(3, 5\), \(4,\)"),
        (lambda: ag.feed_forward(ones(2, 3), ones(3, 5), ones(5), ones(6, 3), ones(3)), r"\(5,\), \(6, 3\)"),
        (lambda: ag.feed_forward(ones(2, 3), ones(3, 5), ones(5), ones(5, 3), ones(5)), r"\(5, 3\), \(5,\)"),
        (lambda: ag.feed_forward(ones(), ones(3, 5), ones(5), ones(5, 3), ones(3)), r"\(\), \(3, 5\)"),
    ],
    "layernorm": [
        (lambda: ag.layernorm(ones(2, 3), ones(2), ones(3)), r"\(2, 3\), \(2,\), \(3,\)"),
        (lambda: ag.layernorm(ones(2, 3), ones(3), ones(2)), r"\(2, 3\), \(3,\), \(2,\)"),
        (lambda: ag.layernorm(ones(), ones(), ones()), r"\(\), \(\), \(\)"),
        (lambda: ag.layernorm(ones(2, 0), ones(0), ones(0)), r"\(2, 0\), \(0,\), \(0,\)"),
    ],
    "embedding": [(lambda: ag.embedding(ones(4), np.array([1])), r"\(4,\), \(1,\)")],
    "causal_attention": [
        (lambda: ag.causal_attention(ones(2, 12), num_heads=2), r"\(2, 12\)"),
        (lambda: ag.causal_attention(ones(1, 2, 9), num_heads=2), r"\(1, 2, 9\).*num_heads = 2"),
        (lambda: ag.causal_attention(ones(1, 2, 0), num_heads=2), r"\(1, 2, 0\)"),
    ],
    "token_losses": [
        (lambda: ag.token_losses(ones(2, 5, 7), IDS[:1]), r"\(2, 5, 7\), \(1, 5\)"),
        (lambda: ag.token_losses(ones(), IDS), r"\(\), \(2, 5\)"),
    ],
    "linear_cross_entropy": [
        (lambda: ag.linear_cross_entropy(ones(2, 5, 3), ones(7, 4), IDS), r"\(2, 5, 3\), \(7, 4\)"),
        (lambda: ag.linear_cross_entropy(ones(2, 5, 3), ones(7, 3), IDS[0]), r"\(7, 3\), \(5,\)"),
        (lambda: ag.linear_cross_entropy(ones(2, 5, 3), ones(3), IDS), r"\(2, 5, 3\), \(3,\)"),
        (lambda: ag.linear_cross_entropy(ones(), ones(7, 3), IDS), r"\(\), \(7, 3\)"),
    ],
}


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("name", LAYERS)
def test_wrong_shapes_are_named_with_the_operation(name: str, backend: str) -> None:
    before = kernels.backend()
    kernels.use(backend)
    try:
        for wrong, shapes in WRONG_SHAPES[name]:
            with pytest.raises(ShapeError, match=rf"^{name}: arguments of shapes .*{shapes}"):
                wrong()
    finally:
        kernels.use(before)


@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        (lambda: ag.layernorm(ones(2, 3), ones(3), ones(3), eps=-1.0), ValueError, "^layernorm: eps must not be neg"),
        (lambda: ag.causal_attention(ones(1, 2, 9), num_heads=0), ValueError, "^causal_attention: num_heads must be"),
        (lambda: ag.causal_attention(ones(1, 2, 9), num_heads=-3), ValueError, "^causal_attention: num_heads must be"),
        (lambda: ag.embedding(ones(4, 2), np.array([0, 4])), IndexError, "^embedding: ids from 0 to 4.* rows 0 to 3"),
        (lambda: ag.embedding(ones(4, 2), np.array([-1])), IndexError, "^embedding: ids from -1 to -1"),
        (lambda: ag.embedding(ones(4, 2), np.array([1.0])), TypeError, "^embedding: ids must be integers, not float64"),
        (lambda: ag.token_losses(ones(2, 3), np.array([0, 3])), ValueError, "^token_losses: targets.*vocabulary has 3"),
        (lambda: ag.token_losses(ones(2, 3), np.array([0, -1])), ValueError, "^token_losses: targets from -1 to 0"),
        (lambda: ag.token_losses(ones(2, 3), np.zeros(2)), TypeError, "^token_losses: targets must be integers"),
        (lambda: ag.token_losses(ones(2, 3), np.zeros(2, bool)), TypeError, "^token_losses: targets must be integers"),
        (
            lambda: ag.linear_cross_entropy(ones(2, 3), ones(4, 3), np.array([0, 4])),
            ValueError,
            "^linear_cross_entropy: targets from 0 to 4, the vocabulary has 4",
        ),
        (
            lambda: ag.linear_cross_entropy(ones(2, 3), ones(4, 3), np.zeros(2)),
            TypeError,
            "^linear_cross_entropy: targets must be integers",
        ),
        (
            lambda: ag.linear_cross_entropy(ones(2, 3), ones(4, 3), np.zeros(2, int), count=0),
            ValueError,
            "^linear_cross_entropy: count must be positive, it is 0",
        ),
        (lambda: ag.cross_entropy(ones(2, 3), np.zeros(2, int), count=-1), ValueError, "^count must be positive"),
    ],
)
def test_a_wrong_value_is_not_called_a_wrong_shape(
    wrong: Callable[[], Tensor], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        wrong()
    assert not isinstance(caught.value, ShapeError)


# -- values, and what no central difference sees ----------------------------------------------------------------
def test_the_target_that_takes_no_part_is_pytorchs() -> None:
    assert ag.IGNORE_INDEX == -100
    logits = Tensor(np.log([[1.0, 3.0], [1.0, 1.0]]))
    losses = ag.token_losses(logits, np.array([1, -100]))
    np.testing.assert_allclose(losses.data, [np.log(4 / 3), 0])
    assert ag.cross_entropy(logits, np.array([1, -100])).item() == pytest.approx(np.log(4 / 3))
    assert ag.cross_entropy(logits, np.array([1, -1]), ignore_index=-1).item() == pytest.approx(np.log(4 / 3))
    head = Tensor(np.eye(2))
    assert ag.linear_cross_entropy(logits, head, np.array([1, -100])).item() == pytest.approx(np.log(4 / 3))
    assert ag.linear_cross_entropy(logits, head, np.array([1, -1]), ignore_index=-1).item() == pytest.approx(np.log(4 / 3))


def test_layernorm_adds_eps_to_the_variance() -> None:
    x, weight, bias = np.array([[1.0, 2.0, 3.0, 6.0], [0.0, 0.0, 0.0, 0.0]]), np.array([1.0, 2, 3, 4]), np.arange(4.0)
    centred = x - x.mean(axis=1, keepdims=True)
    variance = x.var(axis=1, keepdims=True)
    for eps, settings in ((1e-5, {}), (0.5, {"eps": 0.5})):
        expected = centred / np.sqrt(variance + eps) * weight + bias
        np.testing.assert_allclose(ag.layernorm(Tensor(x), Tensor(weight), Tensor(bias), **settings).data, expected, rtol=1e-12)
    assert np.isfinite(ag.layernorm(Tensor(x[:1]), Tensor(weight), Tensor(bias), eps=0.0).data).all()


def test_matmul_of_every_kind_is_numpys() -> None:
    rng = np.random.default_rng(3)
    for left, right in (
        ((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((5, 2, 3), (5, 3, 4)),
        ((1, 2, 3), (5, 3, 4)), ((2, 3), (5, 3, 4)), ((3,), (5, 3, 4)), ((0, 3), (3, 4)), ((2, 0), (0, 4)), ((2, 3), (3, 0)),
    ):  # fmt: skip
        a, b = Tensor(rng.standard_normal(left), requires_grad=True), Tensor(rng.standard_normal(right), requires_grad=True)
        y = a @ b
        np.testing.assert_allclose(y.data, a.data @ b.data, atol=1e-13)
        y.backward(np.ones(y.shape))
        assert a.grad.shape == left and b.grad.shape == right
    mixed = Tensor(np.ones((2, 3), np.float32)) @ Tensor(np.ones((3, 4)))
    assert mixed.dtype == np.float64 and (mixed.data == 3).all()


def test_ids_and_targets_at_the_ends_of_their_range() -> None:
    table = Tensor(np.arange(8.0).reshape(4, 2))
    assert ag.embedding(table, np.array([0, 3])).data.tolist() == [[0, 1], [6, 7]]
    assert ag.embedding(table, np.empty(0, int)).shape == (0, 2)
    assert ag.embedding(table, [[1], [2]]).data.tolist() == [[[2, 3]], [[4, 5]]]
    assert ag.token_losses(Tensor(np.zeros((2, 3))), [0, 2]).data == pytest.approx([np.log(3)] * 2)
    assert ag.token_losses(Tensor(np.zeros((0, 3))), np.empty(0, int)).shape == (0,)


def test_a_scaled_loss_scales_the_heads_gradients() -> None:
    hidden, head, targets, _ = losses_case()
    plain = [Tensor(hidden, requires_grad=True), Tensor(head, requires_grad=True)]
    scaled = [Tensor(hidden, requires_grad=True), Tensor(head)]
    ag.linear_cross_entropy(*plain, targets).backward()
    (ag.linear_cross_entropy(*scaled, targets) * 3.0).backward()
    np.testing.assert_allclose(scaled[0].grad, 3 * plain[0].grad, rtol=1e-12)
    assert scaled[1].grad is None


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention_is_that_of_each_head_by_itself(heads: int) -> None:
    qkv = np.random.default_rng(heads).standard_normal((2, 5, 3 * 8))
    out = ag.causal_attention(Tensor(qkv), num_heads=heads).data
    size = 8 // heads
    for h in range(heads):
        q, k, v = (qkv[..., 8 * i + size * h : 8 * i + size * (h + 1)] for i in range(3))
        scores = np.where(np.tril(np.ones((5, 5), bool)), q @ k.swapaxes(1, 2) / np.sqrt(size), -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        expected = weights / weights.sum(-1, keepdims=True) @ v
        np.testing.assert_allclose(out[..., size * h : size * (h + 1)], expected, atol=1e-12)
