"""Where every head of a model looks when it reads a text: the attention weights, by layer and head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scratchgpt.autograd import no_grad
from scratchgpt.errors import UserError
from scratchgpt.inside.recorder import record
from scratchgpt.inside.token_display import tokens_of
from scratchgpt.models.base import LanguageModel
from scratchgpt.tokenizer import Tokenizer


@dataclass(frozen=True, eq=False)
class AttentionMaps:
    """The attention of a model that reads a text.

    Attributes:
        tokens: the T tokens of the text, readable.
        weights: (layers, H, T, T); row i says how much token i looks at each token up to itself, 1 in all.
    """

    tokens: list[str]
    weights: np.ndarray


def attention_maps(
    model: LanguageModel, tokenizer: Tokenizer, text: str, most_tokens: int | None = None
) -> AttentionMaps:
    """Read the text and keep the attention weights (Vaswani et al. 2017, eq. 1).

    The weights are those of the kernels' reference: the fast kernel never holds them.

    Args:
        model: the model; its dropout takes no part.
        tokenizer: the one it was trained with.
        text: at least one character.
        most_tokens: read only so many of the first tokens; None: all.

    Raises:
        UserError: if the text is empty or longer than the model's context.
    """
    tokens = tokens_of(tokenizer, text)[:most_tokens]
    if not tokens:
        raise UserError("the text is empty: give at least one character to look at")
    training = model.training
    try:
        with no_grad(), record(model.eval()) as recording:
            model.hidden_states(np.array([[token.id for token in tokens]]))
    finally:
        model.train(training)
    layers = [step.hidden() for step in recording.find("causal_attention")]
    weights = [hidden.array[0] for steps in layers for hidden in steps if hidden.name == "weights"]
    return AttentionMaps([token.readable for token in tokens], np.stack(weights))
