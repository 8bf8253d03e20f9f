"""Two runs never write to one folder; a lock whose holder is gone is none."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from scratchgpt.errors import UserError
from scratchgpt.runs import lock
from scratchgpt.runs.lock import LOCK_FILE, only_run_at

ROOT = Path(__file__).resolve().parent.parent.parent
HOLD = """
import sys
from pathlib import Path
from scratchgpt.runs.lock import only_run_at
with only_run_at(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path):
    """Another process that holds the folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_folder_that_another_process_writes_to_is_refused(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught, only_run_at(tmp_path):
        pass
    assert f"{tmp_path}: another run (process {holder.pid} on {socket.gethostname()})" in str(caught.value)
    assert "another --out" in str(caught.value) and "\n" not in str(caught.value)
    holder.communicate("")  # it ends
    with only_run_at(tmp_path):
        pass


def test_the_lock_of_a_killed_process_is_taken_over(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    holder.kill()
    holder.wait()
    assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == holder.pid
    with only_run_at(tmp_path):
        assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_a_number_that_another_process_has_by_now_does_not_hold_the_folder(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text(json.dumps({"pid": os.getppid(), "host": socket.gethostname()}))
    with only_run_at(tmp_path):
        pass


def test_a_run_that_fails_lets_go(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), only_run_at(tmp_path / "new"):
        raise ZeroDivisionError
    assert list((tmp_path / "new").iterdir()) == []
    with only_run_at(tmp_path / "new"), pytest.raises(UserError, match="another run"), only_run_at(tmp_path / "new"):
        pass
    with only_run_at(tmp_path / "new"):
        pass


def test_a_lock_that_its_holder_removed_meanwhile_is_not_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, taken = lock._lock, []

    def meanwhile(descriptor: int, path: Path) -> None:
        if not taken:
            path.unlink()
        taken.append(descriptor)
        take(descriptor, path)

    monkeypatch.setattr(lock, "_lock", meanwhile)
    with only_run_at(tmp_path):
        assert len(taken) == 2 and (tmp_path / LOCK_FILE).is_file()
        monkeypatch.setattr(lock, "_lock", take)
        with pytest.raises(UserError, match="another run"), only_run_at(tmp_path):
            pass


def test_a_file_system_without_locks_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")

    def none_here(descriptor: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none_here)
    with only_run_at(tmp_path):
        pass


def test_a_folder_that_may_not_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*arguments: object) -> int:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(UserError, match="cannot be written"), only_run_at(tmp_path):
        pass
