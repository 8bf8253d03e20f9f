"""What a reward model thinks of answers: how one is put before it, and the scores of many."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scratchgpt.autograd import no_grad
from scratchgpt.datasets.batches import pad_sequences
from scratchgpt.models.reward import RewardModel
from scratchgpt.tokenizer import Message, Tokenizer, encode_chat

SCORING_BATCH = 64
"""Answers scored together."""


def encode_answer(tokenizer: Tokenizer, prompt: str, answer: str, history: Sequence[Message] = ()) -> list[int]:
    """Ids of a question and its complete answer, as the reward model reads them.

    Args:
        tokenizer: made for the model's vocabulary.
        prompt: the question.
        answer: to it.
        history: messages before the question.
    """
    exchange = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    ids = encode_chat(tokenizer, [*history, *exchange])
    return ids[:-1]  # without the newline behind <|im_end|>: the score is read where generation stops


def score_sequences(model: RewardModel, sequences: Sequence[Sequence[int]]) -> np.ndarray:
    """Scores (N,) of token sequences, without dropout and without a graph."""
    model.eval()
    scores = np.empty(len(sequences), dtype=np.float64)
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))
    with no_grad():
        for start in range(0, len(order), SCORING_BATCH):
            members = order[start : start + SCORING_BATCH]
            ids = pad_sequences([sequences[i] for i in members])
            scores[members] = model(ids, np.array([len(sequences[i]) for i in members])).data
    return scores
