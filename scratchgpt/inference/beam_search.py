"""Beam search: the most likely continuation among those that a narrow search finds.

At every step each of the ``num_beams`` best continuations so far is extended by every token, and the best of
all the extensions are kept (Sutskever et al. 2014, section 3.2). One that ends leaves the beam, and the next best
takes its place. Finished hypotheses compete by log P / lp, where the length penalty makes up for every further
token lowering P:

    lp(Y) = ((5 + |Y|) / 6) ^ length_penalty            Wu et al. 2016, equation 14

The search is that of ``transformers``, step by step: only an ending among the ``num_beams`` best extensions counts,
the ``num_beams`` best hypotheses are kept, and when so many have ended and the best of the beam, were it to end
here, would score no better than the worst of them, the search is over.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scratchgpt.errors import UserError
from scratchgpt.inference.sequences import Sequences
from scratchgpt.models.base import LanguageModel


def beam_search(
    model: LanguageModel,
    prompt_ids: Sequence[int],
    max_new_tokens: int,
    num_beams: int,
    length_penalty: float = 0.6,
    stop_ids: Sequence[int] = (),
) -> tuple[list[int], float]:
    """The best continuation of one prompt that the search finds. One beam is greedy decoding.

    Args:
        model: the model; its dropout takes no part.
        prompt_ids: at least one id, at most the context.
        max_new_tokens: a hypothesis ends here if no stop token ended it before.
        num_beams: hypotheses looked at together.
        length_penalty: 0 compares plain log-probabilities, which favours the short; larger favours the long.
        stop_ids: tokens that end a hypothesis.

    Returns:
        the new ids, including the stop token where one was reached, and their score log P / lp (nats).

    Raises:
        UserError: if an argument is out of range or the prompt does not fit.
    """
    if num_beams < 1:
        raise UserError(f"num_beams must be at least 1, not {num_beams}")
    if max_new_tokens < 1:
        raise UserError(f"the number of new tokens must be at least 1, not {max_new_tokens}")
    sequences = Sequences(model, capacity=num_beams)
    sequences.join([prompt_ids])
    beams: list[list[int]] = [[]]
    log_probs = np.zeros(1)
    finished: list[tuple[float, list[int]]] = []
    for length in range(1, max_new_tokens + 1):
        extended = log_probs[:, None] + log_softmax(sequences.logits)  # (beams, V)
        # However many of them end at one of the stop tokens, enough are left to fill the beam.
        best = indices_of_largest(extended.reshape(-1), (1 + len(stop_ids)) * num_beams)
        parents, tokens = np.divmod(best, extended.shape[1])
        log_probs = extended[parents, tokens]
        ended = np.isin(tokens, stop_ids) | (length == max_new_tokens)
        penalty = ((5 + length) / 6) ** length_penalty
        for i in np.flatnonzero(ended[:num_beams]):
            finished.append((float(log_probs[i]) / penalty, [*beams[parents[i]], int(tokens[i])]))
        finished = sorted(finished, key=lambda hypothesis: -hypothesis[0])[:num_beams]
        alive = np.flatnonzero(~ended)[:num_beams]
        full = len(finished) == num_beams
        if not len(alive) or (full and log_probs[alive[0]] / penalty <= finished[-1][0]):
            break
        beams = [[*beams[parents[i]], int(tokens[i])] for i in alive]
        log_probs = log_probs[alive]
        sequences.advance(parents[alive], tokens[alive])
    score, ids = finished[0]
    return ids, score


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """logits (B, V) -> log-probabilities (B, V), float64: a hypothesis adds up many of them."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def indices_of_largest(values: np.ndarray, count: int) -> np.ndarray:
    """The indices of the ``count`` largest of values (N,), largest first; of equals the first ones."""
    count = min(count, len(values))
    smallest = np.partition(values, -count)[-count]
    candidates = np.flatnonzero(values >= smallest)  # few: only these need sorting
    return candidates[np.argsort(-values[candidates], kind="stable")][:count]
