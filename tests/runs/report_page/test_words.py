"""The words of the page: both languages, and a name that nobody translated is shown as it is."""

from __future__ import annotations

import pytest

from scratchgpt.errors import UserError
from scratchgpt.runs import curves
from scratchgpt.runs.report_page.words import (
    GROUPS,
    MEASURES,
    QUANTITIES,
    group_name,
    measure_name,
    quantity_name,
    stage_name,
)
from scratchgpt.stages import ALL


@pytest.mark.parametrize("names", [MEASURES, QUANTITIES, GROUPS])
def test_every_name_is_chinese_in_chinese_and_english_in_english(names) -> None:
    for text in names.values():
        assert any("\u4e00" <= c <= "\u9fff" for c in text.zh), text
        assert text.en.isascii() and any(c.isalpha() for c in text.en), text


def test_the_quantities_that_lead_have_a_name() -> None:
    assert set(curves.FIRST) - {"entropy"} <= QUANTITIES.keys()


def test_a_part_of_the_data_stands_behind_a_colon() -> None:
    assert measure_name("pair accuracy: off_topic") == ("偏好对判断正确率：跑题", "pair accuracy: off topic")
    assert quantity_name("objective/kl").en.startswith("KL to the reference")


def test_a_name_of_a_users_own_is_shown_as_it_is() -> None:
    assert measure_name("right answers to questions: my_own") == (
        "问题答对率：my own",
        "right answers to questions: my own",
    )
    assert measure_name("my_measure: parity") == ("my measure：奇偶", "my measure: parity")
    assert quantity_name("my/own_loss") == ("my/own loss", "my/own loss")
    assert group_name("my_family") == ("my family", "my family")


def test_a_stage_has_the_name_that_it_declares() -> None:
    assert [stage_name(stage.name) for stage in ALL] == [(stage.title_zh, stage.title_en) for stage in ALL]
    with pytest.raises(UserError, match="there is no stage 'dpo'"):
        stage_name("dpo")
