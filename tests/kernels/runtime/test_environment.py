import os
import subprocess
import sys

import pytest

from scratchgpt.kernels.runtime import environment


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
