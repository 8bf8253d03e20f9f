"""Small worlds end where they say."""

from __future__ import annotations

import random
import re

from data.generators.prose.weave import Weaver
from data.generators.prose.worlds import WorldWriter


def test_queue_hiding_and_walking_end_where_they_say():
    written = WorldWriter(Weaver(random.Random(27), heldout=False))
    for _ in range(60):
        assert re.search(r"最后停在([\u4e00-\u9fff]+?)。答案是\1。|答案是[\u4e00-\u9fff]+。$", written.hiding())
        facing = re.findall(r"(?:面朝|面对|朝|面向|头朝|脸朝)([东南西北])(?=，|。)", re.sub(r"(?:朝[东北]|面向南|朝西)(?:时|的人)?，左.*?。", "", written.walking()))
        assert facing
