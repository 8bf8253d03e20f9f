import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from scratchgpt import kernels
from scratchgpt.errors import UserError
from scratchgpt.kernels.runtime import dispatch
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
    plain = {"backend", "use", "num_threads", "set_threads", "dropout_backward", "PackedMatrix"}
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


def test_that_compiling_goes_on_is_said_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr(dispatch, "TOLD_EVERY", 0.0)
    announcement = dispatch._Announcement()

    ours, others = (
        SimpleNamespace(data={"dispatcher": SimpleNamespace(py_func=SimpleNamespace(__module__=module))})
        for module in ("scratchgpt.kernels.gelu", "numba.np.arraymath")
    )
    announcement.on_start(others)
    for _ in range(3):
        announcement.on_start(ours)
        announcement.on_end(ours)
    assert capsys.readouterr().err.splitlines()[1:] == [
        "compiling kernels … 1 functions so far",
        "compiling kernels … 2 functions so far",
    ]


def test_who_compiles_for_others_is_silent():
    program = (
        "from scratchgpt.kernels.runtime import dispatch\n"
        "dispatch.be_silent()\n"
        "with dispatch.event.trigger_event('numba:compile', data={'dispatcher': dispatch.loop(dispatch.dense)}): pass"
    )
    loud = program.replace("dispatch.be_silent()\n", "")
    said = [subprocess.run([sys.executable, "-c", p], capture_output=True, text=True).stderr for p in (program, loud)]
    assert said[0] == "" and said[1].startswith("compiling kernels")


def test_dense_copies_only_what_it_must():
    a = np.arange(6.0).reshape(2, 3)
    assert dense(a) is a
    turned = dense(a.T)
    assert turned.flags.c_contiguous and np.array_equal(turned, a.T)
    a.flags.writeable = False
    assert dense(a).flags.writeable
