"""The pages of the forward pass: the numbers shown are the model's own, from the ids to the token that is drawn."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from scratchgpt import kernels
from scratchgpt.inference.sampling import SamplingConfig
from scratchgpt.inside.walkthrough.forward_pages import (
    closing_pages,
    describe,
    feed_forward_pages,
    layernorm_page,
    layers_after,
    opening_pages,
    residual_page,
)
from scratchgpt.inside.walkthrough.numbers import number_format, percent, significant
from scratchgpt.inside.walkthrough.sentence import Walk
from tests.inside.walkthrough.printing import LONG_SENTENCE, SENTENCE, cells, page_text, printed, walked


@pytest.fixture
def walk() -> Walk:
    return walked(layer=1, sampling=SamplingConfig(1.0, 10))


def softmax(scores: np.ndarray) -> np.ndarray:
    exponentials = np.exp(scores - scores.max())
    return exponentials / exponentials.sum()


def test_the_model_is_described_by_its_sizes(walk: Walk) -> None:
    parameters, vocab = f"{walk.subject.model.num_parameters():,}", f"{walk.subject.model.config.vocab_size:,}"
    assert describe(walk) == (
        f"a small fresh model (untrained), {parameters} parameters, 2 layers of 4 heads, 32 channels, "
        f"vocabulary {vocab}"
    )


def test_tokens_are_shown_with_their_ids_and_bytes(walk: Walk) -> None:
    text = page_text(opening_pages(walk), "tokens")
    rows = re.findall(r"^(\d) +(\d+) +(\S+) +([0-9A-F ]+)$", text, re.MULTILINE)
    assert [(int(n), int(token_id), label) for n, token_id, label, _ in rows] == [
        (n, int(token_id), label) for n, (token_id, label) in enumerate(zip(walk.ids, walk.labels, strict=True))
    ]
    assert b"".join(bytes.fromhex(spelled) for *_, spelled in rows) == SENTENCE.encode()
    assert "scratchgpt/tokenizer/char.py:" in text


def test_token_and_position_add_up_to_the_residual_stream(walk: Walk) -> None:
    opening = opening_pages(walk)
    body = walk.recording.step("add", "transformer")
    token, position = (body.argument(name).value for name in ("a", "b"))
    for key, label, rows in (
        ("embedding", f"爱 = W[{walk.ids[-1]}]", token[0]),
        ("position", "P[2]", position),
        ("sum", "爱", token[0] + position),
    ):
        form = number_format(rows)
        shown = cells(page_text(opening, key), label)
        assert shown[:3] == [form(x) for x in rows[-1, :3]] and shown[-2:] == ["…", form(rows[-1, -1])]
    (by_hand,) = re.findall(r"^by hand .* = (\S+)$", page_text(opening, "sum"), re.MULTILINE)
    assert by_hand == significant(token[0, -1, 0] + position[-1, 0])


def test_another_layer_shows_what_came_before_and_after() -> None:
    def both(layer: int) -> str:
        walk = walked(language="zh", layer=layer)
        shown = [*opening_pages(walk), layernorm_page(walk, f"{walk.block}.ln_1", "layernorm_1"), *layers_after(walk)]
        return printed(shown)

    first, last = both(0), both(1)
    assert "后面的层" in first and "前面的层" not in first
    assert "前面的层" in last and "后面的层" not in last
    assert "模块  transformer.h.1.ln_1" in last


def test_the_lengths_of_the_residual_stream_are_whole_numbers_of_its_rows() -> None:
    walk = walked(LONG_SENTENCE, layer=1)
    text = printed(opening_pages(walk), "en")
    for place, step in (
        ("wte + wpe", walk.recording.step("add", "transformer")),
        ("h.0 + attn", walk.recording.find("add", "transformer.h.0")[0]),
        ("h.0 + mlp", walk.recording.find("add", "transformer.h.0")[1]),
    ):
        lengths = [f"{np.linalg.norm(row):.3f}" for row in step.output[0]]
        shown = cells(text, place)
        assert shown[:4] == lengths[:4] and shown[-2:] == ["…", lengths[-1]]


def test_a_layernorm_shows_mean_deviation_and_the_sum_by_hand(walk: Walk) -> None:
    text = printed([layernorm_page(walk, "transformer.h.1.ln_1", "layernorm_1")], "en", 120)
    step = walk.recording.step("layernorm", "transformer.h.1.ln_1")
    x = step.argument("x").value[0, -1]
    assert cells(text, "爱")[:2] == [f"{x.mean():.3f}", f"{math.sqrt(x.var() + 1e-5):.3f}"]
    by_hand = re.findall(r"爱\[0\]  ([ny]) = .* = (\S+)$", text, re.MULTILINE)
    assert [name for name, _ in by_hand] == ["n", "y"]
    assert float(by_hand[0][1]) == pytest.approx((x[0] - x.mean()) / math.sqrt(x.var() + 1e-5), rel=1e-3)
    assert by_hand[1][1] == significant(step.output[0, -1, 0])


@pytest.mark.parametrize("which", [0, 1])
def test_a_residual_sum_is_what_was_there_and_what_was_written(walk: Walk, which: int) -> None:
    text = printed([residual_page(walk, which, f"residual_{which + 1}")], "en", 120)
    step = walk.recording.find("add", "transformer.h.1")[which]
    a, sign, b, total = re.search(r"爱\[0\] = (\S+) ([+-]) (\S+) = (\S+)$", text, re.MULTILINE).groups()  # type: ignore[union-attr]
    assert (a, total) == (significant(step.arguments[0].value[0, -1, 0]), significant(step.output[0, -1, 0]))
    assert float(f"{sign}{b}") == pytest.approx(step.arguments[1].value[0, -1, 0], rel=1e-3)


def test_feed_forward_shows_each_of_its_three_steps(walk: Walk) -> None:
    shown = feed_forward_pages(walk)
    step = walk.recording.step("feed_forward", "transformer.h.1.mlp")
    x, weight, bias = (step.argument(name).value for name in ("x", "weight_in", "bias_in"))
    wide = x[0] @ weight + bias
    assert cells(page_text(shown, "feed_forward_in"), "爱")[:3] == [number_format(wide)(v) for v in wide[-1, :3]]
    bend = page_text(shown, "gelu")
    assert f"{percent((wide > 0).mean())} of the numbers" in bend
    pairs = np.array(re.findall(r"^ *(-?\d\.\d{3}) +(-?\d\.\d{3})$", bend, re.MULTILINE), float)
    assert len(pairs) == 7 and (np.diff(pairs[:, 0]) >= 0).all()
    np.testing.assert_allclose(pairs[:, 1], kernels.gelu_forward.reference(pairs[:, 0]), atol=2e-3)
    narrow = step.output[0]
    assert cells(page_text(shown, "feed_forward_out"), "爱")[:3] == [number_format(narrow)(v) for v in narrow[-1, :3]]


def test_the_highest_logits_and_probabilities_come_first(walk: Walk) -> None:
    shown = closing_pages(walk)
    best = np.argsort(-walk.logits)[:8]
    for key, numbers in (
        ("logits", [number_format(walk.logits)(walk.logits[i]) for i in best]),
        ("probabilities", [percent(p) for p in softmax(walk.logits)[best]]),
    ):
        rows = re.findall(r"^(\S+) +(\d+) +(-?[\d.]+%?)(?: .*)?$", page_text(shown, key), re.MULTILINE)
        assert [(int(token_id), number) for _, token_id, number in rows[:8]] == list(zip(best, numbers, strict=True))
    # By hand: the hidden row times the token's own row.
    hidden = walk.recording.step("layernorm", "transformer.ln_f").output[0, -1]
    table = walk.recording.step("embedding", "transformer.wte").argument("weight").value
    (by_hand,) = re.findall(r"^by hand +z\[.*\] = .* = (\S+)$", page_text(shown, "logits"), re.MULTILINE)
    assert by_hand == significant(hidden @ table[best[0]])


def test_the_draw_marks_the_token_whose_sum_exceeds_the_random_number(walk: Walk) -> None:
    text = page_text(closing_pages(walk), "sampling")
    assert f"u = {walk.uniform:.4f}" in " ".join(text.split())
    rows = re.findall(r"^(\d+) +\S+ +[\d.]+% +(\d\.\d{4})( +◀ u)?$", text, re.MULTILINE)
    assert len(rows) == 10 and rows[-1][1] == "1.0000"  # top_k of them, and together they are everything
    (place,) = [i for i, row in enumerate(rows) if row[2]]
    assert int(rows[place][0]) == walk.sampled
    assert (float(rows[place - 1][1]) if place else 0) <= walk.uniform < float(rows[place][1])
    kept = np.sort(np.argsort(-walk.logits)[:10])
    sums = [float(total) for _, total, _ in rows]
    np.testing.assert_allclose(sums, np.cumsum(softmax(walk.logits[kept])), atol=1e-4)


def test_at_temperature_0_nothing_is_drawn() -> None:
    text = printed(closing_pages(walked(sampling=SamplingConfig(temperature=0.0))), "en")
    assert "Take the likeliest token" in text and "argmax" in text and "--seed" not in text
