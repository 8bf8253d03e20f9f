"""Signs that a run ruins its model or learns nothing, read from what it has logged so far.

    entropy collapse     the policy hardly tries anything new any more, so there is nothing left to learn from
    KL blow-up           the policy has left the neighbourhood of the reference, where rewards can be trusted
    reward hacking       the reward rises and the answers get no better: the policy has found what fools its judge
    one answer to all    the reward rises and most prompts get the same answer, another way to fool the judge
    no learning signal   every group of answers is all right or all wrong, so that no answer is better than another
    loss has turned      the loss on held-out data was lower before: the model learns its training data by heart
    nothing learned      the loss at the end is no lower than at the beginning

Each function looks at the records of a log and returns what it saw in one line, or None. What is called the
beginning and the present are means over :data:`WINDOW` iterations, because one iteration of 64 answers is noisy.
The limits stand between runs that went well and runs that were ruined on purpose (``docs/experiments.md``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

Records = Sequence[Mapping[str, Any]]
"""Lines of a log, oldest first; one may lack what another has."""

WINDOW = 3
"""Iterations in a mean. Of single ones the entropy halves and doubles in runs that go well."""
ENTROPY_FRACTION = 0.2
"""Share of its first entropy that a policy must keep. Good runs kept 60% or more; below a fifth, eight answers
to a prompt are mostly the same one, and the advantages of a group that agrees are all zero."""
KL_LIMIT = 10.0
"""Nats a response from the reference. Good runs stayed under 4, one that lost facts and arithmetic reached 5.4; one
without a KL penalty passed 10 after two iterations of updates and ended at 80, its answers nonsense."""
REWARD_RISE = 0.3
"""What counts as a rise: three standard errors of the difference of two means over 3 * 64 standardised rewards."""
MEASURE_FALL = 0.1
"""What counts as a fall of a share of right answers: two standard errors, measured on a hundred prompts."""
ALIKE_SHARE = 0.5
"""Share of different prompts that may get the same answer. To questions about different things no answer fits half."""
ALIKE_RISE = 0.25
"""What counts as a rise of that share: few prompts can have had few answers from the beginning."""
SILENT_ITERATIONS = 5
"""Iterations without one group that teaches. Where 95% of the answers are right, 9% of the groups of two disagree: none
of 24 does in one iteration of eleven, and in five one after the other once in 150,000."""
TURN_SHARE, TURN_NATS = 0.05, 0.05
"""By how much more than its lowest a held-out loss is said to have turned: both of it, so that neither the noise of a
large loss counts nor a small one's last thousandths. A small model that learned noise by heart rose by 9% to 15%."""

MEND = "lower lr or raise kl_coef"


def entropy_collapse(steps: Records) -> str | None:
    """The entropy of the policy fell below :data:`ENTROPY_FRACTION` of what it was.

    Reads "objective/entropy", nats a token. Cui et al. 2025, "The Entropy Mechanism of Reinforcement Learning
    for Reasoning Language Models": reward is paid for in entropy, and where none is left, learning ends.
    """
    first, now = _first_and_now(steps, "objective/entropy")
    if now < ENTROPY_FRACTION * first:
        return f"{now:.3g} nats a token, {first:.3g} at first: the policy tries nothing new; {MEND}"
    return None


def kl_blow_up(steps: Records) -> str | None:
    """The policy is more than :data:`KL_LIMIT` away from the reference.

    Reads "objective/kl", nats a response.
    """
    _, now = _first_and_now(steps, "objective/kl")
    if now > KL_LIMIT:
        return f"{now:.1f} nats a response from the reference, more than {KL_LIMIT:g}; {MEND}"
    return None


def reward_far_from_reference(steps: Records) -> str | None:
    """Reward hacking: the reward rose and the KL blew up (Gao et al. 2023, "Scaling Laws for Reward Model
    Overoptimization"). For the reward of a model only: a verifier is right at any distance.

    Reads "reward" and "objective/kl".
    """
    first, now = _first_and_now(steps, "reward")
    _, kl = _first_and_now(steps, "objective/kl")
    if now - first > REWARD_RISE and kl > KL_LIMIT:
        return (
            f"the reward rose by {now - first:.2f} at {kl:.0f} nats a response from the reference, "
            f"where it cannot be trusted; {MEND} and read some answers"
        )
    return None


def reward_against_measure(steps: Records, evaluations: Records, measure: str) -> str | None:
    """Reward hacking: the reward rose and ``measure`` fell, a share of held-out answers that are right by rule.

    Reads "reward" in ``steps`` and ``measure`` in ``evaluations``, the first of them and the last.
    """
    first, now = _first_and_now(steps, "reward")
    shares = [record[measure] for record in evaluations if measure in record]
    if shares and now - first > REWARD_RISE and shares[0] - shares[-1] > MEASURE_FALL:
        name = measure.replace("_", " ")
        return (
            f"the reward rose by {now - first:.2f} but {name} on held-out prompts fell "
            f"from {shares[0]:.0%} to {shares[-1]:.0%}; {MEND} and read some answers"
        )
    return None


def one_answer_to_all(steps: Records) -> str | None:
    """The reward rose and more than :data:`ALIKE_SHARE` of different prompts get the same answer.

    Reads "reward" and "answers/alike" (:func:`alike_share`).
    """
    return _alike(steps, *_first_and_now(steps, "answers/alike"), "the same answer")


def one_likeliest_answer_to_all(steps: Records, evaluations: Records) -> str | None:
    """The reward rose and more than :data:`ALIKE_SHARE` of held-out prompts have the same likeliest answer.

    Chance hides it from :func:`one_answer_to_all`: two samples of one long answer are seldom equal to the letter.

    Reads "reward" in ``steps`` and "answers/alike" in ``evaluations``, the first of them and the last.
    """
    shares = [float(record["answers/alike"]) for record in evaluations if "answers/alike" in record]
    return _alike(steps, shares[0], shares[-1], "the same likeliest answer") if shares else None


def _alike(steps: Records, first: float, now: float, what: str) -> str | None:
    first_reward, reward = _first_and_now(steps, "reward")
    if now > ALIKE_SHARE and now - first > ALIKE_RISE and reward - first_reward > REWARD_RISE:
        return (
            f"{now:.0%} of the prompts get {what}, {first:.0%} at first, and the reward rose by "
            f"{reward - first_reward:.2f}: the reward model is fooled by it; {MEND} and read some answers"
        )
    return None


def alike_share(prompts: Sequence[Sequence[Hashable]], answers: Sequence[Sequence[Hashable]]) -> float:
    """Share of the different prompts that got the answer given to most of them; each ids or a text."""
    asked: Counter[tuple[Hashable, ...]] = Counter()
    for _, answer in {(tuple(prompt), tuple(answer)) for prompt, answer in zip(prompts, answers, strict=True)}:
        asked[answer] += 1
    return max(asked.values()) / len({tuple(prompt) for prompt in prompts})


def no_learning_signal(steps: Records) -> str | None:
    """No group of the last :data:`SILENT_ITERATIONS` iterations had both right and wrong answers.

    Reads "groups_used" and "accuracy". A group that agrees has advantages of zero (Shao et al. 2024, algorithm 1).
    """
    last = [step for step in steps if "groups_used" in step][-SILENT_ITERATIONS:]
    if len(last) < SILENT_ITERATIONS or any(step["groups_used"] for step in last):
        return None
    accuracy = sum(float(step["accuracy"]) for step in last) / len(last)
    if accuracy > 0.5:
        how = "right: the tasks are too easy; give harder ones"
    else:
        how = "wrong: the tasks are too hard for this model; give easier ones, or raise samples_per_task"
    return f"all answers to a task have been alike for {len(last)} iterations, {accuracy:.0%} right. Most are {how}"


def loss_has_turned(evaluations: Records) -> str | None:
    """The held-out loss is higher than it was by more than :data:`TURN_SHARE` of it and :data:`TURN_NATS`.

    Reads "loss" and "step".
    """
    measured = [(float(record["loss"]), record["step"]) for record in evaluations if "loss" in record]
    if not measured:
        return None
    (best, step), (now, _) = min(measured), measured[-1]
    if now - best > max(TURN_SHARE * best, TURN_NATS):
        return f"{best:.4g} nats at step {step}, now {now:.4g}: train for fewer epochs, lower lr or give more data"
    return None


def nothing_learned(first: float, last: float) -> str | None:
    """The loss at the end, in nats, is no lower than at the beginning (or is no number)."""
    if last < first:
        return None
    return f"the loss is {last:.4g} nats at the end, {first:.4g} without training; lower lr, or train for longer"


def supervised_signs(evaluations: Records, total_steps: int) -> dict[str, str]:
    """The signs of a stage that is measured by its held-out loss, a line for each that shows.

    Args:
        evaluations: "loss" and "step" of each measurement; the first is that of step 0.
        total_steps: of the stage: only at its end can nothing have been learned.
    """
    losses = [float(record["loss"]) for record in evaluations if "loss" in record]
    at_the_end = len(losses) > 1 and evaluations[-1]["step"] == total_steps
    signs = {
        "loss has turned": loss_has_turned(evaluations),
        "nothing learned": nothing_learned(losses[0], losses[-1]) if at_the_end else None,
    }
    return {sign: text for sign, text in signs.items() if text}


def _first_and_now(records: Records, name: str) -> tuple[float, float]:
    """Means over the first and the last :data:`WINDOW` records that hold ``name``; zeros if there is none."""
    values = [float(record[name]) for record in records if name in record]
    if not values:
        return 0.0, 0.0
    first, last = values[:WINDOW], values[-WINDOW:]
    return sum(first) / len(first), sum(last) / len(last)
