"""A reward model's scores: where one is read, and that it is the same in any company."""

from __future__ import annotations

import numpy as np

from scratchgpt.config import GPTConfig
from scratchgpt.evaluation.reward_scores import SCORING_BATCH, encode_answer, score_sequences
from scratchgpt.models.reward import RewardModel
from scratchgpt.tokenizer import IM_END_ID, CharTokenizer


def test_the_score_is_read_at_the_end_of_the_answer(char_tokenizer: CharTokenizer) -> None:
    assert encode_answer(char_tokenizer, "你好", "你好呀。")[-1] == IM_END_ID


def test_scores_do_not_depend_on_the_company(tiny_config: GPTConfig) -> None:
    model = RewardModel(tiny_config)
    sequences = [[7, 8, 9], [10], [11, 12, 13, 14, 15]]
    together = score_sequences(model, sequences)
    alone = [score_sequences(model, [s])[0] for s in sequences]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_many_scores_come_back_in_the_order_of_the_sequences(tiny_config: GPTConfig) -> None:
    model = RewardModel(tiny_config)
    rng = np.random.default_rng(0)
    sequences = [rng.integers(6, 20, length).tolist() for length in rng.integers(1, 30, SCORING_BATCH + 9)]
    expected = [score_sequences(model, [sequence])[0] for sequence in sequences]
    np.testing.assert_allclose(score_sequences(model, sequences), expected, atol=1e-5)
    assert len(score_sequences(model, [])) == 0
