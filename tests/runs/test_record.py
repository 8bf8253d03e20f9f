"""A folder belongs to one run: what its stages were made from is put down, compared, and named where it differs."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import signal
from pathlib import Path

import pytest
from rich.console import Console

from scratchgpt import kernels
from scratchgpt.config import GPTConfig, PretrainConfig, RewardConfig, SFTConfig
from scratchgpt.datasets.sources import DataSources
from scratchgpt.errors import Interrupted, UserError
from scratchgpt.runs import curves, record
from scratchgpt.runs.pipeline import run
from scratchgpt.runs.plan import Plan
from scratchgpt.runs.record import RECORD_FILE, Origin, begin, begun_from, digest_of, made_from, outdated_by
from scratchgpt.runs.report_page import page
from scratchgpt.stages.presets import Preset
from scratchgpt.stages.pretrain import Pretrainer
from scratchgpt.stages.sft import SFTTrainer
from scratchgpt.training.checkpoints import read_arrays
from tests.tiny import files_in, save_checkpoint, write_data

PRESET = Preset(
    model=GPTConfig(vocab_size=300, emb_dim=16, num_heads=2, num_layers=1, context_size=64),
    settings={
        "pretrain": PretrainConfig(steps=2, batch_size=4),
        "sft": SFTConfig(epochs=0.1, batch_size=4),
        "reward": RewardConfig(epochs=0.1, batch_size=4),
    },
)


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Three short stages, with nothing to compile and nothing drawn."""
    backend = kernels.backend()
    kernels.use("numpy")
    monkeypatch.setattr(curves, "draw_curves", lambda history, stage, path, best_step: path.touch())
    monkeypatch.setattr(page, "write_html_report", lambda out: None)
    folder = tmp_path / "data"
    write_data(folder)
    data = DataSources(
        corpus=folder / "corpus.txt",
        sft_data=folder / "sft.json",
        reward_data=folder / "reward.json",
        rlvf_data=folder / "rlvf.json",
    )
    yield Plan(("pretrain", "sft", "reward"), PRESET, tmp_path / "out", tokenizer="char", data=data)
    kernels.use(backend)


def said(plan: Plan, **changes: object) -> str:
    """Run it with these changes; what it printed."""
    console = Console(file=io.StringIO(), width=300)
    run(dataclasses.replace(plan, **changes), console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def refused(plan: Plan, **changes: object) -> str:
    """The one line with which it is refused; nothing in the folder changes."""
    before = files_in(plan.out)
    with pytest.raises(UserError) as caught:
        said(plan, **changes)
    assert files_in(plan.out) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def changed_copy(path: Path) -> Path:
    """The same records but for the last one."""
    copy = path.with_name(f"other_{path.name}")
    text = path.read_text("utf-8")
    copy.write_text(json.dumps(json.loads(text)[:-1]) if path.suffix == ".json" else text + "\n\n又一句。", "utf-8")
    return copy


def stopped(plan: Plan, trainer: type, monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
    """Run it until Ctrl-C arrives in the trainer's first step."""
    step = trainer.step  # type: ignore[attr-defined]
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(trainer, "step", lambda self, i: (signal.raise_signal(signal.SIGINT), step(self, i))[1])
        said(plan, **changes)


# -- the record -----------------------------------------------------------------------------------------------
def test_a_run_puts_down_what_its_stages_were_made_from(plan: Plan) -> None:
    said(plan)
    pretrain, sft, reward = (made_from(plan.out, name) for name in plan.stages)
    assert pretrain and sft and reward
    assert begun_from(plan.out) == {"pretrain": pretrain, "sft": sft, "reward": reward}
    assert pretrain.base == {} and list(sft.base) == ["pretrain"] and list(reward.base) == ["sft"]
    assert pretrain.new_model["tokenizer"] == "char" and pretrain.new_model["emb_dim"] == 16 and sft.new_model == {}
    assert set(pretrain.data) == {"documents", "spoken"} and set(reward.data) == {"pairs"}
    assert sft.settings["batch_size"] == 4 and sft.seed == 0
    assert outdated_by(plan.out, "reward") is None


def test_the_digest_is_of_the_content_and_not_of_its_place(plan: Plan, tmp_path: Path) -> None:
    said(plan)
    shutil.move(tmp_path / "data", tmp_path / "moved")
    names = ("corpus", "sft_data", "reward_data", "rlvf_data")
    moved = {name: tmp_path / "moved" / getattr(plan.data, name).name for name in names}
    assert said(plan, data=dataclasses.replace(plan.data, **moved), resume=True).count("finished already") == 3
    assert digest_of([["\ud800"], []]) != digest_of([["a"], []])


def test_a_later_version_with_a_further_setting_compares_what_both_know() -> None:
    there = Origin(seed=0, data={"pairs": "1"}, settings={"lr": 1.0})
    assert there.difference(Origin(seed=0, data={"pairs": "1", "tasks": "2"}, settings={"lr": 1.0, "new": 3})) == ""
    assert there.difference(Origin(0, {"pairs": "1"}, {"lr": 2.0})) == "lr is 1.0 there and 2.0 here"
    assert "data format is 1 there" in there.difference(Origin(0, {}, {}, data_format=2))


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    begin(tmp_path, "sft", Origin(0, {}, {}))
    for content in ("{", "[]", '{"begun": {"sft": 3}}', '{"begun": {"sft": {"seed": 1}}}'):
        (tmp_path / RECORD_FILE).write_text(content)
        with pytest.raises(UserError, match=r"run\.json: damaged"):
            begun_from(tmp_path)


def test_a_record_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(tmp_path, "sft", Origin(0, {}, {}))
    before = files_in(tmp_path)

    def no_space(self: Path, *arguments: object, **others: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", no_space)
    with pytest.raises(UserError, match="No space left"):
        begin(tmp_path, "sft", Origin(1, {}, {}))
    assert files_in(tmp_path) == before


# -- another run ----------------------------------------------------------------------------------------------
def test_what_differs_from_a_finished_run_is_named(plan: Plan) -> None:
    said(plan)
    data, settings = plan.data, PRESET.settings
    line = refused(plan, resume=True, data=dataclasses.replace(data, seed=1))
    assert "pretrain" in line and "seed is 0 there and 1 here" in line
    assert "another --out" in line and "leave out --resume" in line and "--skip-pretrain" in line
    line = refused(plan, resume=True, data=dataclasses.replace(data, corpus=changed_copy(data.corpus)))
    assert "the documents there are not those of --corpus" in line
    other_pairs = dataclasses.replace(data, reward_data=changed_copy(data.reward_data))
    line = refused(plan, resume=True, data=other_pairs)
    assert "reward there" in line and "--reward-data" in line
    other_dialogues = dataclasses.replace(data, sft_data=changed_copy(data.sft_data))
    assert "pretrain there" in refused(plan, resume=True, data=other_dialogues)  # their words are tokens
    line = refused(plan, resume=True, data=other_dialogues, stages=("sft",))
    assert "sft there" in line and "--sft-data" in line and "--skip" not in line
    assert "tokenizer is char there and bpe here" in refused(plan, resume=True, tokenizer="bpe")
    wider = dataclasses.replace(PRESET, model=dataclasses.replace(PRESET.model, emb_dim=32))
    assert "emb_dim is 16 there and 32 here" in refused(plan, resume=True, preset=wider)
    faster = dataclasses.replace(PRESET, settings={**settings, "sft": SFTConfig(epochs=0.1, batch_size=4, lr=1e-5)})
    assert "lr is " in refused(plan, resume=True, preset=faster)
    assert said(plan, resume=True).count("finished already") == 3


def test_what_differs_from_an_unfinished_run_is_named(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped(plan, Pretrainer, monkeypatch)
    other = dataclasses.replace(plan.data, corpus=changed_copy(plan.data.corpus))
    line = refused(plan, resume=True, data=other)
    assert "the documents there are not those of --corpus" in line and "--skip" not in line
    assert "finished already" not in said(plan, resume=True)


def test_data_of_another_format_are_other_data(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    said(plan, stages=("pretrain",))
    begun = json.loads((plan.out / "pretrain" / "result.json").read_text("utf-8"))
    begun["origin"]["data_format"] = record.DATA_FORMAT + 1
    (plan.out / "pretrain" / "result.json").write_text(json.dumps(begun), "utf-8")
    assert "the data format is 2 there and 1 here" in refused(plan, resume=True)


# -- another base ---------------------------------------------------------------------------------------------
def test_stages_of_a_base_that_was_trained_anew_are_named_and_made_anew(plan: Plan) -> None:
    said(plan)
    reseeded = dataclasses.replace(plan, data=dataclasses.replace(plan.data, seed=1))
    printed = said(reseeded, stages=("pretrain",))
    for name in ("sft", "reward"):
        assert f"outdated: {name} was made from another pretrain than the one now in {plan.out}" in printed
    line = refused(reseeded, stages=("reward",), resume=True, data=plan.data)  # its own base is as it was, that one's not
    assert "sft: was made from another pretrain" in line and "--stage sft" in line
    printed = said(plan, stages=("sft", "reward"), resume=True)
    for name, base in (("sft", "pretrain"), ("reward", "sft")):
        assert f"{name}: there is one in {plan.out}, made from another {base}; it is trained anew" in printed
    assert "outdated" not in printed and outdated_by(plan.out, "reward") is None
    assert said(plan, stages=("sft", "reward"), resume=True).count("finished already") == 2


def test_an_unfinished_stage_of_another_base_is_begun_anew(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    said(plan, stages=("pretrain",))
    stopped(plan, SFTTrainer, monkeypatch, stages=("sft",))
    said(plan, stages=("pretrain",), data=dataclasses.replace(plan.data, seed=1))
    assert "made from another pretrain; it is trained anew" in said(plan, stages=("sft",), resume=True)
    steps = [json.loads(line) for line in (plan.out / "logs" / "sft.jsonl").read_text("utf-8").split("\n") if line]
    assert next(step["step"] for step in steps if step["kind"] == "evaluation") == 0
    assert outdated_by(plan.out, "sft") is None


def test_a_base_that_came_later_counts_where_the_run_speaks_of_it(plan: Plan) -> None:
    said(plan, stages=("sft",))  # from random weights
    said(plan, stages=("pretrain",))
    assert "finished already" in said(plan, stages=("sft",), resume=True)
    assert "made from another pretrain" in said(plan, stages=("pretrain", "sft"), resume=True)


def test_the_base_of_another_folder_is_known_by_its_weights(plan: Plan, tmp_path: Path) -> None:
    said(plan, stages=("pretrain",))
    mine = dataclasses.replace(plan, stages=("sft",), base=plan.out, out=tmp_path / "mine")
    said(mine)
    assert "finished already" in said(mine, resume=True)
    said(plan, stages=("pretrain",), data=dataclasses.replace(plan.data, seed=1))
    assert f"made from another {plan.out / 'pretrain'}" in said(mine, resume=True)


# -- folders of earlier versions ------------------------------------------------------------------------------
def test_a_folder_of_an_earlier_version_is_resumed_and_that_is_said_once(plan: Plan) -> None:
    for name in ("pretrain", "sft"):
        save_checkpoint(plan.out, name)
    printed = said(plan, stages=("pretrain", "sft"), resume=True)
    assert printed.count("of an earlier version") == 1 and printed.count("finished already") == 2
    printed = said(plan, resume=True)
    assert "of an earlier version" not in printed and printed.count("finished already") == 2
    assert made_from(plan.out, "sft") is None and list(made_from(plan.out, "reward").base) == ["sft"]


def test_a_new_folder_has_nothing_to_say_of_earlier_versions(plan: Plan) -> None:
    assert "earlier version" not in said(plan, stages=("pretrain",), resume=True)


def test_what_was_left_of_another_run_is_gone_before_a_new_one_begins(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped(plan, Pretrainer, monkeypatch)

    def killed(self: Pretrainer, index: int) -> None:
        raise ZeroDivisionError

    reseeded = dataclasses.replace(plan.data, seed=1)
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(Pretrainer, "step", killed)
        said(plan, data=reseeded)
    (left,) = plan.out.glob("*.partial*")
    _, metadata = read_arrays(left)
    assert metadata["step"] == "0" and metadata["fingerprint"].startswith("seed=1 ")
    assert begun_from(plan.out)["pretrain"].seed == 1
    said(plan, data=reseeded, stages=("pretrain",), resume=True)
