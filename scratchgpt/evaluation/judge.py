"""What a policy's answers are worth, by the measures of reinforcement learning: reward, KL, wins, facts.

Whoever has a reward model and the policy that the answers are compared with can judge any checkpoint; it takes no
trainer. Training itself asks the same judge, so that a measure is the number that was trained for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from scratchgpt.config import RLHFConfig
from scratchgpt.datasets.records import Record
from scratchgpt.errors import UserError
from scratchgpt.evaluation.answering import Answer
from scratchgpt.evaluation.divergence import kl_k1
from scratchgpt.evaluation.measures import win_rate
from scratchgpt.evaluation.reward_scores import score_sequences
from scratchgpt.evaluation.rollouts import Rollouts, encode_prompt, sample_responses, token_logprobs
from scratchgpt.evaluation.rubric import answer_score, rubric_passed
from scratchgpt.models.base import LanguageModel
from scratchgpt.models.reward import RewardModel
from scratchgpt.tokenizer import IM_END_ID, Tokenizer

STANDARD_PROMPTS = 256
"""Prompts whose answers by the reference set the scale of the reward."""
ANSWER_MEASURES = {
    "reward": "mean reward (SFT deviations)",
    "kl": "KL per response (nats)",
    "win_rate": "win rate against SFT by rubric",
    "rubric": "rubric points (0-6)",
    "facts_right": "facts right",
}
"""What the report calls the judge's measures, where the reference is the SFT policy."""


class AnswerJudge:
    """Judges a policy's sampled answers by a reward model and by rubrics, against a reference policy.

    Args:
        reference: the policy that stands for reward 0, KL 0 and half of the wins; it must not change.
        reward_model: scores complete answers.
        tokenizer: made for the same vocabulary as both.
        prompts: those whose answers by the reference set the scale of the reward, as text or as records with
            ``prompt``; only asked for when an answer is scored.
        settings: temperature, max_new_tokens, reward_clip and missing_eos_reward are read.
        seed: of the sampling.

    Raises:
        UserError: if the models have different vocabularies.
    """

    def __init__(
        self,
        reference: LanguageModel,
        reward_model: RewardModel,
        tokenizer: Tokenizer,
        prompts: Sequence[str | Record],
        settings: RLHFConfig,
        seed: int = 0,
    ) -> None:
        if reference.config.vocab_size != reward_model.config.vocab_size:
            raise UserError(
                f"vocabularies differ: policy {reference.config.vocab_size}, reward model "
                f"{reward_model.config.vocab_size}; train the reward model from this policy's SFT checkpoint"
            )
        self.reference, self.reward_model, self.tokenizer = reference, reward_model, tokenizer
        self.prompts, self.settings, self.seed = prompts, settings, seed
        self.context_size = min(reference.config.context_size, reward_model.config.context_size)
        self._score_scale: tuple[float, float] | None = None
        self._reference_answers: dict[tuple[str, ...], list[Answer]] = {}

    # -- reward ---------------------------------------------------------------------------------------------
    def raw_scores(self, rollouts: Rollouts) -> np.ndarray:
        """(R,) the reward model's scores; a finished answer is read with the end it was trained on, <|im_end|>."""
        sequences = [
            prompt + ([*response[:-1], IM_END_ID] if finished else response)
            for prompt, response, finished in zip(rollouts.prompts, rollouts.responses, rollouts.finished, strict=True)
        ]
        return score_sequences(self.reward_model, sequences)

    @property
    def score_scale(self) -> tuple[float, float]:
        """Mean and standard deviation of the scores of the reference's own answers to the judge's prompts.

        Raises:
            UserError: if there are no prompts, or one leaves no room for an answer.
        """
        if self._score_scale is None:
            if not len(self.prompts):
                raise UserError("no prompts to set the scale of the reward; pass prompts=...")
            chosen = [self.prompts[i] for i in np.linspace(0, len(self.prompts) - 1, STANDARD_PROMPTS).astype(int)]
            answers = self._answers(self.reference, as_records(chosen))
            scores = self.raw_scores(answers)
            if answers.finished.sum() > 1:  # an answer without an end is never scored, so it has no say in the scale
                scores = scores[answers.finished]
            self._score_scale = float(scores.mean()), float(max(scores.std(), 1e-6))
        return self._score_scale

    @score_scale.setter
    def score_scale(self, scale: tuple[float, float]) -> None:
        self._score_scale = scale

    def scores(self, rollouts: Rollouts) -> np.ndarray:
        """(R,) rewards of whole answers, in standard deviations of the reference's scores around their mean.

        Clipped to +-reward_clip; an answer that never ends its turn gets missing_eos_reward.
        """
        mean, deviation = self.score_scale
        limit = self.settings.reward_clip
        standard = np.clip((self.raw_scores(rollouts) - mean) / deviation, -limit, limit)
        return np.where(rollouts.finished, standard, self.settings.missing_eos_reward)

    # -- measures -------------------------------------------------------------------------------------------
    def evaluate(self, policy: LanguageModel, prompts: Sequence[str | Record]) -> dict[str, float]:
        """Measure a policy's sampled answers to prompts.

        Args:
            policy: of the reference's vocabulary.
            prompts: texts or records with ``prompt``; a record may hold a ``rubric``.

        Returns:
            "reward" (standard deviations of the reference's scores), "kl" (nats a response from the
            reference), "response_length", "finished", "items"; where there are rubrics also "rubric" (mean
            points, 0 to 6), "win_rate" against the reference's answers by these points, a tie counting
            half, and "facts_right".

        Raises:
            UserError: if there are no prompts, or one leaves no room for an answer.
        """
        records = as_records(prompts)
        if not records:
            raise UserError("no held-out prompts to measure on")
        rollouts, temperature = self._answers(policy, records), self.settings.temperature
        logprobs, reference = (token_logprobs(model, rollouts, temperature) for model in (policy, self.reference))
        metrics = {
            "reward": float(self.scores(rollouts).mean()),
            "kl": float(rollouts.sum_per_response(kl_k1(reference - logprobs)).mean()),
            "response_length": float(rollouts.lengths.mean()),
            "finished": float(rollouts.finished.mean()),
            "items": float(len(records)),
        }
        judged = [i for i, record in enumerate(records) if record.get("rubric")]
        if judged:
            rubrics = [records[i]["rubric"] for i in judged]
            ours, theirs = rollouts.answers(self.tokenizer), self._answers_of_reference(records)
            points = [answer_score(rubric, ours[i]) for rubric, i in zip(rubrics, judged, strict=True)]
            baseline = [answer_score(rubric, theirs[i]) for rubric, i in zip(rubrics, judged, strict=True)]
            right = [rubric_passed(rubric, ours[i]) for rubric, i in zip(rubrics, judged, strict=True)]
            metrics["rubric"] = float(np.mean(points))
            metrics["win_rate"] = win_rate(points, baseline)
            metrics["facts_right"] = float(np.mean(right))
        return metrics

    def _answers(self, model: LanguageModel, records: Sequence[Record]) -> Rollouts:
        prompts = [encode_prompt(self.tokenizer, record["prompt"], self.context_size) for record in records]
        return sample_responses(model, prompts, self.settings.max_new_tokens, self.settings.temperature, self.seed)

    def _answers_of_reference(self, records: Sequence[Record]) -> list[Answer]:
        """The reference's answers, which never change and so are made once."""
        key = tuple(record["prompt"] for record in records)
        if key not in self._reference_answers:
            self._reference_answers[key] = self._answers(self.reference, records).answers(self.tokenizer)
        return self._reference_answers[key]


def as_records(prompts: Sequence[str | Record]) -> list[Record]:
    """The prompts as records: a bare text is the ``prompt`` of one."""
    return [{"prompt": prompt} if isinstance(prompt, str) else prompt for prompt in prompts]


def answer_rows(metrics: Mapping[str, float]) -> dict[str, tuple[float, int]]:
    """What :meth:`AnswerJudge.evaluate` measured under the report's names: the value, and how many answers it is of."""
    items = int(metrics["items"])
    return {name: (metrics[key], items) for key, name in ANSWER_MEASURES.items() if key in metrics}
