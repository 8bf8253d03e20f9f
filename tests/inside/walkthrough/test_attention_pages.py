"""The pages of attention: queries to weights to mix, the numbers of the recorded step, and sums that come out."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from scratchgpt.inside.walkthrough.attention_pages import SOFTMAX_KEYS, SOFTMAX_ROWS, attention_pages
from scratchgpt.inside.walkthrough.numbers import number_format, significant
from scratchgpt.inside.walkthrough.sentence import Walk
from tests.inside.walkthrough.printing import LONG_SENTENCE, cells, page_text, printed, walked

HEAD = 2


@pytest.fixture
def walk() -> Walk:
    return walked(head=HEAD)


def hidden(walk: Walk) -> dict[str, np.ndarray]:
    return {one.name: one.array for one in walk.recording.step("causal_attention", f"{walk.block}.attn").hidden()}


def test_the_pages_come_in_the_order_of_the_computation(walk: Walk) -> None:
    order = ["layernorm_1", "qkv", "scores", "mask", "softmax", "mix", "heads", "projection", "residual_1"]
    assert [page.key for page in attention_pages(walk)] == order


def test_the_matrices_of_the_shown_head_are_those_of_the_walk(walk: Walk) -> None:
    text = printed(attention_pages(walk), "en", 120)
    for name in ("queries", "keys", "values", "scores", "weights", "mixed"):
        row = "  ".join(rf"\s*{value:.3f}".replace("-0.000", "0.000") for value in hidden(walk)[name][0, HEAD, -1])
        assert re.search(rf"^爱\s+{row}$", text, re.MULTILINE), name


def test_a_query_by_hand_is_a_row_times_a_column(walk: Walk) -> None:
    step = walk.recording.step("linear", "transformer.h.0.attn.c_attn")
    x, weight, bias = (step.argument(name).value for name in ("x", "weight", "bias"))
    column = HEAD * 8
    line = re.search(r"Q\[爱, 0\] = (.*) = (\S+)$", page_text(attention_pages(walk), "qkv"), re.MULTILINE)
    assert line is not None and line[2] == significant(x[0, -1] @ weight[:, column] + bias[column])
    factors = re.findall(r"\(?(-?\d\.\d{3})\)?×\(?(-?\d\.\d{3})", line[1])
    np.testing.assert_allclose(np.array(factors, float), np.stack([x[0, -1, :2], weight[:2, column]], 1), atol=6e-4)


def test_a_score_by_hand_is_a_dot_product_over_the_root_of_the_head_size(walk: Walk) -> None:
    q, k = hidden(walk)["queries"][0, HEAD, -1], hidden(walk)["keys"][0, HEAD, 0]
    text = page_text(attention_pages(walk), "scores")
    assert f"= {significant(q @ k)} / {significant(math.sqrt(8))} = {significant(q @ k / math.sqrt(8))}\n" in text
    assert "Divided by √8" in text


def test_nobody_looks_ahead(walk: Walk) -> None:
    pages = attention_pages(walk)
    masked = page_text(pages, "mask")
    assert cells(masked, "我")[1:] == ["-∞", "-∞"] and cells(masked, "␣")[2:] == ["-∞"]
    assert "-∞" not in cells(masked, "爱") and "-∞" not in cells(page_text(pages, "scores"), "我")


def test_a_softmax_goes_from_scores_to_weights_that_add_up_to_one(walk: Walk) -> None:
    text = page_text(attention_pages(walk), "softmax")
    table = text[text.index("爱 looks at") :].split("\n\n")[0]
    number = r" +(-?\d\.\d{3})"
    rows = np.array(re.findall(rf"^\S{number}{number}{number}{number} +\S+$", table, re.MULTILINE), float)
    assert rows.shape == (3, 4)
    scores, shifted, exponentials, weights = rows.T
    np.testing.assert_allclose(scores, hidden(walk)["scores"][0, HEAD, -1], atol=6e-4)
    np.testing.assert_allclose(shifted, scores - scores.max(), atol=2e-3)
    np.testing.assert_allclose(exponentials, np.exp(shifted), atol=2e-3)
    np.testing.assert_allclose(weights, exponentials / exponentials.sum(), atol=2e-3)
    assert cells(table, "sum") == [f"{hidden(walk)['exponentials'][0, HEAD, -1].sum():.3f}", "1.000"]
    assert re.search(r"by hand +\d\.\d{3} \+ \d\.\d{3} \+ \d\.\d{3} = 1\.000$", text, re.MULTILINE)


def test_of_a_long_sentence_the_last_query_and_its_own_key_are_shown() -> None:
    walk = walked(LONG_SENTENCE)
    text = page_text(attention_pages(walk), "softmax")
    asked = re.findall(r"^(\S) looks at", text, re.MULTILINE)
    assert len(asked) == SOFTMAX_ROWS - 1 and asked[-1] == walk.labels[-1]
    last = text[text.index(f"{asked[-1]} looks at") :].split("\n\n")[0].splitlines()[2:]
    assert [line.split()[0] for line in last] == [*walk.labels[: SOFTMAX_KEYS - 2], "…", walk.labels[-1], "sum"]


def test_the_mix_by_hand_is_the_values_by_weight(walk: Walk) -> None:
    weights, values = (hidden(walk)[name][0, HEAD] for name in ("weights", "values"))
    text = page_text(attention_pages(walk), "mix")
    line = re.search(r"爱\[0\] = (.*) = (\S+)$", text, re.MULTILINE)
    assert line is not None and line[2] == significant(weights[-1] @ values[:, 0])
    factors = re.findall(r"(\d\.\d{3})×\(?(-?\d\.\d{3})", line[1])
    np.testing.assert_allclose(np.array(factors, float), np.stack([weights[-1], values[:, 0]], 1), atol=6e-4)


def test_every_head_says_whom_the_last_token_looks_at(walk: Walk) -> None:
    pages = attention_pages(walk)
    text = page_text(pages, "heads")
    for head in range(4):
        assert cells(text, f"head {head}") == [f"{w:.3f}" for w in hidden(walk)["weights"][0, head, -1]]
    output = walk.recording.step("causal_attention", "transformer.h.0.attn").output[0]
    assert cells(text, "爱")[:3] == [number_format(output)(x) for x in output[-1, :3]]
    projected = walk.recording.step("linear", "transformer.h.0.attn.c_proj").output[0]
    assert cells(page_text(pages, "projection"), "爱")[:3] == [number_format(projected)(x) for x in projected[-1, :3]]
