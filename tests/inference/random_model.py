"""A random model whose choices depend on everything it reads: what the tests of generating share."""

from __future__ import annotations

import numpy as np

from scratchgpt.config import GPTConfig
from scratchgpt.models.gpt2 import GPT


def random_model(config: GPTConfig) -> GPT:
    """In training mode, so that dropout would show."""
    model = GPT(config, seed=1)
    rng = np.random.default_rng(2)
    for _, parameter in model.named_parameters():
        parameter.data += rng.standard_normal(parameter.shape).astype(np.float32) * 0.4
    model.transformer.wpe.weight.data *= 4  # the tied head alone would repeat the last token for ever
    return model.train()
