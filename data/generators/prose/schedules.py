"""Plans of a day, journeys by the clock, free hours that overlap, and days until something is due."""

from __future__ import annotations

from data.generators.prose.workings import WEEKDAYS
from data.generators.prose.writer import Equation, Writer
from data.source_files import load_table

HOUR = 60


def clock(minutes: int) -> str:
    """Minutes after midnight as ``8点05分`` is said: 8点5分, 8点整."""
    hours, rest = divmod(minutes, HOUR)
    return f"{hours}点{rest}分" if rest else f"{hours}点整"


def duration(minutes: int) -> str:
    """``95`` as ``1小时35分``; ``40`` as ``40分``."""
    hours, rest = divmod(minutes, HOUR)
    return (f"{hours}小时" if hours else "") + (f"{rest}分" if rest or not hours else "")


class ScheduleWriter(Writer):
    """Writes one kind of timetable per method."""

    TABLE = "prose_schedules"

    def day(self) -> str:
        """Three or four things one after the other, and how long they take together."""
        bindings = self.setting({"E": "adult"})
        count = self.rng.randint(3, 4)
        activities = self.rng.sample(self.frames["activities"], count)
        things = [self.weaver.expand(template, bindings) for template in activities]

        def draft() -> tuple[list[int], list[Equation]]:
            lengths = [self.rng.randrange(5, 60, self.rng.choice([1, 5])) for _ in range(count)]
            return lengths, [("+", lengths[0], lengths[1])]

        lengths = self.settle(draft)
        time = self.rng.randrange(8 * HOUR, 17 * HOUR, 5)
        bindings["起"] = clock(time)
        items = []
        for index, (thing, length) in enumerate(zip(things, lengths, strict=True)):
            local = {"事": thing, "始": clock(time), "终": clock(time + length), "长": str(length)}
            frames = self.frames["day_item"]
            items.append(self.weaver.freshest(frames[:-1] if index == 0 else frames, local))
            time += length
        bindings |= {"式": "+".join(map(str, lengths)), "和": str(sum(lengths)), "时分": duration(sum(lengths)),
                     "终": clock(time)}
        return self.paragraphs(self.frame("day_open", bindings), "；".join(items) + "。",
                               self.frame("day_total", bindings), self.frame("day_end", bindings))

    def trip(self) -> str:
        """Departure and duration give the arrival."""
        bindings = self.setting()
        start, goal = self.rng.sample([place for place, _ in self.weaver.entries(load_table("prose_places"))], 2)

        def draft() -> tuple[tuple[int, int], list[Equation]]:
            departure, length = self.rng.randrange(6 * HOUR, 18 * HOUR), self.rng.randint(12, 58)
            total = departure % HOUR + length
            equations: list[Equation] = [("+", departure % HOUR, length)]
            return (departure, length), [*equations, ("-", total, HOUR)] if total > HOUR else equations

        departure, length = self.settle(draft)
        minute = departure % HOUR
        arrival, late = departure + length, self.rng.randint(3, 40)
        if minute + length >= HOUR:
            carry = f"满60分进1小时，{minute + length}-60={minute + length - HOUR}"
        else:
            carry = self.rng.choice(self.frames["trip_no_carry"])
        bindings |= {"甲": start, "乙": goal, "发": clock(departure), "长": str(length), "分": str(minute),
                     "和": str(minute + length), "进": carry, "到": clock(arrival), "晚": str(late),
                     "晚到": clock(arrival + late), "车": self.rng.choice(self.frames["车"])}
        return self.paragraphs(*[self.frame(f"trip_{name}", bindings)
                                 for name in ("open", "ask", "work", "late", "end")])

    def free(self) -> str:
        """Two stretches of free time and what they have in common."""
        bindings = self.setting({"E": "adult"})
        bindings["去处"] = self.weaver.expand("{去处}", {})

        def draft() -> tuple[tuple[int, int, int, int], list[Equation]]:
            one, other = sorted(self.rng.sample(range(8, 21), 2)), sorted(self.rng.sample(range(8, 21), 2))
            begin, end = max(one[0], other[0]), min(one[1], other[1])
            return (one[0], one[1], other[0], other[1]), [("-", end, begin)] if end > begin else []

        one_from, one_to, other_from, other_to = self.settle(draft)
        begin, end = max(one_from, other_from), min(one_to, other_to)
        bindings |= {"甲始": str(one_from), "甲终": str(one_to), "乙始": str(other_from), "乙终": str(other_to),
                     "始": str(begin), "终": str(end), "长": str(end - begin), "前终": str(end), "后始": str(begin)}
        told = [self.frame("free_open", bindings), self.frame("free_say", bindings)]
        if end > begin:
            return "".join([*told, self.frame("free_yes", bindings), self.frame("free_end", bindings)])
        return "".join([*told, self.frame("free_no", bindings)])

    def due(self) -> str:
        """So many days from a weekday, by whole weeks and the rest."""
        bindings = self.setting({"E": "adult"})

        def draft() -> tuple[tuple[int, int], list[Equation]]:
            start, days = self.rng.randrange(7), self.rng.randint(8, 60)
            return (start, days), [("weekday", start + 1, days, True)]

        start, days = self.settle(draft)
        weeks, rest = divmod(days, 7)
        bindings |= {"周": WEEKDAYS[start], "天": str(days), "商": str(weeks), "余": str(rest),
                     "到": WEEKDAYS[(start + days) % 7],
                     "事": self.weaver.expand(self.rng.choice(self.frames["tasks"]), bindings)}
        work = self.frame("due_work" if rest else "due_exact", bindings)
        return "".join([self.frame("due_open", bindings), work, self.frame("due_end", bindings)])

    def document(self) -> str:
        """One timetable of a random kind."""
        kinds = [self.day, self.trip, self.free, self.due]
        return self.rng.choices(kinds, weights=[5, 4, 2, 2])[0]()
