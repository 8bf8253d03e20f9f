import os
import subprocess
import sys

import numpy as np
import pytest

from scratchgpt import kernels
from scratchgpt.errors import UserError
from scratchgpt.kernels.runtime import environment
from scratchgpt.kernels.runtime.dispatch import compiled, dense

PROGRAM = "import numpy as np; from scratchgpt.kernels import gelu_forward; gelu_forward(np.ones(3, np.float32))"


def test_the_switch_chooses_the_implementation():
    double = compiled(reference=lambda x: "numpy")(lambda x: "numba")
    before = kernels.backend()
    try:
        kernels.use("numpy")
        assert (kernels.backend(), double(1)) == ("numpy", "numpy")
        kernels.use("numba")
        assert (kernels.backend(), double(1)) == ("numba", "numba")
    finally:
        kernels.use(before)
    assert (double.reference(1), double.compiled(1)) == ("numpy", "numba")


def test_unknown_backend_is_a_users_mistake():
    with pytest.raises(UserError, match="no backend 'cuda'; choose one of numba, numpy"):
        kernels.use("cuda")


def test_every_kernel_has_a_reference():
    plain = {"backend", "use", "num_threads", "set_threads", "dropout_backward", "PackedMatrix", "pack"}
    plain |= {"precision", "precision_reason", "set_precision"}
    for name in set(kernels.__all__) - plain:
        assert callable(getattr(kernels, name).reference), name


def test_compilation_is_announced_once_and_then_cached(tmp_path):
    settings = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "SCRATCHGPT_KERNELS": "numba"}
    runs = [
        subprocess.run([sys.executable, "-c", PROGRAM], env=settings, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert runs[0].stderr.count("compiling kernels, first start only") == 1
    assert runs[1].stderr == ""
    numpy_only = {**settings, "NUMBA_CACHE_DIR": str(tmp_path / "other"), "SCRATCHGPT_KERNELS": "numpy"}
    run = subprocess.run([sys.executable, "-c", PROGRAM], env=numpy_only, capture_output=True, text=True, check=True)
    assert run.stderr == ""


def test_numba_reads_the_environment_that_was_filled_in_for_it():
    names = {"NUMBA_CACHE_DIR": "CACHE_DIR", "NUMBA_CPU_FEATURES": "CPU_FEATURES"}
    program = (
        "import os; import scratchgpt; import numba\n"
        f"for name, read in {names}.items():\n"
        "    assert os.environ.get(name) == (getattr(numba.config, read) or None), name\n"
    )
    settings = {name: value for name, value in os.environ.items() if name not in names}
    subprocess.run([sys.executable, "-c", program], env=settings, check=True)


def test_what_the_user_set_stays(monkeypatch):
    chosen = {"OMP_WAIT_POLICY": "active", "OPENBLAS_THREAD_TIMEOUT": "20", "NUMBA_CACHE_DIR": "/elsewhere"}
    chosen["NUMBA_CPU_FEATURES"] = "+avx2"
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    environment.set_defaults()
    assert {name: os.environ[name] for name in chosen} == chosen


def test_dense_copies_only_what_it_must():
    a = np.arange(6.0).reshape(2, 3)
    assert dense(a) is a
    turned = dense(a.T)
    assert turned.flags.c_contiguous and np.array_equal(turned, a.T)
    a.flags.writeable = False
    assert dense(a).flags.writeable


def test_threads_are_counted_and_checked():
    before = kernels.num_threads()
    kernels.set_threads(1)
    assert kernels.num_threads() == 1
    kernels.set_threads(before)
    for count in (0, 10_000):
        with pytest.raises(UserError, match="out of range"):
            kernels.set_threads(count)


@pytest.mark.parametrize("place", ["gelu.py", "matrix/register_tile.py", "runtime/vector_math.py"])
def test_the_cache_is_named_by_the_sources_of_every_room(monkeypatch, tmp_path, place):
    for path in environment.KERNELS.rglob("*.py"):
        copy = tmp_path / path.relative_to(environment.KERNELS)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    before = environment.source_fingerprint()
    monkeypatch.setattr(environment, "KERNELS", tmp_path)
    assert environment.source_fingerprint() == before
    with (tmp_path / place).open("a") as file:
        file.write("# another kernel\n")
    assert environment.source_fingerprint() != before
