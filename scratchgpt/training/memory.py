"""How much memory training will take, worked out from sizes alone: nothing is made and nothing is run.

What a stage holds changes as it goes: on the way forward activations pile up, the way back adds gradients, measuring
holds logits, generating keeps keys and values. Each function here is one such moment, as parts that are held together;
a stage's need is that of its largest moment, since freed memory is kept for what comes next
(:func:`scratchgpt.kernels.runtime.environment.keep_freed_memory`). N is the positions of a pass, B * T.

The counts are of GPT-2's block; another architecture of the same sizes is taken to need as much.
`bench/memory.py` holds them against what runs really take.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from scratchgpt import kernels
from scratchgpt.autograd.layers import HEAD_ROWS
from scratchgpt.config import GPTConfig
from scratchgpt.evaluation.measures import EVALUATION_BATCH
from scratchgpt.models.gpt2 import GPT

FLOAT = 4
"""Bytes of a float32: weights, gradients, moments and activations are float32 in every precision."""
RESULTS = 14
"""Times C: what a block keeps of a position until the way back: two layernorms, q, k and v, attention and its
projection, the feed-forward layer's inside before GELU (4 C) and its output, two sums."""
DROPPED = 2
"""Times C: two more where there is dropout."""
INSIDE = 4
"""Times C: the feed-forward layer's inside, which the way back frees with its block."""
IN_PASSING = 11
"""Times C: the most that a block needs of a position at once where nothing is kept, and as much on the way back."""

Parts = Mapping[str, float]
"""What is held together, in bytes by what it is."""


def total(parts: Parts) -> float:
    """All parts together."""
    return sum(parts.values())


def together(*all_parts: Parts) -> dict[str, float]:
    """Parts that are held at the same time."""
    return {name: sum(parts.get(name, 0) for parts in all_parts) for parts in all_parts for name in parts}


def largest(moments: Iterable[Parts]) -> Parts:
    """The moment that needs most."""
    return max(moments, key=total)


# -- what is there all the time -------------------------------------------------------------------------------
def parameter_bytes(config: GPTConfig) -> int:
    """All parameters of one model, and so their gradients, or one of AdamW's two moments."""
    return FLOAT * sum(math.prod(shape) for _, shape in GPT.parameter_shapes(config))


def held_models(config: GPTConfig, models: int, trained: int) -> Parts:
    """Models that are there all the time.

    Args:
        config: their sizes.
        models: how many of them.
        trained: how many of these have an optimizer.
    """
    one = parameter_bytes(config)
    return {"models": models * one, "AdamW's moments": 2 * trained * one}


def packed_weights(config: GPTConfig) -> int:
    """What a decoder keeps of a model: its parameters copied, the matrices packed, and the token table once more."""
    table = FLOAT * config.vocab_size * config.emb_dim
    return table + FLOAT * config.context_size * config.emb_dim + (parameter_bytes(config) * _packed() // FLOAT)


def _packed() -> int:
    """Bytes of a number that is packed to be multiplied."""
    return 2 if kernels.precision() == "bf16" else FLOAT


# -- moments ------------------------------------------------------------------------------------------------
def activations(config: GPTConfig, positions: int, dropout: bool) -> float:
    """What a pass keeps of its way forward."""
    width, drops = config.emb_dim, dropout and config.dropout > 0
    block = (RESULTS + DROPPED * drops) * width + config.num_heads + 4  # logsumexp; mean and 1/deviation, twice
    around = (3 + drops) * width + 2  # the embeddings, their sum, the last layernorm
    return FLOAT * positions * (config.num_layers * block + around)


def training_pass(
    config: GPTConfig, rows: int, time: int, *, dropout: bool, logits: float = 0, head: float = 0
) -> list[Parts]:
    """One pass forward and back.

    Args:
        config: the model's sizes.
        rows, time: of the batch, B and T.
        dropout: whether dropout is on, where the config has any.
        logits: bytes of logits and their gradients that are held at the turn.
        head: bytes of gradients that the head holds at the turn.

    Returns:
        Three moments: the turn, where all is kept and the head at work; the last block's way back; the end of the way
        back, when every gradient is there.
    """
    positions, width = rows * time, config.emb_dim
    kept, one = activations(config, positions, dropout), parameter_bytes(config)
    freed = FLOAT * positions * config.num_layers * (INSIDE * width + config.num_heads + 4)
    table = FLOAT * config.vocab_size * width
    stream = FLOAT * positions * width
    return [
        {"activations": kept, "logits": logits, "gradients": head},
        {"activations": kept + IN_PASSING * stream, "gradients": head},
        {"activations": kept - freed + 3 * stream, "gradients": one + 2 * table},  # the table's come from both ends
    ]


def language_model_pass(config: GPTConfig, rows: int, time: int) -> list[Parts]:
    """A pass of next-token training, whose head makes logits and their gradient a block of rows at a time."""
    positions, table = rows * time, config.vocab_size * config.emb_dim
    block = FLOAT * min(positions, HEAD_ROWS) * config.vocab_size
    head = FLOAT * (table + positions * config.emb_dim) + 2 * _packed() * table  # packed for both ways
    return training_pass(config, rows, time, dropout=True, logits=block, head=head)


def policy_pass(config: GPTConfig, rows: int, time: int, answer: int) -> list[Parts]:
    """A pass of a policy's update: the logits of all answers' tokens, and their gradient.

    Args:
        config: the model's sizes.
        rows, time: of the batch, B and T.
        answer: tokens of the longest answer.
    """
    tokens, table = rows * min(answer, time), FLOAT * config.vocab_size * config.emb_dim
    logits = 2 * FLOAT * tokens * config.vocab_size
    head = 2 * table + 2 * FLOAT * tokens * config.emb_dim
    return training_pass(config, rows, time, dropout=False, logits=logits, head=head)


def measuring_pass(config: GPTConfig, rows: int, time: int) -> Parts:
    """A pass whose way back nobody asks for."""
    return {"activations": FLOAT * rows * time * IN_PASSING * config.emb_dim}


def measuring_loss(config: GPTConfig, time: int) -> Parts:
    """The loss on held-out data: the logits of a batch, while those of the batch before are still there."""
    logits = 2 * FLOAT * EVALUATION_BATCH * time * config.vocab_size
    return {**measuring_pass(config, EVALUATION_BATCH, time), "logits": logits}


def generating(config: GPTConfig, rows: int, prompt: int) -> Parts:
    """Answers to prompts that are read together.

    Keys and values count in full: NumPy asks for huge pages, and the first tokens of the rows touch nearly all.

    Args:
        config: the model's sizes.
        rows: answered together.
        prompt: tokens of the longest prompt.
    """
    cache = 2 * FLOAT * config.num_layers * rows * config.context_size * config.emb_dim
    return {
        **measuring_pass(config, rows, min(prompt, config.context_size)),
        "keys and values": cache,
        "logits": 3 * FLOAT * rows * config.vocab_size,
    }


# -- data ---------------------------------------------------------------------------------------------------
RECORD = 2500
"""Bytes of a record once read, beside its text: dictionaries, lists, and the file it was read from."""
DOCUMENT = 100
CHARACTER = 6
"""Bytes of a character of data: in the file, as text, and cut into documents or turns."""
FITTED_CHARACTER = 30
"""Bytes of a character that a BPE tokenizer is made from: pieces of words, their counts, the pairs in them."""
STREAM_TOKEN = 44
"""Bytes of a token while documents become one stream: an integer in a list, then in an array."""


def tokens_of(text: str, vocab_size: int, by_character: bool = False) -> int:
    """About how many tokens a text will be, before there is a tokenizer: fewer, the larger the vocabulary.

    Measured on the project's own data: 0.27 tokens a byte of UTF-8 at a vocabulary of 6,400, 0.41 at 1,000.
    """
    if by_character:
        return len(text)
    return math.ceil(len(text.encode("utf-8", "replace")) * min(1.0, 0.41 * (1000 / vocab_size) ** 0.23))
