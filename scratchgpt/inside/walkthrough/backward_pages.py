"""The pages of the backward pass: loss, gradients, one row of the token table, one optimizer step, what it moved.

The step is AdamW's: Loshchilov & Hutter 2019, algorithm 2.
"""

from __future__ import annotations

import math
import posixpath

import numpy as np
from rich.table import Table
from rich.text import Text

from scratchgpt import kernels
from scratchgpt.inside.hidden_steps import HiddenStep
from scratchgpt.inside.recorder import Step
from scratchgpt.inside.source_lines import source_of
from scratchgpt.inside.walkthrough.matrix import Matrix, middle_left_out
from scratchgpt.inside.walkthrough.numbers import number_format, percent, significant
from scratchgpt.inside.walkthrough.page import Page, page_of, table
from scratchgpt.inside.walkthrough.sentence import MAX_GRAD_NORM, Walk
from scratchgpt.models.gpt2 import TOKEN_TABLE_PATH, path_in_body

SHOWN_CHANNELS = 5
"""Columns of the table of one optimizer step."""
SHOWN_TOKENS = 6
"""Rows of a table over the vocabulary."""


def backward_pages(walk: Walk) -> list[Page]:
    """From the loss to the probability that moved."""
    return [
        _loss(walk),
        _grad_logits(walk),
        _backward_pass(walk),
        _back_feed_forward(walk),
        _back_attention(walk),
        _back_layernorm(walk),
        _embedding_gradient(walk),
        _adamw(walk),
        _moved(walk),
        _all_steps(walk),
    ]


# -- the loss -----------------------------------------------------------------------------------------------
def _loss(walk: Walk) -> Page:
    step, say = walk.recording.step("token_losses", ""), walk.speech.word
    probabilities, losses = step.hidden()[0].array[0], step.output[0]
    shown = table(say("position"), say("token"), say("target"), "p", "-ln p", numbers=3)
    for t in middle_left_out(len(walk.ids), 12):
        if t is None:
            shown.add_row(*("…" for _ in range(5)))
            continue
        probability = float(probabilities[t, walk.targets[t]])
        label = Text(walk.label(walk.targets[t]), style="bold")
        shown.add_row(str(t), Text(walk.labels[t]), label, percent(probability), f"{losses[t]:.3f}")
    origin = say("given_target" if walk.chosen_target else "drawn_target", token=walk.label(walk.targets[-1]))
    vocab = probabilities.shape[1]
    added = " + ".join(f"{loss:.3f}" for loss in losses[:4]) + (" + …" if len(losses) > 4 else "")
    values = {"target": origin, "vocab": vocab, "chance": f"{math.log(vocab):.2f}", "loss": f"{walk.loss:.4f}"}
    return page_of(
        step,
        "loss",
        values=values,
        by_hand=[f"L = ({added}) / {len(losses)} = {walk.loss:.4f}"],
        parts=[shown],
    )


def _grad_logits(walk: Walk) -> Page:
    step, say = walk.recording.step("token_losses", ""), walk.speech.word
    gradient, probabilities = step.argument("logits").gradient, walk.probabilities
    assert gradient is not None
    last, target, count = gradient[0, -1], int(walk.targets[-1]), len(walk.ids)
    likeliest = [int(v) for v in np.argsort(-probabilities)[:SHOWN_TOKENS]]
    form = number_format(last)
    shown = table(say("token"), "p", say("one_hot"), "dz", numbers=1)
    for token_id in dict.fromkeys([target, *likeliest]):
        hit = int(token_id == target)
        style = "bold" if hit else ""
        shown.add_row(
            Text(walk.label(token_id)), f"{probabilities[token_id]:.4f}", str(hit), form(last[token_id]), style=style
        )
    return page_of(
        step,
        "grad_logits",
        hidden=step.hidden_backward(),
        back=True,
        values={"count": count, "token": walk.label(target)},
        by_hand=[f"dz[{walk.label(target)}] = ({probabilities[target]:.4f} - 1) / {count} = {form(last[target])}"],
        parts=[shown],
    )


# -- the backward pass -------------------------------------------------------------------------------------------
def _length(array: np.ndarray | None) -> str:
    return "" if array is None else f"{np.linalg.norm(array):.3g}"


def _backward_pass(walk: Walk) -> Page:
    say = walk.speech.word
    shown = table("", say("operation"), say("module"), say("shape_of", name="dy"), "‖dy‖", numbers=4)
    for number, step in enumerate(walk.recording.backward):
        shape = str(step.output.shape)
        shown.add_row(str(number + 1), step.operation, _place(step), shape, _length(step.gradient))
    return Page("backward_pass", parts=[shown])


def _place(step: Step) -> Text:
    return Text(path_in_body(step.module))


def _named(steps: list[HiddenStep]) -> dict[str, HiddenStep]:
    return {step.name: step for step in steps}


def _back_feed_forward(walk: Walk) -> Page:
    step = walk.recording.step("feed_forward", f"{walk.block}.mlp")
    hidden = step.hidden_backward()
    pre, grad_pre = step.hidden()[0].array[0, -1], _named(hidden)["grad_pre_activation"].array[0, -1]
    grad_hidden = _named(hidden)["grad_activation"].array[0, -1]
    shown = table("A", "dG", "gelu'(A)", "dA = dG · gelu'(A)", numbers=0)
    order = np.argsort(pre)
    forms = [number_format(array) for array in (pre, grad_hidden, grad_pre)]
    for unit in order[np.linspace(0, len(order) - 1, 7).astype(int)]:
        slope = float(kernels.gelu_backward.reference(np.ones(1, pre.dtype), pre[unit : unit + 1])[0])
        shown.add_row(forms[0](pre[unit]), forms[1](grad_hidden[unit]), f"{slope:.3f}", forms[2](grad_pre[unit]))
    return page_of(step, "back_feed_forward", hidden=hidden, back=True, parts=[shown, _gradient_lengths(walk, [step])])


def _back_attention(walk: Walk) -> Page:
    step = walk.recording.step("causal_attention", f"{walk.block}.attn")
    hidden = _named(step.hidden_backward())
    shown = [hidden[f"grad_{name}"] for name in ("values", "weights", "scores", "queries", "keys")]
    grad_weights, grad_scores = (hidden[f"grad_{name}"].array[0, walk.head] for name in ("weights", "scores"))
    visible = np.tril(np.ones(grad_weights.shape, bool))
    lengths = table(*(f"‖{name}‖" for name in ("dQ", "dK", "dV")), numbers=0)
    parts = [hidden[f"grad_{name}"].array[0, walk.head] for name in ("queries", "keys", "values")]
    lengths.add_row(*(_length(part) for part in parts))
    return page_of(
        step,
        "back_attention",
        hidden=shown,
        back=True,
        parts=[
            Matrix(np.where(visible, grad_weights, 0), walk.labels, walk.labels, title="dP"),
            Matrix(grad_scores, walk.labels, walk.labels, title="dS"),
            lengths,
        ],
    )


def _back_layernorm(walk: Walk) -> Page:
    step = walk.recording.step("layernorm", f"{walk.block}.ln_1")
    hidden = step.hidden_backward()
    gradient = step.argument("x").gradient
    assert gradient is not None
    total = float(gradient[0, -1].astype(np.float64).sum())
    return page_of(
        step,
        "back_layernorm",
        hidden=hidden,
        back=True,
        by_hand=[f"Σ dx[{walk.labels[-1]}] = {total:.1e}"],
        parts=[Matrix(gradient[0], walk.labels, title="dx")],
    )


def _gradient_lengths(walk: Walk, steps: list[Step]) -> Table:
    """How much gradient the parameters of some steps receive."""
    say = walk.speech.word
    shown = table(say("parameter"), say("shape_of", name=""), say("gradient_length"), numbers=2)
    for step in steps:
        for argument in step.arguments:
            if isinstance(argument.origin, str):
                shown.add_row(Text(argument.origin), str(argument.value.shape), _length(argument.gradient))
    return shown


# -- one row and its step -----------------------------------------------------------------------------------
def _row_gradients(walk: Walk) -> tuple[int, np.ndarray, np.ndarray]:
    """The last token's id, and its row's gradients as input and as output."""
    row = int(walk.ids[-1])
    looked_up = walk.recording.step("embedding", TOKEN_TABLE_PATH).argument("weight").gradient
    scored = walk.recording.step("transpose", "").argument("x").gradient
    assert looked_up is not None and scored is not None
    return row, looked_up[row], scored[row]


def _embedding_gradient(walk: Walk) -> Page:
    say = walk.speech.word
    row, looked_up, scored = _row_gradients(walk)
    rows = np.stack([looked_up, scored, looked_up + scored])
    step = walk.recording.step("embedding", TOKEN_TABLE_PATH)
    page = page_of(
        step,
        "embedding_gradient",
        back=True,
        values={"token": walk.labels[-1], "id": row},
        parts=[Matrix(rows, [say("as_input"), say("as_output"), say("sum")])],
    )
    page.sources = [step.source, walk.recording.step("matmul", "").source]
    return page


def _adamw(walk: Walk) -> Page:
    optimizer, say = walk.update.optimizer, walk.speech.word
    row, looked_up, scored = _row_gradients(walk)
    scale = min(1.0, MAX_GRAD_NORM / (walk.update.norm + 1e-6))
    before = walk.recording.step("embedding", TOKEN_TABLE_PATH).argument("weight").value[row]
    model = walk.subject.model
    name_of_table, after = model.token_table_name, model.token_table.data[row]
    first, second = optimizer.betas
    mean, square = optimizer.exp_avg[name_of_table][row], optimizer.exp_avg_sq[name_of_table][row]
    rows = {
        "w": before,
        say("clipped_gradient"): (looked_up + scored) * scale,
        "m": mean,
        "v": square,
        "m̂": mean / (1 - first),
        "√v̂": np.sqrt(square / (1 - second)),
        "Δw": after - before,
        say("new_w"): after,
    }
    shown = table(say("channel"), *(str(c) for c in range(SHOWN_CHANNELS)), numbers=1)
    for name, values in rows.items():
        form = number_format(values[:SHOWN_CHANNELS])
        digits = 6 if name in ("w", say("new_w")) else None
        shown.add_row(name, *(f"{x:.{digits}f}" if digits else form(x) for x in values[:SHOWN_CHANNELS]))
    clipped = say("clipped" if scale < 1 else "not_clipped", most=MAX_GRAD_NORM)
    return Page(
        "adamw",
        {"norm": significant(walk.update.norm), "clipped": clipped, "lr": optimizer.lr},
        equations=[
            f"m = β₁ m + (1 - β₁) g,  v = β₂ v + (1 - β₂) g²    β₁ = {first}, β₂ = {second}",
            "m̂ = m / (1 - β₁ᵗ),  v̂ = v / (1 - β₂ᵗ)              t = 1",
            f"w = w - lr · λ · w - lr · m̂ / (√v̂ + ε)           λ = {optimizer.weight_decay}",
        ],
        module=f"{name_of_table}[{row}]",
        sources=[source_of(kernels.adamw_step.reference), source_of(type(optimizer).step)],
        parts=[shown],
    )


def _moved(walk: Walk) -> Page:
    say, target = walk.speech.word, int(walk.targets[-1])
    before, after = walk.probabilities, walk.update.probabilities
    shown = table(say("token"), say("before"), say("after"), say("factor"), numbers=1)
    likeliest = [int(v) for v in np.argsort(-before)[:SHOWN_TOKENS]]
    for token_id in dict.fromkeys([target, *likeliest]):
        ratio = f"×{after[token_id] / before[token_id]:.2f}"
        style = "bold green" if token_id == target else ""
        shown.add_row(
            Text(walk.label(token_id)), percent(before[token_id]), percent(after[token_id]), ratio, style=style
        )
    return Page(
        "moved",
        {
            "token": walk.label(target),
            "before": percent(before[target]),
            "after": percent(after[target]),
            "loss_before": f"{walk.loss:.4f}",
            "loss_after": f"{walk.update.loss:.4f}",
        },
        parts=[shown],
    )


def _all_steps(walk: Walk) -> Page:
    recording, say = walk.recording, walk.speech.word
    shown = table("", say("operation"), say("module"), say("source"), say("forward_us"), say("backward_us"), numbers=4)
    folder = posixpath.commonpath([posixpath.dirname(step.source.path) for step in recording.steps])
    for step in recording.steps:
        source = f"{posixpath.relpath(step.source.path, folder)}:{step.source.line}"
        times = [f"{1e6 * seconds:.0f}" for seconds in (step.forward_seconds, step.backward_seconds)]
        shown.add_row(str(step.number + 1), step.operation, _place(step), source, *times)
    hidden = sum(len(step.hidden()) + len(step.hidden_backward()) for step in recording.steps)
    forward, backward = len(recording.steps), len(recording.backward)
    values = {"forward": forward, "backward": backward, "hidden": hidden, "total": forward + backward + hidden}
    return Page("all_steps", {**values, "folder": folder}, parts=[shown])
