"""``trace``: one operation with its facts and numbers, and one line for a mistake."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scratchgpt import kernels
from scratchgpt.cli.commands.trace import Arguments, run
from scratchgpt.errors import UserError
from tests.tiny import save_checkpoint


@pytest.fixture(autouse=True)
def _numpy_and_wide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")
    before = kernels.backend()
    kernels.use("numpy")
    yield
    kernels.use(before)


def shown(capsys: pytest.CaptureFixture[str], *positional: str, **flags: object) -> str:
    run(Arguments(*positional, fresh="checkpoint" not in flags, **flags))
    return capsys.readouterr().out


def test_attention_shows_one_head_with_its_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, "我 爱", "attn.softmax", head=1, layer=1, lang="en")
    assert "step       attn.weights" in out and "equation   Pᵢⱼ = Eᵢⱼ / Σⱼ Eᵢⱼ" in out
    assert "causal_attention, transformer.h.1.attn" in out and "scratchgpt/kernels/attention.py:" in out
    assert "head 1" in out
    first = next(line for line in out.splitlines() if line.startswith("我"))
    assert first.split() == ["我", "1.000", "0.000", "0.000"]
    assert shown(capsys, "我 爱", "attn.softmax", head=2, layer=1, lang="en") != out


@pytest.mark.parametrize(
    ("step", "row"),
    [
        ("wte.embedding", "爱"),
        ("head.sum", ""),
        ("ln_f.grad_bias", "0"),
        ("wte.grad_weight", "0"),
        ("head.token_losses", "0"),
    ],
)
def test_any_shape_is_shown(step: str, row: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, "我 爱", step).splitlines()
    assert any(line.split()[:1] == [row] for line in lines) if row else float(lines[-1])


def test_a_checkpoint_is_traced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_checkpoint(tmp_path / "run", "pretrain", seed=3)
    one = shown(capsys, "小猫", "mlp.feed_forward", checkpoint=tmp_path / "run")
    save_checkpoint(tmp_path / "run", "pretrain", seed=4)
    assert shown(capsys, "小猫", "mlp.feed_forward", checkpoint=tmp_path / "run") != one


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"step": "nothing"}, "--step nothing: there is no such step"),
        ({"step": "attn.softmax", "layer": 9}, "9"),
        ({"step": "attn.softmax", "head": 9}, "9"),
        ({"step": "attn.softmax", "seed": -1}, "--seed must not be negative"),
        ({"step": "attn.softmax", "checkpoint": Path("here")}, "leave one of them out"),
    ],
)
def test_mistakes(flags: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        run(Arguments("我 爱", fresh=True, **flags))
