"""The guard before Numba's threading layers: each program here is ended by its layer without it."""

import os
import subprocess
import sys

import pytest

from scratchgpt import kernels
from scratchgpt.kernels.runtime import launch, threads

pytestmark = pytest.mark.skipif(kernels.backend() != "numba", reason="NumPy's references launch no loops")

START = """
import os, sys, threading
import numpy as np
from scratchgpt import kernels
x = np.random.default_rng(0).standard_normal((200, 300)).astype(np.float32)
y = kernels.matmul(x, x.T)
"""
FORK = """
child = os.fork()
if child == 0:
    same = [np.array_equal(kernels.matmul(x, x.T), y) for _ in range(3)]
    print(same, kernels.num_threads(), flush=True)
    os._exit(0)
print(os.waitpid(child, 0)[1], kernels.num_threads())
"""
TWO_THREADS = """
wrong = []
def work():
    for _ in range(200):
        if not np.array_equal(kernels.matmul(x, x.T), y):
            wrong.append(1)
workers = [threading.Thread(target=work) for _ in range(2)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
print(wrong)
"""


def run(program, layer):
    settings = {**os.environ, "NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": "2"}
    return subprocess.run([sys.executable, "-c", program], env=settings, capture_output=True, text=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
@pytest.mark.parametrize("layer", ["default", "workqueue"])
def test_a_forked_child_computes_on_one_thread_and_says_so(layer):
    done = run(START + FORK, layer)
    assert done.stdout == "[True, True, True] 1\n0 2\n", done.stderr
    assert done.stderr.count(threads.FORKED) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
def test_a_child_forked_before_the_first_loop_is_as_free_as_its_parent():
    before_all = "import scratchgpt, os, sys\nif os.fork():\n    sys.exit(os.wait()[1])\n"
    done = run(before_all + START + "print(kernels.num_threads())", "default")
    assert (done.returncode, done.stdout, done.stderr) == (0, "2\n", "")


@pytest.mark.parametrize("layer", ["default", "workqueue"])
def test_two_threads_launch_loops_at_the_same_time(layer):
    done = run(START + TWO_THREADS, layer)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_a_loop_shared_out_and_the_same_run_alone_are_bit_for_bit_equal():
    alone = "from scratchgpt.kernels.runtime import launch\nlaunch._guard.busy.value = 1\n"
    done = run(START + alone + TWO_THREADS, "default")
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_the_guard_is_installed_once_and_stands_before_the_layer():
    launch.install()
    first = launch._guard
    launch.install()
    assert launch._guard is first
    assert launch.llvm.address_of_symbol("numba_parallel_for") == first.address
