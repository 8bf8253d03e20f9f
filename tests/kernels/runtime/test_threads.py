"""How many threads are the default: one a physical core, wherever Linux tells."""

import os
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest

from scratchgpt import kernels
from scratchgpt.errors import UserError
from scratchgpt.kernels.runtime import threads


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """machine(cpu=siblings, ...): a Linux whose process may use these CPUs; None: it says nothing of that CPU."""

    def build(siblings):
        for cpu, together in siblings.items():
            folder = tmp_path / f"cpu{cpu}" / "topology"
            folder.mkdir(parents=True)
            if together is not None:
                (folder / "thread_siblings_list").write_text(f"{together}\n")
        monkeypatch.setattr(threads, "CPUS", tmp_path)
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(siblings), raising=False)
        monkeypatch.setattr(threads, "cpu_quota", lambda: None)
        monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)

    return build


@pytest.mark.parametrize(
    ("siblings", "cores"),
    [
        ({0: "0", 1: "1"}, 2),
        ({0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}, 2),
        ({0: "0-1", 1: "0-1"}, 1),
        ({2: "0,2", 5: "1,5"}, 2),  # a process bound to two CPUs of different cores
        ({0: None, 1: None, 2: "2"}, 3),
    ],
)
def test_hardware_threads_of_one_core_count_once(machine, siblings, cores):
    machine(siblings)
    assert threads.physical_cores() == cores


def test_a_system_that_does_not_tell(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert threads.physical_cores() == 6


def test_the_default_is_within_what_numba_started_with_and_the_environment_wins(machine, monkeypatch):
    machine({0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"})
    for started_with, default in ((4, 2), (1, 1)):
        monkeypatch.setattr(threads.numba.config, "NUMBA_NUM_THREADS", started_with)
        assert threads.default_threads() == default
    monkeypatch.setattr(threads.numba.config, "NUMBA_NUM_THREADS", 4)
    monkeypatch.setenv("NUMBA_NUM_THREADS", "4")
    assert threads.default_threads() == 4


def test_threads_are_counted_and_checked():
    before = kernels.num_threads()
    kernels.set_threads(1)
    assert kernels.num_threads() == 1
    kernels.set_threads(before)
    for count in (0, 10_000):
        with pytest.raises(UserError, match="out of range"):
            kernels.set_threads(count)


@pytest.mark.skipif(kernels.backend() != "numba", reason="NumPy's references launch no loops")
def test_the_number_holds_in_threads_that_run_already():
    def launched_with():
        kernels.gelu_forward(np.ones(3, np.float32))
        return kernels.num_threads(), numba.get_num_threads()

    before = kernels.num_threads()
    try:
        with ThreadPoolExecutor(1) as pool:
            for count in (before, 1, before):
                kernels.set_threads(count)
                assert pool.submit(launched_with).result() == launched_with() == (count, count)
            pool.submit(kernels.set_threads, 1).result()
            assert launched_with() == (1, 1)
    finally:
        kernels.set_threads(before)
