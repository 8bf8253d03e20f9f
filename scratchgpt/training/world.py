"""Who trains: one process by itself, or several that keep the same weights.

Whatever they must agree on passes through here: how many terms a loss has, what the gradients add up to, and whether
to go on. In one process there is nobody to ask, and each answer is one's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from scratchgpt.nn.modules import Parameter

Number = TypeVar("Number", int, float)


class World:
    """The processes of a run, here one alone. To join several, a subclass answers for all of them.

    Every process must ask the same questions in the same order; each gets the same answer.

    Attributes:
        size: how many processes there are.
        rank: which of them this is, from 0.
    """

    size: int = 1
    rank: int = 0

    def sum(self, number: Number) -> Number:
        """The sum of all processes' numbers."""
        return number

    def sum_gradients(self, parameters: Iterable[Parameter]) -> None:
        """Make each parameter's gradient the sum of all processes', where no gradient counts as zeros."""

    def any(self, decision: bool) -> bool:
        """Whether some process decided so: to stop early, to save, to end the run."""
        return decision


ALONE = World()
"""One process by itself."""
