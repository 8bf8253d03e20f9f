"""The walk through SFT: its numbers are those that the stage itself computes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from scratchgpt import autograd as ag
from scratchgpt.datasets.sources import DataSources
from scratchgpt.models.gpt2 import GPT
from scratchgpt.tokenizer import encode_chat_with_mask, load_tokenizer
from tests.inside.walkthrough.printing import printed
from tests.inside.walkthrough.stage_walks import pages

pytestmark = pytest.mark.usefixtures("quick")


def test_sft_shows_the_loss_of_every_token_before_and_after(small_data: DataSources, finished_run: Path) -> None:
    text = printed(pages("sft", checkpoint=finished_run, example=2), width=120)
    tokenizer = load_tokenizer(finished_run / "sft")
    ids, mask = encode_chat_with_mask(tokenizer, small_data.dialogues()[0][2]["messages"])
    inputs, targets = np.array([ids[:-1]]), np.array([ids[1:]])
    columns = []
    for stage in ("pretrain", "sft"):
        logits, _ = GPT.from_pretrained(finished_run / stage).eval()(inputs)
        columns.append(ag.token_losses(logits, targets).data[0])
    counted = np.array(mask[1:], bool)
    rows = re.findall(r"^(\d+) +\S+ +\S+ +([01]) +(-?[\d.]+) +(-?[\d.]+)$", text, re.MULTILINE)
    assert len(rows) >= 15
    for number, counts, before, after in rows:
        position = int(number)
        assert counts == str(int(counted[position]))
        assert (before, after) == tuple(f"{column[position]:.3f}" for column in columns)
    assert f"/ {counted.sum()} = {columns[1][counted].mean():.4g}" in text
    # What does not count has no gradient.
    gradients = re.findall(r"^\d+ +\S+ +\S+ +([01]) +([\d.e-]+)$", text, re.MULTILINE)
    assert {counts for counts, length in gradients if float(length) == 0} == {"0"}
