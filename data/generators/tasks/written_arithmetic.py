"""Written arithmetic: every step needs only copying and one fact about single digits.

A small model cannot see the sum of two numbers at once, but it can look up 5+7 and copy a digit; the steps here
are those of written arithmetic, from the units up (or, for division, from the left), without the final answer.
"""

from __future__ import annotations

PLACES = ("个位", "十位", "百位", "千位", "万位")


def digits_of(number: int) -> list[int]:
    """The decimal digits of a number that is not negative, units first: 427 gives [7, 2, 4]."""
    return [int(character) for character in reversed(str(number))]


def _padded(first: int, second: int) -> list[tuple[int, int]]:
    left, right = digits_of(first), digits_of(second)
    length = max(len(left), len(right))
    left += [0] * (length - len(left))
    right += [0] * (length - len(right))
    return list(zip(left, right, strict=True))


def addition_steps(first: int, second: int) -> str:
    """``15+27`` as ``个位5+7=12进1，十位1+2+1=4``; the topmost sum is written out whole."""
    steps, carry = [], 0
    pairs = _padded(first, second)
    for index, (left, right) in enumerate(pairs):
        total = left + right + carry
        terms = f"{left}+{right}" + ("+1" if carry else "")
        carry = int(total >= 10 and index + 1 < len(pairs))
        steps.append(f"{PLACES[index]}{terms}={total}" + ("进1" if carry else ""))
    return "，".join(steps)


def subtraction_steps(first: int, second: int) -> str:
    """``42-27`` as ``个位12-7=5借1，十位4-2-1=1``. Needs first >= second >= 0."""
    steps, borrow = [], 0
    for index, (left, right) in enumerate(_padded(first, second)):
        terms = f"-{right}" + ("-1" if borrow else "")
        rest = left - right - borrow
        borrow = int(rest < 0)
        steps.append(f"{PLACES[index]}{left + 10 * borrow}{terms}={rest + 10 * borrow}" + ("借1" if borrow else ""))
    return "，".join(steps)


def multiplication_steps(number: int, digit: int) -> str:
    """``47×8`` as ``个位7×8=56进5，十位4×8=32，32+5=37``. Needs 0 <= digit <= 9."""
    steps, carry = [], 0
    digits = digits_of(number)
    for index, left in enumerate(digits):
        product = left * digit
        step = f"{PLACES[index]}{left}×{digit}={product}"
        if carry:
            step += f"，{product}+{carry}={product + carry}"
        carry = (product + carry) // 10 if index + 1 < len(digits) else 0
        steps.append(step + (f"进{carry}" if carry else ""))
    return "，".join(steps)


def division_steps(number: int, digit: int) -> str:
    """``852÷6`` as ``8÷6=1余2，25÷6=4余1，12÷6=2余0``. Needs 1 <= digit <= 9."""
    steps, rest, started = [], 0, False
    text = str(number)
    for index, character in enumerate(text):
        part = 10 * rest + int(character)
        last = index + 1 == len(text)
        if part < digit and not started and not last:
            rest = part
            continue
        started = True
        steps.append(f"{part}÷{digit}={part // digit}余{part % digit}")
        rest = part % digit
    return "，".join(steps)


def written_steps(operator: str, first: int, second: int) -> str:
    """The steps of ``first operator second`` for one of ``+ - × ÷``; multiplies by whichever factor has one digit."""
    if operator == "+":
        return addition_steps(first, second)
    if operator == "-":
        return subtraction_steps(first, second)
    if operator == "×":
        return multiplication_steps(first, second) if second < 10 else multiplication_steps(second, first)
    return division_steps(first, second)


def value_of(operator: str, first: int, second: int) -> int:
    """The result of ``first operator second``; division drops the remainder."""
    if operator == "+":
        return first + second
    if operator == "-":
        return first - second
    return first * second if operator == "×" else first // second


def comparison_steps(first: int, second: int) -> str:
    """``583`` and ``567`` as ``583和567：都是3位，百位5=5，十位8>6，583>567``: the first unequal digits decide."""
    left, right = str(first), str(second)
    sign = "=" if first == second else ">" if first > second else "<"
    if len(left) != len(right):
        return f"{first}和{second}：{len(left)}位{sign}{len(right)}位，{first}{sign}{second}"
    steps = []
    for index, (one, other) in enumerate(zip(left, right, strict=True)):
        place = PLACES[len(left) - 1 - index]
        if one != other:
            steps.append(f"{place}{one}{sign}{other}")
            break
        steps.append(f"{place}{one}={other}")
    return f"{first}和{second}：都是{len(left)}位，" + "，".join(steps) + f"，{first}{sign}{second}"
