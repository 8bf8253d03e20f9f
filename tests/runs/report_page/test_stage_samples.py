"""The same questions through the stages: each stage's own model answers, and the reward model scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scratchgpt.config import GPTConfig
from scratchgpt.errors import UserError
from scratchgpt.evaluation.answering import answer_prompts
from scratchgpt.evaluation.reward_scores import encode_answer, score_sequences
from scratchgpt.inference.generate import generate_batch
from scratchgpt.inference.sequences import note_sliding_window
from scratchgpt.models.reward import RewardModel
from scratchgpt.runs.report_page.stage_samples import answers_by_stage
from scratchgpt.stages.run_folder import load_model
from scratchgpt.tokenizer import CharTokenizer
from tests.tiny import save_checkpoint, tiny_tokenizer

PROMPTS = ["小猫住在哪里？", "你好"]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    for seed, stage in enumerate(("pretrain", "sft", "rlvf")):
        save_checkpoint(tmp_path, stage, seed)
    return tmp_path


def save_reward_model(out: Path, tokenizer: CharTokenizer) -> RewardModel:
    config = GPTConfig(tokenizer.vocab_size, emb_dim=16, num_heads=2, num_layers=1, context_size=64)
    model = RewardModel(config, seed=5)
    model.score.weight.data[...] = np.linspace(-1, 1, 16).reshape(model.score.weight.shape)
    model.save_pretrained(out / "reward_model")
    tokenizer.save_pretrained(out / "reward_model")
    return model


def test_each_stage_answers_with_its_own_model(out: Path) -> None:
    rows = answers_by_stage(out, PROMPTS)
    assert [[answer.stage for answer in row] for row in rows] == [["pretrain", "sft", "rlvf"]] * 2
    for column, stage in ((1, "sft"), (2, "rlvf")):
        expected = [answer.text for answer in answer_prompts(*load_model(out, stage), PROMPTS)]
        assert [row[column].text for row in rows] == expected
    assert all(answer.score is None for row in rows for answer in row)  # there is no reward model
    assert answers_by_stage(out, PROMPTS) == rows


def test_the_pretrained_model_continues(out: Path) -> None:
    model, tokenizer = load_model(out, "pretrain")
    encoded = [tokenizer.encode(prompt) for prompt in PROMPTS]
    continued = generate_batch(model.eval(), encoded, 40, temperature=0.8, top_k=50, stop_ids=(3, 4, 5))
    assert [row[0].text for row in answers_by_stage(out, PROMPTS)] == [tokenizer.decode(c).strip() for c in continued]


def test_a_full_context_is_no_news_to_a_reader_of_the_report(out: Path, recwarn: pytest.WarningsRecorder) -> None:
    note_sliding_window.cache_clear()  # it is said once in a process
    answers_by_stage(out, ["小猫" * 20])
    assert recwarn.list == []


def test_the_reward_model_scores_answers_but_no_continuation(out: Path) -> None:
    model = save_reward_model(out, tiny_tokenizer())
    for prompt, row in zip(PROMPTS, answers_by_stage(out, PROMPTS), strict=True):
        assert row[0].score is None
        for answer in row[1:]:
            expected = score_sequences(model, [encode_answer(tiny_tokenizer(), prompt, answer.text)[:64]])[0]
            assert answer.score == pytest.approx(expected, abs=1e-5)
    assert len({answer.score for row in answers_by_stage(out, PROMPTS) for answer in row}) > 2


@pytest.mark.parametrize("same_size", [False, True])
def test_a_reward_model_of_other_tokens_has_no_say(out: Path, same_size: bool) -> None:
    characters = "".join(chr(0x5000 + i) for i in range(len(tiny_tokenizer()) - 6)) if same_size else "只有这些字"
    other = CharTokenizer()
    other.build_vocab([characters])
    assert (len(other) == len(tiny_tokenizer())) == same_size
    save_reward_model(out, other)
    assert all(answer.score is None for row in answers_by_stage(out, PROMPTS) for answer in row)


def test_no_stage_or_a_damaged_one(tmp_path: Path) -> None:
    assert answers_by_stage(tmp_path, PROMPTS) == []
    (save_checkpoint(tmp_path, "sft") / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(UserError, match="damaged weights file"):
        answers_by_stage(tmp_path, PROMPTS)
