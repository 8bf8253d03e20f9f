"""Written-out workings of school arithmetic: pure functions from numbers to Chinese text.

Every function names each digit it touches, because a small model learns arithmetic from the steps and not from
the answer. All texts end in the result, without a full stop.
"""

from __future__ import annotations

from data.generators.tasks.written_arithmetic import PLACES, digits_of

DIGITS = "零一二三四五六七八九"
UNITS = ("", "十", "百", "千", "万")
WEEKDAYS = ("周一", "周二", "周三", "周四", "周五", "周六", "周日")


def chinese_number(number: int) -> str:
    """A number from 0 to 99999 in Chinese numerals: 305 -> 三百零五, 14 -> 十四."""
    if number == 0:
        return DIGITS[0]
    digits = digits_of(number)
    text = ""
    for place in range(len(digits) - 1, -1, -1):
        digit = digits[place]
        if digit:
            text += DIGITS[digit] + UNITS[place]
        elif text and not text.endswith("零") and any(digits[:place]):
            text += "零"
    return text[1:] if text.startswith("一十") else text


def addition(a: int, b: int) -> str:
    """Column addition from the ones, with every carry: 37+48."""
    first, second = digits_of(a), digits_of(b)
    length = max(len(first), len(second))
    steps, carry = [], 0
    for place in range(length):
        parts = [numbers[place] for numbers in (first, second) if place < len(numbers)]
        if carry:
            parts.append(carry)
        total = sum(parts)
        sum_text = "+".join(map(str, parts)) + f"={total}" if len(parts) > 1 else f"是{total}"
        carry, digit = divmod(total, 10)
        last = place == length - 1
        if carry and not last:
            steps.append(f"{PLACES[place]}{sum_text}，写{digit}进{carry}")
        else:
            steps.append(f"{PLACES[place]}{sum_text}，写{total if last else digit}")
    return "；".join(steps) + f"；{a}+{b}={a + b}"


def subtraction(a: int, b: int) -> str:
    """Column subtraction from the ones, with every borrowing. Needs a >= b."""
    first, second = digits_of(a), digits_of(b)
    steps, borrow = [], 0
    for place in range(len(first)):
        if place == len(first) - 1 and place >= len(second) and first[place] == borrow:
            break
        top = first[place]
        bottom = second[place] if place < len(second) else None
        lowered = top - borrow
        taken = f"{top}-{borrow}" if borrow else f"{top}"
        if bottom is None:
            if lowered < 0:
                steps.append(f"{PLACES[place]}{top}不够减{borrow}，借1，{top + 10}-{borrow}={lowered + 10}")
                borrow = 1
            else:
                steps.append(f"{PLACES[place]}{taken}={lowered}" if borrow else f"{PLACES[place]}是{lowered}")
                borrow = 0
        elif lowered < bottom:
            lent = f"{top + 10}-{borrow}" if borrow else f"{top + 10}"
            steps.append(f"{PLACES[place]}{taken}不够减{bottom}，借1，{lent}-{bottom}={lowered + 10 - bottom}")
            borrow = 1
        else:
            steps.append(f"{PLACES[place]}{taken}-{bottom}={lowered - bottom}")
            borrow = 0
    return "；".join(steps) + f"；{a}-{b}={a - b}"


def split_by_place(number: int) -> list[int]:
    """Parts by place, largest first, without zeros: 305 -> [300, 5]."""
    return [digit * 10**place for place, digit in enumerate(digits_of(number)) if digit][::-1]


def multiplication(a: int, b: int) -> str:
    """Multiplication by splitting: a by its places, or b as well if both have more than one digit."""
    if a < 10 <= b:
        return multiplication(b, a).rsplit("，", 1)[0] + f"，{a}×{b}={a * b}"
    if b >= 10 and len(split_by_place(b)) > 1:
        parts = split_by_place(b)
        shown = "，".join(f"{a}×{part}={a * part}" for part in parts)
        total = "+".join(str(a * part) for part in parts)
        return f"把{b}拆成{'+'.join(map(str, parts))}，{shown}，{total}={a * b}，{a}×{b}={a * b}"
    parts = split_by_place(a)
    if len(parts) == 1:
        return f"直接乘，{a}×{b}={a * b}"
    shown = "，".join(f"{part}×{b}={part * b}" for part in parts)
    total = "+".join(str(part * b) for part in parts)
    return f"把{a}拆成{'+'.join(map(str, parts))}，{shown}，{total}={a * b}，{a}×{b}={a * b}"


def division(a: int, b: int) -> str:
    """Long division by a one-digit divisor, highest place first, remainder named if there is one."""
    digits = digits_of(a)
    steps: list[str] = []
    rest = 0
    for place in range(len(digits) - 1, -1, -1):
        current = rest * 10 + digits[place]
        quotient, rest = divmod(current, b)
        if not steps and quotient == 0 and place > 0:
            continue
        left = f"余{rest}" if rest else ""
        steps.append(f"{PLACES[place]}上{current}÷{b}商{quotient}{left}")
    quotient, rest = divmod(a, b)
    return "；".join(steps) + f"；{a}÷{b}={quotient}" + (f"余{rest}" if rest else "")


def comparison(a: int, b: int) -> str:
    """Which of two numbers is larger: first their length, then digit by digit from the highest place."""
    if a == b:
        return f"每一位都相同，{a}={b}"
    sign = ">" if a > b else "<"
    if len(str(a)) != len(str(b)):
        word = "大于" if a > b else "小于"
        return f"{a}是{len(str(a))}位数，{b}是{len(str(b))}位数，位数多的大，{a}{word}{b}，{a}{sign}{b}"
    steps = []
    for place, (x, y) in enumerate(zip(str(a), str(b), strict=True)):
        name = PLACES[len(str(a)) - 1 - place]
        if x == y:
            steps.append(f"{name}都是{x}")
        else:
            steps.append(f"{name}{x}比{y}{'大' if x > y else '小'}")
            break
    return "都是" + f"{len(str(a))}位数，" + "，".join(steps) + f"，所以{a}{sign}{b}"


def parity(number: int) -> str:
    """Odd or even, by the last digit."""
    last = number % 10
    name = "偶数" if last % 2 == 0 else "奇数"
    return f"{number}的个位是{last}，{last}是{name}，所以{number}是{name}"


def weekday_count(start: int, days: int) -> str:
    """Weekday ``days`` after ``start`` (0 = 周一), whole weeks taken off first, then counted one by one."""
    rest = days % 7
    goal = WEEKDAYS[(start + days) % 7]
    lead = f"7天一轮，{days}÷7={days // 7}余{rest}，只要数{rest}天，" if days > 7 and rest else ""
    if rest == 0:
        return f"{days}÷7={days // 7}，正好{days // 7}个星期，还是{goal}"
    counted = "，".join(f"第{step}天{WEEKDAYS[(start + step) % 7]}" for step in range(1, rest + 1))
    return f"{lead}从{WEEKDAYS[start]}往后数，{counted}，所以是{goal}"


def weekday_sum(start: int, days: int) -> str:
    """The same by numbering the days from 周一 = 1: 周三是3，3+5=8，8-7=1，1是周一."""
    number, rest = start + 1, days % 7
    text = f"{WEEKDAYS[start]}是{number}"
    if days > 6:
        text += f"，{days}÷7={days // 7}余{rest}"
    text += f"，{number}+{rest}={number + rest}"
    if number + rest > 7:
        text += f"，{number + rest}-7={number + rest - 7}"
    goal = (start + days) % 7
    return text + f"，{goal + 1}是{WEEKDAYS[goal]}"
