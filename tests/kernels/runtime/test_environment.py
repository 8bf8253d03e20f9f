import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

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


@pytest.fixture
def locked_away(tmp_path):
    """locked_away(): what a program prints that runs one kernel where neither package nor home can be written.

    A file stands where the folders would be made, which stops root as well."""
    package = environment.KERNELS.parent
    site = tmp_path / "site"
    shutil.copytree(package, site / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in [site / package.name, *(path for path in site.rglob("*") if path.is_dir())]:
        (folder / "__pycache__").touch()
    (tmp_path / "temporary").mkdir()
    settings = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    settings |= {"PYTHONPATH": str(site), "HOME": "/dev/null", "TMPDIR": str(tmp_path / "temporary")}
    settings |= {"PYTHONDONTWRITEBYTECODE": "1", "SCRATCHGPT_KERNELS": "numba"}
    program = (
        "import os, numpy as np; from scratchgpt import kernels\n"
        "kernels.gelu_forward(np.ones(3, np.float32)); kernels.gelu_forward(np.ones(3))\n"
        "print(os.environ.get('NUMBA_CACHE_DIR'))"
    )

    def run():
        command = [sys.executable, "-c", program]
        return subprocess.run(command, env=settings, cwd=tmp_path, capture_output=True, text=True)

    return run


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows has a temporary folder for each user")
def test_where_neither_package_nor_home_can_be_written_kernels_are_kept_in_a_folder_of_ones_own(locked_away, tmp_path):
    own = tmp_path / "temporary" / f"scratchgpt-{os.getuid()}"
    first, second = locked_away(), locked_away()
    assert first.returncode == 0, first.stderr
    assert Path(first.stdout.strip()).parent == own
    assert stat.S_IMODE(own.stat().st_mode) == 0o700
    assert "first start only" in first.stderr
    assert (second.stdout, second.stderr) == (first.stdout, "")


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows has a temporary folder for each user")
def test_a_folder_that_is_not_ones_own_is_not_used_and_it_is_said_once_that_nothing_is_kept(locked_away, tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "temporary" / f"scratchgpt-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    run = locked_away()
    assert (run.returncode, run.stdout.strip()) == (0, "None"), run.stderr
    assert run.stderr.count("at every start") == 1 and len(run.stderr.splitlines()) == 1
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize(
    ("owner", "mode"), [("another user", 0o700), ("this user", 0o770), ("this user", 0o707)], ids=str
)
def test_a_temporary_folder_that_others_can_write_is_refused(monkeypatch, tmp_path, owner, mode):
    user = tmp_path.stat().st_uid + (owner == "another user")
    monkeypatch.setattr(os, "getuid", lambda: user, raising=False)
    monkeypatch.setattr(environment.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = tmp_path / f"scratchgpt-{user}"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(PermissionError, match="not this user's own"):
        environment._own_temporary_folder()


def test_the_first_folder_that_can_be_written_is_taken(monkeypatch, tmp_path):
    (tmp_path / "a file").touch()
    monkeypatch.setattr(environment, "_cache_parents", lambda: iter([tmp_path / "a file", tmp_path / "b", tmp_path / "c"]))
    assert environment.cache_folder() == tmp_path / "b" / f"numba-{environment.source_fingerprint()}"
    assert not (tmp_path / "c").exists()
    monkeypatch.setattr(environment, "_cache_parents", lambda: iter([tmp_path / "a file"]))
    assert environment.cache_folder() is None


def test_the_row_of_the_cpu_decides_what_the_libraries_are_told(monkeypatch):
    monkeypatch.setattr(environment.cpu, "host_features", lambda: {"sse2": True, "avx512f": False})
    for row, told in (
        (environment.cpu.CPUS[0], {"OPENBLAS_CORETYPE": "SkylakeX", "NUMBA_CPU_FEATURES": "-avx512f,+sse2,-prefer-256-bit"}),
        (environment.cpu.CPUS[-1], {}),
    ):
        told_to_all = {"NUMBA_CACHE_DIR": "/elsewhere"}
        monkeypatch.setattr(environment.os, "environ", told_to_all)
        monkeypatch.setattr(environment.cpu, "host", lambda row=row: row)
        environment.set_defaults()
        always = {"NUMBA_CACHE_DIR": "/elsewhere", "OMP_WAIT_POLICY": "passive", "OPENBLAS_THREAD_TIMEOUT": "4"}
        assert told_to_all == always | told
