"""The scripts of stories: split by record and by pool, well formed, written once."""

from __future__ import annotations

import random

from data.generators.prose.compose import SCRIPT_MIXTURE
from data.generators.prose.stories import load_scripts, punctuate, setting_bindings
from data.generators.prose.weave import Weaver, split_pool, split_table

SCRIPT_TABLES = tuple(table for tables in SCRIPT_MIXTURE for table in tables)


def test_scripts_split_by_record_and_pool():
    for table in SCRIPT_TABLES:
        for script in load_scripts(table):
            if "records" in script:
                kept, reserved = split_table(script["records"], False), split_table(script["records"], True)
                assert reserved and not [record for record in reserved if record in kept]
            for pool in script.get("pools", {}).values():
                kept, reserved = split_pool(pool, False), split_pool(pool, True)
                if len(pool) >= 9:
                    assert len(reserved) >= 3 and len(kept) + len(reserved) == len(pool)
                    assert not set(kept) & set(reserved)
                else:
                    assert kept == reserved == pool


def test_scripts_are_well_formed():
    weaver = Weaver(random.Random(0), heldout=False)
    bound = set(weaver.pools) | set(setting_bindings(weaver, {}))
    for table in SCRIPT_TABLES:
        for script in load_scripts(table):
            assert ("records" in script) == ("slots" in script), script["id"]
            assert script["layout"] in ("prose", "lines")
            assert not set(script.get("slots", ())) & (bound - {"月"}), script["id"]
            if "records" in script:
                assert len(script["records"]) >= 9, script["id"]
                assert all(len(record) == len(script["slots"]) for record in script["records"]), script["id"]


def test_no_pool_or_record_is_written_twice():
    for table in SCRIPT_TABLES:
        for script in load_scripts(table):
            records = [tuple(record) for record in script.get("records", ())]
            assert len(set(records)) == len(records), script["id"]
            for name, pool in script.get("pools", {}).items():
                assert len(set(pool)) == len(pool), name


def test_punctuate_drops_the_stop_after_the_end_of_a_sentence():
    assert punctuate("为什么呢？。") == "为什么呢？" and punctuate("“好！”。走吧。") == "“好！”走吧。"
    assert punctuate("走了，停下。") == "走了，停下。"
