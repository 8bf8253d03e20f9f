"""Two processes that train together, played by two threads: whatever must be agreed on passes between them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from scratchgpt.nn.modules import Parameter
from scratchgpt.training.world import World

Result = TypeVar("Result")
SIZE = 2


class Meeting:
    """Where the two wait for each other."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(SIZE, timeout=60)
        self.brought: list[Any] = [None] * SIZE


class OneOfTwo(World):
    """A world of two, seen from one of them."""

    size = SIZE

    def __init__(self, rank: int, meeting: Meeting) -> None:
        self.rank, self.meeting = rank, meeting

    def _exchange(self, value: Any) -> list[Any]:
        self.meeting.brought[self.rank] = value
        self.meeting.barrier.wait()
        everything = list(self.meeting.brought)
        self.meeting.barrier.wait()
        return everything

    def sum(self, number):
        return sum(self._exchange(number))

    def sum_gradients(self, parameters: Iterable[Parameter]) -> None:
        parameters = list(parameters)
        mine = [np.zeros_like(p.data) if p.grad is None else p.grad for p in parameters]
        for parameter, *gradients in zip(parameters, *self._exchange(mine), strict=True):
            parameter.grad = sum(gradients)

    def any(self, decision: bool) -> bool:
        return any(self._exchange(decision))


def together(work: Callable[[int, World], Result]) -> list[Result]:
    """What both find who do ``work(rank, world)`` at the same time."""
    meeting = Meeting()

    def one(rank: int) -> Result:
        try:
            return work(rank, OneOfTwo(rank, meeting))
        except BaseException:
            meeting.barrier.abort()
            raise

    with ThreadPoolExecutor(SIZE) as pool:
        return [future.result() for future in [pool.submit(one, rank) for rank in range(SIZE)]]
