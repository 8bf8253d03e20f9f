"""The walk through a stage: its numbers are those that the stage's own code computes."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from scratchgpt import autograd as ag
from scratchgpt.cli.commands.walkthrough import Arguments, pages_of
from scratchgpt.datasets.batches import pad_sequences
from scratchgpt.datasets.sources import DataSources
from scratchgpt.errors import UserError
from scratchgpt.evaluation import judge
from scratchgpt.evaluation.reward_scores import encode_answer
from scratchgpt.evaluation.rollouts import Rollouts, encode_prompt, token_logprobs
from scratchgpt.inside.walkthrough import ppo_pages, rlvf_pages
from scratchgpt.inside.walkthrough.examples import starting_with
from scratchgpt.inside.walkthrough.page import Page
from scratchgpt.inside.walkthrough.subject import fresh_subject
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.reward import RewardModel
from scratchgpt.stages import rlvf
from scratchgpt.stages.rlhf import PPOExperience, PPOTrainer
from scratchgpt.stages.run_folder import stage_directory
from scratchgpt.tokenizer import IM_END_ID, encode_chat_with_mask, load_tokenizer
from tests.inside.walkthrough.conftest import printed
from tests.tiny import files_in, save_checkpoint, tiny_tokenizer

STAGES = {"sft": 4, "reward": 6, "ppo": 6, "rlvf": 4}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few and short responses."""
    monkeypatch.setattr(judge, "STANDARD_PROMPTS", 4)
    ppo = dataclasses.replace(ppo_pages.SETTINGS, batch_size=4, minibatch_size=2, max_new_tokens=6)
    monkeypatch.setattr(ppo_pages.ppo_pages, "__defaults__", (ppo,))
    verified = dataclasses.replace(rlvf_pages.SETTINGS, samples_per_task=3, max_new_tokens=6)
    monkeypatch.setattr(rlvf_pages.rlvf_pages, "__defaults__", (verified,))
    monkeypatch.setattr(rlvf_pages, "TASKS", 2)


@pytest.fixture
def finished_run(tmp_path: Path) -> Path:
    """A folder with all five stages, untrained."""
    out = tmp_path / "run"
    for seed, stage in enumerate(("pretrain", "sft", "rlhf", "rlvf")):
        save_checkpoint(out, stage, seed)
    directory = stage_directory(out, "reward")
    RewardModel.from_pretrained(GPT.from_pretrained(out / "sft"), seed=5).save_pretrained(directory)
    tiny_tokenizer().save_pretrained(directory)
    return out


def pages(stage: str, **flags: object) -> list[Page]:
    return pages_of(Arguments(stage=stage, **flags))


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(("language", "width"), [("zh", 80), ("en", 120)])
def test_every_stage_on_a_finished_run(stage, language, width, small_data: DataSources, finished_run: Path) -> None:
    before = files_in(finished_run)
    text = printed(pages(stage, checkpoint=finished_run, lang=language, example=3), language, width)
    assert len(re.findall(rf"^\d+/{STAGES[stage]}  ", text, re.MULTILINE)) == STAGES[stage]
    assert "scratchgpt/stages/" in text or stage == "sft"
    assert "nan" not in text and "{" not in text
    assert files_in(finished_run) == before


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_on_a_fresh_model(stage: str, small_data: DataSources) -> None:
    assert "新建的小模型" in printed(pages(stage)).replace("\n", "")


def test_another_name_of_ppo(small_data: DataSources) -> None:
    assert printed(pages("rlhf")) == printed(pages("ppo"))


# -- sft ----------------------------------------------------------------------------------------------------
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


# -- reward -------------------------------------------------------------------------------------------------
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


# -- ppo ----------------------------------------------------------------------------------------------------
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


# -- rlvf ---------------------------------------------------------------------------------------------------
def test_rlvf_shows_the_first_group_that_teaches_and_what_the_trainer_made_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokenizer = fresh_subject(["计算等于？"], 0, 256).tokenizer
    tasks = [{"type": "math", "prompt": f"{i} + 1 = ?", "expected_answer": str(i + 1)} for i in range(2)]
    say = {text: [*tokenizer.encode(text), IM_END_ID] for text in ("1", "2", "3")}
    written = iter([[say["1"]] * 3, [say["2"], say["3"], tokenizer.encode("2")]])  # all right; then one of three
    monkeypatch.setattr(rlvf, "sample_responses", lambda model, prompts, *rest: Rollouts(prompts, next(written)))
    monkeypatch.setattr(DataSources, "tasks", lambda self: (tasks, []))
    monkeypatch.setattr(rlvf_pages, "fresh_subject", lambda *_, **__: fresh_subject(["计算等于？"], 0, 256))
    text = printed(pages("rlvf", lang="en"), "en", 120)
    assert "all answers to example 0 are right, or all wrong" in text.replace("\n", " ")
    assert re.findall(r"^(\d) +(.) +([+-][\d.]+) +([+-][\d.]+) +(\d)$", text, re.MULTILINE) == [
        ("0", "✓", "+1.00", "+1.000", "2"),
        ("1", "✗", "-0.50", "-0.500", "3"),
        ("2", "✗", "-0.50", "-0.500", "2"),  # right, but it never ended
    ]
    moved = re.findall(r"^\d +. +([+-][\d.]+) +(-[\d.]+) +(-[\d.]+) +×([\d.]+)$", text, re.MULTILINE)
    advantages, before, after, factors = np.array(moved, float).T
    np.testing.assert_allclose(advantages, [1.0, -0.5, -0.5])
    assert (after - before)[0] > 0 > (after - before)[1] and "updates made: 1" in text
    np.testing.assert_allclose(factors, np.exp(after - before), atol=2e-3)
    fresh = fresh_subject(["计算等于？"], 0, 256)
    prompt = encode_prompt(fresh.tokenizer, tasks[1]["prompt"], 256)
    rollouts = Rollouts([prompt] * 3, [say["2"], say["3"], fresh.tokenizer.encode("2")])
    logprobs = token_logprobs(fresh.model, rollouts, rlvf_pages.SETTINGS.temperature)
    np.testing.assert_allclose(before, rollouts.sum_per_response(logprobs), atol=6e-4)


def test_a_group_without_difference_says_that_it_teaches_nothing(small_data: DataSources, finished_run: Path) -> None:
    assert "什么也教不了" in printed(pages("rlvf", checkpoint=finished_run)).replace("\n", "")


def test_examples_from_a_number_on_have_different_prompts() -> None:
    records = [{"prompt": p} for p in "abacd"]
    assert starting_with(records, 2, 3) == [2, 3, 4]
    assert starting_with(records, 3, 9) == [3, 4, 0, 1]


# -- mistakes -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("stage", "place"), [("sft", "sft"), ("reward", "reward_model"), ("ppo", "rlhf"), ("rlvf", "rlvf")]
)
def test_a_run_without_the_stage_names_the_command(
    stage: str, place: str, small_data: DataSources, tmp_path: Path
) -> None:
    save_checkpoint(tmp_path / "run", "pretrain")
    with pytest.raises(UserError, match=rf"{place}: no checkpoint here yet; make one with: python train.py --stage"):
        pages(stage, checkpoint=tmp_path / "run")


def test_ppo_needs_the_reward_model_too(small_data: DataSources, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "run", "rlhf")
    with pytest.raises(UserError, match="reward_model: no checkpoint here yet"):
        pages("ppo", checkpoint=tmp_path / "run")


@pytest.mark.parametrize("stage", STAGES)
def test_one_models_folder_is_no_run(stage: str, small_data: DataSources, tmp_path: Path) -> None:
    directory = save_checkpoint(tmp_path, "sft")
    with pytest.raises(UserError, match="is one model; --stage needs the folder of a run"):
        pages(stage, checkpoint=directory)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("number", [-1, 100_000])
def test_an_example_that_does_not_exist(stage: str, number: int, small_data: DataSources) -> None:
    with pytest.raises(UserError, match=rf"--example {number}: the training data of \w+ holds the examples 0 to \d+"):
        pages(stage, example=number)


@pytest.mark.parametrize("stage", ["sft", "reward"])
def test_an_example_that_does_not_fit(stage: str, small_data: DataSources, finished_run: Path, monkeypatch) -> None:
    long = "山" * 70
    records = {
        "dialogues": [{"messages": [{"role": "user", "content": long}, {"role": "assistant", "content": long}]}],
        "pairs": [{"prompt": long, "chosen": "好", "rejected": "坏"}],
    }
    for name, data in records.items():
        monkeypatch.setattr(DataSources, name, lambda self, data=data: (data, data))
    with pytest.raises(UserError, match=r"--example 0: is \d+ tokens long, the model's context only 64"):
        pages(stage, checkpoint=finished_run)
