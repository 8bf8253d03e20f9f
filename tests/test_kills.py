"""A killed run, a few times; ``python -m tests.kills --kills 100`` kills as often as one likes, in all stages."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

if sys.platform == "win32":
    pytest.skip("Windows has no such signals", allow_module_level=True)

from scratchgpt.training.checkpoints import write_arrays
from tests.kills import PRETRAINING, Ending, Kill, Runs, differences, faults_of, steps_lost, table, tried, write_data

TERM, KILL = signal.SIGTERM, signal.SIGKILL


def test_a_run_that_is_killed_again_and_again_ends_as_one_that_is_not(tmp_path: Path) -> None:
    runs = Runs(tmp_path, [*write_data(tmp_path / "data"), *PRETRAINING, "--kernels", "numpy"], ["pretrain"])
    runs.reference()
    trial = tried(runs, seed=0, number=1, most=3)
    assert (
        trial.faults == []
        and trial.runs - 1 <= len(trial.kills)
        and trial.kills[0] == ("SIGTERM", "change", "pretrain")
    )
    assert not (tmp_path / "trial-1").exists()  # kept for looking into where something went wrong
    assert table(trial.kills, runs.places).splitlines()[-1].split()[-1] == str(len(trial.kills))


STOPPED = "stopped: pretrain stopped after step 3, its state is saved; go on with: this\n"


def ending(code: int, err: str = "", out: str = "", killed: str = "before a rename", outside: bool = False) -> Ending:
    return Ending(code, "pretrain", killed, outside, out, err)


@pytest.mark.parametrize(
    ("ended", "by"),
    [
        (ending(0, killed=""), TERM),  # it came to its end before
        (ending(-9), KILL),
        (ending(143, STOPPED), TERM),
        (ending(130, "note: the text is longer than it may be\n" + STOPPED), signal.SIGINT),
        (ending(-15, outside=True), TERM),
        (ending(0, outside=True), TERM),
    ],
)
def test_an_ending_as_it_should_be(ended: Ending, by: signal.Signals) -> None:
    assert list(faults_of(ended, Kill(by))) == []


@pytest.mark.parametrize(
    ("ended", "by", "fault"),
    [
        (ending(1, killed=""), TERM, "exit code 1, not 0"),
        (ending(0, STOPPED), TERM, "exit code 0, not 143"),
        (ending(-15, STOPPED), TERM, "exit code -15, not 143"),
        (ending(143, STOPPED), signal.SIGHUP, "exit code 143, not 129"),
        (ending(143, STOPPED), KILL, "exit code 143, not -9"),
        (ending(143), TERM, "it does not say that it has stopped"),
        (ending(-9, "Traceback (most recent call last):\n"), KILL, "it complains: Traceback"),
        (
            ending(0, out="sft: made from another pretrain; it is trained anew", killed=""),
            TERM,
            "it speaks of 'another'",
        ),
    ],
)
def test_what_is_wrong_with_an_ending_is_noticed(ended: Ending, by: signal.Signals, fault: str) -> None:
    assert [found[: len(fault)] for found in faults_of(ended, Kill(by))] == [fault]


def test_a_step_that_the_saved_state_lacks_is_lost(tmp_path: Path) -> None:
    log, partial = tmp_path / "out" / "logs" / "sft.jsonl", tmp_path / "out" / "sft.partial.safetensors"
    log.parent.mkdir(parents=True)
    assert steps_lost(tmp_path, "sft", b"") == 0  # the stage has not begun
    log.write_text("".join(json.dumps({"kind": "step", "step": step}) + "\n" for step in (1, 2, 3)))
    assert steps_lost(tmp_path, "sft", b"") == 3
    for saved, lost in ((3, 0), (1, 2)):
        write_arrays(partial, {"a": np.zeros(1)}, {"step": str(saved)})
        assert steps_lost(tmp_path, "sft", b"") == lost
    assert steps_lost(tmp_path, "sft", log.read_bytes()) == 0  # of an earlier run: this one has made none


@pytest.mark.parametrize(
    ("name", "instead", "found"),
    [
        ("sft/model.safetensors", b"\1\2\4", ["sft/model.safetensors differs"]),
        ("sft/model.safetensors", None, ["sft/model.safetensors is missing"]),
        ("run.lock", b"", ["run.lock is left over"]),
        ("logs/sft.jsonl", b'{"step": 1, "loss": 2.5, "seconds": 1}\n', ["logs/sft.jsonl differs"]),
        ("logs/sft.jsonl", b'{"step": 1, "loss": 2.0, "seconds": 9}\n', []),
        ("logs/sft.jsonl", b'{"step": 1, "loss": 2.0, "seconds": 1}', ["logs/sft.jsonl differs"]),
        ("report.json", b'[{"after": 2, "seconds": 3.5}]', []),
        ("report.json", b'[{"after": 3, "seconds": 1.5}]', ["report.json differs"]),
        ("report.md", b"| sft | loss | 3 | 2 | 5 | 17 |\n\n1 min 3 s, 8,000 tokens per second.", []),
        ("report.md", b"| sft | loss | 3 | 1 | 5 | 2 |\n\n2 s, 9 tokens per second.", ["report.md differs"]),
        ("../tmp/core", b"", ["core is left in the temporary folder"]),
    ],
)
def test_two_runs_are_compared_times_apart(tmp_path: Path, name: str, instead: bytes | None, found: list[str]) -> None:
    files = {
        "sft/model.safetensors": b"\1\2\3",
        "logs/sft.jsonl": b'{"step": 1, "loss": 2.0, "seconds": 1}\n',
        "report.json": b'[{"after": 2, "seconds": 1.5}]',
        "report.md": b"| sft | loss | 3 | 2 | 5 | 2 |\n\n2 s, 9 tokens per second.",
    }
    for path, content in files.items():
        (tmp_path / "one" / "out" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "one" / "out" / path).write_bytes(content)
    (tmp_path / "one" / "tmp").mkdir()
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    assert differences(tmp_path / "one", tmp_path / "other") == []
    changed = tmp_path / "other" / "out" / name
    changed.unlink() if instead is None else changed.write_bytes(instead)
    assert differences(tmp_path / "one", tmp_path / "other") == found
