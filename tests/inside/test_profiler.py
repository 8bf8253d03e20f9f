"""The profile of a step: every operation is counted, the parts make up the whole, nothing else changes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from scratchgpt.autograd.watch import observers
from scratchgpt.config import GPTConfig, PretrainConfig
from scratchgpt.errors import UserError
from scratchgpt.inside.profiler import Profile, Work, profile_steps, profile_table
from scratchgpt.models.gpt2 import GPT
from scratchgpt.stages.pretrain import Pretrainer
from scratchgpt.tokenizer import CharTokenizer
from tests.conftest import ANSWERS

LAYERS = 2


@pytest.fixture
def trainer(char_tokenizer: CharTokenizer) -> Pretrainer:
    config = GPTConfig(char_tokenizer.vocab_size, emb_dim=16, num_heads=2, num_layers=LAYERS, context_size=8)
    settings = PretrainConfig(batch_size=3, warmup_steps=0)
    return Pretrainer(GPT(config, 1), char_tokenizer, config, settings, ANSWERS * 5, ANSWERS)


def printed(profile: Profile) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(profile_table(profile, "the title"))
    return console.file.getvalue()


def test_every_operation_of_the_step_is_counted_where_it_happens(trainer: Pretrainer) -> None:
    profile = profile_steps(trainer, steps=2, warm_up=1)
    calls = {
        (name, place): work.calls / 2 for name, places in profile.operations.items() for place, work in places.items()
    }
    assert calls["causal_attention", "transformer.h.*.attn"] == LAYERS
    assert calls["layernorm", "transformer.h.*.ln_1"] == LAYERS
    assert calls["layernorm", "transformer.ln_f"] == 1
    assert calls["embedding", "transformer.wte"] == 1
    assert calls["linear_cross_entropy", ""] == 1
    assert all(work.forward > 0 and work.backward > 0 for p in profile.operations.values() for work in p.values())
    assert len(profile.steps) == 2 and profile.tokens == 2 * 3 * 8
    assert 0 < profile.optimizer < profile.seconds and 0 < profile.rest < profile.seconds


def test_profiled_steps_train_as_any_others_do(trainer: Pretrainer, char_tokenizer: CharTokenizer) -> None:
    plain = Pretrainer(
        GPT(trainer.model.config, 1), char_tokenizer, trainer.model.config, trainer.settings, ANSWERS * 5, ANSWERS
    )
    profile_steps(trainer, steps=2, warm_up=1)
    for index in range(3):
        plain.step(index)
    for seen, unseen in zip(trainer.model.parameters(), plain.model.parameters(), strict=True):
        np.testing.assert_array_equal(seen.data, unseen.data)
    assert observers() == () and "step" not in vars(trainer.optimizer)


def test_a_run_that_diverges_is_one_line(trainer: Pretrainer, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(max_norm: float) -> float:
        raise FloatingPointError("the gradient norm is inf")

    monkeypatch.setattr(trainer.optimizer, "step", diverge)
    with pytest.raises(UserError, match="pretrain: the gradient norm is inf"):
        profile_steps(trainer, steps=1, warm_up=1)


def test_the_table_adds_up() -> None:
    profile = Profile(
        operations={
            "gelu": {"transformer.h.*.mlp": Work(8, 0.2, 0.4)},
            "linear": {"transformer.h.*.mlp.c_fc": Work(8, 1.0, 2.0), "": Work(2, 0.25, 0.75)},
        },
        steps=[4.0, 6.0],
        optimizer=0.5,
        tokens=1000.0,
    )
    text = printed(profile)
    rows = [line.split() for line in text.splitlines() if "%" in line]
    assert rows == [
        ["linear", "5", "625.00", "1375.00", "2000.00", "40.0%"],
        ["transformer.h.*.mlp.c_fc", "4", "500.00", "1000.00", "1500.00", "30.0%"],
        ["outside", "of", "all", "modules", "1", "125.00", "375.00", "500.00", "10.0%"],
        ["gelu", "4", "100.00", "200.00", "300.00", "6.0%"],
        ["clip", "and", "update", "250.00", "5.0%"],
        ["engine", "and", "rest", "2450.00", "49.0%"],
        ["step:", "100", "tokens/s", "5000.00", "100.0%"],
    ]
    assert "the title" in text and "4000.0 to 6000.0 ms" in text
