"""The one update: bit for bit backward, clip, step; one mean however it is cut up; one decision for all processes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from scratchgpt import kernels
from scratchgpt.autograd import IGNORE_INDEX, Tensor
from scratchgpt.config import GPTConfig
from scratchgpt.datasets.batches import TokenBatch
from scratchgpt.models.gpt2 import GPT
from scratchgpt.nn.modules import Module, Parameter
from scratchgpt.nn.optimizers import AdamW
from scratchgpt.training.update import Loss, language_model_step, update
from scratchgpt.training.world import ALONE, World
from tests.two_processes import together

SIZES = GPTConfig(vocab_size=40, emb_dim=16, num_heads=2, num_layers=1, context_size=16, dropout=0.0)


@pytest.fixture(autouse=True)
def numpy_kernels():
    """Two threads may not be in Numba's parallel loops at once."""
    before = kernels.backend()
    kernels.use("numpy")
    yield
    kernels.use(before)


class Numbers(Module):
    """Four numbers."""

    def __init__(self) -> None:
        self.numbers = Parameter(np.array([1.0, -2.0, 3.0, 0.5]))


def batch_of(rows: slice = slice(None)) -> TokenBatch:
    """Some of six rows of text; the first four rows have two targets each, the others eleven."""
    rng = np.random.default_rng(1)
    ids, targets = rng.integers(0, 40, (2, 6, 12))
    targets[:4, 2:] = IGNORE_INDEX
    targets[4:, 0] = IGNORE_INDEX
    return TokenBatch(ids[rows], targets[rows])


def weights(model: Module) -> np.ndarray:
    return np.concatenate([parameter.data.reshape(-1) for parameter in model.parameters()])


# -- alone ----------------------------------------------------------------------------------------------------
def test_it_is_backward_clip_step_to_the_last_bit() -> None:
    ours, theirs = GPT(SIZES, 3), GPT(SIZES, 3)
    optimizers = AdamW(ours.named_parameters()), AdamW(theirs.named_parameters())
    batch = batch_of()
    for lr in (1e-2, 3e-3):
        metrics = language_model_step(ours, optimizers[0], batch, lr, 0.5)
        loss = theirs.loss(batch.input_ids, batch.targets)
        loss.backward()
        optimizers[1].lr = lr
        norm = optimizers[1].step(0.5)
        optimizers[1].zero_grad()
        assert metrics == {"loss": loss.item(), "grad_norm": norm, "lr": lr, "tokens": float(batch.tokens)}
        assert norm > 0.5
        np.testing.assert_array_equal(weights(ours), weights(theirs))
    assert all(parameter.grad is None for parameter in ours.parameters())


def test_pieces_of_different_sizes_make_one_mean() -> None:
    model = Numbers()
    optimizer = AdamW(model.named_parameters())
    terms = np.array([1.0, 2.0, 3.0, 4.0])
    seen: list[np.ndarray] = []

    def pieces(count: int):
        for part in (slice(0, 3), slice(3, 4)):
            yield (model.numbers[part] * terms[part]).sum() / count
        seen.append(model.numbers.grad)

    result = update(optimizer, Loss(4, pieces), 1e9)
    np.testing.assert_allclose(seen[0], terms / 4)  # a mean of the two means would be [1, 2, 3, 12] / 6
    assert result.loss == pytest.approx((1 - 4 + 9 + 2) / 4)
    assert result.grad_norm == pytest.approx(np.linalg.norm(terms / 4)) and result.applied


def test_called_off_it_leaves_weights_and_optimizer_as_they_were() -> None:
    model = Numbers()
    optimizer = AdamW(model.named_parameters())
    before, asked = weights(model), []

    def call_off() -> bool:
        asked.append(model.numbers.grad is not None)
        return True

    result = update(optimizer, Loss.of_mean(model.numbers.mean(), 4), 1.0, call_off=call_off)
    assert asked == [True] and not result.applied and result.grad_norm == 0
    assert result.loss == pytest.approx(0.625)
    np.testing.assert_array_equal(weights(model), before)
    assert optimizer.step_count == 0 and model.numbers.grad is None


def test_a_loss_without_terms_is_zero() -> None:
    model = Numbers()
    update(AdamW(model.named_parameters(), weight_decay=0), Loss(0, lambda count: []), 1.0)
    np.testing.assert_array_equal(weights(model), weights(Numbers()))


def test_a_diverged_gradient_leaves_the_weights() -> None:
    model = Numbers()
    loss = Loss.of_mean((model.numbers * np.nan).mean(), 4)
    with pytest.raises(FloatingPointError, match="diverged"):
        update(AdamW(model.named_parameters()), loss, 1.0)
    np.testing.assert_array_equal(weights(model), weights(Numbers()))


@pytest.mark.parametrize("called_off", [False, True])
@pytest.mark.parametrize(
    "bad",
    [
        lambda numbers: numbers.mean() * np.inf,  # both
        lambda numbers: numbers.mean() + np.inf,  # the loss alone: its gradient is 1/4
        lambda numbers: numbers.mean() + np.nan,
        lambda numbers: (numbers[3:] - 0.5) ** 0.5 @ np.ones(1),  # the gradient alone: that of a root at 0
    ],
    ids=["both", "loss inf", "loss nan", "gradient"],
)
def test_what_is_not_finite_leaves_no_trace(bad: Callable[[Tensor], Tensor], called_off: bool) -> None:
    model, untouched = Numbers(), Numbers()
    optimizer, other = AdamW(model.named_parameters()), AdamW(untouched.named_parameters())
    for numbers, one in ((model, optimizer), (untouched, other)):
        update(one, Loss.of_mean(numbers.numbers.mean(), 4), 1.0)
        numbers.numbers.data[3] = 0.5
    with np.errstate(all="ignore"):
        loss = Loss.of_mean(bad(model.numbers), 4)
        if called_off and np.isfinite(loss_of(bad)):
            update(optimizer, loss, 1.0, call_off=lambda: True)
        else:
            with pytest.raises(FloatingPointError, match="diverged, try a smaller learning rate"):
                update(optimizer, loss, 1.0, call_off=lambda: called_off)
    assert model.numbers.grad is None  # or it would be added to the next one
    for numbers, one in ((model, optimizer), (untouched, other)):
        update(one, Loss.of_mean(numbers.numbers.mean(), 4), 1.0)
    np.testing.assert_array_equal(weights(model), weights(untouched))
    for name, array in other.state_arrays().items():
        np.testing.assert_array_equal(optimizer.state_arrays()[name], array)


def loss_of(function: Callable[[Tensor], Tensor]) -> float:
    numbers = Numbers()
    return function(numbers.numbers).item()


# -- two processes --------------------------------------------------------------------------------------------
class Remembering(AdamW):
    """Keeps the gradients of its last step: what AdamW makes of one that is noise around zero is no measure."""

    def step(self, max_norm: float | None = None) -> float:
        self.last = np.concatenate([p.grad.reshape(-1) for p in self.parameters.values()])
        return super().step(max_norm)


def test_two_processes_make_the_step_that_one_would_make_on_everything() -> None:
    """One of them has 8 targets, the other 22: a mean of their means would be another gradient."""

    def work(rank: int, world: World, rows: slice = slice(None)):
        model = GPT(SIZES, 3)
        optimizer = Remembering(model.named_parameters())
        return language_model_step(model, optimizer, batch_of(rows), 1e-2, 1e9, world), optimizer.last, weights(model)

    expected, gradients, _ = work(0, ALONE)
    (first, theirs, ours), (second, others, same) = together(
        lambda rank, world: work(rank, world, slice(0, 4) if rank == 0 else slice(4, 6))
    )
    np.testing.assert_allclose(theirs, gradients, atol=1e-6)
    np.testing.assert_array_equal(theirs, others)
    np.testing.assert_array_equal(ours, same)
    assert first["loss"] == second["loss"] == pytest.approx(expected["loss"], rel=1e-6)
    assert first["grad_norm"] == second["grad_norm"] == pytest.approx(expected["grad_norm"], rel=1e-5)


def test_if_one_calls_it_off_nobody_makes_the_step() -> None:
    def work(rank: int, world: World):
        model = Numbers()
        loss = Loss(4, lambda count: [model.numbers.sum() / count])
        result = update(AdamW(model.named_parameters()), loss, 1.0, world, call_off=lambda: rank == 1)
        return result.applied, weights(model)

    for applied, numbers in together(work):
        assert not applied
        np.testing.assert_array_equal(numbers, weights(Numbers()))


def test_one_without_a_term_takes_part_in_the_step_of_the_other() -> None:
    def work(rank: int, world: World):
        model = Numbers()
        terms: list[Tensor] = [model.numbers.sum()] if rank == 0 else []
        loss = Loss(4 * len(terms), lambda count: [term / count for term in terms])
        return update(AdamW(model.named_parameters()), loss, 1e9, world), weights(model)

    (first, numbers), (second, others) = together(work)
    assert first == second and first.loss == pytest.approx(0.625) and first.grad_norm == pytest.approx(0.5)
    np.testing.assert_array_equal(numbers, others)
    assert not np.array_equal(numbers, weights(Numbers()))


def test_if_the_loss_of_one_is_not_finite_both_say_so() -> None:
    def work(rank: int, world: World):
        model = Numbers()
        loss = Loss(4, lambda count: [model.numbers.sum() / count + (np.nan if rank else 0.0)])
        with pytest.raises(FloatingPointError, match="the loss is nan"):
            update(AdamW(model.named_parameters()), loss, 1.0, world)
        return weights(model)

    for numbers in together(work):
        np.testing.assert_array_equal(numbers, weights(Numbers()))
