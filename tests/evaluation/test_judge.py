"""The judge: its scale is the reference's, its measures compare with the reference, and it takes no trainer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from scratchgpt.config import RLHFConfig
from scratchgpt.errors import UserError
from scratchgpt.evaluation.judge import STANDARD_PROMPTS, AnswerJudge, as_records
from scratchgpt.evaluation.rollouts import Rollouts, encode_prompt, sample_responses
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.reward import RewardModel
from scratchgpt.tokenizer import IM_END_ID
from tests.rl_helpers import SETTINGS, TargetReward, digit_tokenizer, ppo_trainer, tiny_policy

PROMPTS = ("1", "2", "33")


def make_judge(settings: RLHFConfig = SETTINGS, prompts: Sequence[Any] = PROMPTS) -> AnswerJudge:
    tokenizer = digit_tokenizer("1234567")
    return AnswerJudge(tiny_policy(tokenizer), TargetReward(tokenizer), tokenizer, prompts, settings)


def says_seven(judge: AnswerJudge) -> GPT:
    """A policy that answers with a row of sevens, and ends it at times."""
    policy = tiny_policy(judge.tokenizer)
    wte, final = policy.transformer.wte.weight.data, policy.transformer.ln_f
    (seven,) = judge.tokenizer.encode("7")
    final.weight.data[:], final.bias.data[:] = 0, np.eye(32)[0]  # the logits are now the table's first column
    wte[:, 0] = -30
    wte[IM_END_ID, 0], wte[seven, 0] = 0, 2
    return policy


# -- the scale of the reward ----------------------------------------------------------------------------------
def test_scores_are_standardised_by_the_reference() -> None:
    judge = make_judge(dataclasses.replace(SETTINGS, reward_clip=2.0, missing_eos_reward=-1.5))
    mean, deviation = judge.score_scale
    prompts = [encode_prompt(judge.tokenizer, prompt, judge.context_size) for prompt in PROMPTS]
    best = [*judge.tokenizer.encode("73"), IM_END_ID]
    endless = best[:2] * 3
    scores = judge.scores(Rollouts([prompts[0]] * 3, [best, [IM_END_ID], endless]))
    np.testing.assert_allclose(scores, [2.0, (0 - mean) / deviation, -1.5])

    answers = sample_responses(judge.reference, prompts * 100, 6, 1.0, seed=9)
    fresh = judge.raw_scores(answers)[answers.finished]
    assert mean == pytest.approx(fresh.mean(), abs=0.15) and deviation == pytest.approx(fresh.std(), abs=0.15)


def test_answers_that_never_end_have_no_say_in_the_scale() -> None:
    judge = make_judge()
    prompt = encode_prompt(judge.tokenizer, "1", judge.context_size)
    answers = sample_responses(judge.reference, [prompt] * STANDARD_PROMPTS, SETTINGS.max_new_tokens, 1.0, seed=0)
    scores = judge.raw_scores(answers)
    ended = scores[answers.finished]
    assert 0 < len(ended) < STANDARD_PROMPTS and ended.mean() != scores.mean()
    judge.prompts = ["1"]
    assert judge.score_scale == (ended.mean(), ended.std())


def test_the_scale_is_made_once_and_may_be_set() -> None:
    judge = make_judge()
    scale = judge.score_scale
    for parameter in judge.reference.parameters():
        parameter.data *= 0
    assert judge.score_scale == scale
    judge.score_scale = (1.0, 2.0)
    assert judge.score_scale == (1.0, 2.0)


def test_records_and_texts_are_the_same_prompts() -> None:
    assert as_records(["1", {"prompt": "2", "rubric": {}}]) == [{"prompt": "1"}, {"prompt": "2", "rubric": {}}]
    assert make_judge(prompts=[{"prompt": prompt} for prompt in PROMPTS]).score_scale == make_judge().score_scale


# -- measures -------------------------------------------------------------------------------------------------
RECORDS = [
    {"prompt": "1", "rubric": {"must": [["7"]]}},
    {"prompt": "2"},
    {"prompt": "3", "rubric": {"must": [["x"]]}},
]


def test_rubric_measures_compare_with_the_reference() -> None:
    judge = make_judge()
    same = judge.evaluate(judge.reference, RECORDS)
    assert same["win_rate"] == 0.5 and same["kl"] == 0 and same["items"] == 3
    assert "win_rate" not in judge.evaluate(judge.reference, ["1", "2"])
    policy = says_seven(judge)
    sevens = judge.evaluate(policy, RECORDS)
    assert sevens["facts_right"] == 0.5 and sevens["kl"] > 1
    assert sevens["win_rate"] > 0.5 and sevens["rubric"] > same["rubric"]
    assert judge.evaluate(policy, RECORDS) == sevens
    judge._reference_answers.clear()  # made anew, they are still those of the reference
    assert judge.evaluate(policy, RECORDS) == sevens


def test_facts_in_an_answer_that_never_ends_do_not_count() -> None:
    judge = make_judge()
    endless = says_seven(judge)
    endless.transformer.wte.weight.data[IM_END_ID, 0] = -30
    metrics = judge.evaluate(endless, RECORDS)
    assert metrics["finished"] == 0 and metrics["facts_right"] == 0


def test_a_trainer_measures_as_the_judge_of_its_first_policy_does() -> None:
    trainer = ppo_trainer()
    tokenizer = trainer.tokenizer
    judge = AnswerJudge(tiny_policy(tokenizer), TargetReward(tokenizer), tokenizer, PROMPTS, SETTINGS)
    trainer.train()
    assert trainer.evaluate_on(RECORDS) == judge.evaluate(trainer.policy, RECORDS)
    assert trainer.evaluate_on(RECORDS)["kl"] != 0


def test_the_mode_of_the_models_does_not_matter() -> None:
    judge = make_judge()
    policy = says_seven(judge)
    expected = judge.evaluate(policy.eval(), RECORDS)
    again = make_judge()
    again.reference.train()
    assert again.evaluate(policy.train(), RECORDS) == expected


# -- mistakes -------------------------------------------------------------------------------------------------
def test_mistakes_are_reported() -> None:
    with pytest.raises(UserError, match="no held-out prompts"):
        make_judge().evaluate(make_judge().reference, [])
    with pytest.raises(UserError, match="no prompts to set the scale"):
        make_judge(prompts=()).score_scale  # noqa: B018
    with pytest.raises(UserError, match="leaves no room"):
        make_judge().evaluate(make_judge().reference, ["1" * 60])
    tokenizer = digit_tokenizer()
    with pytest.raises(UserError, match="vocabularies differ"):
        AnswerJudge(tiny_policy(tokenizer), RewardModel(make_judge().reference.config), tokenizer, PROMPTS, SETTINGS)
