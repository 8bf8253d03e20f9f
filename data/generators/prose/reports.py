"""Reports with numbers in them: weather, matches, races, surveys, account books, plants that are measured.

The numbers are drawn first; what is said about them (who won, what is most, what to wear) follows from them.
"""

from __future__ import annotations

from itertools import pairwise

from data.generators.prose.weave import Bindings
from data.generators.prose.writer import Equation, Writer

TEMPERATURES = {"春": (6, 24), "夏": (21, 38), "秋": (7, 25), "冬": (1, 12)}
HOT, COLD, STRONG_WIND = 32, 8, 5
WINNING_POINTS = {"乒乓球": 11, "羽毛球": 21, "排球": 25}
LAST_VOLLEYBALL_SET = 15
CLOSE_MARGIN = 3
ORDINALS = "一二三四五六"


class ReportWriter(Writer):
    """Writes one kind of report per method."""

    TABLE = "prose_reports"

    def weather(self) -> str:
        """A forecast: sky, temperatures, their range, and advice that fits them."""
        bindings = self.setting()
        low_bound, high_bound = TEMPERATURES[bindings["季"]]
        skies = self.frames["skies"]
        sky = self.rng.choice(list(skies))
        force = self.rng.randint(1, 6)

        def draft() -> tuple[tuple[int, int, int], list[Equation]]:
            low = self.rng.randint(low_bound, high_bound - 6)
            high = low + self.rng.randint(3, 12)
            other = self.rng.randint(low_bound, high_bound)
            return (low, high, other), [("-", high, low), ("-", max(high, other), min(high, other))]

        low, high, other = self.settle(draft)
        wind = self.rng.choice(self.frames["winds"]) + f"{force}级"
        bindings |= {"低": str(low), "高": str(high), "差": str(high - low), "天况": self.rng.choice(skies[sky]),
                     "风": wind, "二高": str(other), "况二": self.rng.choice(skies[self.rng.choice(list(skies))])}
        bindings["比"] = self._warmer(bindings, high, other)
        fitting = {"weather_rain": sky == "rain", "weather_hot": high >= HOT, "weather_cold": low <= COLD - 4,
                   "weather_wind": force >= STRONG_WIND}
        advice = [name for name, fits in fitting.items() if fits]
        sentences = [self.frame("weather_open", bindings), self.frame("weather_sky", bindings),
                     self.frame("weather_range", bindings)]
        if self.rng.random() < 0.5:
            sentences.append(self.frame("weather_second", bindings))
        sentences += [self.frame(name, bindings) for name in advice or ["weather_mild"]]
        return self.paragraphs(*sentences)

    def _warmer(self, bindings: Bindings, high: int, other: int) -> str:
        if high == other:
            return "和{城#1}一样。"
        larger, smaller = max(high, other), min(high, other)
        word = "高" if other > high else "低"
        return f"比{{城#1}}{word}{larger}-{smaller}={larger - smaller}度。"

    def match(self) -> str:
        """Best of three sets; the sums of the points of each side are worked out."""
        bindings = self.setting({"C": "child", "D": "child"})
        sport = self.rng.choice(list(WINNING_POINTS))
        first, second = (bindings["C"], bindings["D"]) if sport != "排球" else self._teams()
        bindings |= {"甲": first, "乙": second, "项目": sport, "场馆": self.rng.choice(self.frames["场馆"]),
                     "连": str(self.rng.randint(4, 7))}
        sets = self.settle(lambda: self._sets(WINNING_POINTS[sport]))
        sentences = [self.frame("match_open", bindings)]
        for index, (a, b) in enumerate(sets):
            winner, loser = (first, second) if a > b else (second, first)
            local = {**bindings, "局": ORDINALS[index], "胜": winner, "负": loser, "大": str(max(a, b)),
                     "小": str(min(a, b))}
            sentences.append(self.frame("set_close" if abs(a - b) <= CLOSE_MARGIN else "set_wide", local))
        won = sum(a > b for a, b in sets)
        champion, beaten = (first, second) if won > len(sets) - won else (second, first)
        bindings |= {"总胜": champion, "总负": beaten, "局胜": "2", "局负": str(len(sets) - 2),
                     "局": ORDINALS[len(sets) - 1]}
        for side, name in enumerate("甲乙"):
            points = [pair[side] for pair in sets]
            bindings |= {name + "分": "+".join(map(str, points)), name + "总": str(sum(points))}
        sentences += [self.frame("match_total", bindings), self.frame("match_points", bindings),
                      self.frame("match_end", bindings)]
        return self.paragraphs(*sentences)

    def _teams(self) -> tuple[str, str]:
        one, two = self.rng.sample(self.frames["teams"], 2)
        return one, two

    def _sets(self, target: int) -> tuple[list[tuple[int, int]], list[Equation]]:
        sets: list[tuple[int, int]] = []
        while max(sum(a > b for a, b in sets), sum(a < b for a, b in sets)) < 2:
            if len(sets) == 2 and target == WINNING_POINTS["排球"]:
                target = LAST_VOLLEYBALL_SET
            loser = self.rng.randint(target // 3, target)
            winner = target if loser < target - 1 else loser + 2
            sets.append((winner, loser) if self.rng.random() < 0.5 else (loser, winner))
        equations: list[Equation] = [("+", sets[0][side], sets[1][side]) for side in (0, 1)]
        return sets, equations

    def race(self) -> str:
        """Three to five runners, their times, the ranking and the gap between first and last."""
        bindings = self.setting({"C": "child", "D": "child", "F": "child", "G": "child", "E": "adult"})
        count = self.rng.randint(3, 5)
        runners = [bindings[letter] for letter in "BCDFG"[:count]]
        distance, quickest = self.rng.choice(self.frames["跑"])

        def draft() -> tuple[list[int], list[Equation]]:
            times = self.rng.sample(range(quickest, quickest + quickest * 2 // 3), count)
            return times, [("-", max(times), min(times))]

        times = self.settle(draft)
        ranked = sorted(zip(times, runners, strict=True))
        (best, first), (worst, last) = ranked[0], ranked[-1]
        bindings |= {"项目": distance, "数": str(count), "次序": "、".join(name for _, name in ranked),
                     "一": first, "末": last, "一秒": str(best), "末秒": str(worst), "差": str(worst - best)}
        lines = [self.frame("race_line", {"名": name, "秒": str(time)})
                 for time, name in zip(times, runners, strict=True)]
        return self.paragraphs(self.frame("race_open", bindings), "，".join(lines) + "。",
                               self.frame("race_rank", bindings), self.frame("race_gap", bindings),
                               self.frame("race_end", bindings))

    def survey(self) -> str:
        """Votes for three or four things of one pool: the sum, the most and the least."""
        bindings = self.setting({"E": "adult"})
        title, decision, pool = self.rng.choice(self.frames["题目"])
        count = self.rng.randint(3, 4)
        things = [self.weaver.expand(f"{{{pool}#{index}}}", bindings) for index in range(count)]

        def draft() -> tuple[list[int], list[Equation]]:
            votes = self.rng.sample(range(2, 30), count)
            return votes, [("+", votes[0], votes[1]), ("-", max(votes), min(votes))]

        votes = self.settle(draft)
        ranked = sorted(zip(votes, things, strict=True))
        (fewest, least), (most, favourite) = ranked[0], ranked[-1]
        bindings |= {"题目": title, "定": decision,
                     "年级": self.weaver.expand(self.rng.choice(self.frames["年级"]), bindings),
                     "和": "+".join(map(str, votes)), "总": str(sum(votes)), "多": favourite, "少": least,
                     "多数": str(most), "少数": str(fewest), "差": str(most - fewest)}
        lines = [self.frame("survey_lines", {"项": thing, "数": str(vote)})
                 for vote, thing in zip(votes, things, strict=True)]
        return self.paragraphs(self.frame("survey_open", bindings), "，".join(lines) + "。",
                               self.frame("survey_total", bindings), self.frame("survey_most", bindings),
                               self.frame("survey_end", bindings))

    def ledger(self) -> str:
        """An account book: three to five entries, the balance worked out after each."""
        bindings = self.setting({"E": "adult"})

        def draft() -> tuple[list[int], list[Equation]]:
            amounts = [self.rng.randint(60, 400)]
            equations: list[Equation] = []
            balance = amounts[0]
            for _ in range(self.rng.randint(3, 5)):
                spend = balance > 40 and self.rng.random() < 0.65
                amount = self.rng.randint(5, min(90, balance - 1)) if spend else self.rng.randint(5, 120)
                equations.append(("-" if spend else "+", balance, amount))
                balance += -amount if spend else amount
                amounts.append(-amount if spend else amount)
            return amounts, equations

        start, *entries = self.settle(draft)
        bindings["起"] = str(start)
        sentences, balance = [self.frame("ledger_open", bindings)], start
        days = self.rng.sample(range(1, 28), len(entries))
        for index, (entry, day) in enumerate(zip(entries, sorted(days), strict=True)):
            after = balance + entry
            local = {**bindings, "步": ORDINALS[index], "日子": f"{day}号", "数": str(abs(entry)), "前": str(balance),
                     "后": str(after)}
            local |= {name: self.rng.choice(self.frames[name]) for name in ("用", "入")}
            sentences.append(self.frame("ledger_in" if entry > 0 else "ledger_out", local))
            balance = after
        return self.paragraphs(*sentences, self.frame("ledger_end", {**bindings, "后": str(balance)}))

    def growth(self) -> str:
        """A plant measured four times: each gain, and when it grew fastest."""
        bindings = self.setting()

        days = sorted(self.rng.sample(range(2, 40), 4))

        def draft() -> tuple[list[int], list[Equation]]:
            heights = [self.rng.randint(2, 20)]
            for gain in self.rng.sample(range(1, 19), 3):
                heights.append(heights[-1] + gain)
            return heights, [("-", high, low) for low, high in pairwise(heights)]

        heights = self.settle(draft)
        gains = [high - low for low, high in pairwise(heights)]
        best = gains.index(max(gains))
        bindings |= {name: self.weaver.expand(self.rng.choice(self.frames[name]), bindings)
                     for name in ("植物", "原因")}
        lines = [self.frame("growth_line", {"天": str(day), "高": str(height)})
                 for day, height in zip(days, heights, strict=True)]
        steps = []
        for (start, end), (low, high) in zip(pairwise(days), pairwise(heights), strict=True):
            gap = {"甲": str(start), "乙": str(end), "大": str(high), "小": str(low), "差": str(high - low)}
            steps.append(self.frame("growth_gap", gap))
        bindings |= {"甲": str(days[best]), "乙": str(days[best + 1]), "差": str(gains[best])}
        return self.paragraphs(self.frame("growth_open", bindings), "，".join(lines) + "。", "，".join(steps) + "。",
                               self.frame("growth_end", bindings))

    def document(self) -> str:
        """One report of a random kind."""
        kinds = [self.weather, self.match, self.race, self.survey, self.ledger, self.growth]
        return self.rng.choices(kinds, weights=[5, 5, 4, 4, 4, 2])[0]()
