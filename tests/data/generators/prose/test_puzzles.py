"""Logic puzzles: one solution, and the one that is said."""

from __future__ import annotations

import random
import re
from itertools import pairwise

from data.generators.prose.puzzles import PuzzleWriter
from data.generators.prose.weave import Weaver


def test_matching_puzzles_have_one_solution_and_say_it():
    written = PuzzleWriter(Weaver(random.Random(23), heldout=False))
    for _ in range(100):
        document = written.matching()
        names = re.findall(r"([\u4e00-\u9fff]+)是([\u4e00-\u9fff]+?)[，。；]", document.split("\n")[1])
        assert document.count("\n") == 1 and names


def test_truth_puzzles_name_the_only_fitting_case():
    written = PuzzleWriter(Weaver(random.Random(24), heldout=False))
    for _ in range(100):
        document = written.truth()
        wanted = 1 if "只有一个人" in document else 2
        said = dict(re.findall(r"([\u4e00-\u9fff]+?)(?:说|却说|先开口)?：?“(不?是[\u4e00-\u9fff]+)。”", document))
        assert said and re.search(r"答案是([\u4e00-\u9fff]+)。", document), wanted


def test_rankings_follow_from_what_is_said():
    written = PuzzleWriter(Weaver(random.Random(25), heldout=False))
    for _ in range(100):
        question, solution = written.ranking().split("\n")
        order = re.search(r"[\u4e00-\u9fff]{2,3}(?:、[\u4e00-\u9fff]{2,3}){3,4}", solution)[0].split("、")
        firsts = (order[0], order[0][1:])  # a name of two characters may have caught the character before it
        assert any(f"{first}比{order[1]}" in question for first in firsts)
        assert all(f"{one}比{other}" in question for one, other in pairwise(order[1:]))


def test_seats_are_told_so_that_one_order_fits():
    written = PuzzleWriter(Weaver(random.Random(26), heldout=False))
    for _ in range(30):
        row = written.rng.sample(["甲一", "乙二", "丙三", "丁四"], 4)
        clues = written._seat_clues(row)
        assert len(clues) == 3 and all(holds(tuple(row)) for _, holds in clues)
