"""``demo``: merges, every component's shapes, a loss that falls, and texts before and after."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scratchgpt import installation
from scratchgpt.cli.commands import demo
from scratchgpt.cli.commands.demo import Arguments, run
from scratchgpt.config import GPTConfig, PretrainConfig
from scratchgpt.errors import UserError
from scratchgpt.tokenizer.byte_level import FIRST_MERGE_ID
from tests.tiny import write_data

VOCABULARY = FIRST_MERGE_ID + 120


@pytest.fixture(autouse=True)
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small model and a small text in place of the demonstration's own."""
    monkeypatch.setattr(demo, "VOCABULARY", VOCABULARY)
    monkeypatch.setattr(demo, "MODEL", GPTConfig(VOCABULARY, emb_dim=16, num_heads=2, num_layers=3, context_size=48))
    monkeypatch.setattr(demo, "TRAINING", PretrainConfig(batch_size=8, lr=1e-2, warmup_steps=2))
    monkeypatch.setenv("COLUMNS", "200")
    write_data(tmp_path)
    return tmp_path / "corpus.txt"


def shown(arguments: Arguments, capsys: pytest.CaptureFixture[str]) -> str:
    run(arguments)
    return capsys.readouterr().out


def test_four_parts_in_both_languages(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    english = shown(Arguments(steps=2, corpus=corpus, lang="en"), capsys)
    chinese = shown(Arguments(steps=2, corpus=corpus, lang="zh"), capsys)
    heads = [[line for line in text.splitlines() if re.match("[1-4]/4", line)] for text in (english, chinese)]
    assert [len(lines) for lines in heads] == [4, 4]
    assert all(re.match("[1-4]/4 [A-Z]", line) for line in heads[0])
    assert not any(re.match("[1-4]/4 [A-Z]", line) for line in heads[1])


def test_the_merges_are_the_tokenizers(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(Arguments(steps=1, corpus=corpus, lang="en"), capsys)
    merges = re.findall(r"^ +(\d+)  (\S+) \+ (\S+) → (\S+)$", text, re.MULTILINE)
    assert [number for number, *_ in merges[:6]] == list("123456")
    assert all(left + right == made or "⟨" in left + right for _, left, right, made in merges)
    assert any(len(made) > 1 and "⟨" not in made for *_, made in merges)  # a word
    counts = [int(n) for n in re.findall(r"^\d+ merges, (\d+) tokens$", text, re.MULTILINE)]
    assert len(counts) >= 2 and counts == sorted(counts, reverse=True) and counts[0] > counts[-1]


def test_every_component_is_shown_with_its_shapes(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(Arguments(steps=1, corpus=corpus, lang="en"), capsys)
    number = r" [+-]\d\.\d{3}"
    size = int(re.search(rf"^wte +embedding +{number}.* …\n +(\d+)×16, ", text, re.MULTILINE)[1])  # type: ignore[index]
    shapes = r"causal_attention .*\n +1×(\d+)×48 → 1×\1×16\n +O = softmax"
    time = int(re.search(rf"^h\.0\.attn +{shapes}", text, re.MULTILINE)[1])  # type: ignore[index]
    for part in ("h.0.ln_1", "h.0.attn.c_attn", "h.0.attn.c_proj", "h.0.ln_2", "h.0.mlp", "ln_f"):
        assert re.search(rf"^{re.escape(part)} ", text, re.MULTILINE), part
    assert f"1×{time}×16, 16×{size}" in text and f"1×{time}×{size}" in text  # logits
    assert "yₜ = W[idₜ]" in text  # an equation with brackets is no markup
    assert text.count("the other layers are like h.0") == 1 and "h.1" not in text
    assert "100% in all" in text


def test_training_helps_and_is_repeatable(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(Arguments(steps=40, corpus=corpus, lang="en"), capsys)
    before, after = re.search(r"Perplexity of unseen text ([\d,]+) → ([\d,]+)", text).groups()  # type: ignore[union-attr]
    assert int(after.replace(",", "")) < int(before.replace(",", "")) / 4
    assert any("\u2801" <= character <= "\u28ff" for character in text)  # the curve
    texts = re.findall(r"^(before|after) +(.*)$", text, re.MULTILINE)
    assert [kind for kind, _ in texts] == ["before", "after"] * 3
    again = shown(Arguments(steps=40, corpus=corpus, lang="en"), capsys)
    assert re.findall(r"^(before|after) +(.*)$", again, re.MULTILINE) == texts
    other = shown(Arguments(steps=40, seed=1, corpus=corpus, lang="en"), capsys)
    assert re.findall(r"^(before|after) +(.*)$", other, re.MULTILINE) != texts


def test_without_a_corpus_the_projects_own_is_read(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus.rename(corpus.with_name("pretrain_data.txt"))
    monkeypatch.setattr(installation, "DATA", corpus.parent)
    assert "│，│" in shown(Arguments(steps=1), capsys)  # of the sentence that is taken apart by default


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"steps": 0}, "--steps must be at least 1, not 0"),
        ({"seed": -1}, "--seed must not be negative, not -1"),
        ({"corpus": Path("nowhere.txt")}, "nowhere.txt: cannot be read"),
    ],
)
def test_mistakes(flags: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        run(Arguments(**flags))


def test_too_little_text(tmp_path: Path) -> None:
    one, few = tmp_path / "one.txt", tmp_path / "few.txt"
    one.write_text("小猫在唱歌。", encoding="utf-8")
    few.write_text("小猫在唱歌。\n\n小狗在唱歌。", encoding="utf-8")
    with pytest.raises(UserError, match=r"one\.txt: holds one document only"):
        run(Arguments(corpus=one))
    with pytest.raises(UserError, match="the text is too short"):
        run(Arguments(corpus=few))


def test_a_diverging_run_is_one_line(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(self: object, max_norm: float) -> float:
        raise FloatingPointError("the gradient norm is nan")

    monkeypatch.setattr("scratchgpt.nn.optimizers.AdamW.step", diverge)
    with pytest.raises(UserError, match="demo, step 1: the gradient norm is nan"):
        run(Arguments(steps=3, corpus=corpus))
