"""What replaces something is on the disk before it does so, and its name before anybody is told."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scratchgpt.files import previous, replacing_directory, replacing_file, sync, write_text
from scratchgpt.runs.report import write_whole
from scratchgpt.training.checkpoints import replacing, write_arrays
from tests.tiny import tiny_tokenizer

Event = tuple[str, str]


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """What the operating system is asked for: (call, path below the folder), for a flush with the file's size."""
    told: list[Event] = []

    def below(path: Any) -> str:
        return Path(path).relative_to(tmp_path).as_posix()

    def fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        found = next(p for p in [tmp_path, *tmp_path.rglob("*")] if os.path.samestat(p.stat(), status))
        told.append(("fsync", below(found) + ("" if found.is_dir() else f" {status.st_size}")))

    def renaming(name: str) -> Callable[..., None]:
        usual = getattr(os, name)

        def call(source: Any, target: Any) -> None:
            usual(source, target)
            told.append((name, below(target)))

        return call

    monkeypatch.setattr(os, "fsync", fsync)
    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, renaming(name))
    return told


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_text(path, "new"),
        lambda path: write_whole(path, "new"),
        lambda path: write_arrays(path, {"a": np.zeros(3)}, {}),
        lambda path: tiny_tokenizer().save(path),
    ],
    ids=["text", "report", "arrays", "tokenizer"],
)
def test_a_file_is_written_flushed_renamed_and_its_folder_flushed(
    tmp_path: Path, events: list[Event], write: Callable[[Path], None]
) -> None:
    path = tmp_path / "new.json"
    path.write_text("old")
    write(path)
    size = path.stat().st_size
    assert size != 3 or path.read_text() == "new"
    assert events == [("fsync", f"new.json.writing {size}"), ("replace", "new.json"), ("fsync", ".")]


def test_a_directory_is_flushed_with_all_that_is_in_it(tmp_path: Path, events: list[Event]) -> None:
    target = tmp_path / "sft"
    (target / "old").mkdir(parents=True)
    with replacing(target) as fresh:
        (fresh / "deep").mkdir()
        (fresh / "deep" / "a").write_text("12")
        (fresh / "b").write_text("123")
        events.append(("block", "ends"))
    flushed, moved = events[1:5], events[5:]
    assert events[0] == ("block", "ends") and set(flushed) == {
        ("fsync", "sft.writing/deep/a 2"),
        ("fsync", "sft.writing/b 3"),
        ("fsync", "sft.writing/deep"),
        ("fsync", "sft.writing"),
    }
    assert moved == [("rename", "sft.previous"), ("rename", "sft"), ("fsync", ".")]
    assert sorted(path.name for path in target.iterdir()) == ["b", "deep"]


def test_the_old_directory_is_there_until_the_new_ones_name_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "sft"
    target.mkdir()
    seen = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: seen.append(previous(target).exists()))
    with replacing_directory(target):
        pass
    assert seen == [False, True] and not previous(target).exists()


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError), replacing_file(path) as fresh:
        fresh.write_text("half")
        raise ZeroDivisionError

    def no_space(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)  # some disks notice only now
    with pytest.raises(OSError, match="No space left"):
        write_text(path, "new")
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_text_is_written_as_it_is_whatever_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    write_text(path, "a\n\u2028\x85猫\ud800")
    assert path.read_bytes() == "a\n\u2028\x85猫".encode() + rb"\ud800"


def test_a_file_system_that_cannot_flush_a_folder_is_good_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(descriptor: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", cannot)
    sync(tmp_path)
    (tmp_path / "a").write_text("")
    with pytest.raises(OSError, match="Invalid"):
        sync(tmp_path / "a")
