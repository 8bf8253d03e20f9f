"""The recorder: everything is written down with its numbers, its place and its source, and nothing changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scratchgpt import autograd as ag
from scratchgpt.autograd import Tensor
from scratchgpt.autograd.watch import Observer, watch
from scratchgpt.config import GPTConfig
from scratchgpt.inside.recorder import Recording, record
from scratchgpt.models.gpt2 import GPT
from scratchgpt.nn.modules import Module
from scratchgpt.nn.optimizers import AdamW

CONFIG = GPTConfig(vocab_size=11, emb_dim=8, num_heads=2, num_layers=2, context_size=6, dropout=0.2)
IDS = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
TARGETS = np.array([[2, 3, 4, -100], [6, 7, 8, 9]])
ROOT = Path(__file__).parent.parent.parent


def recorded_step(model: GPT) -> Recording:
    with record(model) as recording:
        model.loss(IDS, TARGETS).backward()
    return recording


def test_every_operation_forward_and_back_is_there(backend) -> None:
    recording = recorded_step(GPT(CONFIG))
    forward = [step.operation for step in recording.steps]
    block = ["layernorm", "linear", "causal_attention", "linear", "dropout", "add"]
    block += ["layernorm", "feed_forward", "dropout", "add"]
    embeddings = ["embedding", "embedding", "add", "dropout"]
    assert forward == [*embeddings, *block, *block, "layernorm", "linear_cross_entropy"]
    assert sorted(step.number for step in recording.backward) == list(range(len(forward)))
    assert [step.operation for step in recording.backward[:3]] == ["linear_cross_entropy", "layernorm", "add"]
    assert all(step.forward_seconds > 0 and step.backward_seconds > 0 for step in recording.steps)
    assert all(step.gradient is not None and step.gradient.shape == step.output.shape for step in recording.steps)


def test_recording_changes_no_bit(backend) -> None:
    def trained(recorded: bool) -> list[np.ndarray]:
        model = GPT(CONFIG, seed=3)
        optimizer = AdamW(model.named_parameters(), lr=1e-2)
        for _ in range(2):
            if recorded:
                with record(model):
                    loss = model.loss(IDS, TARGETS)
                    loss.backward()
            else:
                loss = model.loss(IDS, TARGETS)
                loss.backward()
            gradients = [p.grad for p in model.parameters()]
            optimizer.step(1.0)
            optimizer.zero_grad()
        return [loss.data, *gradients, *(p.data for p in model.parameters())]

    for plain, seen in zip(trained(False), trained(True), strict=True):
        np.testing.assert_array_equal(plain, seen)


def test_a_step_knows_its_arguments_and_where_they_come_from() -> None:
    model = GPT(CONFIG)
    recording = recorded_step(model)
    attention = recording.step("causal_attention", "transformer.h.1.attn")
    (qkv,) = attention.arguments
    assert qkv.name == "qkv" and attention.settings == {"num_heads": 2}
    made_by = recording.steps[qkv.origin]
    assert (made_by.operation, made_by.module) == ("linear", "transformer.h.1.attn.c_attn")
    np.testing.assert_array_equal(qkv.value, made_by.output)
    np.testing.assert_array_equal(qkv.gradient, made_by.gradient)

    weight, ids = recording.step("embedding", "transformer.wte").arguments
    assert (weight.name, weight.origin) == ("weight", "transformer.wte.weight")
    assert (ids.name, ids.origin, ids.gradient) == ("ids", None, None)
    np.testing.assert_array_equal(ids.value, IDS)
    # The token table is read twice, as table and as head, and its gradient is the sum of both.
    head = recording.step("linear_cross_entropy").argument("weight")
    assert head.origin == "transformer.wte.weight"
    np.testing.assert_allclose(weight.gradient + head.gradient, model.transformer.wte.weight.grad, rtol=1e-6)


def test_arrays_are_copies() -> None:
    model = GPT(CONFIG)
    with record(model) as recording:
        logits, _ = model(IDS)
        logits.sum().backward()
    kept = [recording.step("embedding", "transformer.wte").argument("weight").value]
    kept.append(recording.step("transpose").output.T)  # of a view of the same parameter
    before = model.transformer.wte.weight.data.copy()
    AdamW(model.named_parameters(), lr=1.0).step()
    assert not np.array_equal(before, model.transformer.wte.weight.data)
    for array in kept:
        np.testing.assert_array_equal(array, before)
    step = recording.step("matmul")
    assert not any(np.shares_memory(step.gradient, argument.gradient) for argument in step.arguments)


def test_the_source_and_the_caller_are_real_lines() -> None:
    recording = recorded_step(GPT(CONFIG))
    for step in recording.steps:
        for line in (step.source, step.caller):
            lines = (ROOT / line.path).read_text(encoding="utf-8").splitlines()
            assert lines[line.line - 1].strip() == line.text
        assert step.source.text.startswith(f"def {step.operation}(")
        assert step.source.path.startswith("scratchgpt/autograd/")
    attention = recording.step("causal_attention", "transformer.h.0.attn")
    assert attention.caller.path == "scratchgpt/models/gpt2.py" and "ag.causal_attention(" in attention.caller.text
    linear = recording.step("linear", "transformer.h.0.attn.c_attn")
    assert linear.caller.path == "scratchgpt/models/gpt2.py" and "self.c_attn(x)" in linear.caller.text
    assert str(attention.source).startswith("scratchgpt/autograd/layers.py:")


def test_every_recorded_step_has_its_equations() -> None:
    recording = recorded_step(GPT(CONFIG))
    assert recording.step("causal_attention", "transformer.h.0.attn").equations.forward.plain.startswith("O = softmax")
    assert all(step.equations is not None for step in recording.steps)


def test_operations_of_ones_own_and_numbered_arguments() -> None:
    @ag.operation
    def twice(x: np.ndarray):
        return x * 2, lambda grad: (grad * 2,)

    try:
        x = Tensor(np.ones(3), requires_grad=True)
        with record() as recording:
            ag.concatenate(twice(x), x * 3).sum().backward()
    finally:
        del ag.OPERATIONS["twice"]
    step = recording.step("twice")
    assert step.equations is None and step.module == "" and step.source.text == "def twice(x: np.ndarray):"
    assert step.caller.path == "tests/inside/test_recorder.py" and "twice(x)" in step.caller.text
    names = [argument.name for argument in recording.step("concatenate").arguments]
    assert names == ["arrays[0]", "arrays[1]"]
    assert [a.origin for a in recording.step("concatenate").arguments] == [0, 1]
    assert recording.step("mul").argument("b").value == 3


def test_an_optional_argument_that_was_not_given_has_no_place() -> None:
    x, w = Tensor(np.ones((2, 3)), requires_grad=True), Tensor(np.ones((3, 2)), requires_grad=True)
    with record() as recording:
        ag.linear(x, w).sum().backward()
    assert [a.name for a in recording.step("linear").arguments] == ["x", "weight"]
    np.testing.assert_array_equal(recording.step("linear").argument("weight").gradient, w.grad)


def test_several_models_under_their_names() -> None:
    policy, reference = GPT(CONFIG, 1), GPT(CONFIG, 2)
    with record(policy=policy, reference=reference) as recording:
        policy(IDS)
        reference(IDS)
    for name in ("policy", "reference"):
        step = recording.step("embedding", f"{name}.transformer.wte")
        assert step.argument("weight").origin == f"{name}.transformer.wte.weight"
    assert recording.backward == []


def test_a_lookup_that_finds_not_one_step_says_so() -> None:
    recording = recorded_step(GPT(CONFIG))
    with pytest.raises(LookupError, match="0 recorded steps are gelu"):
        recording.step("gelu")
    with pytest.raises(LookupError, match="2 recorded steps are causal_attention"):
        recording.step("causal_attention")
    with pytest.raises(KeyError, match="no argument 'nothing'"):
        recording.steps[0].argument("nothing")


def test_a_way_back_recorded_by_somebody_else_is_no_concern() -> None:
    class Somebody(Observer):
        pass

    x = Tensor(np.ones(2), requires_grad=True)
    with watch(Somebody()):
        early = ag.exp(x)
        with record() as recording:
            (early * 2).sum().backward()
    assert [step.operation for step in recording.backward] == ["sum", "mul"]


def test_the_parameters_of_a_plain_module_are_named() -> None:
    class Scale(Module):
        def __init__(self) -> None:
            self.factor = Tensor(np.ones(2))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.factor

    with record(Scale()) as recording:
        Scale()(Tensor(np.ones(2)))
    assert recording.step("mul").argument("b").origin is None  # a Tensor, but no parameter
