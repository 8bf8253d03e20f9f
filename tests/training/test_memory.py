"""What training holds, worked out from the sizes: exact where arrays are counted, and never less for more."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest

from scratchgpt import kernels
from scratchgpt.autograd.tensor import Tensor, _nodes_below
from scratchgpt.config import GPTConfig
from scratchgpt.models.gpt2 import GPT
from scratchgpt.nn.optimizers import AdamW
from scratchgpt.training import memory

CONFIG = GPTConfig(vocab_size=61, emb_dim=24, num_heads=3, num_layers=2, context_size=16, dropout=0.1)
LARGER = {"vocab_size": 97, "emb_dim": 48, "num_heads": 6, "num_layers": 3, "context_size": 32}


def test_parameters_and_moments_are_counted_exactly() -> None:
    model = GPT(CONFIG)
    optimizer = AdamW(model.named_parameters())
    held = memory.held_models(CONFIG, models=3, trained=1)
    assert held["models"] == 3 * sum(parameter.data.nbytes for parameter in model.parameters())
    moments = [*optimizer.exp_avg.values(), *optimizer.exp_avg_sq.values()]
    assert held["AdamW's moments"] == sum(array.nbytes for array in moments)


def results_kept(dropout: float) -> tuple[int, GPTConfig]:
    """Bytes of all results that the graph of a pass holds on to."""
    config = dataclasses.replace(CONFIG, dropout=dropout)
    model = GPT(config).train()
    hidden = model.hidden_states(np.zeros((2, 8), np.int64))
    own = {id(parameter) for parameter in model.parameters()}
    arrays: dict[int, np.ndarray] = {}
    for node in _nodes_below(hidden):
        saved = [cell.cell_contents for cell in _closure(node)]
        for array in (node.data, *(value for value in saved if isinstance(value, np.ndarray))):
            base = array if array.base is None else array.base
            if id(node) not in own and not any(base is p.data for p in model.parameters()) and base.dtype.kind == "f":
                arrays[id(base)] = base
    return sum(array.nbytes for array in arrays.values()), config


def _closure(node: Tensor) -> tuple:
    return () if node._vjp is None else (node._vjp.args[0].__closure__ or ())  # type: ignore[attr-defined]


@pytest.fixture
def references() -> Iterator[None]:
    """Nothing is compiled: the references keep what the compiled kernels keep."""
    before = kernels.backend()
    kernels.use("numpy")
    yield
    kernels.use(before)


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_activations_are_those_of_the_graph(dropout: float, references: None) -> None:
    kept, config = results_kept(dropout)
    positions = memory.FLOAT * 8 * config.emb_dim  # of the position table, which is looked up once for all rows
    assert memory.activations(config, 16, dropout=True) == pytest.approx(kept - positions, rel=0.02)


@pytest.mark.parametrize("name", LARGER)
def test_a_larger_model_never_needs_less(name: str) -> None:
    larger = dataclasses.replace(CONFIG, **{name: LARGER[name]})

    def moments(config: GPTConfig) -> list[float]:
        time = config.context_size
        return [
            *map(memory.total, memory.language_model_pass(config, 4, time)),
            *map(memory.total, memory.policy_pass(config, 4, time, 8)),
            memory.total(memory.measuring_loss(config, time)),
            memory.total(memory.generating(config, 4, 8)),
            memory.packed_weights(config),
        ]

    pairs = list(zip(moments(CONFIG), moments(larger), strict=True))
    assert all(more >= less for less, more in pairs)
    assert any(more > less for less, more in pairs)


def test_a_larger_batch_needs_more() -> None:
    for one, two in zip(
        memory.language_model_pass(CONFIG, 4, 16), memory.language_model_pass(CONFIG, 8, 16), strict=True
    ):
        assert memory.total(two) > memory.total(one)


def test_parts_are_added_by_their_names() -> None:
    assert memory.together({"a": 1, "b": 2}, {"b": 3}) == {"a": 1, "b": 5}
    assert memory.largest([{"a": 1}, {"a": 1, "b": 1}, {"c": 1.5}]) == {"a": 1, "b": 1}


def test_a_text_is_fewer_tokens_the_larger_the_vocabulary() -> None:
    text = "今天天气很好，我们去公园。"
    sizes = [memory.tokens_of(text, vocab_size) for vocab_size in (16, 1000, 6400)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == len(text.encode())  # no token is less than a byte
    assert memory.tokens_of(text, 6400, by_character=True) == len(text)
