"""``steps`` lists what ``trace`` shows, whole names however narrow the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from scratchgpt import kernels
from scratchgpt.cli.commands import steps, trace


def test_every_listed_name_can_be_traced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "40")
    before = kernels.backend()
    kernels.use("numpy")
    try:
        steps.run(steps.Arguments(fresh=True, lang="en"))
        lines = capsys.readouterr().out.splitlines()
        names = [line.split()[0] for line in lines if line.startswith("  ")]
        assert {"wte.embedding", "attn.scores", "attn.grad_scores", "head.token_losses", "wte.grad_weight"} <= set(names)
        assert lines.index("forward") < lines.index("back")
        for name in (names[0], names[-1]):
            trace.run(trace.Arguments("我爱", name, fresh=True))
            assert name in capsys.readouterr().out
    finally:
        kernels.use(before)
