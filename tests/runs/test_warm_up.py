"""Compiling ahead: all that a run and its model need, and nothing left to compile for those that come later."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
from rich.console import Console

from scratchgpt import kernels
from scratchgpt.errors import UserError
from scratchgpt.kernels.runtime import cache
from scratchgpt.runs import warm_up as module
from scratchgpt.runs.warm_up import SHARES, everything, for_talking, for_training, warm_up, warm_up_if_cold
from tests.tiny import write_data

ROOT = Path(__file__).resolve().parent.parent.parent
COMPILED = """
import gc, json
from numba.core.dispatcher import Dispatcher
known = {(d.py_func.__module__, d.py_func.__qualname__, str(signature)) for d in gc.get_objects()
         if isinstance(d, Dispatcher) and d.py_func.__module__.startswith("scratchgpt.") for signature in d.signatures}
print("\\n" + json.dumps(sorted(known)))
"""
"""Prints what the process has compiled or loaded: module, function and types of its arguments."""
AHEAD = """
from scratchgpt.runs.warm_up import compile_share, everything
for job in everything():
    compile_share(*job)
"""
LATER = """
import json, sys
from scratchgpt import kernels
from scratchgpt.__main__ import main
flags, run, corpus = json.loads(sys.argv[1])
assert main(["train", "--out", run, *flags]) == 0
kernels.set_precision("float32")  # that of commands which do not train
assert main(["chat", "--out", run, "--max-length", "3", "--prompt", "小猫住在哪里？"]) == 0
assert main(["generate", "--checkpoint", run, "--max-length", "3", "--prompt", "小猫", "--top-k", "5"]) == 0
assert main(["generate", "--checkpoint", run, "--max-length", "3", "--prompt", "小猫", "--num-beams", "2"]) == 0
assert main(["evaluate", "--checkpoint", run, "--items", "4", "--skip-bleu"]) == 0
assert main(["tokenize", "小猫", "--checkpoint", run]) == 0
"""
SHORT = [
    *["--emb-dim", "32", "--num-heads", "2", "--num-layers", "1", "--context-size", "128", "--vocab-size", "300"],
    *["--pretrain.steps", "2", "--sft.epochs", "0.1", "--reward.epochs", "0.1", "--num-episodes", "2"],
    *["--value-warmup", "1", "--rlhf.batch-size", "8", "--num-iterations", "1", "--tasks-per-iteration", "4"],
    *["--samples-per-task", "2", "--max-new-tokens", "4", "--dropout", "0.1"],
]


def python(program: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """A program in a process of its own, its kernels compiled."""
    environment = {**os.environ, "SCRATCHGPT_KERNELS": "numba", "PYTHONPATH": str(ROOT), **settings}
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return done


def compiled_by(program: str, *arguments: str) -> set[tuple[str, ...]]:
    """The functions that a program has compiled, or has found compiled."""
    return set(map(tuple, json.loads(python(program + COMPILED, *arguments).stdout.splitlines()[-1])))


def test_after_it_five_stages_chat_generate_evaluate_and_tokenize_compile_nothing(tmp_path: Path) -> None:
    """Function by function and type by type; `.ci/wheel` sees the same of the commands in an empty folder."""
    ahead = compiled_by(AHEAD)
    data = write_data(tmp_path / "data")
    flags = [*data, *SHORT]
    later = compiled_by(LATER, json.dumps([flags, str(tmp_path / "run"), str(tmp_path / "data" / "corpus.txt")]))
    assert {name for _, name, _ in later} >= {"_decode", "_weight_gradient", "_step", "_sample", "_encode"}
    assert later - ahead == set()


def test_what_its_processes_compile_is_found_by_those_that_come_later(tmp_path: Path) -> None:
    one = "from scratchgpt.runs.warm_up import warm_up\nif __name__ == '__main__': print(*warm_up([('choose tokens', 'float32')]))"
    program = tmp_path / "one.py"  # spawned processes read the main module again
    program.write_text(one, encoding="utf-8")
    settings = {**os.environ, "SCRATCHGPT_KERNELS": "numba", "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, str(program)], env=settings, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("choose tokens", "")
    later = python("from scratchgpt.runs.warm_up import *; compile_share('choose tokens', 'float32')", NUMBA_CACHE_DIR=str(tmp_path))
    assert later.stderr == ""


def test_both_precisions_of_this_cpu_are_compiled_each_share_once_where_they_do_not_differ() -> None:
    jobs, training = everything(), module._training_precision()
    assert len(jobs) == len(set(jobs)) and {name for name, _ in jobs} == set(SHARES)
    assert {precision for name, precision in jobs if name == "decode"} == {"float32", training}
    assert len([name for name, _ in jobs if name == "encode"]) == 1
    assert {precision for _, precision in for_training()} == {kernels.precision()}
    assert {name for name, _ in for_training()} == set(SHARES)
    assert {name for name, _ in for_talking()} == {"decode", "read prompts", "choose tokens", "encode"}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[tuple[str, str]]]:
    """What `warm_up_if_cold` has begun, on two cores whose kernels are compiled and kept."""
    begun: list[Sequence[tuple[str, str]]] = []

    def record(jobs: Sequence[tuple[str, str]]) -> Iterator[str]:
        begun.append(jobs)
        return iter(())

    monkeypatch.setattr(module, "warm_up", record)
    monkeypatch.setattr(module, "default_threads", lambda: 2)
    monkeypatch.setattr(kernels, "backend", lambda: "numba")
    monkeypatch.setattr(cache, "is_empty", lambda: True)
    monkeypatch.setattr(cache, "is_kept", lambda: True)
    return begun


def test_a_cold_start_compiles_ahead(started: list) -> None:
    warm_up_if_cold(for_talking(), Console(file=io.StringIO()))
    assert started == [for_talking()]


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [
        (cache, "is_empty", False),
        (cache, "is_kept", False),
        (kernels, "backend", "numpy"),
        (module, "default_threads", 1),
    ],
)
def test_it_does_not_where_that_is_of_no_use(
    started: list, monkeypatch: pytest.MonkeyPatch, place: object, name: str, value: object
) -> None:
    monkeypatch.setattr(place, name, lambda: value)
    warm_up_if_cold(for_talking(), Console(file=io.StringIO()))
    assert started == []


@pytest.mark.parametrize("error", [BrokenProcessPool, OSError])
def test_a_start_goes_on_where_no_process_can_be_had(started: list, monkeypatch: pytest.MonkeyPatch, error: type) -> None:
    def fail(jobs: object) -> Iterator[str]:
        raise error

    monkeypatch.setattr(module, "warm_up", fail)
    warm_up_if_cold(for_talking(), Console(file=io.StringIO()))


def test_a_share_that_fails_is_not_passed_over() -> None:
    with pytest.raises(UserError, match="precision: no 'float8'"):
        list(warm_up([("encode", "float8")], processes=1))
