"""How near a compiled kernel must be to its reference: as near as rounding allows, for every element by itself.

A limit relative to the largest element would hide a wrong gradient that is small. So every element has its own: the
reference runs in float64 on inputs that are a little off, each number by a relative error of its own, and how far an
element of the result moves says what a rounding error of that size may do to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

DRAWS = 8
STEP = 1e-6
"""The relative error tried: far above rounding in float64, small enough that its effect is proportional."""
FACTOR = 64
"""Allowed errors in units of one rounding error of every input: sums of many terms round at each of them."""

UNDERFLOW = 1e3
"""Times the smallest normal number: the compiled exponential is 0 below the normal numbers, NumPy's is not."""


def results(value: Any) -> tuple[np.ndarray, ...]:
    """What a kernel returned as a tuple."""
    return value if isinstance(value, tuple) else (value,)


def mapped(change: Callable[[np.ndarray], np.ndarray], value: Any) -> Any:
    """The same arguments with `change` applied to every floating array in them."""
    if isinstance(value, tuple):
        items = [mapped(change, item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    if isinstance(value, np.ndarray) and np.issubdtype(value.dtype, np.floating):
        return change(value)
    return value.copy() if isinstance(value, np.ndarray) else value


def sensitivity(function: Callable[..., Any], *args: Any) -> list[np.ndarray]:
    """For every result of `function` how far each element moves (root mean square) per relative error of the inputs."""
    rng = np.random.default_rng(11)

    def exact(a: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):  # what fills up a packed matrix was never written
            return a.astype(np.float64)

    def off(a: np.ndarray) -> np.ndarray:
        return exact(a) * (1 + STEP * rng.standard_normal(a.shape))

    middle = results(function(*mapped(exact, args)))
    moved = [results(function(*mapped(off, args))) for _ in range(DRAWS)]
    with np.errstate(invalid="ignore"):  # infinity stays infinity
        return [np.sqrt(np.mean([(m[i] - middle[i]) ** 2 for m in moved], axis=0)) / STEP for i in range(len(middle))]


def assert_near(ours: np.ndarray, theirs: np.ndarray, scale: np.ndarray, floor: Any = 0.0, name: str = "") -> None:
    """Every element of `ours` is within rounding of `theirs`, given what `sensitivity` says.

    Args:
        floor: an absolute error that is allowed besides, (a number or) one an element: what the reference itself
            loses where it subtracts numbers that are nearly equal.
    """
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    numbers = np.finfo(ours.dtype)
    limit = FACTOR * numbers.eps * (scale + np.abs(theirs, dtype=np.float64)) + floor + UNDERFLOW * numbers.tiny
    error = np.abs(ours.astype(np.float64) - theirs)
    worst = np.unravel_index(np.argmax(error / limit), error.shape) if error.size else ()
    assert error.size == 0 or error[worst] <= limit[worst], (
        f"{name}: element {worst} is {ours[worst]!r} and should be {theirs[worst]!r} within {limit[worst]:.2g}; "
        f"{np.count_nonzero(~(error <= limit))} of {error.size} are off"
    )


def agree(kernel: Any, *args: Any, floor: Any = 0.0) -> Any:
    """The compiled kernel equals its reference in shape, dtype and, within rounding, every element.

    `floor` as in `assert_near`, or a tuple with one for each result. Returns what the compiled kernel returned."""
    got, want = kernel.compiled(*args), kernel.reference(*args)
    scales = sensitivity(kernel.reference, *args)
    floors = floor if isinstance(floor, tuple) else (floor,) * len(scales)
    for parts in zip(results(got), results(want), scales, floors, strict=True):
        assert_near(*parts, name=kernel.__name__)
    return got
