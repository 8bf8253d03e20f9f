"""The pages of the forward pass outside of attention: tokens, embeddings, feed-forward, logits, the draw."""

from __future__ import annotations

import math

import numpy as np
from rich.text import Text

from scratchgpt.inference.sampling import GREEDY_BELOW, sample_logits
from scratchgpt.inside.recorder import Step
from scratchgpt.inside.source_lines import source_of
from scratchgpt.inside.token_display import hexadecimal
from scratchgpt.inside.walkthrough.matrix import Matrix, middle_left_out
from scratchgpt.inside.walkthrough.numbers import bar, dot_product, in_brackets, number_format, percent, significant
from scratchgpt.inside.walkthrough.page import Page, page_of, table
from scratchgpt.inside.walkthrough.sentence import Walk
from scratchgpt.kernels.sample import draw, keep_top_k
from scratchgpt.models.gpt2 import (
    BODY_PATH,
    FINAL_LAYERNORM_PATH,
    POSITION_TABLE_PATH,
    TOKEN_TABLE_PATH,
    block_path,
    path_in_body,
)

SHOWN_TOKENS = 8
"""Rows of a table over the vocabulary."""


def opening_pages(walk: Walk) -> list[Page]:
    """The model, the tokens, and how they become the first rows of the residual stream."""
    return [_model(walk), _tokens(walk), _embedding(walk), _position(walk), _sum(walk), *_layers_before(walk)]


def describe(walk: Walk) -> str:
    """The model in a few words: where it comes from and its sizes."""
    subject, say = walk.subject, walk.speech.word
    config = subject.model.config
    return say(
        "sizes",
        where=say("fresh") if subject.directory is None else subject.directory,
        parameters=f"{subject.model.num_parameters():,}",
        layers=config.num_layers,
        heads=config.num_heads,
        channels=config.emb_dim,
        vocab=f"{config.vocab_size:,}",
    )


def _model(walk: Walk) -> Page:
    return Page("model", {"where": describe(walk)})


def _tokens(walk: Walk) -> Page:
    say, tokenizer = walk.speech.word, walk.subject.tokenizer
    shown = table(say("position"), say("id"), say("token"), say("bytes"))
    for index in middle_left_out(len(walk.ids), 16):
        if index is None:
            shown.add_row("…", "…", "…", "…")
            continue
        token_id = int(walk.ids[index])
        spelled = hexadecimal(tokenizer.token_bytes(token_id)) if token_id < len(tokenizer) else ""
        shown.add_row(str(index), str(token_id), Text(walk.labels[index], style="bold"), Text(spelled, style="dim"))
    return Page(
        "tokens",
        {"sentence": walk.sentence, "count": len(walk.ids)},
        sources=[source_of(type(tokenizer).encode)],
        parts=[shown],
    )


def _embedding(walk: Walk) -> Page:
    step = walk.recording.step("embedding", TOKEN_TABLE_PATH)
    vocab, channels = step.argument("weight").value.shape
    rows = [f"{label} = W[{token_id}]" for label, token_id in zip(walk.labels, walk.ids, strict=True)]
    return page_of(
        step,
        "embedding",
        values={"vocab": f"{vocab:,}", "channels": channels},
        parts=[Matrix(step.output[0], rows)],
    )


def _position(walk: Walk) -> Page:
    step = walk.recording.step("embedding", POSITION_TABLE_PATH)
    rows = [f"P[{index}]" for index in range(len(walk.ids))]
    return page_of(
        step, "position", values={"context": len(step.argument("weight").value)}, parts=[Matrix(step.output, rows)]
    )


def _sum(walk: Walk) -> Page:
    step = walk.recording.step("add", BODY_PATH)
    token, position, total = step.argument("a").value[0, -1, 0], step.argument("b").value[-1, 0], step.output[0, -1, 0]
    return page_of(
        step,
        "sum",
        values={"channels": step.output.shape[-1]},
        by_hand=[f"{walk.labels[-1]}[0] = {_added(token, position)} = {significant(total)}"],
        parts=[Matrix(step.output[0], walk.labels)],
    )


def _added(a: float, b: float) -> str:
    return f"{significant(a)} {'+' if b >= 0 else '-'} {significant(abs(b))}"


# -- the residual stream through other layers ---------------------------------------------------------------
def _layers_before(walk: Walk) -> list[Page]:
    if walk.layer == 0:
        return []
    start = walk.recording.step("add", BODY_PATH)
    lengths = _lengths(walk, [start, *_residuals(walk, range(walk.layer))])
    return [Page("before", {"layer": walk.layer}, parts=[lengths])]


def layers_after(walk: Walk) -> list[Page]:
    """What the layers above the shown one do, if there are any."""
    above = range(walk.layer + 1, walk.subject.model.config.num_layers)
    if not above:
        return []
    return [Page("after", parts=[_lengths(walk, _residuals(walk, above))])]


def _residuals(walk: Walk, layers: range) -> list[Step]:
    return [step for layer in layers for step in walk.recording.find("add", block_path(layer))]


def _lengths(walk: Walk, steps: list[Step]) -> Matrix:
    """The length of every token's row after each of the sums, named by the place and what was added."""
    places = [f"{path_in_body(step.module)} + {_added_by(step)}" for step in steps]
    places = [place.removeprefix(f"{BODY_PATH} + ") for place in places]  # the first: nothing stood there before
    lengths = np.stack([np.linalg.norm(step.output[0], axis=-1) for step in steps])
    return Matrix(lengths, places, walk.labels, most_rows=24)


def _added_by(step: Step) -> str:
    if step.caller is None:
        return ""
    return "attn" if "attn" in step.caller.text else "mlp" if "mlp" in step.caller.text else "wte + wpe"


# -- layernorm and feed-forward -----------------------------------------------------------------------------
def layernorm_page(walk: Walk, module: str, key: str, output_only: bool = False) -> Page:
    """A layernorm: mean, deviation, and what comes out.

    Args:
        walk: what is shown.
        module: path of the layernorm.
        key: of the page's texts.
        output_only: whether to leave out the table of mean and deviation.
    """
    step = walk.recording.step("layernorm", module)
    mean, variance, normalised, output = (one.array[0] for one in step.hidden())
    deviation = np.sqrt(variance + step.settings["eps"])
    columns = np.concatenate([mean, deviation], axis=1)
    x, weight, bias = step.argument("x").value[0], step.argument("weight").value, step.argument("bias").value
    last = walk.labels[-1]
    by_hand = [
        f"n = ({significant(x[-1, 0])} - {_in_brackets(mean[-1, 0])}) / {significant(deviation[-1, 0])}"
        f" = {significant(normalised[-1, 0])}",
        f"y = {_in_brackets(normalised[-1, 0])}×{_in_brackets(weight[0])} + {_in_brackets(bias[0])}"
        f" = {significant(output[-1, 0])}",
    ]
    parts = [] if output_only else [Matrix(columns, walk.labels, ["μ", "√(σ²+ε)"])]
    return page_of(
        step,
        key,
        by_hand=[f"{last}[0]  {line}" for line in by_hand],
        parts=[*parts, Matrix(step.output[0], walk.labels)],
    )


def _in_brackets(value: float) -> str:
    return in_brackets(significant(value))


def residual_page(walk: Walk, which: int, key: str) -> Page:
    """A sum of the shown layer.

    Args:
        walk: what is shown.
        which: 0 for the sum after attention, 1 for that after the feed-forward layer.
        key: of the page's texts.
    """
    step = walk.recording.find("add", walk.block)[which]
    before, written, total = (array[0, -1, 0] for array in (*(a.value for a in step.arguments), step.output))
    return page_of(
        step,
        key,
        values={"layer": walk.layer},
        by_hand=[f"{walk.labels[-1]}[0] = {_added(before, written)} = {significant(total)}"],
        parts=[Matrix(step.output[0], walk.labels)],
    )


def feed_forward_pages(walk: Walk) -> list[Page]:
    """Layernorm, the wide layer, GELU, the narrow layer, and the sum."""
    step = walk.recording.step("feed_forward", f"{walk.block}.mlp")
    pre, activation, output = step.hidden()
    channels, inner = step.argument("weight_in").value.shape
    values = {"channels": channels, "inner": inner}
    x, weight, bias = (step.argument(name).value for name in ("x", "weight_in", "bias_in"))
    last = walk.labels[-1]
    product = f"{dot_product(x[0, -1], weight[:, 0])} + {_in_brackets(bias[0])} = {significant(pre.array[0, -1, 0])}"
    bent = pre.array[0, -1]
    shown = table("A", "gelu(A)", numbers=0)
    form = number_format(bent)
    for index in np.linspace(0, bent.size - 1, 7).astype(int):
        ordered = np.argsort(bent)[index]
        shown.add_row(form(bent[ordered]), form(activation.array[0, -1, ordered]))
    return [
        layernorm_page(walk, f"{walk.block}.ln_2", "layernorm_2", output_only=True),
        page_of(
            step,
            "feed_forward_in",
            hidden=[pre],
            inputs=f"x {x.shape}, weight_in {weight.shape}",
            values=values,
            by_hand=[f"{last}[0] = {product}"],
            parts=[Matrix(pre.array[0], walk.labels)],
        ),
        page_of(
            step,
            "gelu",
            hidden=[activation],
            inputs=f"pre_activation {pre.array.shape}",
            values={"active": percent(float((pre.array > 0).mean()))},
            parts=[Matrix(activation.array[0], walk.labels), shown],
        ),
        page_of(
            step,
            "feed_forward_out",
            hidden=[output],
            inputs=f"activation {activation.array.shape}, weight_out {step.argument('weight_out').value.shape}",
            values=values,
            parts=[Matrix(output.array[0], walk.labels)],
        ),
        residual_page(walk, 1, "residual_2"),
    ]


# -- from the last row to a token ---------------------------------------------------------------------------
def closing_pages(walk: Walk) -> list[Page]:
    """The final layernorm, logits, probabilities, and the draw."""
    return [
        layernorm_page(walk, FINAL_LAYERNORM_PATH, "final_norm", output_only=True),
        _logits(walk),
        _probabilities(walk),
        _sampling(walk),
    ]


def _logits(walk: Walk) -> Page:
    step = walk.recording.step("matmul", "")
    hidden, logits = step.argument("a").value[0, -1], walk.logits
    say = walk.speech.word
    shown = table(say("token"), say("id"), "logit", numbers=1)
    best = np.argsort(-logits)[:SHOWN_TOKENS]
    form = number_format(logits)
    for token_id in best:
        shown.add_row(Text(walk.label(token_id), style="bold"), str(token_id), form(logits[token_id]))
    top = int(best[0])
    row = walk.recording.step("embedding", TOKEN_TABLE_PATH).argument("weight").value[top]
    return page_of(
        step,
        "logits",
        values={"vocab": f"{logits.size:,}"},
        by_hand=[f"z[{walk.label(top)}] = {dot_product(hidden, row)} = {significant(logits[top])}"],
        parts=[shown],
    )


def _probabilities(walk: Walk) -> Page:
    step = walk.recording.step("token_losses", "")
    probabilities, logits, say = walk.probabilities, walk.logits, walk.speech.word
    shown = table(say("token"), say("id"), say("probability"), "", numbers=1)
    shown.columns[3].justify = "left"
    best = np.argsort(-probabilities)[:SHOWN_TOKENS]
    for token_id in best:
        shown.add_row(
            Text(walk.label(token_id), style="bold"),
            str(token_id),
            percent(probabilities[token_id]),
            Text(bar(probabilities[token_id], 30), style="cyan"),
        )
    rest = 1 - float(probabilities[best].sum())
    others = f"{probabilities.size - len(best):,}"
    shown.add_row(say("rest"), others, percent(max(rest, 0.0)), bar(rest, 30), style="dim")
    top = int(best[0])
    total = math.log(float(np.exp(logits.astype(np.float64)).sum()))
    page = page_of(
        step,
        "probabilities",
        hidden=[step.hidden()[0]],
        inputs=f"logits {step.argument('logits').value.shape}",
        values={"vocab": f"{probabilities.size:,}"},
        by_hand=[
            f"p[{walk.label(top)}] = exp({significant(logits[top])} - ln Σ exp(z)) = "
            f"exp({significant(logits[top])} - {significant(total)}) = {significant(probabilities[top], 3)}"
        ],
        parts=[shown],
    )
    page.sources = page.sources[:1]  # who called is shown where the loss is
    return page


def _sampling(walk: Walk) -> Page:
    say, sampling = walk.speech.word, walk.sampling
    if sampling.temperature < GREEDY_BELOW:
        token = walk.label(walk.sampled)
        return Page("greedy", {"token": token}, ["token = argmaxᵥ zᵥ"], sources=[source_of(sample_logits)])
    scaled = walk.logits.astype(np.float64)[None] / sampling.temperature
    weights = np.exp(scaled - scaled.max())
    if sampling.top_k:
        weights = keep_top_k(weights, sampling.top_k)
    probabilities = weights[0] / weights.sum()
    cumulative = np.cumsum(probabilities)
    ids = np.flatnonzero(probabilities)
    place = int(np.searchsorted(ids, walk.sampled))
    first = max(0, min(place - SHOWN_TOKENS // 2, len(ids) - SHOWN_TOKENS - 2))
    shown = table(say("id"), say("token"), say("probability"), say("sum_so_far"), "", numbers=2)
    shown.columns[4].justify = "left"
    for token_id in ids[first : first + SHOWN_TOKENS + 2]:
        drawn = token_id == walk.sampled
        shown.add_row(
            str(token_id),
            Text(walk.label(token_id)),
            percent(probabilities[token_id]),
            f"{cumulative[token_id]:.4f}",
            "◀ u" if drawn else "",
            style="bold" if drawn else "",
        )
    return Page(
        "sampling",
        {
            "temperature": sampling.temperature,
            "kept": len(ids),
            "uniform": f"{walk.uniform:.4f}",
            "token": walk.label(walk.sampled),
        },
        equations=["p = softmax(z / temperature)", "token = min { v : p₀ + p₁ + … + pᵥ > u }"],
        sources=[source_of(sample_logits), source_of(draw)],
        parts=[shown],
    )
