"""Numbers as a learner can read them: as many digits as needed, the same for a whole table, and small sums by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

BAR = "█"
"""One column of a bar; what is less than one is shown in eighths."""
_PARTS = " ▏▎▍▌▋▊▉"


def number_format(values: Iterable[float] | np.ndarray) -> Callable[[float], str]:
    """One format for all numbers of a table.

    Args:
        values: the numbers; those that are not finite have no say.

    Returns:
        number -> text: three decimals, one if the largest is 100 or more, powers of ten if none reaches 0.02.
    """
    array = np.asarray(values, dtype=np.float64)
    finite = np.abs(array[np.isfinite(array)])
    largest = float(finite.max()) if finite.size else 0.0
    decimals = 3 if largest < 100 else 1
    scientific = 0 < largest < 0.02

    def shown(value: float) -> str:
        if math.isnan(value):
            return "nan"
        if math.isinf(value):
            return "-∞" if value < 0 else "∞"
        if scientific:
            return "0" if value == 0 else f"{value:.1e}"
        return f"{value:.{decimals}f}" if round(value, decimals) else f"{0:.{decimals}f}"  # never -0.000

    return shown


def significant(value: float, digits: int = 4) -> str:
    """One number with ``digits`` significant digits."""
    return f"{value:.{digits}g}"


def percent(probability: float) -> str:
    """A probability: 12.3%, 0.12%, 0.0012%, 3e-05%."""
    value = 100 * float(probability)
    return f"{value:.1f}%" if value >= 1 or value == 0 else f"{value:.2g}%"


def bar(share: float, width: int = 20) -> str:
    """A bar of ``share`` (0 to 1, cut to it) of ``width`` characters, exact to an eighth of one."""
    eighths = round(max(0.0, min(1.0, float(share))) * width * 8)
    whole, rest = divmod(eighths, 8)
    return BAR * whole + (_PARTS[rest] if rest else "")


def dot_product(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> str:
    """How a dot product begins, with its first two terms: ``0.12×0.40 + (-0.03)×0.11 + …``."""
    shown = number_format(np.concatenate([np.asarray(a), np.asarray(b)]))
    pairs = list(zip(a, b, strict=True))
    text = " + ".join(f"{in_brackets(shown(x))}×{in_brackets(shown(y))}" for x, y in pairs[:2])
    return f"{text} + …" if len(pairs) > 2 else text


def in_brackets(number: str) -> str:
    """A negative number as a factor or summand: ``(-0.5)``."""
    return f"({number})" if number.startswith("-") else number
