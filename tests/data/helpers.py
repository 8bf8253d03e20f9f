"""What several tests of the data share: equations that do not hold, and rubrics that an answer satisfies."""

from __future__ import annotations

import re
from typing import Any

EQUATION = re.compile(r"(?<!\d)(\d+(?:[+\-×÷]\d+)+)=(\d+)(?:余(\d+))?")
ORDER = re.compile(r"(?<!\d)(\d+)([<>])(\d+)")


def false_equations(text: str) -> list[str]:
    """Every equation or inequality in the text that does not hold."""
    wrong = []
    for match in EQUATION.finditer(text):
        expression, result, rest = match[1], int(match[2]), int(match[3] or 0)
        if "÷" in expression:
            dividend, divisor = map(int, expression.split("÷"))
            holds = dividend == divisor * result + rest and rest < divisor
        else:
            holds = eval(expression.replace("×", "*")) == result and match[3] is None
        if not holds:
            wrong.append(match[0])
    for match in ORDER.finditer(text):
        if (int(match[1]) < int(match[3])) != (match[2] == "<"):
            wrong.append(match[0])
    return wrong


def satisfies(rubric: dict[str, Any], answer: str) -> bool:
    """Whether an answer has one string of every group that it must have, and none that it must not."""
    return all(any(key in answer for key in keys) for keys in rubric["must"]) and not any(
        key in answer for key in rubric["must_not"]
    )
