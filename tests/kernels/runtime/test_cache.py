"""What Numba keeps on disk, and what happens where it cannot or where it is damaged."""

import os
import pickle
import subprocess
import sys

import numba
import pytest

from scratchgpt.kernels.runtime import cache

DAMAGES = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "all but the last byte": lambda content: content[:-1],
    "zeros": lambda content: bytes(len(content)),
    "noise": lambda content: b"not a pickle" + content,
    "pickles of something else": lambda content: pickle.dumps(numba.__version__) + pickle.dumps((1,)),
}


def double(x):
    return 2 * x


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "_kept", True)
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    return tmp_path


def started():
    """`double` as a new process has it, and how often it came from the files when it was called."""
    dispatcher = cache.cached(numba.njit(double))
    assert dispatcher(2) == 4
    return sum(dispatcher.stats.cache_hits.values())


def test_what_was_compiled_is_loaded(folder):
    assert (started(), started()) == (0, 1)
    assert cache.is_kept()


def test_a_folder_is_empty_until_something_is_compiled(folder, monkeypatch):
    assert cache.is_empty()
    started()
    assert not cache.is_empty()
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    assert not cache.is_empty()  # nothing can be kept: nothing is missing either


def test_a_change_beside_a_function_makes_it_compile_anew(folder, monkeypatch):
    started()
    monkeypatch.setattr(cache, "_sources_of", lambda beside: "others now")
    assert (started(), started()) == (0, 1)


def test_every_source_beside_it_counts(tmp_path):
    (tmp_path / "one.py").write_text("x = 1")
    (tmp_path / "two.py").write_text("x = 1")
    before = cache._sources_of.__wrapped__(tmp_path)
    assert cache._sources_of.__wrapped__(tmp_path) == before
    (tmp_path / "two.py").write_text("x = 2")
    assert cache._sources_of.__wrapped__(tmp_path) != before


def test_a_function_that_cannot_be_kept_is_compiled_all_the_same_and_that_is_known(folder, monkeypatch):
    monkeypatch.setattr(numba.core.caching.CacheImpl, "_locator_classes", [])
    assert (started(), started()) == (0, 0)
    assert not cache.is_kept()


def test_a_full_disk_stops_nobody(folder, monkeypatch):
    def full(files, name, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(numba.core.caching.IndexDataCacheFile, "_save_data", full)
    assert started() == 0
    assert not cache.is_kept()


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_replaced(folder, ending, damage):
    started()
    (file,) = folder.rglob(f"*.{ending}")
    file.write_bytes(damage(file.read_bytes()))
    assert (started(), started()) == (0, 1)


def test_four_processes_at_once_start_cold_and_over_damaged_files(tmp_path):
    settings = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "SCRATCHGPT_KERNELS": "numba"}
    program = "import numpy as np; from scratchgpt import kernels; print(kernels.gelu_forward(np.ones(3, np.float32)))"

    def four():
        command = [sys.executable, "-c", program]
        processes = [subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, text=True) for _ in range(4)]
        return [(process.communicate()[0], process.returncode) for process in processes]

    cold = four()
    assert cold == [(cold[0][0], 0)] * 4 and cold[0][0]
    for file in tmp_path.rglob("*.nb?"):
        file.write_bytes(file.read_bytes()[:-1])
    assert four() == cold


def test_the_first_run_computes_what_all_later_ones_do_to_the_last_bit(tmp_path):
    # Of all kernels this one showed it: its callee, compiled for itself, rounds differently from its copy in the caller.
    program = (
        "import sys, numpy as np; from scratchgpt import kernels\n"
        "a, b, pre = (np.random.default_rng(0).standard_normal(s).astype('f4') for s in ((9, 96), (96, 160), (9, 160)))\n"
        "for array in kernels.matmul_gelu_backward(a, b, pre): sys.stdout.buffer.write(array.tobytes())"
    )
    settings = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "SCRATCHGPT_KERNELS": "numba"}
    command = [sys.executable, "-c", program]
    first, later = (subprocess.run(command, env=settings, stdout=subprocess.PIPE, check=True).stdout for _ in range(2))
    assert first and first == later


def test_a_folder_without_compiled_functions_is_not_filled(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(cache.config, "CACHE_DIR", str(tmp_path))
    assert not cache.is_filled()
    (tmp_path / "matrix").mkdir()
    (tmp_path / "matrix" / "matmul.nbi").write_bytes(b"")  # an index of nothing
    assert not cache.is_filled()
    (tmp_path / "matrix" / "matmul.1.nbc").write_bytes(b"code")
    assert cache.is_filled()
    monkeypatch.setattr(cache.config, "CACHE_DIR", "")
    assert not cache.is_filled()
