"""Modules: names, switches, freezing, state, and what a layer multiplies by."""

from __future__ import annotations

import numpy as np
import pytest

from scratchgpt import autograd as ag
from scratchgpt.autograd import Tensor, gradcheck
from scratchgpt.autograd.watch import Observer, watch
from scratchgpt.errors import UserError
from scratchgpt.nn.modules import Dropout, Embedding, LayerNorm, Linear, Module, Parameter, computes_linear

RNG = np.random.default_rng(0)


def linear(in_features: int, out_features: int) -> Linear:
    return Linear(RNG.standard_normal((in_features, out_features)), RNG.standard_normal(out_features))


class Network(Module):
    """A table, a norm, two layers in a list, and a scale of its own."""

    def __init__(self) -> None:
        self.table = Embedding(RNG.standard_normal((5, 3)))
        self.norm = LayerNorm(3, 1e-5, np.float64)
        self.layers = [linear(3, 4), linear(4, 2)]
        self.scale = Parameter(np.array(1.5))
        self.name = "not a parameter"

    def forward(self, ids: np.ndarray) -> Tensor:
        first, second = self.layers
        return second(ag.gelu(first(self.norm(self.table(ids))))) * self.scale


IDS = np.array([[0, 1, 4], [4, 4, 2]])
NAMES = [
    "scale",
    "table.weight",
    "norm.weight",
    "norm.bias",
    "layers.0.weight",
    "layers.0.bias",
    "layers.1.weight",
    "layers.1.bias",
]


class WayBack(Observer):
    """The operations that the way back went through."""

    def __init__(self) -> None:
        self.operations: list[str] = []

    def before_backward(self, call, gradient) -> None:
        self.operations.append(call.operation)


def test_parameters_have_the_names_of_the_attributes_that_lead_to_them() -> None:
    network = Network()
    assert [name for name, _ in network.named_parameters()] == NAMES
    assert [name for name, _ in network.named_modules("net")] == [
        "net", "net.table", "net.norm", "net.layers.0", "net.layers.1",
    ]  # fmt: skip
    assert network.num_parameters() == 1 + 15 + 3 + 3 + 12 + 4 + 8 + 2


def test_layers_compute_what_they_say() -> None:
    layer, norm, table = linear(3, 2), LayerNorm(3, 1e-2, np.float64), Embedding(RNG.standard_normal((4, 3)))
    x = RNG.standard_normal((2, 5, 3))
    np.testing.assert_allclose(layer(Tensor(x)).data, x @ layer.weight.data + layer.bias.data, rtol=1e-12)
    normed = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-2)
    np.testing.assert_allclose(norm(Tensor(x)).data, normed, rtol=1e-10)
    np.testing.assert_array_equal(table(np.array([3, 0])).data, table.weight.data[[3, 0]])
    with pytest.raises(NotImplementedError):
        Module()()


def test_dropout_is_off_in_evaluation_and_drawn_anew_in_training() -> None:
    dropout, x = Dropout(0.5, np.random.default_rng(0)), Tensor(np.ones(1000))
    first, second = dropout(x).data, dropout(x).data
    assert set(np.unique(first)) == {0.0, 2.0} and not np.array_equal(first, second)
    assert 400 < np.count_nonzero(first) < 600
    assert dropout.eval()(x) is x and dropout.train()(x) is not x


def test_dropout_passes_the_gradient_where_it_passed_the_value() -> None:
    dropout, x = Dropout(0.5, np.random.default_rng(0)), Tensor(np.ones(1000), requires_grad=True)
    first, second = dropout(x), dropout(x)
    (first * 3.0 + second).sum().backward()
    np.testing.assert_array_equal(x.grad, 3 * first.data + second.data)
    assert set(first.data) == {0.0, 2.0}


def test_train_and_eval_reach_every_module_below() -> None:
    network = Network()
    assert network.eval() is network
    assert not any(module.training for _, module in network.named_modules())
    network.train()
    assert all(module.training for _, module in network.named_modules())


# -- what a layer multiplies by -----------------------------------------------------------------------------
class LowRank(Linear):
    """weight + a b: what a low-rank adapter will be."""

    def __init__(self, weight: np.ndarray, bias: np.ndarray) -> None:
        super().__init__(weight, bias)
        self.a = Parameter(RNG.standard_normal((weight.shape[0], 1)))
        self.b = Parameter(RNG.standard_normal((1, weight.shape[1])))

    @property
    def effective_weight(self) -> Tensor:
        return self.weight + self.a @ self.b


def test_a_linear_layer_multiplies_by_its_effective_weight() -> None:
    layer = LowRank(RNG.standard_normal((3, 2)), np.zeros(2))
    x = RNG.standard_normal((4, 3))
    y = layer(Tensor(x))
    np.testing.assert_allclose(y.data, x @ (layer.weight.data + layer.a.data @ layer.b.data), rtol=1e-12)
    y.sum().backward()
    grad_weight = x.T @ np.ones((4, 2))
    np.testing.assert_allclose(layer.weight.grad, grad_weight, rtol=1e-12)
    np.testing.assert_allclose(layer.a.grad, grad_weight @ layer.b.data.T, rtol=1e-12)


def test_a_plain_layer_multiplies_by_its_weight_itself() -> None:
    layer = linear(3, 2)
    assert layer.effective_weight is layer.weight


def test_only_a_layer_that_computes_no_more_than_a_product_may_be_fused() -> None:
    class Louder(Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * 2

    replaced = linear(3, 2)
    replaced.forward = lambda x: x
    assert computes_linear(linear(3, 2)) and computes_linear(LowRank(np.ones((3, 2)), np.zeros(2)))
    for layer in (Louder(np.ones((3, 2)), np.zeros(2)), LayerNorm(3, 1e-5), replaced):
        assert not computes_linear(layer)


# -- freezing -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("trained", NAMES)
def test_with_all_but_one_frozen_its_gradient_is_the_same_and_the_only_one(trained: str) -> None:
    network = Network()
    network(IDS).sum().backward()
    expected = dict(network.named_parameters())[trained].grad
    assert network.freeze() is network
    assert all(parameter.grad is None for parameter in network.parameters())
    parameter = dict(network.named_parameters())[trained]
    parameter.requires_grad = True
    network(IDS).sum().backward()
    np.testing.assert_allclose(parameter.grad, expected, rtol=1e-10, atol=1e-12)
    assert [name for name, other in network.named_parameters() if other.grad is not None] == [trained]


def test_the_way_back_ends_where_nothing_below_is_trained() -> None:
    network = Network().freeze()
    network.layers[1].unfreeze()
    seen = WayBack()
    with watch(seen):
        network(IDS).sum().backward()
    assert seen.operations == ["sum", "mul", "linear"]
    assert not network.freeze()(IDS).requires_grad


def test_freezing_reaches_below_and_can_be_undone() -> None:
    network = Network()
    network.layers[0].freeze()
    assert [n for n, p in network.named_parameters() if not p.requires_grad] == ["layers.0.weight", "layers.0.bias"]
    assert network.unfreeze() is network and all(p.requires_grad for p in network.parameters())
    assert gradcheck(lambda x: network.layers[0](x), RNG.standard_normal((2, 3)))


def test_saving_and_counting_take_no_notice_of_freezing() -> None:
    network = Network()
    state, count = network.state_dict(), network.num_parameters()
    network.freeze()
    assert network.state_dict().keys() == state.keys() and network.num_parameters() == count
    network.load_state_dict({name: array + 1 for name, array in state.items()})
    for name, array in network.state_dict().items():
        np.testing.assert_array_equal(array, state[name] + 1)


# -- state --------------------------------------------------------------------------------------------------
def test_a_state_is_a_copy_and_loads_into_place() -> None:
    network, other = Network(), Network()
    state = network.state_dict()
    before = {name: parameter.data for name, parameter in other.named_parameters()}
    other.load_state_dict(state)
    for name, parameter in other.named_parameters():
        assert parameter.data is before[name] and not np.shares_memory(parameter.data, state[name])
        np.testing.assert_array_equal(parameter.data, state[name])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("scale"), "missing \\['scale'\\], unexpected \\[\\]"),
        (lambda state: state.update(other=np.ones(1)), "missing \\[\\], unexpected \\['other'\\]"),
        (lambda state: state.update({"norm.bias": np.ones(4)}), r"norm.bias is \(4,\), the model wants \(3,\)"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, message: str) -> None:
    network = Network()
    before = network.state_dict()
    state = {name: array + 1 for name, array in before.items()}
    change(state)
    with pytest.raises(UserError, match=message):
        network.load_state_dict(state)
    for name, array in network.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_zero_grad_forgets_every_gradient() -> None:
    network = Network()
    network(IDS).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    network.zero_grad()
    assert all(parameter.grad is None for parameter in network.parameters())
