"""The pages of attention, step by step: Q, K, V, scores, mask, softmax row by row, mix, heads, projection.

Scaled dot-product attention in several heads: Vaswani et al. 2017, section 3.2.
"""

from __future__ import annotations

import math

import numpy as np
from rich.console import RenderableType
from rich.text import Text

from scratchgpt.inside.walkthrough.forward_pages import layernorm_page, residual_page
from scratchgpt.inside.walkthrough.matrix import Matrix, middle_left_out
from scratchgpt.inside.walkthrough.numbers import bar, dot_product, in_brackets, number_format, significant
from scratchgpt.inside.walkthrough.page import Page, page_of, table
from scratchgpt.inside.walkthrough.sentence import Walk

SOFTMAX_ROWS = 4
"""Queries whose softmax is shown in full; the last is always among them."""
SOFTMAX_KEYS = 6
"""Keys that each of them shows; its own is always among them."""


def attention_pages(walk: Walk) -> list[Page]:
    """Layernorm, attention of the shown head in full, projection and the residual sum."""
    step = walk.recording.step("causal_attention", f"{walk.block}.attn")
    hidden = {one.name: one for one in step.hidden()}
    labels = walk.labels
    q, k, v, scores, masked, weights, mixed = (
        hidden[name].array[0, walk.head]
        for name in ("queries", "keys", "values", "scores", "masked_scores", "weights", "mixed")
    )
    size = q.shape[1]
    last, first = labels[-1], labels[0]
    score = (
        f"{last}·{first} = ({dot_product(q[-1], k[0])}) / √{size} = "
        f"{significant(q[-1] @ k[0])} / {significant(math.sqrt(size))} = {significant(scores[-1, 0])}"
    )
    sum_of_weights = " + ".join(f"{x:.3f}" for x in weights[-1][:SOFTMAX_KEYS])
    mix = " + ".join(f"{w:.3f}×{_in_brackets(x)}" for w, x in zip(weights[-1, :3], v[:3, 0], strict=True))
    more = " + …" if len(labels) > 3 else ""

    def shapes(*names: str) -> str:
        return ", ".join(f"{name} {hidden[name].array.shape}" for name in names)

    return [
        layernorm_page(walk, f"{walk.block}.ln_1", "layernorm_1"),
        _qkv(walk, q, k, v),
        page_of(
            step,
            "scores",
            hidden=[hidden["scores"]],
            inputs=shapes("queries", "keys"),
            values={"size": size},
            by_hand=[score],
            parts=[Matrix(scores, labels, labels)],
        ),
        page_of(
            step,
            "mask",
            hidden=[hidden["masked_scores"]],
            inputs=shapes("scores"),
            parts=[Matrix(masked, labels, labels)],
        ),
        page_of(
            step,
            "softmax",
            hidden=[hidden["exponentials"], hidden["weights"]],
            inputs=shapes("masked_scores"),
            by_hand=[f"{sum_of_weights}{' + …' if len(labels) > SOFTMAX_KEYS else ''} = {weights[-1].sum():.3f}"],
            parts=[*_softmax_rows(walk, masked, weights), Matrix(weights, labels, labels, shade=True, title="P")],
        ),
        page_of(
            step,
            "mix",
            hidden=[hidden["mixed"]],
            inputs=shapes("weights", "values"),
            by_hand=[f"{last}[0] = {mix}{more} = {significant(mixed[-1, 0])}"],
            parts=[Matrix(mixed, labels)],
        ),
        page_of(
            step,
            "heads",
            hidden=[hidden["output"]],
            inputs=shapes("mixed"),
            values={"heads": step.settings["num_heads"], "channels": step.output.shape[-1], "token": last},
            parts=[
                Matrix(
                    hidden["weights"].array[0, :, -1],
                    [walk.speech.word("head", number=h) for h in range(step.settings["num_heads"])],
                    labels,
                    shade=True,
                ),
                Matrix(step.output[0], labels),
            ],
        ),
        _projection(walk),
        residual_page(walk, 0, "residual_1"),
    ]


def _in_brackets(value: float) -> str:
    return in_brackets(f"{value:.3f}")


def _qkv(walk: Walk, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> Page:
    step = walk.recording.step("linear", f"{walk.block}.attn.c_attn")
    config = walk.subject.model.config
    size = q.shape[1]
    column = walk.head * size
    x, weight, bias = (step.argument(name).value for name in ("x", "weight", "bias"))
    product = f"{dot_product(x[0, -1], weight[:, column])} + {_in_brackets(bias[column])} = {significant(q[-1, 0])}"
    return page_of(
        step,
        "qkv",
        values={"channels": config.emb_dim, "heads": config.num_heads, "size": size, "head": walk.head},
        by_hand=[f"Q[{walk.labels[-1]}, 0] = {product}"],
        parts=[Matrix(part, walk.labels, title=name) for name, part in (("Q", q), ("K", k), ("V", v))],
    )


def _softmax_rows(walk: Walk, scores: np.ndarray, weights: np.ndarray) -> list[RenderableType]:
    """For each shown query a table of the keys it may see: score, power of e, weight."""
    say, labels = walk.speech.word, walk.labels
    rows: list[RenderableType] = []
    for i in middle_left_out(len(labels), SOFTMAX_ROWS):
        if i is None:
            rows.append(Text("…", style="dim"))
            continue
        shown = table(say("looks", token=labels[i]), "S", "S - max", "exp", "P", "", numbers=1)
        shown.columns[5].justify = "left"
        shifted = scores[i, : i + 1] - scores[i, : i + 1].max()
        form = number_format(scores[i, : i + 1])
        for j in middle_left_out(i + 1, SOFTMAX_KEYS):
            if j is None:
                shown.add_row("…", style="dim")
                continue
            shown.add_row(
                Text(labels[j]),
                form(scores[i, j]),
                f"{shifted[j]:.3f}",
                f"{math.exp(shifted[j]):.3f}",
                f"{weights[i, j]:.3f}",
                Text(bar(float(weights[i, j])), style="cyan"),
            )
        total = float(np.exp(shifted).sum())
        shown.add_row(say("sum"), "", "", f"{total:.3f}", f"{weights[i].sum():.3f}", style="dim")
        rows.append(shown)
    return rows


def _projection(walk: Walk) -> Page:
    step = walk.recording.step("linear", f"{walk.block}.attn.c_proj")
    return page_of(step, "projection", parts=[Matrix(step.output[0], walk.labels)])
