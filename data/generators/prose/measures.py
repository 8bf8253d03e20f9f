"""True numbers of mountains, rivers, animals and planets, compared by subtraction, by ratio and by rank."""

from __future__ import annotations

from typing import Any

from data.generators.prose.weave import Bindings, split_pool
from data.generators.prose.writer import Equation, Writer

Item = tuple[str, int]
NEAR_RATIO = 0.08
"""How far a ratio may be from a whole number and still be called about that many times."""


def _about(large: int, small: int) -> int:
    """How many times ``small`` goes into ``large``, if that is nearly a whole number from 2 to 40; else 0."""
    times = round(large / small)
    return times if 2 <= times <= 40 and abs(large / small - times) < NEAR_RATIO * times else 0


class MeasureWriter(Writer):
    """Compares two or three things of one group of the hand-written table."""

    TABLE = "prose_measures"

    def _draw(self) -> tuple[tuple[dict[str, Any], list[Item]], list[Equation]]:
        group = self.rng.choice(self.frames["groups"])
        # Few things of a group are reserved, so held-out text compares a reserved one with known ones.
        known, reserved = (split_pool(group["items"], heldout) for heldout in (False, True))
        items = self.rng.sample(known, 3)
        if self.weaver.heldout:
            items[self.rng.randrange(3)] = self.rng.choice(reserved)
        small, large = sorted(number for _, number in items[:2])
        equations: list[Equation] = [("-", large, small)]
        if times := _about(large, small):
            equations.append(("×", small, times))
        return (group, items), equations

    def comparison(self) -> str:
        """Two things, their difference, perhaps their ratio, perhaps a third one."""
        group, items = self.settle(self._draw)
        bindings: Bindings = {**self.setting({"C": "child", "E": "adult"}),
                              **{key: value for key, value in group.items() if key != "items"}}
        for letter, (name, number) in zip("甲乙丙", items, strict=True):
            bindings |= {letter: name, letter + "数": str(number)}
        (small_name, small), (large_name, large) = sorted(items[:2], key=lambda item: item[1])
        bindings |= {"大者": large_name, "小者": small_name, "大数": str(large), "小数": str(small),
                     "差": str(large - small)}
        told = [self.frame("open", bindings)]
        if large == small:
            return self.paragraphs(*told, self.frame("pair", bindings), "两个数字正好相同。")
        if self.rng.random() < 0.25:
            return "".join([*told, self.frame("pair", bindings), "\n", self.frame("ask", bindings)])
        told += [self.frame("pair", bindings), self.frame("diff", bindings)]
        if times := _about(large, small):
            bindings |= {"倍": str(times), "积": str(small * times)}
            told.append(self.frame("ratio", bindings))
        if len({number for _, number in items}) == 3 and self.rng.random() < 0.6:
            ranked = sorted(items, key=lambda item: -item[1])
            bindings |= {"次序": "、".join(name for name, _ in ranked), "头": ranked[0][0], "尾": ranked[2][0]}
            told += [self.frame("three", bindings), self.frame("end", bindings)]
        return self.paragraphs(*told)

    def document(self) -> str:
        """One comparison."""
        return self.comparison()
