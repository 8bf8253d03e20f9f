"""The first signal is noted, the second ends; what is to be ignored stays so; a terminal may be gone."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scratchgpt.signals import ENDING, HANGUP, Ended, noticed, raised

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.skipif(HANGUP is None, reason="Windows has Ctrl-C alone")


@pytest.fixture(autouse=True)
def handlers() -> Iterator[list[int]]:
    """Each test leaves the handlers as they were; what is sent once too often does not end the tests."""
    before = {number: signal.getsignal(number) for number in ENDING}
    arrived: list[int] = []
    for number in ENDING:
        signal.signal(number, lambda number, frame: arrived.append(number))
    yield arrived
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_first_one_is_noted_and_the_second_does_what_it_does_outside(handlers: list[int]) -> None:
    outside = [signal.getsignal(number) for number in ENDING]
    for first in ENDING:
        with noticed() as notice:
            assert notice.number is None
            signal.raise_signal(first)
            assert notice.number == first and not handlers
            for second in (signal.SIGINT, signal.SIGTERM):
                signal.raise_signal(second)
                assert handlers.pop() == second and notice.number == first
        assert [signal.getsignal(number) for number in ENDING] == outside


def test_a_closed_terminal_may_say_so_twice(handlers: list[int]) -> None:
    with noticed() as notice:
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
    assert notice.number == signal.SIGHUP and not handlers


def test_nohup_is_respected() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with raised(), noticed() as notice:
        signal.raise_signal(signal.SIGHUP)
        assert notice.number is None
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_without_a_loop_it_unwinds_as_ctrl_c_does(number: int, handlers: list[int]) -> None:
    outside = [signal.getsignal(other) for other in ENDING]
    with pytest.raises(Ended) as caught, raised():
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(signal.SIGHUP)  # the second of a closed terminal: tidying up goes on
    assert caught.value.number == number and not handlers
    assert [signal.getsignal(other) for other in ENDING] == outside
    assert not isinstance(caught.value, Exception | KeyboardInterrupt)  # nobody swallows it


def test_ctrl_c_is_an_exception_though_it_was_to_end_the_program_without_a_word() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with raised():
        assert signal.getsignal(signal.SIGINT) != signal.SIG_DFL  # else this would be the end of the tests
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_in_a_destructor_is_not_lost(
    number: int, handlers: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    class Dying:
        def __del__(self) -> None:
            signal.raise_signal(number)

    if number == signal.SIGINT:
        signal.signal(number, signal.default_int_handler)
    hook = sys.unraisablehook
    with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else Ended), raised():
        Dying()  # dies at once
        time.sleep(5)
    assert capsys.readouterr().err == "" and sys.unraisablehook is hook


@pytest.mark.parametrize("script", ["train", "chat"])
def test_ctrl_c_while_a_script_is_loading_ends_it_without_a_word(script: str, tmp_path) -> None:
    """In place of the package, whose import takes seconds, one that is interrupted while it is imported."""
    (tmp_path / "scratchgpt" / "cli").mkdir(parents=True)
    (tmp_path / "scratchgpt" / "__init__.py").touch()  # a folder without one gives way to a package found later
    interrupted = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n"
    (tmp_path / "scratchgpt" / "cli" / f"{script}.py").write_text(interrupted)
    shutil.copy(ROOT / f"{script}.py", tmp_path)
    command = [sys.executable, tmp_path / f"{script}.py"]
    ended = subprocess.run(
        command, capture_output=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, b"", b"")


def test_outside_of_the_main_thread_nothing_arrives() -> None:
    outside, seen = [signal.getsignal(number) for number in ENDING], []

    def work() -> None:
        with raised(), noticed() as notice:
            seen.append((notice.number, [signal.getsignal(number) for number in ENDING]))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(None, outside)]


CHILD = """
import io, sys, time
from pathlib import Path
from rich.console import Console
from scratchgpt.cli.guarded import guarded
from scratchgpt.training.loop import run_trainer
from scratchgpt.training.trainer import Trainer

class Slow(Trainer):
    name, total_steps, evaluate_every = "slow", 1000, 1
    def step(self, index):
        time.sleep(0.02)
        return {"tokens": 1.0}
    def evaluate(self):
        return {}
    def sample(self):
        return "x"

out = Path(sys.argv[1])
sys.exit(guarded(lambda: run_trainer(Slow(), out / "log", out / "state", Console()), "go on"))
"""


def test_a_closed_terminal_saves_though_nothing_can_be_written_any_more(tmp_path) -> None:
    import pty  # no such thing on Windows

    process, terminal = pty.fork()
    if not process:  # a session of its own, whose terminal is ours to close
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
        os.execv(sys.executable, [sys.executable, "-c", CHILD, str(tmp_path)])
    log = tmp_path / "log"
    ends = time.monotonic() + 60
    while not (log.is_file() and log.read_bytes().count(b"\n") > 20):
        assert time.monotonic() < ends
        if select.select([terminal], [], [], 0.05)[0]:
            with contextlib.suppress(OSError):
                os.read(terminal, 65536)
    os.close(terminal)
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    steps = log.read_bytes().count(b'"kind": "step"')
    assert f'"step":"{steps}"'.encode() in (tmp_path / "state").read_bytes()[:200] and 5 < steps < 1000
