"""Runs test modules in processes of their own, with or without a mutant.

Most of a short test's time goes to imports, so each process is forked from a server that has imported everything
foreign and nothing of ours (``server.py``). A mutant has its own copy of the compiled kernels and a folder of its own
for what it writes, and everything that it has started ends with it.
"""

from __future__ import annotations

import contextlib
import json
import marshal
import multiprocessing
import multiprocessing.context
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path

import pytest

from tests.mutants.choice import ROOT, chosen_tests
from tests.mutants.faults import Mutant

SITE = Path(__file__).resolve().parent / "in_programs"
MEMORY = 8 << 30
"""Bytes of addresses that a process may use, so that a loop without an end does not take all of the machine's."""
PATIENCE, SPARE = 3, 5
"""How many times as long as usual the tests may take, and seconds added, before a mutant counts as caught in a loop."""
RAN = 100
"""Added to pytest's exit status, to tell it from that of a process that never came to it."""
QUICK = 30
"""Seconds; a longer run is repeated before it is believed to be as quick as the tests are."""
LONGEST = 1200
"""Seconds of processor time that the tests of the code as it is may take."""


class Fate(Enum):
    """What came of a mutant."""

    KILLED = "killed"
    TIMEOUT = "timeout"
    SURVIVED = "survived"


class NotGreenError(Exception):
    """A test module that fails without any mutant."""


@dataclass(frozen=True)
class End:
    """How a process ended.

    Attributes:
        status: pytest's exit status, minus the signal that ended the process, or None if the clock did.
        seconds: the processor time that it took, if it ended by itself.
        durations: the seconds of each of its tests.
        output: the last that it wrote.
    """

    status: int | None
    seconds: float
    durations: dict[str, float]
    output: str


def fate_of(mutant: Mutant, tests: list[Path] | None = None) -> tuple[Fate, str]:
    """Run the tests that are to notice a mutant, until one does; returns that one's name beside.

    Raises:
        NotGreenError: if one fails without the mutant.
    """
    module = ".".join(Path(mutant.path).with_suffix("").parts)
    for test in chosen_tests(ROOT / mutant.path) if tests is None else tests:
        usual = usual_end(test)
        end = _run(test, SPARE + PATIENCE * usual.seconds, usual.durations, module, marshal.dumps(mutant.code))
        if end.status is None or end.status == -signal.SIGXCPU:
            return Fate.TIMEOUT, test.name
        if end.status != 0:
            return Fate.KILLED, test.name
    return Fate.SURVIVED, ""


@cache
def usual_end(test: Path) -> End:
    """How a test module ends without any mutant.

    Raises:
        NotGreenError: if it fails, or has no test.
    """
    end = _run(test, LONGEST)
    if end.seconds > QUICK:  # perhaps it had kernels to compile, which it has kept
        end = _run(test, LONGEST)
    if end.status != 0:
        raise NotGreenError(f"{test} fails without any mutant (exit status {end.status}):\n{end.output}")
    return end


@cache
def _context() -> multiprocessing.context.ForkServerContext:
    # What Numba and OpenBLAS read when they are imported is set by our own module, which the server must not import.
    program = "import scratchgpt, os, json; print(json.dumps(dict(os.environ)))"
    said = subprocess.run([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    os.environ.update(json.loads(said))
    # Python before 3.13 does not tell the server where we import from.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.mutants.server"])
    return context


def _run(
    test: Path, allowed: float, durations: dict[str, float] | None = None, module: str = "", code: bytes = b""
) -> End:
    context = _context()
    with tempfile.TemporaryDirectory(prefix="mutant-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        (folder / "code").write_bytes(code)
        if module:
            shutil.copytree(os.environ["NUMBA_CACHE_DIR"], folder / "kernels", copy_function=_link)
        process = context.Process(target=_work, args=(str(test), place, module, int(allowed), durations or {}))
        process.start()
        process.join(3 * allowed + 60)  # processor time is limited in the process; this is for one that only waits
        status = process.exitcode  # None if it is still there, minus the signal if one has ended it
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # it made itself the head of a group, of all that it started
        process.join()
        output = (folder / "output").read_text(errors="replace")[-3000:]
        if status is None or status < 0:
            return End(status, 0.0, {}, output)
        if status < RAN:
            raise RuntimeError(f"{test} was not run:\n{output}")
        return End(status - RAN, *json.loads((folder / "times").read_text()), output)


def _link(source: str, target: str) -> None:
    """A second name for a file: Numba never writes into one, it puts another in its place."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


class _ShortestFirst:
    """Runs those tests first that take least: most mutants are killed by many tests."""

    def __init__(self, durations: dict[str, float]) -> None:
        self.durations, self.measured = durations, Counter[str]()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: self.durations.get(item.nodeid, 0.0))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.measured[report.nodeid] += report.duration


def _work(test: str, folder: str, module: str, seconds: int, durations: dict[str, float]) -> None:
    """In a process of its own: run a test module, and leave with pytest's exit status, moved up by ``RAN``."""
    os.setsid()
    output = os.open(f"{folder}/output", os.O_WRONLY | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))  # first a signal that tells, then one that kills
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = f"{folder}/hypothesis"
    if module:
        os.environ["NUMBA_CACHE_DIR"] = f"{folder}/kernels"
        os.environ["SCRATCHGPT_MUTANT"] = f"{module}:{folder}/code"
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(SITE), os.environ.get("PYTHONPATH"))))
        import tests.mutants.in_programs.sitecustomize  # noqa: F401 (what it does is done on import)

    import numba

    numba.config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"]  # the server has read the variable as it was
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # to look for plugins takes a third of a short test's time
    plugins = ["-p", "_hypothesis_pytestplugin", "-p", "no:cacheprovider"]
    options = ["-x", "-q", f"--basetemp={folder}/temporary", "--hypothesis-seed=0"]
    order = _ShortestFirst(durations)
    status = int(pytest.main([test, *plugins, *options], plugins=[order]))
    sys.stdout.flush()
    times = os.times()
    used = times.user + times.system + times.children_user + times.children_system
    Path(folder, "times").write_text(json.dumps((used, order.measured)))
    os._exit(RAN + status)
