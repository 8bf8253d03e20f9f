"""The steps inside fused operations: they lead to what the fused operation returned, forward and back."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.mathtext import MathTextParser

from scratchgpt import autograd as ag
from scratchgpt import kernels
from scratchgpt.autograd import Tensor
from scratchgpt.inside.hidden_steps import BACKWARD, FORWARD, HiddenStep
from scratchgpt.inside.recorder import Step, record
from scratchgpt.kernels.runtime.precision import has_bf16

RNG = np.random.default_rng(0)
EXACT = {np.float32: 2e-5, np.float64: 1e-10}


def tensors(*shapes: tuple[int, ...], dtype) -> list[Tensor]:
    return [Tensor(RNG.standard_normal(shape).astype(dtype), requires_grad=True) for shape in shapes]


def attention(dtype):
    (qkv,) = tensors((2, 7, 24), dtype=dtype)
    return ag.causal_attention(qkv, num_heads=2)


def feed_forward(dtype):
    return ag.feed_forward(*tensors((2, 5, 6), (6, 9), (9,), (9, 6), (6,), dtype=dtype))


def layernorm(dtype):
    return ag.layernorm(*tensors((2, 5, 6), (6,), (6,), dtype=dtype), eps=1e-2)


def targets() -> np.ndarray:
    chosen = RNG.integers(0, 11, (2, 5))
    chosen[0, 1] = chosen[1, 4] = ag.IGNORE_INDEX
    return chosen


def token_losses(dtype):
    return ag.token_losses(*tensors((2, 5, 11), dtype=dtype), targets())


def linear_cross_entropy(dtype):
    return ag.linear_cross_entropy(*tensors((2, 5, 6), (11, 6), dtype=dtype), targets()) * 3


def linear_cross_entropy_of_a_shard(dtype):
    return ag.linear_cross_entropy(*tensors((2, 5, 6), (11, 6), dtype=dtype), targets(), count=50)


def nothing_to_learn(dtype):
    nothing = np.full((2, 5), ag.IGNORE_INDEX)
    return ag.linear_cross_entropy(*tensors((2, 5, 6), (11, 6), dtype=dtype), nothing)


def dropout(dtype):
    return ag.dropout(*tensors((4, 5), dtype=dtype), p=0.3, seed=2**40 + 7)


CASES = [
    attention,
    feed_forward,
    layernorm,
    token_losses,
    linear_cross_entropy,
    linear_cross_entropy_of_a_shard,
    nothing_to_learn,
    dropout,
]


def recorded(case, dtype) -> Step:
    with record() as recording:
        y = case(dtype)
        (y * Tensor(RNG.standard_normal(y.shape).astype(dtype))).sum().backward()
    return recording.steps[0]


def assert_close(found: np.ndarray, expected: np.ndarray, dtype) -> None:
    assert found.shape == expected.shape and found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, atol=EXACT[dtype], rtol=EXACT[dtype])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_the_last_step_is_what_the_fused_operation_returned(case, dtype, backend) -> None:
    step = recorded(case, dtype)
    last = step.hidden()[-1]
    assert last.name == "output"
    assert_close(np.asarray(last.array), step.output, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_the_way_back_leads_to_the_gradients(case, dtype, backend) -> None:
    step = recorded(case, dtype)
    if step.operation not in BACKWARD:
        assert step.hidden_backward() == []
        return
    found = {hidden.name.removeprefix("grad_"): hidden.array for hidden in step.hidden_backward()}
    checked = [argument for argument in step.arguments if argument.name in found]
    assert checked and step.hidden_backward()[-1].name == f"grad_{checked[-1].name}"
    for argument in checked:
        assert_close(found[argument.name], argument.gradient, dtype)


@pytest.mark.skipif(not has_bf16(), reason="this CPU has no bf16 products")
@pytest.mark.parametrize("case", [feed_forward, linear_cross_entropy])
def test_the_steps_round_as_the_precision_in_use_does(case) -> None:
    before = kernels.precision()
    kernels.set_precision("bf16")
    try:
        step = recorded(case, np.float32)
        output = np.asarray(step.hidden()[-1].array)
    finally:
        kernels.set_precision(before)
    exact = np.asarray(step.hidden()[-1].array)
    np.testing.assert_allclose(output, step.output, rtol=1e-5, atol=1e-5)
    assert np.abs(exact - step.output).max() > 1e-4


def test_the_cases_cover_every_expansion() -> None:
    assert {recorded(case, np.float64).operation for case in CASES} == FORWARD.keys()
    assert BACKWARD.keys() <= FORWARD.keys()


def test_attention_weights_are_causal_and_add_up_to_one() -> None:
    steps = {hidden.name: hidden.array for hidden in recorded(attention, np.float64).hidden()}
    assert steps["scores"].shape == (2, 2, 7, 7) and np.isfinite(steps["scores"]).all()
    above = np.triu(np.ones((7, 7), bool), 1)
    assert np.isneginf(steps["masked_scores"][..., above]).all() and (steps["weights"][..., above] == 0).all()
    np.testing.assert_allclose(steps["weights"].sum(-1), 1)
    assert steps["queries"].shape == (2, 2, 7, 4)


def test_probabilities_add_up_to_one_and_their_gradient_to_nothing() -> None:
    step = recorded(linear_cross_entropy, np.float64)
    steps = {hidden.name: hidden.array for hidden in [*step.hidden(), *step.hidden_backward()]}
    np.testing.assert_allclose(steps["probabilities"].sum(-1), 1)
    np.testing.assert_allclose(steps["grad_logits"].sum(-1), 0, atol=1e-12)
    assert (steps["grad_logits"][0, 1] == 0).all() and (steps["token_losses"][0, 1] == 0).all()


def test_an_operation_that_hides_nothing_has_no_steps() -> None:
    def plain(dtype):
        (x,) = tensors((3,), dtype=dtype)
        return ag.exp(x)

    step = recorded(plain, np.float64)
    assert step.hidden() == [] and step.hidden_backward() == []


@pytest.mark.parametrize("case", CASES)
def test_every_hidden_step_has_an_equation_and_a_reference(case) -> None:
    step = recorded(case, np.float64)
    hidden: list[HiddenStep] = [*step.hidden(), *step.hidden_backward()]
    draw = MathTextParser("path")
    for one in hidden:
        assert "\\" not in one.equation.plain
        draw.parse(f"${one.equation.latex}$")
        assert one.source.path.startswith("scratchgpt/kernels/") and "_reference(" in one.source.text


def test_a_product_beside_the_fused_kernel_is_not_said_to_be_in_it() -> None:
    fused = recorded(feed_forward, np.float64)
    sources = {one.name: one.source.text.split("(")[0] for one in [*fused.hidden(), *fused.hidden_backward()]}
    assert sources == {
        "pre_activation": "def matmul_gelu_reference",
        "activation": "def matmul_gelu_reference",
        "output": "def matmul_reference",
        "grad_activation": "def matmul_gelu_backward_reference",
        "grad_pre_activation": "def matmul_gelu_backward_reference",
        "grad_x": "def matmul_reference",
    }
