"""``pack`` hands on its two folders, and says how large the result is."""

from __future__ import annotations

from pathlib import Path

import pytest

from scratchgpt.cli.commands import pack
from scratchgpt.installation import SHIPPED_RUN


def test_by_default_the_packages_own_folder_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def write(out: Path, to: Path) -> None:
        asked.append((out, to))
        (to / "rlvf").mkdir(parents=True, exist_ok=True)
        (to / "rlvf" / "weights").write_bytes(bytes(2_500_000))

    monkeypatch.setattr(pack, "pack", write)
    assert pack.Arguments(Path("run")).to == SHIPPED_RUN
    pack.run(pack.Arguments(Path("run"), tmp_path / "to"))
    assert asked == [(Path("run"), tmp_path / "to")]
    assert capsys.readouterr().out == f"{tmp_path / 'to'}: 2.5 MB\n"
