"""Flags of several commands: kernels and threads act at once, and a stage is one whose model writes."""

from __future__ import annotations

import typing
from typing import Literal

import pytest

from scratchgpt import kernels
from scratchgpt.cli import machine_flags
from scratchgpt.cli.machine_flags import StageFlag, set_kernels
from scratchgpt.errors import UserError
from scratchgpt.kernels.runtime.threads import default_threads


def test_the_flags_act_at_once():
    set_kernels("numpy", 1)
    assert (kernels.backend(), kernels.num_threads()) == ("numpy", 1)


def test_none_leaves_it_to_the_environment_and_the_machine():
    kernels.use("numpy")
    kernels.set_threads(1)
    set_kernels(None, None)
    assert (kernels.backend(), kernels.num_threads()) == ("numpy", default_threads())


@pytest.mark.parametrize(("backend", "threads", "message"), [("cuda", None, "cuda"), (None, 0, "0 is out of range")])
def test_what_there_is_not_is_refused(backend, threads, message):
    with pytest.raises(UserError, match=message):
        set_kernels(backend, threads)


def test_a_wrong_name_in_the_environment_is_said_before_any_work(monkeypatch):
    def unknown() -> str:
        raise UserError("SCRATCHGPT_KERNELS: there is no such backend")

    monkeypatch.setattr(machine_flags.kernels, "backend", unknown)
    monkeypatch.setattr(machine_flags.kernels, "set_threads", lambda threads: pytest.fail("must be said first"))
    with pytest.raises(UserError, match="SCRATCHGPT_KERNELS"):
        set_kernels(None, None)


def test_a_stage_is_one_whose_model_writes():
    optional, _ = typing.get_args(StageFlag)
    named = next(option for option in typing.get_args(optional) if typing.get_origin(option) is Literal)
    assert typing.get_args(named) == ("pretrain", "sft", "rlhf", "rlvf")
