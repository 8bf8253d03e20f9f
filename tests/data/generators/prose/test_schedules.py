"""Timetables: how times are said."""

from __future__ import annotations

from data.generators.prose.schedules import clock, duration


def test_clock_and_duration():
    assert (clock(485), clock(540), duration(95), duration(40), duration(120)) == ("8点5分", "9点整", "1小时35分", "40分", "2小时")
