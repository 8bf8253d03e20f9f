"""Where the package's own data lie, and what a user types, in a checkout and installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from scratchgpt import installation
from scratchgpt.installation import data_file, typed


def test_this_is_a_checkout_and_its_data_are_plain_files() -> None:
    assert installation.IN_CHECKOUT
    assert data_file("sft_data.json") == installation.PACKAGE.parent / "data" / "sft_data.json"


def test_the_compressed_file_is_taken_only_where_the_plain_one_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "DATA", tmp_path)
    assert data_file("some.txt") == tmp_path / "some.txt"  # neither is there: whoever reads it complains about this one
    (tmp_path / "some.txt.xz").touch()
    assert data_file("some.txt") == tmp_path / "some.txt.xz"
    (tmp_path / "some.txt").touch()
    assert data_file("some.txt") == tmp_path / "some.txt"


def test_what_is_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [typed(name) for name in ("train", "chat", "demo")] == [
        "python train.py",
        "python chat.py",
        "python -m scratchgpt demo",
    ]
    monkeypatch.setattr(installation, "IN_CHECKOUT", False)
    assert [typed(name) for name in ("train", "demo")] == ["scratchgpt train", "scratchgpt demo"]
