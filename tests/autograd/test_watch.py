"""Watching: everything is told, in order, with its place in the model; and nothing changes because of it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from scratchgpt import autograd as ag
from scratchgpt.autograd import ShapeError, Tensor
from scratchgpt.autograd.tensor import switches
from scratchgpt.autograd.watch import Call, Observer, observers, watch
from scratchgpt.config import GPTConfig
from scratchgpt.models.gpt2 import GPT
from scratchgpt.nn.modules import Dropout, Linear, Module

CONFIG = GPTConfig(vocab_size=11, emb_dim=8, num_heads=2, num_layers=2, context_size=6, dropout=0.2)
IDS = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])


class Notebook(Observer):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Call]] = []
        self.forward: list[tuple[Call, tuple[Any, ...], Tensor]] = []
        self.backward: list[tuple[Call, np.ndarray, tuple]] = []
        self.times: list[float] = []

    def before_forward(self, call, arguments):
        self.events.append(("before forward", call))

    def after_forward(self, call, arguments, output, started, ended):
        self.events.append(("after forward", call))
        self.forward.append((call, arguments, output))
        self.times += [started, ended]

    def before_backward(self, call, gradient):
        self.events.append(("before backward", call))

    def after_backward(self, call, gradient, gradients, started, ended):
        self.events.append(("after backward", call))
        self.backward.append((call, gradient, gradients))
        self.times += [started, ended]


def test_every_operation_is_told_before_and_after_forward_and_back() -> None:
    x, w = Tensor(np.arange(6.0).reshape(2, 3), requires_grad=True), Tensor(np.ones((3, 2)), requires_grad=True)
    notes = Notebook()
    with watch(notes):
        loss = ag.gelu(x @ w).sum(axis=None)
        loss.backward()
    story = [(when, call.operation) for when, call in notes.events]
    way_there, way_back = ["matmul", "gelu", "sum"], ["sum", "gelu", "matmul"]
    assert story == [(f"{w} forward", name) for name in way_there for w in ("before", "after")] + [
        (f"{w} backward", name) for name in way_back for w in ("before", "after")
    ]
    assert notes.times == sorted(notes.times)

    (matmul, (left, right), product), (gelu, (pre,), _), (total, _, output) = notes.forward
    assert left is x and right is w and pre is product and output is loss
    assert total.settings == {"axis": None} and gelu.settings == {}
    assert [call for call, _, _ in notes.backward] == [total, gelu, matmul]  # the same objects, for whoever pairs them
    _, gradient, (grad_left, grad_right) = notes.backward[-1]
    assert gradient.shape == product.shape
    np.testing.assert_array_equal(grad_left, x.grad)
    np.testing.assert_array_equal(grad_right, w.grad)


def test_a_call_leads_to_its_source_lines() -> None:
    notes = Notebook()
    with watch(notes):
        ag.gelu(Tensor(np.ones(3)))
    ((call, _, _),) = notes.forward
    assert inspect.getsource(call.function).startswith("@operation\ndef gelu(")
    assert "tanh" in (call.function.__doc__ or "")


def test_arguments_without_gradient_have_none() -> None:
    table = Tensor(np.ones((4, 2)), requires_grad=True)
    notes = Notebook()
    with watch(notes):
        ag.embedding(table, np.array([1, 1])).sum().backward()
    grad_table, grad_ids = notes.backward[-1][2]
    assert grad_ids is None
    np.testing.assert_array_equal(grad_table, [[0, 0], [2, 2], [0, 0], [0, 0]])


def test_operations_know_their_module() -> None:
    model = GPT(CONFIG)
    notes = Notebook()
    with watch(notes, model.named_modules()):
        model.loss(IDS, IDS).backward()
    places = [(call.operation, call.module) for call, _, _ in notes.forward]
    assert ("embedding", "transformer.wte") in places
    assert ("add", "transformer") in places
    assert ("layernorm", "transformer.h.0.ln_2") in places
    assert ("causal_attention", "transformer.h.1.attn") in places
    assert ("linear_cross_entropy", "") in places
    # One Dropout serves every place: its path is that of the module that called it.
    used = [place for operation, place in places if operation == "dropout"]
    inner = [f"transformer.h.{layer}.{branch}.dropout" for layer in (0, 1) for branch in ("attn", "mlp")]
    assert used == ["transformer.dropout", *inner]
    assert {id(call) for call, _, _ in notes.backward} == {id(call) for call, _, _ in notes.forward}


def test_a_module_nobody_named_is_at_the_place_of_its_caller() -> None:
    class Wrapper(Module):
        def forward(self, x: Tensor) -> Tensor:
            return Linear(np.eye(2), np.zeros(2))(x) + Dropout(0.5, np.random.default_rng(0))(x)

    wrapper, notes = Wrapper(), Notebook()
    with watch(notes, wrapper.named_modules("outer")):
        wrapper(Tensor(np.ones((1, 2))))
        Linear(np.eye(2), np.zeros(2))(Tensor(np.ones((1, 2))))
    places = [(call.operation, call.module) for call, _, _ in notes.forward]
    assert places == [("linear", "outer"), ("dropout", "outer"), ("add", "outer"), ("linear", "")]


def test_watching_changes_no_bit() -> None:
    def gradients(watched: bool) -> list[np.ndarray]:
        model = GPT(CONFIG, seed=3)
        if watched:
            with watch(Notebook(), model.named_modules()):
                loss = model.loss(IDS, IDS)
                loss.backward()
        else:
            loss = model.loss(IDS, IDS)
            loss.backward()
        return [loss.data, *(p.grad for p in model.parameters())]

    for plain, seen in zip(gradients(False), gradients(True), strict=True):
        np.testing.assert_array_equal(plain, seen)


def test_outside_of_the_block_nothing_is_told() -> None:
    x = Tensor(np.ones(2), requires_grad=True)
    early = ag.exp(x)
    notes = Notebook()
    with pytest.raises(ZeroDivisionError), watch(notes):
        late = ag.log(early)
        raise ZeroDivisionError
    (late * 2).sum().backward()
    assert [call.operation for call, _, _ in notes.forward] == ["log"]
    assert notes.backward == [] and observers() == ()
    again = Notebook()
    y = ag.exp(x).sum()
    with watch(again):
        y.backward()
    assert again.events == []  # recorded before anybody watched


def test_several_watch_at_once() -> None:
    model, outer, inner = GPT(CONFIG), Notebook(), Notebook()
    with watch(outer, model.named_modules("policy")):
        with watch(inner):
            model(IDS)
        count = len(inner.forward)
        model(IDS)
    assert len(inner.forward) == count and len(outer.forward) == 2 * count
    assert inner.forward[0][0].module == outer.forward[0][0].module == "policy.transformer.wte"


def test_an_operation_that_fails_is_not_told_as_done() -> None:
    notes = Notebook()
    with watch(notes), pytest.raises(ShapeError, match=r"add.*\(2,\).*\(3,\)"):
        Tensor(np.ones(2)) + Tensor(np.ones(3))
    assert [when for when, _ in notes.events] == ["before forward"]


def test_who_watches_one_thread_is_told_nothing_of_another() -> None:
    model, here, there = GPT(CONFIG), Notebook(), Notebook()

    def elsewhere() -> None:
        assert observers() == ()
        model.loss(IDS, IDS).backward()  # watched by nobody
        with watch(there, model.named_modules("other")):
            model.transformer.ln_f(Tensor(np.ones((1, 8), np.float32)))

    with watch(here, model.named_modules("own")):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(elsewhere).result(timeout=60)
        assert observers() == (here,)
        model.transformer.ln_f(Tensor(np.ones((1, 8), np.float32)))
    assert [call.module for call, _, _ in here.forward] == ["own.transformer.ln_f"] and here.backward == []
    assert [call.module for call, _, _ in there.forward] == ["other.transformer.ln_f"]


def suspended(notes: Notebook, module: Module, name: str) -> Iterator[None]:
    """Stops while it watches, and stops watching when it goes on."""
    with watch(notes, module.named_modules(name)):
        yield


def test_blocks_may_end_in_any_order() -> None:
    layer, x = Linear(np.eye(2), np.zeros(2)), Tensor(np.ones((1, 2)))
    first, second = Notebook(), Notebook()
    blocks = suspended(first, layer, "first"), suspended(second, layer, "second")
    next(blocks[0]), next(blocks[1])
    blocks[0].close()
    assert observers() == (second,)
    layer(x)
    blocks[1].close()
    assert observers() == ()
    layer(x)
    assert first.events == [] and [call.module for call, _, _ in second.forward] == ["second"]


def test_a_block_left_on_another_thread_ends_where_it_began() -> None:
    notes = Notebook()
    block = suspended(notes, Linear(np.eye(2), np.zeros(2)), "")
    next(block)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(block.close).result(timeout=60)
    assert observers() == () and switches().run is None  # nothing is left that would cost time
    ag.exp(Tensor(np.ones(2)))
    assert notes.events == []
