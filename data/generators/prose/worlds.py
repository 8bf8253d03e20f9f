"""Small worlds to keep track of: hidden things, swaps, turns, lifts, queues, and programs run by hand."""

from __future__ import annotations

from itertools import pairwise, permutations

from data.generators.prose.writer import Equation, Writer

COMPASS = ("北", "东", "南", "西")
ORDINALS = "一二三四五六七"


class WorldWriter(Writer):
    """Writes one kind of world per method: how it starts, what happens, how it ends."""

    TABLE = "prose_worlds"

    def hiding(self) -> str:
        """A thing moves from one container to another; where is it now?"""
        bindings = self.setting({"E": "adult"})
        boxes = [*self.rng.sample(self.part("boxes"), 2), self.weaver.expand("{颜色}的纸盒")]
        self.rng.shuffle(boxes)
        thing = self.rng.choice(self.part("things"))
        bindings |= {"物": thing, "一": boxes[0], "二": boxes[1], "三": boxes[2],
                     "个": "个" if thing in "硬币糖果核桃铃铛" else "样"}
        told, path = [self.frame("hide_open", bindings)], [boxes[0]]
        for _ in range(self.rng.randint(2, 4)):
            other = self.rng.choice([box for box in boxes if box != path[-1]])
            (third,) = (box for box in boxes if box not in (other, path[-1]))
            local = {**bindings, "甲": path[-1], "乙": other, "丙": third, "人": bindings[self.rng.choice("AB")]}
            told += [self.frame("hide_move", local), self.frame("hide_noise", local)]
            path.append(other)
        bindings |= {"路": "、".join(path), "终": path[-1]}
        told += [self.frame("hide_ask", bindings), "\n", self.frame("hide_answer", bindings)]
        return "".join(told)

    def swapping(self) -> str:
        """Three people swap what they hold; the state is said after each swap."""
        bindings = self.setting({"C": "child", "E": "adult"})
        goods = [self.weaver.expand(f"{{物件#{index}}}", bindings) for index in range(3)]
        people = [bindings[letter] for letter in "ABC"]
        held = dict(zip(people, goods, strict=True))
        bindings |= dict(zip(("甲物", "乙物", "丙物"), goods, strict=True))
        told = [self.frame("swap_open", bindings)]
        pair: tuple[str, ...] = ()
        for index in range(self.rng.randint(2, 4)):
            front, back = pair = self.rng.choice([two for two in permutations(people, 2) if set(two) != set(pair)])
            held[front], held[back] = held[back], held[front]
            local = {"前": front, "后": back, "前物": held[front], "后物": held[back], "次": ORDINALS[index]}
            told += [self.frame("swap_move", local), self.frame("swap_answer", local)]
        who = self.rng.choice(people)
        return self.paragraphs(*told, self.frame("swap_end", {"谁": who, "终": held[who]}))

    def walking(self) -> str:
        """Turning left, right and about: which way does one face?"""
        bindings = self.setting()
        direction = self.rng.randrange(4)
        bindings |= {"向": COMPASS[direction]}
        told = [self.frame("walk_open", bindings)]
        for index in range(self.rng.randint(3, 5)):
            turn = 0 if index == 0 and self.rng.random() < 0.5 else self.rng.choice([1, 1, 3, 3, 2])
            direction = (direction + turn) % 4
            local = {**bindings, "步": str(self.rng.randint(2, 60)), "新": COMPASS[direction],
                     "左": {1: "右", 3: "左"}.get(turn, "")}
            told.append(self.frame({0: "walk_on", 2: "walk_back"}.get(turn, "walk_turn"), local))
        bindings["终"] = COMPASS[direction]
        return "".join([*told, self.frame("walk_rule", bindings), self.frame("walk_ask", bindings)])

    def lift(self) -> str:
        """Floors up and down."""
        bindings = self.setting()

        def draft() -> tuple[list[int], list[Equation]]:
            floors = [self.rng.randint(1, 20)]
            equations: list[Equation] = []
            for _ in range(self.rng.randint(3, 4)):
                after = self.rng.choice([floor for floor in range(1, 31) if floor != floors[-1]])
                equations.append(("+" if after > floors[-1] else "-", floors[-1], abs(after - floors[-1])))
                floors.append(after)
            return floors, equations

        floors = self.settle(draft)
        bindings |= {"层": str(floors[0]), "楼": self.rng.choice(self.frames["楼"])}
        told = [self.frame("lift_open", bindings)]
        for before, after in pairwise(floors):
            local = {"前": str(before), "后": str(after), "数": str(abs(after - before))}
            told.append(self.frame("lift_up" if after > before else "lift_down", local))
        return "".join([*told, self.frame("lift_end", {**bindings, "后": str(floors[-1])})])

    def _program(self) -> tuple[list[tuple[str, dict[str, str], int]], list[Equation]]:
        """Steps as (frame, bindings, value after it); the first is the assignment."""
        value = self.rng.randint(2, 30)
        steps: list[tuple[str, dict[str, str], int]] = [("trace_set", {"起": str(value)}, value)]
        equations: list[Equation] = []
        for _ in range(self.rng.randint(3, 5)):
            kind = self.rng.choice(["add", "add", "sub", "mul", "if", "loop"])
            number = self.rng.randint(2, 9) if kind in ("mul", "loop") else self.rng.randint(2, 40)
            before, local = value, {"前": str(value), "数": str(number)}
            if (kind == "mul" and value > 60) or (kind == "sub" and number >= value):
                kind = "add"
            if kind == "if":
                limit = self.rng.randint(5, 60)
                kind = "if_yes" if value > limit and number < value else "if_no"
                if kind == "if_no" and value > limit:
                    limit = value + self.rng.randint(0, 9)
                local["限"] = str(limit)
                equations += [("-", value, number)] if kind == "if_yes" else []
                value -= number if kind == "if_yes" else 0
            elif kind == "loop":
                times = self.rng.randint(2, 3)
                sums = [f"{value + number * turn}+{number}={value + number * (turn + 1)}" for turn in range(times)]
                equations += [("+", value + number * turn, number) for turn in range(times)]
                local |= {"次": str(times), "列": "，".join(sums)}
                value += times * number
            else:
                equations.append(({"add": "+", "sub": "-", "mul": "×"}[kind], value, number))
                value = {"add": value + number, "sub": value - number, "mul": value * number}[kind]
            steps.append((f"trace_{kind}", {**local, "后": str(value), "前": str(before)}, value))
        return steps, equations

    def tracing(self) -> str:
        """A program with one variable, run by hand."""
        bindings = self.setting()
        steps = self.settle(self._program)
        bindings |= {"变": self.rng.choice(self.frames["变"]), "起": steps[0][1]["起"]}
        told = [self.frame("trace_open", bindings)]
        told += [self.frame(name, {**bindings, **local}) for name, local, _ in steps]
        return self.paragraphs(*told, self.frame("trace_end", {**bindings, "后": str(steps[-1][2])}))

    def queue(self) -> str:
        """People in a row who leave, join and change places."""
        bindings = self.setting({letter: "child" for letter in "ABCDFGH"})
        row = [bindings[letter] for letter in "ABCD"]
        waiting = [bindings[letter] for letter in "FGH"]
        bindings |= {"数": str(len(row)), "列": "、".join(row)}
        told = [self.frame("queue_open", bindings)]
        for _ in range(self.rng.randint(2, 3)):
            change = self.rng.choice(["leave", "join", "swap"]) if len(row) > 3 else "join"
            who, neighbour = self.rng.sample(row, 2)
            if change == "leave":
                row.remove(who)
            elif change == "join":
                who = waiting.pop()
                row.insert(row.index(neighbour) + 1, who)
            else:
                one, other = row.index(who), row.index(neighbour)
                row[one], row[other] = neighbour, who
            told.append(self.frame(f"queue_{change}", {**bindings, "谁": who, "邻": neighbour, "列": "、".join(row)}))
        place = self.rng.randrange(len(row))
        last = {"位": ORDINALS[place], "谁": row[place], "列": "、".join(row)}
        return self.paragraphs(*told, self.frame("queue_ask", last))

    def document(self) -> str:
        """One or two worlds of different kinds."""
        kinds = [self.hiding, self.swapping, self.walking, self.lift, self.tracing, self.queue]
        return self.rng.choices(kinds, weights=[4, 4, 3, 3, 5, 4])[0]()
