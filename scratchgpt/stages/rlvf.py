"""Stage 5, reinforcement learning from verified feedback: tasks whose answers a program can check.

One iteration of GRPO (Shao et al. 2024, eq. 3 and algorithm 1):

    1. several answers to each task; the verifier says of each whether it is right
    2. advantage of an answer = its reward - the mean reward of the answers to the same task
    3. minibatches: clipped policy loss + kl_coef * KL(pi || pi_ref) at every token   (Shao et al. 2024, eq. 4)

Three departures. Two are from Liu et al. 2025 ("Dr. GRPO", sec. 3): the advantage is not divided by the group's
standard deviation, which would give most weight to tasks that are nearly always or nearly never solved, and
the loss is averaged over tokens, not first within each answer, which would make long wrong answers cheap.
The third: tasks are not drawn alike, but by p(1 - p), where p is how often the policy has lately been right
on tasks of their kind (:class:`SuccessRates`). A group in which all answers are right, or all wrong, teaches
nothing and is dropped.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scratchgpt.autograd import Tensor
from scratchgpt.config import GPTConfig, RLVFConfig
from scratchgpt.datasets.records import Record
from scratchgpt.datasets.sources import DataSources
from scratchgpt.errors import UserError
from scratchgpt.evaluation.answering import answer_prompts, answered
from scratchgpt.evaluation.divergence import kl_k3
from scratchgpt.evaluation.judge import STANDARD_PROMPTS, AnswerJudge, answer_rows
from scratchgpt.evaluation.measures import is_right, task_accuracy, verifiable_tasks
from scratchgpt.evaluation.rollouts import (
    FORWARD_BATCH,
    Rollouts,
    encode_prompt,
    sample_responses,
    that_leave_room,
    token_logprobs,
    too_long_in_words,
)
from scratchgpt.models.base import LanguageModel
from scratchgpt.nn.optimizers import AdamW
from scratchgpt.stages.policy_gradient import (
    Experience,
    PolicyUpdate,
    clipped_policy_loss,
    frozen_copy,
    minibatches,
    policy_memory,
    update_metrics,
    update_policy,
)
from scratchgpt.stages.rlhf import heldout_prompts, training_prompts
from scratchgpt.stages.stage import SAMPLES, Context, Measures, Setup, Sizes, Stage, accuracies
from scratchgpt.stages.warning_signs import entropy_collapse, kl_blow_up, no_learning_signal, reward_against_measure
from scratchgpt.stages.work import LONGEST_ANSWER, Outlook, Piece, Work, measurements
from scratchgpt.tokenizer import Tokenizer
from scratchgpt.training.best import Goal
from scratchgpt.training.checkpoints import load_checkpoint, load_reward_model
from scratchgpt.training.history import History, Metrics
from scratchgpt.training.memory import Parts
from scratchgpt.training.trainer import Trainer
from scratchgpt.verify.verifiers import family_of

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


@dataclass(frozen=True)
class RLVFExperience(Experience):
    """One iteration of RLVF: K answers to each of G tasks. ``rollouts`` are those of the groups that teach.

    Attributes:
        chosen: (G,) numbers of the tasks.
        answers: all G * K responses, those to one task together.
        correct: (G, K) bool, whether each answer is right (:func:`is_right`).
        rewards: (G, K)
        advantages: (G, K) reward minus the mean of its group.
        used: (R,) which of the answers the rollouts are: all but those of groups that are all right or all wrong.
    """

    chosen: np.ndarray
    answers: Rollouts
    correct: np.ndarray
    rewards: np.ndarray
    advantages: np.ndarray
    used: np.ndarray

    @property
    def token_advantages(self) -> np.ndarray:
        """(N,) float32: each token of the rollouts has its response's advantage."""
        return np.repeat(self.advantages.reshape(-1)[self.used], self.rollouts.lengths).astype(np.float32)


class RLVFTrainer(Trainer):
    """Trains a model to be right, on the word of a verifier.

    Args:
        model: the policy, trained in place.
        tokenizer: made for the same vocabulary.
        config: the model's sizes.
        rlvf_config: settings of the stage.
        tasks, heldout: records with ``type``, ``prompt``, ``expected_answer``, to train on and to measure on.
        seed: of the choice of tasks, of the sampling and of the minibatches.
        reference: the policy that the KL is measured from; by default the model as it is now, frozen.

    Raises:
        UserError: if a prompt leaves no room for an answer.
    """

    name = "rlvf"
    stage_number = 5
    goal = Goal("accuracy", higher=True)

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        config: GPTConfig,
        rlvf_config: RLVFConfig,
        tasks: Sequence[Record] = (),
        heldout: Sequence[Record] = (),
        seed: int = 0,
        reference: LanguageModel | None = None,
    ) -> None:
        super().__init__()
        self.model, self.tokenizer, self.context_size = model, tokenizer, config.context_size
        self.settings, self.seed = rlvf_config, seed
        self.reference = frozen_copy(model) if reference is None else reference
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
        """Answers to tasks_per_iteration tasks, their verification, and the updates they are good for."""
        return self.learn(self.collect(index))

    def collect(self, index: int, chosen: Sequence[int] | None = None) -> RLVFExperience:
        """Let the policy answer tasks several times each, and have the answers verified.

        Args:
            index: of the iteration, which its random numbers depend on.
            chosen: numbers of tasks; by default tasks_per_iteration of them, drawn by :class:`SuccessRates`.
        """
        if not self.tasks:
            raise UserError("rlvf: no tasks to train on; pass tasks=... or call train(tasks)")
        settings = self.settings
        rng = np.random.default_rng((self.seed, self.stage_number, index))
        if chosen is None:
            count = min(settings.tasks_per_iteration, len(self.tasks))
            numbers = rng.choice(len(self.tasks), count, replace=False, p=self.success.draw_probabilities())
        else:
            numbers = np.array(chosen)
        prompts = [self.prompts[i] for i in numbers for _ in range(settings.samples_per_task)]
        answers = sample_responses(
            self.model, prompts, settings.max_new_tokens, settings.temperature, int(rng.integers(2**32))
        )
        correct = self._verify(answers, numbers)  # (G, K)
        rewards = np.where(correct, settings.correct_reward, settings.incorrect_reward)
        used = np.flatnonzero(np.repeat(correct.any(axis=1) & ~correct.all(axis=1), settings.samples_per_task))
        rollouts = answers.select(used)
        return RLVFExperience(
            iteration=index,
            rng=rng,
            rollouts=rollouts,
            logprobs=token_logprobs(self.model, rollouts, settings.temperature),
            reference_logprobs=token_logprobs(self.reference, rollouts, settings.temperature),
            chosen=numbers,
            answers=answers,
            correct=correct,
            rewards=rewards,
            advantages=group_advantages(rewards),
            used=used,
        )

    def learn(self, experience: RLVFExperience) -> Metrics:
        """The updates that the experience is good for, and how they went.

        KL, entropy and the policy's metrics are over the groups used.
        """
        self.success.record(experience.chosen, experience.correct)
        answers, correct = experience.answers, experience.correct
        metrics = {
            "accuracy": float(correct.mean()),
            "reward": float(experience.rewards.mean()),
            "groups_used": float(len(experience.used) // self.settings.samples_per_task),
            "response_length": float(answers.lengths.mean()),
            "finished": float(answers.finished.mean()),
            **self._accuracy_by_family(experience.chosen, correct),
            "tokens": float(answers.num_tokens),
        }
        if not len(experience.used):
            return metrics
        return metrics | {
            "objective/kl": experience.kl_per_response,
            "objective/entropy": float(-experience.logprobs.mean()),
            **update_metrics(self._updates(experience)),
        }

    def _verify(self, answers: Rollouts, chosen: np.ndarray) -> np.ndarray:
        """(G, K) bool: whether each answer is right."""
        tasks = [self.tasks[i] for i in chosen for _ in range(self.settings.samples_per_task)]
        right = [is_right(task, answer) for task, answer in zip(tasks, answers.answers(self.tokenizer), strict=True)]
        return np.array(right, dtype=bool).reshape(len(chosen), -1)

    def _accuracy_by_family(self, chosen: np.ndarray, correct: np.ndarray) -> Metrics:
        shares: defaultdict[str, list[float]] = defaultdict(list)
        for i, answers in zip(chosen, correct, strict=True):
            shares[family_of(self.tasks[i])].append(float(answers.mean()))
        return {f"accuracy/{family}": float(np.mean(share)) for family, share in sorted(shares.items())}

    def _updates(self, experience: RLVFExperience) -> list[PolicyUpdate]:
        """Gradient steps on minibatches of the responses that teach, until the policy has moved too far."""
        settings, rollouts, rng = self.settings, experience.rollouts, copy.deepcopy(experience.rng)
        old_logprobs, reference_logprobs = experience.logprobs, experience.reference_logprobs
        advantages = experience.token_advantages

        def token_loss(now: Tensor, tokens: np.ndarray) -> Tensor:
            old, start, advantage = old_logprobs[tokens], reference_logprobs[tokens], advantages[tokens]
            return grpo_token_loss(now, old, start, advantage, settings.clip_ratio, settings.kl_coef)

        updates: list[PolicyUpdate] = []
        passes = range(settings.epochs_per_iteration)
        for members in [m for _ in passes for m in minibatches(rng, len(rollouts), settings.minibatch_size)]:
            updates.append(
                update_policy(
                    self.model, self.optimizer, rollouts, members, old_logprobs, token_loss, settings, self.world
                )
            )
            if not updates[-1].applied:
                break
        return updates

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
        answer = answer_prompts(self.model, self.tokenizer, [task["prompt"]], self.settings.max_new_tokens)[0]
        return f"{task['prompt']} -> {answer.text} [{'right' if is_right(task, answer) else 'wrong'}]"

    def warning_signs(self, history: History) -> dict[str, str]:
        """Entropy collapse, KL blow-up, reward hacking and no learning signal, as far as the run shows them."""
        signs = {
            "entropy collapse": entropy_collapse(history.steps),
            "KL blow-up": kl_blow_up(history.steps),
            "reward hacking": reward_against_measure(history.steps, history.evaluations, "accuracy"),
            "no learning signal": no_learning_signal(history.steps),
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
    model, tokenizer, data = context.model, context.tokenizer, context.data
    size = model.config.context_size
    tasks, heldout = (that_leave_room(part, tokenizer, size, data.strict) for part in data.tasks())
    trainer = RLVFTrainer(
        model, tokenizer, model.config, context.settings, tasks=tasks, heldout=heldout, seed=context.seed
    )
    context.say(f"rlvf: {len(tasks):,} tasks")
    shown = [task["prompt"] for task in heldout[:: max(1, len(heldout) // SAMPLES)]][:SAMPLES]
    judge = answer_judge(context)
    asked = [] if judge is None else that_leave_room(heldout_prompts(data), tokenizer, size)

    def measure() -> Measures:
        rows = accuracies("verified accuracy on tasks", trainer.evaluate(heldout))
        if judge is not None:
            rows |= answer_rows(judge.evaluate(model, asked))
        return rows

    return Setup(trainer, model, tokenizer, measure, lambda: answered(model, tokenizer, shown))


def _memory(sizes: Sizes) -> list[Parts]:
    asked = [task["prompt"] for tasks in sizes.data.tasks() for task in tasks]
    answers = sizes.settings.tasks_per_iteration * sizes.settings.samples_per_task
    # policy and reference, and where there is a reward model, it and the judge's SFT policy
    return policy_memory(sizes, asked, answers, models=4, trained=1)


def answer_judge(context: Context) -> AnswerJudge | None:
    """What RLHF measures answers with, to see what becomes of them; None without SFT and reward model, or prompts."""
    sft, reward = context.checkpoint_of("sft"), context.checkpoint_of("reward")
    if sft is None or reward is None or not training_prompts(context.data) or not heldout_prompts(context.data):
        return None
    reference, tokenizer = load_checkpoint(sft)
    reward_model = load_reward_model(reward, tokenizer)
    prompts = that_leave_room(training_prompts(context.data), tokenizer, reference.config.context_size)
    return AnswerJudge(reference, reward_model, tokenizer, prompts, context.settings_of("rlhf"), context.seed)


def lengths(data: DataSources, tokenizer: Tokenizer, context_size: int) -> str:
    """Which prompts leave no room for an answer, in words; empty if all do.

    Raises:
        UserError: if none does, or if the data are read strictly and one does not.
    """
    kinds = dict(zip(("tasks", "held-out tasks"), data.tasks(), strict=True))
    return too_long_in_words(kinds, tokenizer, context_size, data.strict)


MIXED = 0.5
"""Of the groups, those with right and wrong answers, as a rule: only they teach."""


def _work(outlook: Outlook) -> Work:
    tasks, heldout = outlook.read_by(verifiable_tasks)
    settings, asked = outlook.settings, outlook.questions([task["prompt"] for task in tasks])
    # The policy answers as it was taught to; where this run does not teach it, nothing is known but the limit.
    taught = outlook.records.get(DataSources.dialogues.__name__)
    answer = min(settings.max_new_tokens, outlook.dialogues(taught[0]).answer if taught else LONGEST_ANSWER / 2)
    sampled = settings.num_iterations * settings.samples_per_task * min(settings.tasks_per_iteration, len(tasks))
    looks = measurements(settings.num_iterations, settings.evaluate_every) * min(PROGRESS_TASKS, len(heldout))
    learned = MIXED * sampled
    updates = settings.epochs_per_iteration * learned / FORWARD_BATCH
    pieces = [
        outlook.writing(sampled, asked, answer),
        outlook.reading(2 * learned, asked, answer, batch=FORWARD_BATCH),
        Piece("train", updates, FORWARD_BATCH, round(asked + answer), round(answer)),
        outlook.writing(looks + 2 * len(heldout), asked, answer),
    ]
    if pairs := outlook.records.get(DataSources.pairs.__name__):  # answers are judged as in RLHF, before and after
        prompts, lengths = len({record["prompt"] for record in pairs[1]}), outlook.pairs(pairs[0])
        pieces += [
            outlook.writing(3 * prompts + STANDARD_PROMPTS, lengths.prompt, lengths.answer),
            outlook.reading(4 * prompts, lengths.prompt, lengths.answer, batch=FORWARD_BATCH),
            outlook.scoring(2 * prompts + STANDARD_PROMPTS, lengths.prompt, lengths.answer),
        ]
    return Work(settings.num_iterations, pieces)


RLVF = Stage(
    name="rlvf",
    title_zh="可验证奖励强化学习",
    title_en="RL from verified feedback",
    directory="rlvf",
    config=RLVFConfig,
    reads=(verifiable_tasks,),
    build=_build,
    lengths=lengths,
    work=_work,
    follows=("rlhf", "sft", "pretrain"),
    generates=True,
    questions=3,
    memory=_memory,
)
