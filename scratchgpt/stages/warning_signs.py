"""Signs that reinforcement learning ruins the policy, read from what a run has logged so far.

    entropy collapse   the policy hardly tries anything new any more, so there is nothing left to learn from
    KL blow-up         the policy has left the neighbourhood of the reference, where rewards can be trusted
    reward hacking     the reward rises and the answers get no better: the policy has found what fools its judge

Each function looks at the records of a log and returns what it saw in one line, or None. What is called the
beginning and the present are means over :data:`WINDOW` iterations, because one iteration of 64 answers is noisy.
The limits stand between runs that went well and runs that were ruined on purpose (``docs/experiments.md``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def _first_and_now(records: Records, name: str) -> tuple[float, float]:
    """Means over the first and the last :data:`WINDOW` records that hold ``name``; zeros if there is none."""
    values = [float(record[name]) for record in records if name in record]
    if not values:
        return 0.0, 0.0
    first, last = values[:WINDOW], values[-WINDOW:]
    return sum(first) / len(first), sum(last) / len(last)
