"""The walk through the reward model: its numbers are those that the model itself gives."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from scratchgpt.datasets.batches import pad_sequences
from scratchgpt.datasets.sources import DataSources
from scratchgpt.evaluation.reward_scores import encode_answer
from scratchgpt.models.reward import RewardModel
from scratchgpt.stages.run_folder import stage_directory
from scratchgpt.tokenizer import load_tokenizer
from tests.inside.walkthrough.printing import printed
from tests.inside.walkthrough.stage_walks import pages

pytestmark = pytest.mark.usefixtures("quick")


def test_reward_shows_scores_margin_and_gradient(small_data: DataSources, finished_run: Path) -> None:
    text = printed(pages("reward", checkpoint=finished_run, lang="en"), "en", 120)
    directory = stage_directory(finished_run, "reward")
    model, tokenizer = RewardModel.from_pretrained(directory).eval(), load_tokenizer(directory)
    pair = small_data.pairs()[0][0]
    sequences = [encode_answer(tokenizer, pair["prompt"], pair[side]) for side in ("chosen", "rejected")]
    chosen, rejected = model(pad_sequences(sequences), np.array([len(s) for s in sequences])).data
    probability = 1 / (1 + np.exp(rejected - chosen))
    for label, score in (("chosen", chosen), ("rejected", rejected)):
        assert re.search(rf"^{label} +\d+ +{re.escape(f'{score:+.4f}')}$", text, re.MULTILINE)
        assert re.search(rf"^\d+ +\S+ +{score:.3f}$", text, re.MULTILINE)  # the last of the running scores
    assert (
        f"Margin {chosen - rejected:+.4f}, probability {probability:.4f}, loss {-np.log(probability):.4f}"
        in text.replace("\n", " ")
    )
    assert f"dr_chosen = -(1 - P) = {probability - 1:+.4f}" in text
    assert f"dr_rejected = +(1 - P) = {1 - probability:+.4f}" in text
    before, after = re.search(r"^margin +(\S+) +(\S+)$", text, re.MULTILINE).groups()
    assert float(after) > float(before)
