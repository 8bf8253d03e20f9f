"""Optimizers against PyTorch's, step by step; clipping, frozen parameters, and a state that can be resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest

from scratchgpt.errors import UserError
from scratchgpt.nn.modules import Parameter
from scratchgpt.nn.optimizers import SGD, AdamW, Optimizer

Named = Iterable[tuple[str, Parameter]]
SHAPES = {"matrix": (5, 3), "vector": (4,), "table": (2, 6), "number": ()}
STEPS = 12


def parameters(dtype: type = np.float64, seed: int = 0) -> dict[str, Parameter]:
    rng = np.random.default_rng(seed)
    return {name: Parameter(rng.standard_normal(shape).astype(dtype)) for name, shape in SHAPES.items()}


def gradients_of(step: int, dtype: type) -> dict[str, np.ndarray]:
    """Gradients of very different sizes."""
    rng = np.random.default_rng((1, step))
    return {
        name: (rng.standard_normal(shape) * 10.0 ** rng.integers(-4, 2)).astype(dtype) for name, shape in SHAPES.items()
    }


def set_gradients(tensors: dict[str, Parameter], step: int, dtype: type = np.float64) -> None:
    for name, gradient in gradients_of(step, dtype).items():
        tensors[name].grad = gradient


def adamw(named: Named) -> AdamW:
    return AdamW(named, lr=1e-2, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)


def torch_adamw(tensors: dict):
    import torch

    groups = [
        {"params": [t for t in tensors.values() if (t.ndim > 1) == matrices], "weight_decay": 0.1 * matrices}
        for matrices in (True, False)
    ]
    return torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.95), eps=1e-8)


def sgd(named: Named) -> SGD:
    return SGD(named, lr=1e-2, momentum=0.8)


def torch_sgd(tensors: dict):
    import torch

    return torch.optim.SGD(tensors.values(), lr=1e-2, momentum=0.8)


PAIRS: list[tuple[Callable[[Named], Optimizer], Callable]] = [(adamw, torch_adamw), (sgd, torch_sgd)]
KINDS = [adamw, sgd]


@pytest.mark.parametrize("max_norm", [None, 0.5])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_twelve_steps_are_pytorchs(ours: Callable, theirs: Callable, dtype: type, max_norm: float | None) -> None:
    torch = pytest.importorskip("torch")
    tensors = parameters(dtype)
    peers = {name: torch.from_numpy(np.array(t.data)).requires_grad_() for name, t in tensors.items()}
    optimizer, peer = ours(tensors.items()), theirs(peers)
    rounding = float(np.finfo(dtype).eps)
    for step in range(STEPS):
        set_gradients(tensors, step, dtype)
        for name, gradient in gradients_of(step, dtype).items():
            peers[name].grad = torch.from_numpy(np.array(gradient))
        optimizer.lr = 1e-2 / (1 + step)  # as a schedule does
        for group in peer.param_groups:
            group["lr"] = 1e-2 / (1 + step)
        norm = optimizer.step(max_norm)
        theirs_norm = torch.nn.utils.clip_grad_norm_(peers.values(), max_norm or float("inf"))
        assert norm == pytest.approx(theirs_norm.item(), rel=10 * rounding)
        peer.step()
    for name, tensor in tensors.items():
        assert np.abs(tensor.data - parameters(dtype)[name].data).max() > 1e-4  # it moved, far more than it may differ
        # A step rounds every number of the parameter once, on both sides.
        allowed = STEPS * rounding * np.abs(tensor.data).max()
        np.testing.assert_allclose(tensor.data, peers[name].detach().numpy(), rtol=0, atol=allowed, err_msg=name)
    assert optimizer.step_count == STEPS


@pytest.mark.parametrize("kind", KINDS)
def test_a_frozen_parameter_has_no_state_no_share_in_the_norm_and_does_not_move(kind: Callable) -> None:
    tensors, alone = parameters(), parameters()
    tensors["table"].requires_grad = False
    del alone["table"]
    optimizer, without = kind(tensors.items()), kind(alone.items())
    before = tensors["table"].data.copy()
    for step in range(3):
        set_gradients(tensors, step)
        for name in alone:
            alone[name].grad = tensors[name].grad
        assert optimizer.step(0.5) == without.step(0.5)
    np.testing.assert_array_equal(tensors["table"].data, before)
    for name in alone:
        np.testing.assert_array_equal(tensors[name].data, alone[name].data)
    assert optimizer.state_arrays().keys() == without.state_arrays().keys()


@pytest.mark.parametrize("kind", KINDS)
def test_a_parameter_frozen_later_stands_still(kind: Callable) -> None:
    tensors = parameters()
    optimizer = kind(tensors.items())
    set_gradients(tensors, 0)
    optimizer.step()
    tensors["table"].requires_grad, tensors["table"].grad = False, None  # as Module.freeze does
    before = tensors["table"].data.copy()
    optimizer.step()
    np.testing.assert_array_equal(tensors["table"].data, before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_goes_on_where_it_was_saved(kind: Callable) -> None:
    tensors = parameters()
    optimizer = kind(tensors.items())
    for step in range(3):
        set_gradients(tensors, step)
        optimizer.step(1.0)
    state = {name: array.copy() for name, array in optimizer.state_arrays().items()}
    again = {name: Parameter(tensor.data.copy()) for name, tensor in tensors.items()}
    resumed = kind(again.items())
    resumed.load_state_arrays(state)
    for step in range(3, 6):
        for each, one in ((tensors, optimizer), (again, resumed)):
            set_gradients(each, step)
            one.step(1.0)
    for name in tensors:
        np.testing.assert_array_equal(tensors[name].data, again[name].data)


def test_the_names_under_which_adamw_saves() -> None:
    names = [f"{running}.{name}" for running in ("exp_avg", "exp_avg_sq") for name in SHAPES]
    assert list(adamw(parameters().items()).state_arrays()) == ["step", *names]


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_of_something_else_is_refused(kind: Callable) -> None:
    optimizer = kind(parameters().items())
    other = parameters()
    del other["vector"]
    for state in (
        kind(other.items()).state_arrays(),
        {**optimizer.state_arrays(), "more": np.ones(1)},
        {name: array.reshape(-1)[:1] for name, array in optimizer.state_arrays().items()},
        (sgd if kind is adamw else adamw)(parameters().items()).state_arrays(),
    ):
        with pytest.raises(UserError, match="belongs to another model"):
            optimizer.load_state_arrays(state)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_diverged_gradient_leaves_everything_alone(kind: Callable, bad: float) -> None:
    tensors = parameters()
    optimizer = kind(tensors.items())
    set_gradients(tensors, 0)
    tensors["vector"].grad[1] = bad
    before = {name: array.copy() for name, array in optimizer.state_arrays().items()}
    with pytest.raises(FloatingPointError, match="smaller learning rate"):
        optimizer.step(1.0)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(tensor.data, parameters()[name].data)
    for name, array in optimizer.state_arrays().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("max_norm", [0.0, -1.0, float("nan")])
def test_clipping_to_nothing_or_less_is_refused(max_norm: float) -> None:
    tensors = parameters()
    optimizer = adamw(tensors.items())
    set_gradients(tensors, 0)
    with pytest.raises(ValueError, match="max_norm must be positive"):
        optimizer.step(max_norm)
    np.testing.assert_array_equal(tensors["matrix"].data, parameters()["matrix"].data)


def test_parameters_without_a_gradient_and_zero_grad() -> None:
    tensors = parameters()
    optimizer = adamw(tensors.items())
    assert optimizer.step(1.0) == 0.0 and optimizer.step_count == 1
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(tensor.data, parameters()[name].data)
    set_gradients(tensors, 0)
    optimizer.zero_grad()
    assert all(tensor.grad is None for tensor in tensors.values())


def test_an_optimizer_without_a_rule_says_so() -> None:
    tensors = parameters()
    optimizer = Optimizer(tensors.items(), lr=0.1)
    set_gradients(tensors, 0)
    with pytest.raises(NotImplementedError):
        optimizer.step()


@pytest.mark.parametrize("kind", KINDS)
def test_a_scaled_learning_rate_is_that_of_a_smaller_one(kind: Callable) -> None:
    halved, smaller = parameters(), parameters()
    optimizers = kind(halved.items()), kind(smaller.items())
    optimizers[0].lr_scale = 0.5
    optimizers[1].lr *= 0.5
    for step in range(3):
        for tensors, optimizer in zip((halved, smaller), optimizers, strict=True):
            set_gradients(tensors, step)
            optimizer.step(0.5)
    assert optimizers[0].lr == 2 * optimizers[1].lr and optimizers[0].rate == optimizers[1].rate
    for name in halved:
        np.testing.assert_array_equal(halved[name].data, smaller[name].data)
