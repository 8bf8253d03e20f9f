"""Stage 5, reinforcement learning from verified feedback: tasks whose answers a program can check.

One iteration of GRPO (Shao et al. 2024, eq. 3 and algorithm 1):

    1. several answers to each task; the verifier says of each whether it is right
    2. advantage of an answer = its reward - the mean reward of the answers to the same task
    3. minibatches: clipped policy loss + kl_coef * KL(pi || pi_ref) at every token   (Shao et al. 2024, eq. 4)

Two departures, both from Liu et al. 2025 ("Dr. GRPO", sec. 3): the advantage is not divided by the group's
standard deviation, which would give most weight to tasks that are nearly always or nearly never solved, and
the loss is averaged over tokens, not first within each answer, which would make long wrong answers cheap.
A group in which all answers are right, or all wrong, teaches nothing and is dropped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from scratchgpt.autograd import Tensor
from scratchgpt.config import GPTConfig, RLVFConfig
from scratchgpt.datasets.records import Record
from scratchgpt.datasets.sources import DataSources
from scratchgpt.errors import UserError
from scratchgpt.evaluation.answering import answer_prompts, answered
from scratchgpt.evaluation.divergence import kl_k1, kl_k3
from scratchgpt.evaluation.judge import AnswerJudge, answer_rows
from scratchgpt.evaluation.measures import task_accuracy
from scratchgpt.evaluation.rollouts import Rollouts, encode_prompt, sample_responses, token_logprobs
from scratchgpt.models.base import LanguageModel
from scratchgpt.nn.optimizers import AdamW
from scratchgpt.stages.policy_gradient import (
    PolicyUpdate,
    clipped_policy_loss,
    frozen_copy,
    minibatches,
    update_metrics,
    update_policy,
)
from scratchgpt.stages.rlhf import heldout_prompts, training_prompts
from scratchgpt.stages.stage import SAMPLES, Context, Measures, Setup, Stage, accuracies
from scratchgpt.stages.warning_signs import entropy_collapse, kl_blow_up, reward_against_measure
from scratchgpt.tokenizer import Tokenizer
from scratchgpt.training.checkpoints import load_checkpoint, load_reward_model
from scratchgpt.training.history import History, Metrics
from scratchgpt.training.trainer import Trainer
from scratchgpt.verify.verifiers import family_of, verifier_for

PROGRESS_TASKS = 200
"""Held-out tasks that a measurement on the way looks at; the report looks at all."""


def group_advantages(rewards: np.ndarray) -> np.ndarray:
    """Reward minus the mean of its group (Shao et al. 2024, sec. 4.1.2, without the division by the deviation).

    rewards (G, K), K answers to each of G tasks -> (G, K)
    """
    return rewards - rewards.mean(axis=1, keepdims=True)


def grpo_token_loss(
    logprobs: Tensor,
    old_logprobs: np.ndarray,
    reference_logprobs: np.ndarray,
    advantages: np.ndarray,
    clip_ratio: float,
    kl_coef: float,
) -> Tensor:
    """The clipped policy loss + kl_coef * (pi_ref/pi - log(pi_ref/pi) - 1) of each token; all (n,).

    Shao et al. 2024, eq. 3 and 4. Here the distance to the reference is a part of the loss; in PPO it is a
    part of the reward.
    """
    policy_loss = clipped_policy_loss(logprobs, old_logprobs, advantages, clip_ratio)
    return policy_loss + kl_coef * kl_k3(reference_logprobs - logprobs)


class SuccessRates:
    """How often the policy has lately been right, for every kind of task (its family and level).

    A task is hardly ever drawn twice, so its own record says nothing; its kind's does. Old answers count
    for less and less, because the policy changes.

    Args:
        tasks: the tasks to keep the record for.
    """

    DECAY = 0.8
    EXPLORATION = 0.02
    """Added to p(1 - p), which is at most 0.25: a kind that is always or never right is still tried at times."""

    def __init__(self, tasks: Sequence[Record]) -> None:
        names = [f"{family_of(task)}/{task.get('level', '')}" for task in tasks]
        self.names, self.kind_of_task = np.unique(names, return_inverse=True)
        self.right = np.zeros(len(self.names))
        self.answered = np.zeros(len(self.names))

    def rates(self) -> np.ndarray:
        """(kinds,) estimated probability of a right answer; 1/2 where nothing is known (Laplace's rule)."""
        rates: np.ndarray = (self.right + 1) / (self.answered + 2)
        return rates

    def draw_probabilities(self) -> np.ndarray:
        """(tasks,) proportional to p(1 - p) + EXPLORATION: most for tasks that are right half of the time.

        p(1 - p) is the variance of a right-or-wrong reward, so without it there is nothing to learn.
        """
        rates = self.rates()
        weights = (rates * (1 - rates) + self.EXPLORATION)[self.kind_of_task]
        return weights / weights.sum()

    def record(self, chosen: np.ndarray, correct: np.ndarray) -> None:
        """Note the answers to the tasks ``chosen`` (G,): ``correct`` (G, K) bool."""
        kinds = self.kind_of_task[chosen]
        visited = np.unique(kinds)
        self.right[visited] *= self.DECAY
        self.answered[visited] *= self.DECAY
        np.add.at(self.right, kinds, correct.sum(axis=1))
        np.add.at(self.answered, kinds, correct.shape[1])


class RLVFTrainer(Trainer):
    """Trains a model to be right, on the word of a verifier.

    Args:
        model: the policy, trained in place.
        tokenizer: made for the same vocabulary.
        config: the model's sizes.
        rlvf_config: settings of the stage.
        tasks, heldout: records with ``type``, ``prompt``, ``expected_answer``, to train on and to measure on.
        seed: of the choice of tasks, of the sampling and of the minibatches.

    Raises:
        UserError: if a prompt leaves no room for an answer.
    """

    name = "rlvf"
    stage_number = 5

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        config: GPTConfig,
        rlvf_config: RLVFConfig,
        tasks: Sequence[Record] = (),
        heldout: Sequence[Record] = (),
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.model, self.tokenizer, self.context_size = model, tokenizer, config.context_size
        self.settings, self.seed = rlvf_config, seed
        self.reference = frozen_copy(model)
        self._set_tasks(tasks)
        self.heldout = heldout
        self.total_steps = rlvf_config.num_iterations
        self.evaluate_every = rlvf_config.evaluate_every
        self.optimizer = AdamW(model.named_parameters(), rlvf_config.lr, weight_decay=0)
        self.modules, self.optimizers = {"model": model}, {"model": self.optimizer}

    def _set_tasks(self, tasks: Sequence[Record]) -> None:
        self.tasks = list(tasks)
        self.prompts = [encode_prompt(self.tokenizer, task["prompt"], self.context_size) for task in self.tasks]
        self.success = SuccessRates(self.tasks)

    # -- one iteration --------------------------------------------------------------------------------------
    def step(self, index: int) -> Metrics:
        """Answers to tasks_per_iteration tasks, their verification, and the updates they are good for.

        KL, entropy and the policy's metrics are over the groups used.
        """
        if not self.tasks:
            raise UserError("rlvf: no tasks to train on; pass tasks=... or call train(tasks)")
        settings = self.settings
        rng = np.random.default_rng((self.seed, self.stage_number, index))
        count = min(settings.tasks_per_iteration, len(self.tasks))
        chosen = rng.choice(len(self.tasks), count, replace=False, p=self.success.draw_probabilities())
        prompts = [self.prompts[i] for i in chosen for _ in range(settings.samples_per_task)]
        rollouts = sample_responses(
            self.model, prompts, settings.max_new_tokens, settings.temperature, int(rng.integers(2**32))
        )

        correct = self._verify(rollouts, chosen)  # (G, K)
        self.success.record(chosen, correct)
        rewards = np.where(correct, settings.correct_reward, settings.incorrect_reward)
        advantages = group_advantages(rewards)
        used = np.flatnonzero(np.repeat(correct.any(axis=1) & ~correct.all(axis=1), settings.samples_per_task))
        metrics = {
            "accuracy": float(correct.mean()),
            "reward": float(rewards.mean()),
            "groups_used": float(len(used) // settings.samples_per_task),
            "response_length": float(rollouts.lengths.mean()),
            "finished": float(rollouts.finished.mean()),
            **self._accuracy_by_family(chosen, correct),
            "tokens": float(rollouts.num_tokens),
        }
        if len(used):
            metrics |= self._learn(rng, rollouts.select(used), advantages.reshape(-1)[used])
        return metrics

    def _verify(self, rollouts: Rollouts, chosen: np.ndarray) -> np.ndarray:
        """(G, K) bool: whether each answer is right, and ended."""
        tasks = [self.tasks[i] for i in chosen for _ in range(self.settings.samples_per_task)]
        right = [
            bool(rollouts.finished[i]) and verifier_for(task).verify(task, rollouts.text(self.tokenizer, i))
            for i, task in enumerate(tasks)
        ]
        return np.array(right, dtype=bool).reshape(len(chosen), -1)

    def _accuracy_by_family(self, chosen: np.ndarray, correct: np.ndarray) -> Metrics:
        shares: defaultdict[str, list[float]] = defaultdict(list)
        for i, answers in zip(chosen, correct, strict=True):
            shares[family_of(self.tasks[i])].append(float(answers.mean()))
        return {f"accuracy/{family}": float(np.mean(share)) for family, share in sorted(shares.items())}

    def _learn(self, rng: np.random.Generator, rollouts: Rollouts, advantages: np.ndarray) -> Metrics:
        """The updates of one iteration; ``advantages`` (R,) one a response."""
        settings = self.settings
        logprobs = self._logprobs(self.model, rollouts)  # (N,) each from here on
        reference = self._logprobs(self.reference, rollouts)
        per_token = np.repeat(advantages, rollouts.lengths).astype(np.float32)

        def token_loss(now: Tensor, tokens: np.ndarray) -> Tensor:
            old, start, advantage = logprobs[tokens], reference[tokens], per_token[tokens]
            return grpo_token_loss(now, old, start, advantage, settings.clip_ratio, settings.kl_coef)

        updates: list[PolicyUpdate] = []
        passes = range(settings.epochs_per_iteration)
        for members in [m for _ in passes for m in minibatches(rng, len(rollouts), settings.minibatch_size)]:
            updates.append(update_policy(self.model, self.optimizer, rollouts, members, logprobs, token_loss, settings))
            if not updates[-1].applied:
                break
        return {
            "objective/kl": float(rollouts.sum_per_response(kl_k1(reference - logprobs)).mean()),
            "objective/entropy": float(-logprobs.mean()),
            **update_metrics(updates),
        }

    def _logprobs(self, model: LanguageModel, rollouts: Rollouts) -> np.ndarray:
        return token_logprobs(model, rollouts, self.settings.temperature)

    def train(self, tasks: Sequence[Record] | None = None) -> list[Metrics]:
        """Run all iterations, on ``tasks`` if they are given; the metrics of each."""
        if tasks is not None:
            self._set_tasks(tasks)
        return [self.step(index) for index in range(self.total_steps)]

    # -- measuring ------------------------------------------------------------------------------------------
    def evaluate(self, tasks: Sequence[Record] | None = None) -> Metrics:
        """Share of tasks whose greedy answer is right: "accuracy", "accuracy/<family>", "items".

        Looks at all of ``tasks``, or at some of the held-out ones if none are given.

        Raises:
            UserError: if there are none.
        """
        if tasks is None:
            tasks = self.heldout[:: max(1, len(self.heldout) // PROGRESS_TASKS)]
        if not tasks:
            raise UserError("rlvf: no held-out tasks to measure on; pass heldout=... or call evaluate(tasks)")
        return task_accuracy(self.model, self.tokenizer, tasks)

    def sample(self) -> str:
        """A held-out task, the model's likeliest answer, and whether it is right."""
        if not self.heldout:
            raise UserError("rlvf: no held-out tasks to answer; pass heldout=...")
        task = self.heldout[0]
        answer = answer_prompts(self.model, self.tokenizer, [task["prompt"]], self.settings.max_new_tokens)[0].text
        return f"{task['prompt']} -> {answer} [{'right' if verifier_for(task).verify(task, answer) else 'wrong'}]"

    def warning_signs(self, history: History) -> dict[str, str]:
        """Entropy collapse, KL blow-up and reward hacking, as far as the run shows them."""
        signs = {
            "entropy collapse": entropy_collapse(history.steps),
            "KL blow-up": kl_blow_up(history.steps),
            "reward hacking": reward_against_measure(history.steps, history.evaluations, "accuracy"),
        }
        return {sign: text for sign, text in signs.items() if text}

    # -- state ----------------------------------------------------------------------------------------------
    def extra_arrays(self) -> dict[str, np.ndarray]:
        """The success rates."""
        return {"right": self.success.right, "answered": self.success.answered}

    def load_extra_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Take back what :meth:`extra_arrays` gave.

        Raises:
            UserError: if it belongs to tasks of other kinds.
        """
        if arrays["right"].shape != self.success.right.shape:
            raise UserError(
                "rlvf: the saved success rates belong to other tasks; start the stage anew without --resume"
            )
        self.success.right[:], self.success.answered[:] = arrays["right"], arrays["answered"]


def _build(context: Context) -> Setup:
    tasks, heldout = context.data.tasks()
    model, tokenizer = context.model, context.tokenizer
    trainer = RLVFTrainer(
        model, tokenizer, model.config, context.settings, tasks=tasks, heldout=heldout, seed=context.seed
    )
    context.say(f"rlvf: {len(tasks):,} tasks")
    shown = [task["prompt"] for task in heldout[:: max(1, len(heldout) // SAMPLES)]][:SAMPLES]
    judge = answer_judge(context)
    asked = [] if judge is None else heldout_prompts(context.data)

    def measure() -> Measures:
        rows = accuracies("verified accuracy on tasks", trainer.evaluate(heldout))
        if judge is not None:
            rows |= answer_rows(judge.evaluate(model, asked))
        return rows

    return Setup(trainer, model, tokenizer, measure, lambda: answered(model, tokenizer, shown))


def answer_judge(context: Context) -> AnswerJudge | None:
    """What RLHF measures answers with, to see what becomes of them; None without an SFT and a reward model."""
    sft, reward = context.checkpoint_of("sft"), context.checkpoint_of("reward")
    if sft is None or reward is None:
        return None
    reference, tokenizer = load_checkpoint(sft)
    reward_model = load_reward_model(reward, tokenizer)
    prompts = training_prompts(context.data)
    return AnswerJudge(reference, reward_model, tokenizer, prompts, context.settings_of("rlhf"), context.seed)


RLVF = Stage(
    name="rlvf",
    title_zh="可验证奖励强化学习",
    title_en="RL from verified feedback",
    directory="rlvf",
    config=RLVFConfig,
    reads=(DataSources.tasks,),
    build=_build,
    follows=("rlhf", "sft", "pretrain"),
    generates=True,
    questions=3,
)
