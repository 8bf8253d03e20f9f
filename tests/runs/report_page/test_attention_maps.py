"""Attention maps: the weights that the model's own attention uses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scratchgpt import kernels
from scratchgpt.errors import UserError
from scratchgpt.runs.report_page.attention_maps import attention_maps
from scratchgpt.stages.run_folder import load_model
from tests.tiny import save_checkpoint

TEXT = "小猫住在山里"


def test_the_weights_are_those_of_the_attention(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, "sft")
    model, tokenizer = load_model(tmp_path, "sft")
    maps = attention_maps(model.train(), tokenizer, TEXT)
    assert maps.tokens == list(TEXT)
    assert maps.weights.shape == (2, 2, 6, 6)
    assert model.training
    np.testing.assert_allclose(maps.weights.sum(-1), 1, rtol=1e-5)
    assert not np.triu(maps.weights, 1).any()

    # The first layer by hand: softmax of the scores of q and k mixes v into what the kernel returns.
    block = model.transformer.h[0]
    ids = np.array([tokenizer.encode(TEXT)])
    x = model.transformer.wte(ids) + model.transformer.wpe(np.arange(6))
    qkv = block.attn.c_attn(block.ln_1(x)).data
    mixed, _ = kernels.attention_forward(qkv, 2)
    values = qkv[0, :, 64:].reshape(6, 2, 16).transpose(1, 0, 2)
    by_hand = (maps.weights[0] @ values).transpose(1, 0, 2).reshape(6, 32)
    np.testing.assert_allclose(by_hand, mixed[0], rtol=1e-4, atol=1e-5)


def test_only_the_first_tokens(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, "sft")
    model, tokenizer = load_model(tmp_path, "sft")
    all_of_it, beginning = attention_maps(model, tokenizer, TEXT), attention_maps(model, tokenizer, TEXT * 30, 4)
    assert beginning.tokens == list("小猫住在")
    np.testing.assert_allclose(beginning.weights, all_of_it.weights[..., :4, :4], rtol=1e-5)


def test_an_empty_or_too_long_text_is_one_line(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, "sft")
    model, tokenizer = load_model(tmp_path, "sft")
    with pytest.raises(UserError, match="the text is empty"):
        attention_maps(model, tokenizer, "")
    with pytest.raises(UserError, match="180 tokens exceeds the model's context of 64"):
        attention_maps(model, tokenizer, TEXT * 30)
