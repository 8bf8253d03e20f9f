"""Pictures inside a page: well-formed, all on the page, with ids of their own."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from scratchgpt.runs.curves import Series
from scratchgpt.runs.report_page.svg_pictures import attention_svg, curve_svg, share_svg

STEPS = np.arange(1.0, 101.0)
SERIES = Series("loss", (STEPS, 5 / STEPS), (STEPS[::20], 6 / STEPS[::20]))


@pytest.mark.parametrize("draw", [curve_svg, share_svg])
def test_a_curve_is_well_formed_and_points_nowhere_outside(draw) -> None:
    svg = draw(SERIES, "sft0")
    root = ElementTree.fromstring(svg)
    assert root.tag == "svg" and root.get("viewBox") and root.get("width") is None
    assert "://" not in svg
    ids = re.findall(r'id="([^"]*)"', svg)
    assert ids and len(ids) == len(set(ids)) and all(name.startswith("sft0-") for name in ids)
    targets = set(re.findall(r'(?:href="|url\()#([^")]*)', svg))
    assert targets and targets <= set(ids)


def test_two_pictures_share_no_id() -> None:
    first, second = (set(re.findall(r'id="([^"]*)"', curve_svg(SERIES, key))) for key in ("a1", "a2"))
    assert not first & second


def test_the_same_series_gives_the_same_picture() -> None:
    assert curve_svg(SERIES, "a") == curve_svg(SERIES, "a")


def test_a_perplexity_is_shown_in_plain_numbers() -> None:
    svg = curve_svg(Series("perplexity", None, (STEPS[:3], np.array([12_000.0, 900.0, 80.0]))), "a")
    assert all(label in svg for label in (">100<", ">1,000<", ">10,000<")) and "mathdefault" not in svg


def test_shares_are_all_to_the_same_scale() -> None:
    low = share_svg(Series("parity", None, (STEPS[:3], np.array([0.1, 0.12, 0.11]))), "a")
    assert all(label in low for label in (">0%<", ">50%<", ">100%<"))


def test_attention_is_a_triangle_of_cells() -> None:
    weights = np.array([[1.0, 0.0, 0.0], [0.25, 0.75, 0.0], [0.5, 0.2, 0.3]])
    svg = attention_svg(["小", "<b>", "猫"], weights)
    root = ElementTree.fromstring(svg)
    cells = root.findall("rect")
    assert len(cells) == 6
    said = [cell.find("title").text for cell in cells]  # type: ignore[union-attr]
    assert said[1:3] == ["<b> → 小: 25%", "<b> → <b>: 75%"]
    opacities = [float(cell.get("fill-opacity", "")) for cell in cells]
    assert opacities[0] == 1.0 and opacities[1] < opacities[2]
    places = [(float(cell.get("x", "")), float(cell.get("y", ""))) for cell in cells]
    width = float(root.get("viewBox", "").split()[2])
    assert len(set(places)) == 6 and max(x for x, _ in places) < width
    assert [text.text for text in root.findall("text")] == ["小", "小", "<b>", "<b>", "猫", "猫"]


@pytest.mark.parametrize("draw", [curve_svg, share_svg])
def test_the_best_step_is_marked(draw) -> None:
    plain, marked = draw(SERIES, "a"), draw(SERIES, "a", 100)
    assert marked.count("stroke-dasharray") == plain.count("stroke-dasharray") + 1
