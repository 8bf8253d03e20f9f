"""Workings in full sentences: true in every step, in the agreed words."""

from __future__ import annotations

import random

import pytest

from data.generators.prose import workings
from tests.data.helpers import false_equations


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (workings.addition(37, 48), "个位7+8=15，写5进1；十位3+4+1=8，写8；37+48=85"),
        (workings.subtraction(52, 37), "个位2不够减7，借1，12-7=5；十位5-1-3=1；52-37=15"),
        (workings.subtraction(1000, 1),
         "个位0不够减1，借1，10-1=9；十位0不够减1，借1，10-1=9；百位0不够减1，借1，10-1=9；1000-1=999"),
        (workings.multiplication(23, 4), "把23拆成20+3，20×4=80，3×4=12，80+12=92，23×4=92"),
        (workings.division(97, 4), "十位上9÷4商2余1；个位上17÷4商4余1；97÷4=24余1"),
        (workings.comparison(3847, 3874), "都是4位数，千位都是3，百位都是8，十位4比7小，所以3847<3874"),
        (workings.weekday_sum(2, 12), "周三是3，12÷7=1余5，3+5=8，8-7=1，1是周一"),
        (workings.weekday_count(5, 2), "从周六往后数，第1天周日，第2天周一，所以是周一"),
        (workings.chinese_number(10305), "一万零三百零五"),
        (workings.chinese_number(14), "十四"),
    ],
)
def test_workings(text, expected):
    assert text == expected


def test_workings_hold_for_random_numbers():
    rng = random.Random(0)
    for _ in range(2000):
        a, b = rng.randint(0, 9999), rng.randint(0, 999)
        large, small = max(a, b), min(a, b)
        text = "\n".join([workings.addition(a, b), workings.subtraction(large, small), workings.comparison(a, b),
                          workings.multiplication(rng.randint(2, 999), rng.randint(2, 99)),
                          workings.division(a, rng.randint(2, 9))])
        assert false_equations(text) == [], text
