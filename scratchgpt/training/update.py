"""The one update: backward, clip, step.

    loss = (sum_i loss_i) / count

A loss is a sum over terms (targets, pairs, tokens of responses) and their count. It is divided once the count is known
everywhere, so that the gradient is that of one mean, however the terms are cut into pieces and spread over processes:
a mean of the pieces' means would weigh the terms of small pieces more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from scratchgpt.autograd import IGNORE_INDEX, Tensor
from scratchgpt.datasets.batches import TokenBatch
from scratchgpt.models.base import LanguageModel
from scratchgpt.nn.optimizers import Optimizer
from scratchgpt.training.history import Metrics
from scratchgpt.training.world import ALONE, World


@dataclass(frozen=True)
class Loss:
    """A mean over terms, in pieces that are worked on one at a time.

    Attributes:
        count: terms in this process.
        pieces: given the count of terms in all processes, the sum of each piece's terms divided by it; scalars with a
            graph, each made when it is asked for.
    """

    count: int
    pieces: Callable[[int], Iterable[Tensor]]

    @classmethod
    def of_mean(cls, mean: Tensor, count: int) -> Loss:
        """A loss of one piece, whose own mean is known."""
        return cls(count, lambda total: [mean * (count / total)])


@dataclass(frozen=True)
class UpdateResult:
    """What an update found.

    Attributes:
        loss: the mean over all terms of all processes, before the step.
        grad_norm: of all gradients together before clipping; 0 where no step was made.
        applied: False where the step was called off.
    """

    loss: float
    grad_norm: float
    applied: bool


def update(
    optimizer: Optimizer,
    loss: Loss,
    max_grad_norm: float,
    world: World = ALONE,
    call_off: Callable[[], bool] = lambda: False,
) -> UpdateResult:
    """Backward through all pieces of the loss, clip the gradients together, make one step.

    Args:
        optimizer: of the parameters; its ``lr`` is the step's.
        loss: what to make smaller.
        max_grad_norm: all gradients together are clipped to this norm.
        world: the processes that make this update together, each on its own terms.
        call_off: asked once the last piece is through; if it says yes in any process, the weights stay as they are.

    Raises:
        FloatingPointError: if the loss or a gradient is not finite; weights and moments are left as they were, and no
            gradient stays behind.
    """
    count = max(1, world.sum(loss.count))  # a loss without a term is 0
    total, norm = 0.0, 0.0
    try:
        for piece in loss.pieces(count):
            piece.backward()
            total += piece.item()
        applied = not world.any(call_off())
        total = world.sum(total)
        if not math.isfinite(total):
            raise FloatingPointError(f"the loss is {total}: the run has diverged, try a smaller learning rate")
        if applied:
            world.sum_gradients(optimizer.parameters.values())
            norm = optimizer.step(max_grad_norm)
    finally:
        optimizer.zero_grad()
    return UpdateResult(total, norm, applied)


def language_model_step(
    model: LanguageModel, optimizer: Optimizer, batch: TokenBatch, lr: float, max_grad_norm: float, world: World = ALONE
) -> Metrics:
    """One step of next-token training: the mean loss over the batch's targets, with dropout."""
    model.train()
    optimizer.lr = lr
    targets = int((batch.targets != IGNORE_INDEX).sum())
    loss = Loss(targets, lambda count: [model.loss(batch.input_ids, batch.targets, count=count)])
    result = update(optimizer, loss, max_grad_norm, world)
    return {"loss": result.loss, "grad_norm": result.grad_norm, "lr": optimizer.rate, "tokens": float(batch.tokens)}
