"""The GPT against transformers' GPT-2: the same weights give the same logits, loss, gradients and update."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from scratchgpt.autograd import Tensor, no_grad
from scratchgpt.config import GPTConfig, get_mini_config
from scratchgpt.datasets.batches import TokenBatch
from scratchgpt.errors import UserError
from scratchgpt.models.architectures import load_language_model
from scratchgpt.models.gpt2 import (
    BODY_PATH,
    FINAL_LAYERNORM_PATH,
    GPT,
    POSITION_TABLE_PATH,
    TOKEN_TABLE_PATH,
    block_number,
    block_path,
    path_in_body,
)
from scratchgpt.models.reward import RewardModel
from scratchgpt.models.weights import save_weights
from scratchgpt.nn.modules import Linear, Module, Parameter
from scratchgpt.nn.optimizers import AdamW
from scratchgpt.training.update import language_model_step

CONFIG = GPTConfig(vocab_size=97, emb_dim=48, num_heads=3, num_layers=2, context_size=40, dropout=0.0)


@pytest.fixture
def batch() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    ids, targets = rng.integers(0, 97, (3, 37)), rng.integers(0, 97, (3, 37))
    targets[0, :9] = -100
    return ids, targets


def test_logits_loss_gradients_and_one_clipped_adamw_step_equal_pytorch(
    tmp_path: Path, batch: tuple[np.ndarray, np.ndarray]
) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    ids, targets = batch
    ours = GPT(CONFIG, seed=3)
    for i, parameter in enumerate(ours.parameters()):  # biases and scales away from their initial 0 and 1
        parameter.data += np.random.default_rng(i).normal(0, 0.05, parameter.shape).astype(np.float32)
    ours.save_pretrained(tmp_path)
    theirs = transformers.GPT2LMHeadModel.from_pretrained(tmp_path).train()

    logits, loss = ours(ids, targets)
    expected = theirs(torch.from_numpy(ids)).logits
    expected_loss = torch.nn.functional.cross_entropy(
        expected.flatten(0, 1), torch.from_numpy(targets).flatten(), ignore_index=-100
    )
    assert np.abs(logits.data - expected.detach().numpy()).max() < 1e-4
    assert loss.item() == pytest.approx(expected_loss.item(), rel=1e-5)
    assert ours.loss(ids, targets).item() == pytest.approx(loss.item(), rel=1e-6)

    ours.loss(ids, targets).backward()
    expected_loss.backward()
    reference = dict(theirs.named_parameters())
    assert {name for name, _ in ours.named_parameters()} == reference.keys()
    for name, parameter in ours.named_parameters():
        gradient = reference[name].grad.numpy()
        assert np.abs(parameter.grad - gradient).max() < 1e-3 * np.abs(gradient).max(), name

    optimizer = AdamW(ours.named_parameters(), lr=1e-2, weight_decay=0.1)
    norm = optimizer.step(max_norm=0.5)
    decayed = [p for p in theirs.parameters() if p.ndim > 1]
    others = [p for p in theirs.parameters() if p.ndim == 1]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    peer = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.95), eps=1e-8)
    assert norm > 0.5  # so that clipping takes part
    assert norm == pytest.approx(torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.5).item(), rel=1e-4)
    peer.step()
    for name, parameter in ours.named_parameters():
        # Adam's first step is lr * sign(gradient): where a gradient is tiny, rounding may change it visibly.
        clear = np.abs(reference[name].grad.numpy()) > 1e-6
        np.testing.assert_allclose(
            parameter.data[clear], reference[name].detach().numpy()[clear], rtol=1e-3, atol=2e-5, err_msg=name
        )


def test_a_gpt2_directory_saved_by_transformers_loads(tmp_path: Path, batch: tuple[np.ndarray, np.ndarray]) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        vocab_size=97, n_embd=48, n_head=3, n_layer=2, n_positions=40, bos_token_id=2, eos_token_id=3
    )
    for architecture in (transformers.GPT2LMHeadModel, transformers.GPT2Model):
        theirs = architecture(config).eval()
        theirs.save_pretrained(tmp_path)
        ours = GPT.from_pretrained(tmp_path)
        with torch.no_grad(), no_grad():
            expected = (theirs if architecture is transformers.GPT2Model else theirs.transformer)(
                torch.from_numpy(batch[0])
            ).last_hidden_state
            np.testing.assert_allclose(ours.hidden_states(batch[0]).data, expected.numpy(), atol=1e-4)


def test_save_and_load_keep_every_weight_and_the_config(tmp_path: Path) -> None:
    model = GPT(GPTConfig(vocab_size=11, emb_dim=8, num_heads=2, num_layers=1, context_size=4, dropout=0.25))
    model.save_pretrained(tmp_path)
    again = GPT.from_pretrained(tmp_path)
    assert again.config.dropout == 0.25 and again.config.initial_std == pytest.approx(model.config.initial_std)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, again.state_dict()[name])


def test_initial_scale_and_size() -> None:
    model = GPT(get_mini_config())
    assert model.num_parameters() == 6400 * 256 + 256 * 256 + 4 * (12 * 256**2 + 13 * 256) + 2 * 256
    assert model.transformer.wte.weight.data.std() == pytest.approx(1 / 16, rel=0.02)
    assert model.transformer.h[0].mlp.c_proj.weight.data.std() == pytest.approx(1 / 16 / 8**0.5, rel=0.02)
    assert GPTConfig(init_std=0.02).initial_std == 0.02


def test_no_position_sees_a_later_one() -> None:
    model = GPT(CONFIG, seed=0).eval()
    ids = np.random.default_rng(0).integers(0, 97, (1, 20))
    changed = ids.copy()
    changed[0, 12:] += 1
    changed %= 97
    with no_grad():
        a, b = model(ids)[0].data, model(changed)[0].data
    np.testing.assert_allclose(a[:, :12], b[:, :12], atol=1e-6)
    assert np.abs(a[:, 12:] - b[:, 12:]).max() > 0.01


def test_dropout_is_a_function_of_the_seed_and_off_in_evaluation(batch: tuple[np.ndarray, np.ndarray]) -> None:
    model = GPT(GPTConfig(vocab_size=97, emb_dim=48, num_heads=3, num_layers=2, context_size=40, dropout=0.3))
    losses = []
    for entropy in ((1, 2), (1, 2), (1, 3)):
        model.reseed(*entropy)
        losses.append(model.loss(*batch).item())
    assert losses[0] == losses[1] != losses[2]
    model.eval()
    assert model.loss(*batch).item() == model.loss(*batch).item()


def test_the_losses_and_gradients_of_shards_add_up_to_those_of_the_batch(batch: tuple[np.ndarray, np.ndarray]) -> None:
    model = GPT(CONFIG, seed=3)
    ids, targets = batch
    mean = model.loss(ids, targets)
    mean.backward()
    whole = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()
    count, total = int((targets != -100).sum()), 0.0
    for row in range(len(ids)):
        loss = model.loss(ids[row : row + 1], targets[row : row + 1], count=count)
        loss.backward()
        total += loss.item()
    assert total == pytest.approx(mean.item(), rel=1e-6)
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(
            parameter.grad, whole[name], rtol=1e-4, atol=1e-6 * np.abs(whole[name]).max(), err_msg=name
        )


class DoubledWeight(Linear):
    """Multiplies by twice its weight."""

    @property
    def effective_weight(self) -> Tensor:
        return self.weight * 2


class AnotherLayer(Module):
    """x @ (2 weight) + bias, without being a Linear."""

    def __init__(self, weight: np.ndarray, bias: np.ndarray) -> None:
        self.half = Parameter(weight)
        self.shift = Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        return x @ (self.half * 2) + self.shift


class OverriddenForward(Linear):
    """A Linear that multiplies its result, not its weight."""

    def forward(self, x: Tensor) -> Tensor:
        return (x @ self.weight) * 2 + self.bias


@pytest.mark.parametrize("layer", ["c_fc", "c_proj"])
@pytest.mark.parametrize("replacement", [DoubledWeight, AnotherLayer, OverriddenForward])
def test_the_feed_forward_layer_asks_its_layers_what_they_multiply_by(
    layer: str, replacement: type[Module], batch: tuple[np.ndarray, np.ndarray]
) -> None:
    doubled, replaced = GPT(CONFIG, seed=3), GPT(CONFIG, seed=3)
    plain: Linear = getattr(doubled.transformer.h[1].mlp, layer)
    plain.bias.data += np.random.default_rng(0).normal(0, 0.1, plain.bias.shape).astype(np.float32)
    new = replacement(plain.weight.data.copy(), plain.bias.data.copy())
    plain.weight.data *= 2
    setattr(replaced.transformer.h[1].mlp, layer, new)
    assert GPT(CONFIG, seed=3).loss(*batch).item() != pytest.approx(doubled.loss(*batch).item(), rel=1e-4)

    expected, loss = doubled.loss(*batch), replaced.loss(*batch)
    expected.backward()
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    weight, bias = new.parameters()
    for gradient, plain_gradient in ((weight.grad, 2 * plain.weight.grad), (bias.grad, plain.bias.grad)):
        np.testing.assert_allclose(gradient, plain_gradient, rtol=1e-3, atol=1e-5 * np.abs(plain_gradient).max())
    np.testing.assert_allclose(
        replaced.transformer.wte.weight.grad, doubled.transformer.wte.weight.grad, rtol=1e-3, atol=1e-6
    )


def test_a_few_steps_lower_the_loss(batch: tuple[np.ndarray, np.ndarray]) -> None:
    model = GPT(CONFIG)
    optimizer = AdamW(model.named_parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        loss = model.loss(*batch)
        loss.backward()
        optimizer.step(1.0)
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"emb_dim": 100, "num_heads": 3}, "divisible by num_heads"),
        ({"vocab_size": 0}, "vocab_size"),
        ({"dropout": 1.0}, "dropout"),
        ({"init_std": -1.0}, "init_std"),
    ],
)
def test_a_config_out_of_range_says_which_field(arguments: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        GPTConfig(**arguments)


def test_too_long_a_sequence_is_refused() -> None:
    with pytest.raises(UserError, match="context of 40"):
        GPT(CONFIG)(np.zeros((1, 41), int))


def foreign(directory: Path, **fields: object):
    """A GPT-2 with such fields, made and saved by ``transformers``, with weights large enough for all to count."""
    transformers = pytest.importorskip("transformers")
    sizes = {"vocab_size": 97, "n_embd": 48, "n_head": 3, "n_layer": 3, "n_positions": 40}
    config = transformers.GPT2Config(**sizes, initializer_range=0.3, bos_token_id=2, eos_token_id=3, **fields)
    theirs = transformers.GPT2LMHeadModel(config).eval()
    theirs.save_pretrained(directory)
    return theirs


@pytest.mark.parametrize(
    "fields",
    [
        {"activation_function": "gelu_new"},
        {"activation_function": "gelu_pytorch_tanh"},
        {"activation_function": "gelu_fast"},
        {"reorder_and_upcast_attn": True},
        {"n_inner": 192},
        {"layer_norm_epsilon": 0.1},
    ],
)
def test_what_a_foreign_config_may_ask_for_is_what_transformers_computes(
    fields: dict[str, object], tmp_path: Path, batch: tuple[np.ndarray, np.ndarray]
) -> None:
    torch = pytest.importorskip("torch")
    theirs = foreign(tmp_path, **fields)
    with torch.no_grad(), no_grad():
        expected = theirs(torch.from_numpy(batch[0])).logits.numpy()
        np.testing.assert_allclose(GPT.from_pretrained(tmp_path)(batch[0])[0].data, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"activation_function": "gelu"}, "activation_function is 'gelu', only 'gelu_new' or .* is computed"),
        ({"activation_function": "relu"}, "activation_function is 'relu'"),
        ({"activation_function": None}, "activation_function is None"),
        ({"scale_attn_weights": False}, "scale_attn_weights is False, only True is computed"),
        ({"scale_attn_weights": "yes"}, "scale_attn_weights is 'yes'"),
        ({"scale_attn_weights": 1}, "scale_attn_weights is 1"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx is True, only False is computed"),
        ({"add_cross_attention": True}, "add_cross_attention is True, only False is computed"),
        ({"reorder_and_upcast_attn": None}, "reorder_and_upcast_attn is None, only False or True is computed"),
        ({"n_inner": 100}, "n_inner is 100, only null or four times n_embd is computed"),
        ({"n_inner": "192"}, "n_inner is '192'"),
    ],
)
def test_what_is_computed_otherwise_is_refused_by_name(fields: dict[str, object], message: str, tmp_path: Path) -> None:
    GPT(CONFIG).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **fields}))
    for load in (GPT.from_pretrained, RewardModel.from_pretrained):
        with pytest.raises(UserError, match=f"config.json: not a gpt2 configuration that can be loaded .{message}"):
            load(tmp_path)


@pytest.mark.parametrize("tied", [True, False])
def test_a_head_of_its_own_is_refused_unless_it_is_the_token_table(tied: bool, tmp_path: Path) -> None:
    own = GPT(CONFIG, seed=3)
    own.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": tied}))
    state, table = own.state_dict(), own.token_table.data
    for head, fits in ((table, True), (table + np.float32(0.001), False), (table[:50], False), (None, tied)):
        arrays = state if head is None else {**state, "lm_head.weight": head}
        save_weights(tmp_path / "model.safetensors", arrays)
        if fits:
            np.testing.assert_array_equal(GPT.from_pretrained(tmp_path).token_table.data, table)
        else:
            with pytest.raises(UserError, match=r"a head of its own \(lm_head.weight, tie_word_embeddings\)"):
                GPT.from_pretrained(tmp_path)
        body = RewardModel.from_pretrained(tmp_path).transformer  # has another head anyway
        np.testing.assert_array_equal(body.wte.weight.data, table)


def test_an_untied_model_of_transformers_is_refused(tmp_path: Path) -> None:
    foreign(tmp_path, tie_word_embeddings=False)
    with pytest.raises(UserError, match=r"a head of its own \(lm_head.weight, tie_word_embeddings\)"):
        GPT.from_pretrained(tmp_path)


def test_a_loaded_model_has_dropout_off_and_training_turns_it_on(
    tmp_path: Path, batch: tuple[np.ndarray, np.ndarray]
) -> None:
    foreign(tmp_path)  # whose config has dropout 0.1
    model = load_language_model(tmp_path)
    first, second = (model(batch[0])[0].data for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert model.config.dropout == 0.1 and not any(module.training for _, module in model.named_modules())
    losses = []
    for start in (GPT.from_pretrained(tmp_path), GPT.from_pretrained(tmp_path).train()):
        start.reseed(5)
        tokens = TokenBatch(*batch)
        losses.append(language_model_step(start, AdamW(start.named_parameters(), lr=1e-3), tokens, 1e-3, 1.0)["loss"])
    assert losses[0] == losses[1] != pytest.approx(model.loss(*batch).item(), rel=1e-5)


def test_where_a_part_stands() -> None:
    paths = {path for path, _ in GPT(CONFIG).named_modules()}
    assert {BODY_PATH, TOKEN_TABLE_PATH, POSITION_TABLE_PATH, FINAL_LAYERNORM_PATH, block_path(1)} <= paths
    inside = {path for path in paths if block_number(path) == 1}
    assert inside == {path for path in paths if path.startswith(block_path(1))} and len(inside) > 5
    assert block_number(FINAL_LAYERNORM_PATH) is block_number(BODY_PATH) is None
    assert path_in_body(block_path(1)) == "h.1"


def test_gradients_accumulate_over_backward_calls(batch: tuple[np.ndarray, np.ndarray]) -> None:
    model = GPT(CONFIG).eval()
    ids, targets = batch
    for row in range(3):
        (model.loss(ids[row : row + 1], targets[row : row + 1]) * (1 / 3)).backward()
    apart = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()
    total = Tensor(np.float32(0))
    for row in range(3):
        total = total + model.loss(ids[row : row + 1], targets[row : row + 1]) * (1 / 3)
    total.backward()
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(parameter.grad, apart[name], atol=1e-6)
