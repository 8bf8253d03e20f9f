"""Stage 4, reinforcement learning from human feedback: PPO against the reward model.

One iteration (Ouyang et al. 2022, sec. 3.5, with the details of Huang et al. 2024):

    1. the policy answers prompts; the reward model scores the whole answers
    2. reward_t = -kl_coef (log pi_old - log pi_ref) at every token, + the score at the last one
    3. a value model V predicts the reward to come; advantages by GAE      (Schulman et al. 2016, eq. 16)
           delta_t = reward_t + gamma V_{t+1} - V_t,   A_t = delta_t + gamma lambda A_{t+1}
    4. several passes over the answers in minibatches: clipped policy loss, clipped value loss
       (Schulman et al. 2017, eq. 7), ended early when the policy has moved too far

The reference pi_ref is the SFT policy, frozen. The reward model's judgement is worth something only near
the answers it was trained on, which is why the distance to the reference costs reward.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scratchgpt import autograd as ag
from scratchgpt.autograd import Tensor
from scratchgpt.config import GPTConfig, RLHFConfig
from scratchgpt.datasets.records import Record
from scratchgpt.datasets.sources import DataSources
from scratchgpt.errors import UserError
from scratchgpt.evaluation.answering import answer_prompts, answered
from scratchgpt.evaluation.divergence import kl_k1
from scratchgpt.evaluation.judge import STANDARD_PROMPTS, AnswerJudge, answer_rows, as_records
from scratchgpt.evaluation.measures import measured_tasks, task_accuracy
from scratchgpt.evaluation.rollouts import (
    FORWARD_BATCH,
    Rollouts,
    all_tokens,
    encode_prompt,
    sample_responses,
    that_leave_room,
    token_logprobs,
    too_long_in_words,
    without_dropout,
)
from scratchgpt.models.base import LanguageModel
from scratchgpt.models.reward import RewardModel
from scratchgpt.nn.optimizers import AdamW
from scratchgpt.nn.schedules import linear_schedule
from scratchgpt.stages.policy_gradient import (
    Experience,
    PolicyUpdate,
    clipped_policy_loss,
    frozen_copy,
    minibatches,
    policy_memory,
    response_loss,
    update_metrics,
    update_policy,
    whiten,
)
from scratchgpt.stages.stage import SAMPLES, Context, Measures, Setup, Sizes, Stage, tasks_to_measure
from scratchgpt.stages.warning_signs import (
    alike_share,
    entropy_collapse,
    kl_blow_up,
    one_answer_to_all,
    one_likeliest_answer_to_all,
    reward_against_measure,
    reward_far_from_reference,
)
from scratchgpt.stages.work import Outlook, Piece, Work, measurements
from scratchgpt.tokenizer import Tokenizer
from scratchgpt.training.best import Goal
from scratchgpt.training.checkpoints import load_reward_model
from scratchgpt.training.history import History, Metrics
from scratchgpt.training.memory import Parts
from scratchgpt.training.trainer import Trainer
from scratchgpt.training.update import update

PROGRESS_PROMPTS = 100
"""Held-out prompts that a measurement on the way looks at; the report looks at all."""


def token_rewards(scores: np.ndarray, kl: np.ndarray, kl_coef: float, rollouts: Rollouts) -> np.ndarray:
    """R_t = -kl_coef KL_t + [t = T] score: what each token earns (Ouyang et al. 2022, sec. 3.5).

    Args:
        scores: (R,) of whole responses; the last token gets it.
        kl: (N,) log pi_old - log pi_ref of each token.
        kl_coef: what a nat costs.
        rollouts: the responses.

    Returns:
        (N,) float64
    """
    rewards = -kl_coef * kl.astype(np.float64)
    rewards[np.cumsum(rollouts.lengths) - 1] += scores
    return rewards


def generalized_advantages(rewards: np.ndarray, values: np.ndarray, gamma: float, gae_lambda: float) -> np.ndarray:
    """Advantage of each token of one response (Schulman et al. 2016, eq. 16).

    Args:
        rewards: (T,) reward for each token.
        values: (T,) what was expected before each token; after the last one nothing more comes.
        gamma: discount.
        gae_lambda: 0 trusts the value model one step ahead, 1 trusts only the rewards themselves.

    Returns:
        (T,); added to ``values`` it is the target of the value model.
    """
    advantages = np.zeros(len(rewards))
    advantage, next_value = 0.0, 0.0
    for t in reversed(range(len(rewards))):
        delta = rewards[t] + gamma * next_value - values[t]
        advantage = delta + gamma * gae_lambda * advantage
        advantages[t], next_value = advantage, values[t]
    return advantages


def clipped_value_loss(values: Tensor, old_values: np.ndarray, returns: np.ndarray, value_clip: float) -> Tensor:
    """max((V - R)^2, (V_old + clip(V - V_old, +-value_clip) - R)^2) / 2 of each token; all (n,).

    The value model, too, moves only so far on the word of one batch (PPO's original code; Huang et al. 2024).
    """
    held = ag.clip(values - old_values, low=-value_clip, high=value_clip) + old_values
    return 0.5 * ag.maximum((values - returns) ** 2, (held - returns) ** 2)


def value_model_from(reward_model: RewardModel) -> RewardModel:
    """A value model that knows what the reward model knows and predicts 0 everywhere."""
    model = RewardModel(reward_model.config, architecture=reward_model.architecture)
    model.load_state_dict(reward_model.state_dict())
    model.score.weight.data[...] = 0
    model.eval()
    return model


def response_values(model: RewardModel, rollouts: Rollouts, members: np.ndarray) -> Tensor:
    """The value model's number before each of the members' response tokens, (n,), without dropout."""
    batch = rollouts.batch(members)
    with without_dropout(model):
        values = model.values(batch.input_ids)  # (B, T)
    return ag.getitem(ag.reshape(values, shape=(-1,)), index=batch.rows)


def token_values(model: RewardModel, rollouts: Rollouts) -> np.ndarray:
    """The value model's number before every response token, flat (N,), without a graph."""
    return all_tokens(lambda group: response_values(model, rollouts, group), rollouts)


@dataclass(frozen=True)
class PPOExperience(Experience):
    """One iteration of PPO, all that it learns from.

    Attributes:
        scores: (R,) of the reward model, in standard deviations of the reference's answers.
        token_rewards: (N,) -kl_coef * kl, and the score at the last token.
        values: (N,) what the value model expected before each token.
        advantages: (N,) how much better it went, by GAE.
        whitened_advantages: (N,) the advantages with mean 0 and standard deviation 1: what the policy learns from.
        returns: (N,) advantages + values, what the value model should have said.
    """

    scores: np.ndarray
    token_rewards: np.ndarray
    values: np.ndarray
    advantages: np.ndarray
    whitened_advantages: np.ndarray
    returns: np.ndarray


class PPOTrainer(Trainer):
    """Trains a policy with PPO to please a reward model without straying far from where it began.

    Args:
        policy: the SFT model, trained in place.
        reward_model: scores complete answers.
        tokenizer: made for the same vocabulary.
        config: the policy's sizes.
        rlhf_config: settings of the stage.
        prompts: what to answer in training, as text or as records with ``prompt``.
        heldout: prompts to measure on; a record may hold a ``rubric``.
        seed: of the choice of prompts, of the sampling and of the minibatches.
        reference: the policy that the KL is measured from; by default the policy as it is now, frozen.

    Raises:
        UserError: if the models have different vocabularies or a prompt leaves no room for an answer.
    """

    name = "rlhf"
    stage_number = 4
    goal = Goal("objective/rlhf_reward", higher=True)

    def __init__(
        self,
        policy: LanguageModel,
        reward_model: RewardModel,
        tokenizer: Tokenizer,
        config: GPTConfig,
        rlhf_config: RLHFConfig,
        prompts: Sequence[str | Record] = (),
        heldout: Sequence[str | Record] = (),
        seed: int = 0,
        reference: LanguageModel | None = None,
    ) -> None:
        super().__init__()
        if config.vocab_size != policy.config.vocab_size:
            raise UserError(
                f"rlhf: vocabularies differ: config {config.vocab_size}, policy {policy.config.vocab_size}; "
                "pass the config that the policy was made with"
            )
        self.policy, self.tokenizer, self.settings, self.seed = policy, tokenizer, rlhf_config, seed
        self.reference = frozen_copy(policy) if reference is None else reference
        self.judge = AnswerJudge(self.reference, reward_model, tokenizer, prompts, rlhf_config, seed)
        self.context_size = min(config.context_size, self.judge.context_size)
        self.value_model = value_model_from(reward_model)
        self._set_prompts(prompts)
        self.heldout = as_records(heldout)
        self.total_steps = rlhf_config.num_episodes
        self.evaluate_every = rlhf_config.evaluate_every
        self.policy_optimizer = AdamW(policy.named_parameters(), rlhf_config.lr, weight_decay=0)
        self.value_optimizer = AdamW(self.value_model.named_parameters(), rlhf_config.value_lr, weight_decay=0)
        self.modules = {"policy": policy, "value": self.value_model}
        self.optimizers = {"policy": self.policy_optimizer, "value": self.value_optimizer}

    def _set_prompts(self, prompts: Sequence[str | Record]) -> None:
        self.judge.prompts = prompts
        self.prompts = [encode_prompt(self.tokenizer, r["prompt"], self.context_size) for r in as_records(prompts)]

    def learning_rate(self, index: int) -> float:
        """The policy's learning rate at iteration ``index``: a straight line from ``lr`` to zero (Huang et al. 2024).

        Large steps at the end are noise, which only takes the policy further away.
        """
        return linear_schedule(index, self.total_steps, self.settings.lr)

    # -- one iteration --------------------------------------------------------------------------------------
    def step(self, index: int) -> Metrics:
        """Answers to batch_size prompts, their rewards and advantages, and the updates they are good for."""
        return self.learn(self.collect(index))

    def collect(self, index: int, prompts: Sequence[list[int]] | None = None) -> PPOExperience:
        """Let the policy answer, and work out what each token earned and how much better that is than expected.

        Args:
            index: of the iteration, which its random numbers depend on.
            prompts: ids of each; by default batch_size of the training prompts, drawn at random.
        """
        settings = self.settings
        rng = np.random.default_rng((self.seed, self.stage_number, index))
        if prompts is None:
            known = self._require_prompts()
            chosen = rng.choice(len(known), settings.batch_size, replace=settings.batch_size > len(known))
            prompts = [known[i] for i in chosen]
        rollouts = sample_responses(
            self.policy, prompts, settings.max_new_tokens, settings.temperature, int(rng.integers(2**32))
        )
        scores = self.judge.scores(rollouts)  # (R,)
        logprobs = token_logprobs(self.policy, rollouts, settings.temperature)  # (N,) each from here on
        reference_logprobs = token_logprobs(self.reference, rollouts, settings.temperature)
        values = token_values(self.value_model, rollouts)
        rewards = token_rewards(scores, kl_k1(reference_logprobs - logprobs), settings.kl_coef, rollouts)
        advantages = np.concatenate(
            [
                generalized_advantages(r, v, settings.gamma, settings.gae_lambda)
                for r, v in zip(rollouts.split(rewards), rollouts.split(values), strict=True)
            ]
        )
        return PPOExperience(
            iteration=index,
            rng=rng,
            rollouts=rollouts,
            logprobs=logprobs,
            reference_logprobs=reference_logprobs,
            scores=scores,
            token_rewards=rewards,
            values=values,
            advantages=advantages,
            whitened_advantages=whiten(advantages).astype(np.float32),
            returns=(advantages + values).astype(np.float32),
        )

    def learn(self, experience: PPOExperience) -> Metrics:
        """The updates of policy and value model that the experience is good for, and how they went.

        In the first value_warmup iterations the value model learns alone.
        """
        settings, rollouts = self.settings, experience.rollouts
        rng = copy.deepcopy(experience.rng)
        self.policy_optimizer.lr = self.learning_rate(experience.iteration)
        updates: list[PolicyUpdate] = []
        value_updates: list[tuple[float, float]] = []
        passes = range(settings.ppo_epochs)
        for members in [m for _ in passes for m in minibatches(rng, len(rollouts), settings.minibatch_size)]:
            if experience.iteration >= settings.value_warmup:
                updates.append(self._update_policy(experience, members))
                if not updates[-1].applied:
                    break
            value_updates.append(self._update_value(experience, members))

        reward, kl = float(experience.scores.mean()), experience.kl_per_response
        value_loss, value_clip_fraction = np.mean(value_updates, axis=0) if value_updates else (0.0, 0.0)
        return {
            "reward": reward,
            "objective/scores": reward,
            "objective/kl": kl,
            "objective/rlhf_reward": reward - settings.kl_coef * kl,
            "objective/entropy": float(-experience.logprobs.mean()),
            "answers/alike": alike_share(rollouts.prompts, rollouts.responses),
            **update_metrics(updates),
            "loss/value": float(value_loss),
            "val/clipfrac": float(value_clip_fraction),
            "response_length": float(rollouts.lengths.mean()),
            "finished": float(rollouts.finished.mean()),
            "tokens": float(rollouts.num_tokens),
        }

    def _update_policy(self, experience: PPOExperience, members: np.ndarray) -> PolicyUpdate:
        old_logprobs, advantages, settings = experience.logprobs, experience.whitened_advantages, self.settings

        def token_loss(logprobs: Tensor, tokens: np.ndarray) -> Tensor:
            return clipped_policy_loss(logprobs, old_logprobs[tokens], advantages[tokens], settings.clip_ratio)

        return update_policy(
            self.policy,
            self.policy_optimizer,
            experience.rollouts,
            members,
            old_logprobs,
            token_loss,
            settings,
            self.world,
        )

    def _update_value(self, experience: PPOExperience, members: np.ndarray) -> tuple[float, float]:
        """One gradient step of the value model; its loss, and the share of tokens beyond the clip range."""
        rollouts, old_values, limit = experience.rollouts, experience.values, self.settings.value_clip

        def token_loss(values: Tensor, tokens: np.ndarray) -> Tensor:
            return clipped_value_loss(values, old_values[tokens], experience.returns[tokens], limit)

        values = np.empty_like(old_values)
        loss = response_loss(
            lambda group: response_values(self.value_model, rollouts, group), token_loss, rollouts, members, values
        )
        result = update(self.value_optimizer, loss, self.settings.max_grad_norm, self.world)
        tokens = rollouts.token_indices(members)
        return result.loss, float((np.abs(values[tokens] - old_values[tokens]) > limit).mean())

    def train(self, prompts: Sequence[str | Record] | None = None) -> list[Metrics]:
        """Run all iterations, on ``prompts`` if they are given; the metrics of each."""
        if prompts is not None:
            self._set_prompts(prompts)
        return [self.step(index) for index in range(self.total_steps)]

    # -- measuring ------------------------------------------------------------------------------------------
    def evaluate(self) -> Metrics:
        """:meth:`evaluate_on` some of the held-out prompts.

        Further "objective/rlhf_reward", what PPO maximises, and "answers/alike", the share of the prompts that have the
        same likeliest answer.
        """
        records = self.heldout[:: max(1, len(self.heldout) // PROGRESS_PROMPTS)]
        measured, prompts = self.evaluate_on(records), [record["prompt"] for record in records]
        answers = answer_prompts(self.policy, self.tokenizer, prompts, self.settings.max_new_tokens)
        return {
            **measured,
            "objective/rlhf_reward": measured["reward"] - self.settings.kl_coef * measured["kl"],
            "answers/alike": alike_share(prompts, [answer.text for answer in answers]),
        }

    def evaluate_on(self, prompts: Sequence[str | Record]) -> Metrics:
        """What the judge measures of the policy's answers to ``prompts`` (:meth:`AnswerJudge.evaluate`).

        Raises:
            UserError: if there are none.
        """
        if not prompts:
            raise UserError("rlhf: no held-out prompts to measure on; pass heldout=... or call evaluate_on(prompts)")
        return self.judge.evaluate(self.policy, prompts)

    def sample(self) -> str:
        """A held-out prompt and the policy's likeliest answer."""
        if not self.heldout:
            raise UserError("rlhf: no held-out prompts to answer; pass heldout=...")
        prompt = self.heldout[0]["prompt"]
        answer = answer_prompts(self.policy, self.tokenizer, [prompt], self.settings.max_new_tokens)[0]
        return f"{prompt} -> {answer.text}"

    def warning_signs(self, history: History) -> dict[str, str]:
        """Entropy collapse, KL blow-up, reward hacking and one answer to all, as far as the run shows them."""
        steps, evaluations = history.steps, history.evaluations
        signs = {
            "entropy collapse": entropy_collapse(steps),
            "KL blow-up": kl_blow_up(steps),
            "reward hacking": reward_against_measure(steps, evaluations, "facts_right")
            or reward_far_from_reference(steps),
            "one answer to all": one_answer_to_all(steps) or one_likeliest_answer_to_all(steps, evaluations),
        }
        return {sign: text for sign, text in signs.items() if text}

    # -- state ----------------------------------------------------------------------------------------------
    def extra_arrays(self) -> dict[str, np.ndarray]:
        """The scale of the reward."""
        return {"score_scale": np.array(self.judge.score_scale)}

    def load_extra_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Take back what :meth:`extra_arrays` gave."""
        mean, deviation = arrays["score_scale"]
        self.judge.score_scale = float(mean), float(deviation)

    def _require_prompts(self) -> list[list[int]]:
        if not self.prompts:
            raise UserError("rlhf: no prompts to train on; pass prompts=... or call train(prompts)")
        return self.prompts


def heldout_prompts(data: DataSources) -> list[Record]:
    """The held-out prompts, each once, with their rubrics; not those that turns stand before."""
    return list({record["prompt"]: record for record in data.pairs()[1] if not record.get("history")}.values())


def training_prompts(data: DataSources) -> list[Record]:
    """The prompts to answer in training, each once and in order; not those that turns stand before."""
    prompts = {record["prompt"]: record for record in data.pairs()[0] if not record.get("history")}
    return [prompts[prompt] for prompt in sorted(prompts)]


def lengths(data: DataSources, tokenizer: Tokenizer, context_size: int) -> str:
    """Which prompts leave no room for an answer, in words; empty if all do.

    Raises:
        UserError: if none does or there is none, or if the data are read strictly and one does not.
    """
    kinds = {"pairs": training_prompts(data), "held-out pairs": heldout_prompts(data)}
    if not all(kinds.values()):
        raise UserError("rlhf asks questions with nothing before them, and there is no such pair; add --skip-rlhf")
    return too_long_in_words(kinds, tokenizer, context_size, data.strict)


def _build(context: Context) -> Setup:
    tasks = tasks_to_measure("rlhf", context)
    policy, tokenizer, data = context.model, context.tokenizer, context.data
    size = policy.config.context_size
    directory = context.checkpoint_of("reward")
    if directory is None:
        raise ValueError("rlhf: built before its reward model")
    asked = that_leave_room(heldout_prompts(data), tokenizer, size, data.strict)
    trainer = PPOTrainer(
        policy,
        load_reward_model(directory, tokenizer),
        tokenizer,
        policy.config,
        context.settings,
        prompts=that_leave_room(training_prompts(data), tokenizer, size, data.strict),
        heldout=asked,
        seed=context.seed,
    )
    context.say(f"rlhf: {len(trainer.prompts):,} prompts")
    shown = [record["prompt"] for record in asked[:SAMPLES]]

    def measure() -> Measures:
        accuracy = task_accuracy(policy, tokenizer, tasks)["accuracy"]
        return {
            **answer_rows(trainer.evaluate_on(asked)),
            "verified accuracy on tasks": (accuracy, len(tasks)),
        }

    return Setup(trainer, policy, tokenizer, measure, lambda: answered(policy, tokenizer, shown))


def _memory(sizes: Sizes) -> list[Parts]:
    asked = [record["prompt"] for record in (*training_prompts(sizes.data), *measured_tasks(sizes.data))]
    # policy, reference, reward and value model
    return policy_memory(sizes, asked, sizes.settings.batch_size, models=4, trained=2)


def _work(outlook: Outlook) -> Work:
    pairs, heldout = outlook.read_by(DataSources.pairs)
    tasks, settings, lengths = outlook.read_by(measured_tasks), outlook.settings, outlook.pairs(pairs)
    answer = min(settings.max_new_tokens, lengths.answer)
    judged = (lengths.prompt, answer)
    asked, whole = len({record["prompt"] for record in heldout}), round(lengths.prompt + answer)
    sampled = settings.num_episodes * settings.batch_size
    looks = measurements(settings.num_episodes, settings.evaluate_every) * min(PROGRESS_PROMPTS, asked)
    measured = looks + 2 * asked
    passes = settings.ppo_epochs * sampled / FORWARD_BATCH
    trained_alone = min(settings.value_warmup, settings.num_episodes) / settings.num_episodes
    pieces = [
        # the policy's answers; those to the same prompts that are measured, and those of the reference
        outlook.writing(sampled, *judged),
        outlook.writing(measured + looks + asked + min(PROGRESS_PROMPTS, asked) + STANDARD_PROMPTS, *judged),
        outlook.writing(2 * len(tasks), outlook.questions([task["prompt"] for task in tasks]), answer),
        # log-probabilities by policy and reference; scores and values
        outlook.reading(2 * (sampled + measured), *judged, batch=FORWARD_BATCH),
        outlook.scoring(2 * sampled + measured + STANDARD_PROMPTS, *judged),
        # the updates of both
        Piece("train", passes * (1 - trained_alone), FORWARD_BATCH, whole, round(answer)),
        Piece("train", passes, FORWARD_BATCH, whole, 0),
    ]
    return Work(settings.num_episodes, pieces)


RLHF = Stage(
    name="rlhf",
    title_zh="人类反馈强化学习（PPO）",
    title_en="RLHF with PPO",
    directory="rlhf",
    config=RLHFConfig,
    reads=(DataSources.pairs, measured_tasks),
    build=_build,
    lengths=lengths,
    work=_work,
    follows=("sft", "pretrain"),
    needs=("reward",),
    generates=True,
    questions=2,
    memory=_memory,
)
