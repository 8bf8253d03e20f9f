"""The best measurement of a stage so far, and the weights that it is of."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Goal:
    """The quantity on held-out data by which the measurements of a stage are compared.

    Attributes:
        name: in what the trainer's ``evaluate`` returns.
        higher: whether higher is better.
    """

    name: str
    higher: bool = False

    def better(self, value: float, than: float) -> bool:
        """Whether ``value`` is really better; what is not finite is worse than anything."""
        if not (math.isfinite(value) and math.isfinite(than)):
            return math.isfinite(value)
        return value > than if self.higher else value < than


@dataclass(frozen=True)
class Best:
    """The best measurement so far, the first of several that are equal.

    Attributes:
        step: how many steps had been made.
        value: what was measured.
        weights: what was measured of, arrays by name.
    """

    step: int
    value: float
    weights: dict[str, np.ndarray]
