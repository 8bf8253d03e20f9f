"""Whether a run fits: what it needs, what there is, and what is said when it does not."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from scratchgpt.cli.train import train
from scratchgpt.config import GPTConfig, PretrainConfig, RewardConfig, RLHFConfig, RLVFConfig, SFTConfig
from scratchgpt.datasets.sources import DataSources
from scratchgpt.errors import UserError
from scratchgpt.runs import memory, pipeline
from scratchgpt.runs.plan import Plan
from scratchgpt.stages import ALL, stage_named
from scratchgpt.stages.presets import Preset
from tests.tiny import QUICK, save_checkpoint, write_data

MODEL = GPTConfig(vocab_size=3000, emb_dim=64, num_heads=2, num_layers=2, context_size=128)
PRESET = Preset(
    model=MODEL,
    settings={
        "pretrain": PretrainConfig(batch_size=64),
        "sft": SFTConfig(batch_size=64),
        "reward": RewardConfig(batch_size=64),
        "rlhf": RLHFConfig(batch_size=64, max_new_tokens=64),
        "rlvf": RLVFConfig(max_new_tokens=64),
    },
)
FLAGS = {
    "pretrain": ("batch_size", "context_size", "num_layers", "emb_dim", "vocab_size"),
    "sft": ("batch_size", "num_layers", "emb_dim", "vocab_size"),
    "reward": ("batch_size", "num_layers", "emb_dim"),
    "rlhf": ("max_new_tokens", "context_size", "num_layers", "emb_dim", "vocab_size"),
    "rlvf": ("max_new_tokens", "context_size", "num_layers", "emb_dim", "vocab_size"),
}
"""Which settings a stage's memory depends on."""


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """All stages on small data of the user's own."""
    names = iter(write_data(tmp_path / "data"))
    paths = {flag.removeprefix("--").replace("-", "_"): Path(path) for flag, path in zip(names, names, strict=True)}
    return Plan(stages=tuple(FLAGS), preset=PRESET, out=tmp_path / "out", data=DataSources(**paths))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container of 50 MB."""
    monkeypatch.setattr(memory, "memory_limit", lambda: 50_000_000)


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


def moments(plan: Plan, stage: str) -> list[float]:
    sizes = memory.Sizes(plan.preset.model, plan.preset.of(stage), plan.data)
    return [memory.total(moment) for moment in stage_named(stage).memory(sizes)]


@pytest.mark.parametrize(("stage", "name"), [(stage, name) for stage in FLAGS for name in FLAGS[stage]])
def test_a_stage_needs_less_where_a_setting_is_smaller(plan: Plan, stage: str, name: str) -> None:
    changed = memory._halved(plan, [stage_named("pretrain"), stage_named(stage)], stage, name)
    assert changed is not None
    before, after = moments(plan, stage), moments(changed[1], stage)
    assert all(less <= more for less, more in zip(after, before, strict=True))
    assert sum(after) < sum(before)


def test_the_need_of_a_run_is_that_of_its_hungriest_stage(plan: Plan) -> None:
    needs = {stage.name: memory.need_of(plan, [stage]).bytes for stage in ALL if stage.name != "rlhf"}
    whole = memory.need_of(plan, ALL)
    assert whole.bytes >= max(needs.values())
    assert whole.stage in FLAGS
    assert re.fullmatch(rf"\d+\.\d\d GB at the most, in {whole.stage}", str(whole))


def test_kernels_that_are_not_compiled_yet_cost_more(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "is_filled", lambda: True)
    there = memory.need_of(plan, ALL).bytes
    monkeypatch.setattr(memory, "is_filled", lambda: False)
    assert memory.need_of(plan, ALL).bytes == there + memory.COMPILING


def test_a_run_that_does_not_fit_is_refused_with_everything_there_is_to_know(plan: Plan, small: None) -> None:
    with pytest.raises(UserError) as refused:
        pipeline.run(plan, quiet())
    message = str(refused.value)
    assert "\n" not in message
    assert "the limit of this container (its control group) is 0.05 GB" in message
    assert "--ignore-memory-limit" in message
    assert re.search(r"in \w+ \((?:[\w' ]+ \d\.\d\d, )+[\w' ]+ \d\.\d\d\)", message)  # by part
    assert not list(plan.out.glob("*/model.safetensors"))


def test_the_flags_named_exist_and_lower_it_as_said(plan: Plan, small: None, tmp_path: Path) -> None:
    need = memory.need_of(plan, ALL)
    flags = memory.lowering_flags(plan, ALL, need)
    assert flags
    for flag, size in flags:
        assert size < need.bytes
        argv = ["--out", str(tmp_path / "other"), *write_data(tmp_path / "data"), *QUICK[:2]]
        assert train([*argv, *flag.split(), "--preset", "tiny"]) == 2  # refused for its memory, not for the flag


def test_the_refusal_is_what_the_command_says(small: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["--out", str(tmp_path / "out"), *write_data(tmp_path / "data"), *QUICK, "--stage", "pretrain"]
    assert train(argv) == 2
    assert "this run would take about" in capsys.readouterr().err
    assert train([*argv, "--pretrain.steps", "1", "--ignore-memory-limit"]) == 0
    assert "memory: about" in capsys.readouterr().out


def test_a_run_from_a_checkpoint_is_not_told_to_change_its_sizes(plan: Plan) -> None:
    save_checkpoint(plan.out, "sft")
    flags = memory.lowering_flags(plan, [stage_named("rlvf")], memory.need_of(plan, [stage_named("rlvf")]))
    sizes = {field.name.replace("_", "-") for field in dataclasses.fields(GPTConfig)}
    assert not [flag for flag, _ in flags if flag.split()[0].removeprefix("--") in sizes]


# -- what there is ------------------------------------------------------------------------------------------
@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """machine(limit, available, addresses): what a system says of itself; None: it says nothing."""

    def build(limit: int | None, available: int | None, addresses: int | None) -> None:
        (tmp_path / "status").write_text("VmSize:\t3000 kB\nVmRSS:\t1000 kB\n")
        if available is not None:
            (tmp_path / "meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable:  {available} kB\n")
        monkeypatch.setattr(memory, "STATUS", tmp_path / "status")
        monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
        monkeypatch.setattr(memory, "memory_limit", lambda: limit)
        monkeypatch.setattr(memory, "_address_limit", lambda: addresses)

    return build


def test_the_least_of_all_limits_counts(machine) -> None:
    machine(9000 * 1024, 7000, 20000 * 1024)
    assert memory.room() == memory.Room(8000 * 1024, "what this machine has available")  # what is held is ours
    machine(5000 * 1024, 7000, None)
    assert memory.room() == memory.Room(5000 * 1024, "the limit of this container (its control group)")
    machine(None, 7000, 6000 * 1024)
    assert memory.room() == memory.Room(4000 * 1024, "what the limit of this shell leaves (ulimit -v)")


def test_another_system_says_what_it_has_or_nothing(machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(None, None, None)
    monkeypatch.setattr(memory, "_installed", lambda: 4096)
    assert memory.room() == memory.Room(4096, "what this machine has")
    monkeypatch.setattr(memory, "_installed", lambda: None)
    assert memory.room() is None


def test_where_nobody_says_how_much_there_is_nothing_is_refused(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "room", lambda: None)
    assert memory.require_room(plan, ALL).bytes > 0


def test_characters_are_counted_in_whatever_a_record_holds() -> None:
    record = json.loads('{"messages": [{"role": "user", "content": "你好"}], "weight": 3}')
    assert memory._characters(record) == 6
