"""The face of a language model: an architecture that exists only here trains, is scored, saved, loaded and writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scratchgpt import autograd as ag
from scratchgpt.autograd import Tensor, no_grad
from scratchgpt.config import GPTConfig
from scratchgpt.errors import UserError
from scratchgpt.models.architectures import ARCHITECTURES, load_language_model
from scratchgpt.models.base import Initializer, LanguageModel
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.reward import RewardModel, is_reward_model
from scratchgpt.nn.modules import Embedding, LayerNorm, Module, Parameter
from scratchgpt.nn.optimizers import AdamW
from scratchgpt.stages.policy_gradient import Rollouts, frozen_copy, response_logprobs
from scratchgpt.stages.rlhf import value_model_from

CONFIG = GPTConfig(vocab_size=23, emb_dim=8, num_heads=1, num_layers=1, context_size=12, dropout=0.0)
SIZES = ("vocab_size", "emb_dim", "num_heads", "num_layers", "context_size", "dropout", "init_std")


class LastToken(Module):
    """Looks at the token that stands there and at nothing before it."""

    def __init__(self, config: GPTConfig, initializer: Initializer) -> None:
        self.tokens = Embedding(initializer.normal(config.vocab_size, config.emb_dim))
        self.mix = initializer.linear(config.emb_dim, config.emb_dim)
        self.norm = LayerNorm(config.emb_dim, config.layer_norm_epsilon)

    def forward(self, input_ids: np.ndarray) -> Tensor:
        return self.norm(self.mix(self.tokens(input_ids)))


class Bigram(LanguageModel):
    """A model of pairs of tokens with a head of its own."""

    model_type = "bigram"
    language_model_class = "BigramForCausalLM"
    reward_model_class = "BigramForSequenceClassification"
    base_model_prefix = "model"

    def __init__(self, config: GPTConfig, seed: int = 0) -> None:
        super().__init__(config, seed)
        initializer = Initializer(config, seed)
        self.model = self.make_body(config, initializer, self.rng)
        self.lm_head = Embedding(initializer.normal(config.vocab_size, config.emb_dim))

    @classmethod
    def make_body(cls, config: GPTConfig, initializer: Initializer, rng: np.random.Generator) -> LastToken:
        return LastToken(config, initializer)

    @property
    def head_weight(self) -> Parameter:
        return self.lm_head.weight

    @property
    def token_table(self) -> Parameter:
        return self.model.tokens.weight

    @classmethod
    def config_fields(cls, config: GPTConfig) -> dict[str, Any]:
        return {name: getattr(config, name) for name in SIZES}

    @classmethod
    def config_from_fields(cls, fields: Mapping[str, Any]) -> GPTConfig:
        return GPTConfig(**{name: fields[name] for name in SIZES})

    @classmethod
    def parameter_shapes(cls, config: GPTConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
        channels = config.emb_dim
        yield "model.tokens.weight", (config.vocab_size, channels)
        yield "model.mix.weight", (channels, channels)
        yield from ((f"model.{name}", (channels,)) for name in ("mix.bias", "norm.weight", "norm.bias"))
        yield "lm_head.weight", (config.vocab_size, channels)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """All it takes to add it."""
    monkeypatch.setitem(ARCHITECTURES, Bigram.model_type, Bigram)


@pytest.fixture
def ids() -> np.ndarray:
    return np.random.default_rng(0).integers(0, CONFIG.vocab_size, (3, 10))


def test_it_is_saved_and_loaded_by_its_type(tmp_path: Path, ids: np.ndarray) -> None:
    for model in (Bigram(CONFIG, seed=4), GPT(CONFIG, seed=4)):
        model.save_pretrained(tmp_path)
        again = load_language_model(tmp_path)
        assert type(again) is type(model) and not is_reward_model(tmp_path)
        np.testing.assert_array_equal(again(ids)[0].data, model(ids)[0].data)
    with pytest.raises(UserError, match="Bigram loads models of type 'bigram', this is 'gpt2'"):
        Bigram.from_pretrained(tmp_path)


def test_it_trains(ids: np.ndarray) -> None:
    model = Bigram(CONFIG)
    optimizer = AdamW(model.named_parameters(), lr=3e-2)
    before = {name: array for name, array in model.state_dict().items()}
    losses = []
    for _ in range(20):
        loss = model.loss(ids[:, :-1], ids[:, 1:])
        assert loss.item() == pytest.approx(model(ids[:, :-1], ids[:, 1:])[1].item(), rel=1e-5)
        loss.backward()
        optimizer.step(1.0)
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    for name, array in model.state_dict().items():
        assert np.abs(array - before[name]).max() > 0, name


def test_its_answers_have_log_probabilities() -> None:
    model = Bigram(CONFIG, seed=1)
    rollouts = Rollouts([[7, 8, 9], [10]], [[11, 12], [13, 14, 3]])
    found = response_logprobs(model, rollouts, np.arange(2), 0.5).data
    expected = []
    for prompt, response in zip(rollouts.prompts, rollouts.responses, strict=True):
        logits = model(np.array([prompt + response]))[0].data[0] / 0.5
        logprobs = ag.log_softmax(logits).data
        expected += [logprobs[len(prompt) - 1 + t, token] for t, token in enumerate(response)]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    copy = frozen_copy(model)
    np.testing.assert_array_equal(response_logprobs(copy, rollouts, np.arange(2), 0.5).data, found)


def test_a_reward_model_and_a_value_model_are_made_of_its_body(tmp_path: Path, ids: np.ndarray) -> None:
    base, lengths = Bigram(CONFIG, seed=2), np.array([10, 4, 1])
    base.save_pretrained(tmp_path)
    model = RewardModel.from_pretrained(base, seed=5)
    np.testing.assert_array_equal(model.hidden_states(ids).data, base.hidden_states(ids).data)
    assert {name for name, _ in model.named_parameters() if not name.startswith("model.")} == {"score.weight"}
    from_file = RewardModel.from_pretrained(tmp_path, seed=5)
    np.testing.assert_array_equal(from_file(ids, lengths).data, model(ids, lengths).data)
    model.save_pretrained(tmp_path)
    assert is_reward_model(tmp_path)
    np.testing.assert_array_equal(RewardModel.from_pretrained(tmp_path)(ids, lengths).data, model(ids, lengths).data)
    value_model = value_model_from(model)
    np.testing.assert_array_equal(value_model.hidden_states(ids).data, base.hidden_states(ids).data)
    assert not value_model.values(ids).data.any()


def test_it_writes() -> None:
    model = Bigram(CONFIG, seed=3)
    decoder, texts = model.decoder(), [[7], [9]]
    cache = decoder.cache(2)
    logits = decoder.prefill(cache, np.array(texts), np.array([1, 1]))
    for _ in range(5):
        for text, row in zip(texts, logits, strict=True):
            with no_grad():
                np.testing.assert_allclose(row, model(np.array([text]))[0].data[0, -1], atol=1e-6)
            text.append(int(row.argmax()))
        logits = decoder.step(cache, np.array([text[-1] for text in texts]))


@pytest.mark.parametrize("model", [Bigram(CONFIG), GPT(CONFIG)])
def test_the_token_table_has_a_name(model: LanguageModel) -> None:
    table = dict(model.named_parameters())[model.token_table_name]
    assert table is model.token_table and table.shape == (CONFIG.vocab_size, CONFIG.emb_dim)
    assert model.token_table_name in {"model.tokens.weight", "transformer.wte.weight"}


@pytest.mark.parametrize("kind", [Bigram, GPT])
def test_the_shapes_of_all_parameters_are_known_without_a_model(kind: type[LanguageModel]) -> None:
    made = [(name, parameter.shape) for name, parameter in kind(CONFIG).named_parameters()]
    assert list(kind.parameter_shapes(CONFIG)) == made
