"""What the tests of the commands share: what a command line leads to, and the one line of a mistake."""

from __future__ import annotations

import pytest

from scratchgpt import kernels
from scratchgpt.cli.train import train
from scratchgpt.runs import pipeline
from scratchgpt.runs.plan import Plan
from tests.tiny import save_checkpoint


@pytest.fixture(autouse=True)
def kernels_as_before():
    """A command may choose kernels, threads and precision: the next test has those of before."""
    backend, threads, precision = kernels.backend(), kernels.num_threads(), kernels.precision()
    yield
    kernels.use(backend)
    kernels.set_threads(threads)
    kernels.set_precision(precision)


@pytest.fixture
def numpy_kernels(kernels_as_before):
    """Nothing to compile."""
    kernels.use("numpy")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A run's folder with three untrained models that write."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for seed, stage in enumerate(("pretrain", "sft", "rlhf")):
        save_checkpoint(folder, stage, seed)
    return folder


@pytest.fixture
def plan_for(monkeypatch, tmp_path):
    """The Plan that a command line leads to, instead of running it."""
    plans = []
    monkeypatch.setattr(pipeline, "run", lambda plan, console: plans.append(plan))

    def make(*argv: str) -> Plan:
        assert train(["--out", str(tmp_path / "out"), *argv]) == 0
        return plans[-1]

    return make


@pytest.fixture
def mistake(capsys):
    """The one line on stderr of a command that must fail with code 2."""

    def run(command, *argv: object) -> str:
        assert command([str(argument) for argument in argv]) == 2
        # On a machine where nothing is compiled yet, the first command says so before its own line.
        lines = [x for x in capsys.readouterr().err.splitlines() if not x.startswith("compiling kernels")]
        assert len(lines) == 1, lines
        assert lines[0].startswith("error: ")
        return lines[0]

    return run
