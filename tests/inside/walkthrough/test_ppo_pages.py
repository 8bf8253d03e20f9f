"""The walk through PPO: the experience it shows is the trainer's own."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from scratchgpt.datasets.sources import DataSources
from scratchgpt.errors import UserError
from scratchgpt.inside.walkthrough import ppo_pages
from scratchgpt.stages.rlhf import PPOExperience, PPOTrainer
from scratchgpt.tokenizer import load_tokenizer
from tests.inside.walkthrough.printing import printed
from tests.inside.walkthrough.stage_walks import pages
from tests.tiny import save_checkpoint

pytestmark = pytest.mark.usefixtures("quick")


def test_ppo_shows_rewards_advantages_and_ratios_that_fit_together(small_data: DataSources, finished_run: Path) -> None:
    text = printed(pages("ppo", checkpoint=finished_run, lang="en"), "en", 120)
    number = r"(-?[\d.]+(?:e-\d+)?)"
    rewards = np.array(
        re.findall(rf"^\d+ +\S+ +{number} +{number} +{number} +{number} +{number}$", text, re.MULTILINE), float
    )
    tokens = len(rewards) // 2
    logprobs, reference, kl, penalty, reward = rewards[:tokens].T
    np.testing.assert_allclose(kl, logprobs - reference, atol=2e-3)
    np.testing.assert_allclose(penalty, -0.1 * kl, atol=1e-3)
    np.testing.assert_allclose(reward[:-1], penalty[:-1], atol=1e-3)
    reward_again, values, deltas, advantages, returns = rewards[tokens:].T
    np.testing.assert_allclose(reward_again, reward, atol=1e-3)
    np.testing.assert_allclose(deltas, reward + np.append(values[1:], 0) - values, atol=3e-3)
    np.testing.assert_allclose(
        advantages, deltas + ppo_pages.SETTINGS.gae_lambda * np.append(advantages[1:], 0), atol=3e-3
    )
    np.testing.assert_allclose(returns, advantages + values, atol=2e-3)


def test_ppo_shows_the_experience_of_the_trainer(small_data: DataSources, finished_run: Path, monkeypatch) -> None:
    found: list[PPOExperience] = []
    collect = PPOTrainer.collect

    def collect_and_keep(trainer: PPOTrainer, *arguments: object) -> PPOExperience:
        found.append(collect(trainer, *arguments))
        return found[-1]

    monkeypatch.setattr(PPOTrainer, "collect", collect_and_keep)
    text = printed(pages("ppo", checkpoint=finished_run, lang="en", example=3), "en", 120)
    experience = found[-1]  # before it, those in which the value model learned alone
    assert [e.iteration for e in found] == list(range(ppo_pages.SETTINGS.value_warmup + 1))
    tokenizer = load_tokenizer(finished_run / "rlhf")
    assert small_data.pairs()[0][3]["prompt"] in tokenizer.decode(experience.rollouts.prompts[0])
    assert f"Here it is {experience.scores[0]:+.4f}" in text.replace("\n", " ")
    tokens = experience.rollouts.lengths[0]
    rows = [row.split() for row in re.findall(r"^\d+ +\S.*$", text, re.MULTILINE)]
    tables = [rows[start : start + tokens] for start in range(0, len(rows), tokens)]
    kl, penalty = experience.kl, -ppo_pages.SETTINGS.kl_coef * experience.kl
    shown = {
        0: {
            -5: experience.logprobs,
            -4: experience.reference_logprobs,
            -3: kl,
            -2: penalty,
            -1: experience.token_rewards,
        },
        1: {-5: experience.token_rewards, -4: experience.values, -2: experience.advantages, -1: experience.returns},
        3: {-4: experience.returns, -3: experience.values},
    }
    for number, columns in shown.items():
        for column, per_token in columns.items():
            values = [float(row[column]) for row in tables[number]]
            np.testing.assert_allclose(values, per_token[:tokens], atol=6e-4, err_msg=f"table {number}, {column}")


def test_ppo_needs_the_reward_model_too(small_data: DataSources, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "run", "rlhf")
    with pytest.raises(UserError, match="reward_model: no checkpoint here yet"):
        pages("ppo", checkpoint=tmp_path / "run")
