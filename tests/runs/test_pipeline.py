"""All five stages on a handful of records: files in, checkpoints and report out."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from rich.console import Console

from scratchgpt import installation, kernels
from scratchgpt.autograd import no_grad
from scratchgpt.config import (
    GPTConfig,
    PretrainConfig,
    RewardConfig,
    RLHFConfig,
    RLVFConfig,
    SFTConfig,
)
from scratchgpt.datasets.sources import DataSources
from scratchgpt.errors import Interrupted, UserError
from scratchgpt.models.reward import RewardModel
from scratchgpt.runs import curves, pipeline
from scratchgpt.runs.pipeline import run
from scratchgpt.runs.plan import Plan
from scratchgpt.runs.report import load_results
from scratchgpt.runs.report_page import page
from scratchgpt.stages import ALL, stage_named
from scratchgpt.stages.presets import Preset
from scratchgpt.stages.pretrain import Pretrainer
from scratchgpt.stages.run_folder import load_model
from scratchgpt.training.checkpoints import load_checkpoint
from scratchgpt.training.history import read_history
from scratchgpt.training.loop import run_trainer
from tests.tiny import files_in

STAGES = tuple(stage.name for stage in ALL)
PRESET = Preset(
    model=GPTConfig(vocab_size=330, emb_dim=16, num_heads=2, num_layers=1, context_size=64),
    settings={
        "pretrain": PretrainConfig(epochs=1, batch_size=4),
        "sft": SFTConfig(epochs=2, batch_size=4),
        "reward": RewardConfig(epochs=1, batch_size=4),
        "rlhf": RLHFConfig(num_episodes=2, batch_size=8, minibatch_size=4, max_new_tokens=8, value_warmup=1),
        "rlvf": RLVFConfig(num_iterations=2, tasks_per_iteration=4, samples_per_task=2, max_new_tokens=8),
    },
)


@pytest.fixture
def plan(tmp_path: Path, dialogues: list, pairs: list) -> Plan:
    """A plan whose data are files of a few records."""
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n\n".join(f"第{i}天，小鸟在唱歌，猫在树下睡觉，天空是蓝色的。" for i in range(60)), "utf-8")

    def write(name: str, records: list[dict[str, Any]]) -> Path:
        path = tmp_path / name
        path.write_text(json.dumps(records, ensure_ascii=False), "utf-8")
        return path

    tasks = [
        {"type": "math", "prompt": f"{i}+1等于几？", "expected_answer": str(i + 1), "family": "addition"}
        for i in range(12)
    ]
    data = DataSources(
        corpus=corpus,
        sft_data=write("sft.json", dialogues * 2),
        sft_heldout=write("sft_heldout.json", [{**dialogues[0], "rubric": {"must": [["你好"]]}}]),
        reward_data=write("reward.json", pairs),
        reward_heldout=write("reward_heldout.json", [{**pairs[1], "rubric": {"must": [["蓝"]]}}, pairs[2]]),
        rlvf_data=write("rlvf.json", tasks[:8]),
        rlvf_heldout=write("rlvf_heldout.json", tasks[8:]),
    )
    return Plan(stages=STAGES, preset=PRESET, out=tmp_path / "out", data=data)


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


@pytest.mark.parametrize("tokenizer", ["bpe", "char"])
def test_five_stages_leave_five_checkpoints_and_a_report(plan: Plan, tokenizer: str) -> None:
    plan = dataclasses.replace(plan, tokenizer=tokenizer)
    run(plan, quiet())
    for stage in STAGES:
        directory = plan.out / stage_named(stage).directory
        assert {p.name for p in directory.iterdir()} >= {"config.json", "model.safetensors", "tokenizer.json"}
        assert (plan.out / "curves" / f"{stage}.png").stat().st_size > 1000
    assert not list(plan.out.glob("*.partial*")) and not list(plan.out.glob("*.writing"))
    rows = json.loads((plan.out / "report.json").read_text("utf-8"))
    assert {row["stage"] for row in rows} == set(STAGES)
    assert all(row.keys() == {"stage", "measure", "before", "after", "items", "seconds"} for row in rows)
    measures = {(row["stage"], row["measure"]) for row in rows}
    for stage, measure in [
        ("pretrain", "bits per character"),
        ("sft", "dialogue loss"),
        ("sft", "verified accuracy on tasks"),
        ("reward", "pair accuracy"),
        ("rlhf", "KL per response (nats)"),
        ("rlhf", "win rate against SFT by rubric"),
        ("rlvf", "verified accuracy on tasks"),
    ]:
        assert (stage, measure) in measures
    pretraining = next(row for row in rows if row["measure"] == "bits per character")
    assert pretraining["after"] < pretraining["before"]
    report = (plan.out / "report.md").read_text("utf-8")
    assert all(f"curves/{stage}.png" in report for stage in STAGES)


def test_a_run_on_ones_own_text_and_short_dialogues_needs_nothing_of_the_projects(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "DATA", tmp_path / "absent")
    console = quiet()
    own = DataSources(corpus=plan.data.corpus, dialogues_follow=False)
    run(dataclasses.replace(plan, stages=("pretrain",), data=own), console)
    run(dataclasses.replace(plan, stages=("sft",), data=DataSources(sft_data=plan.data.sft_data)), console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"{plan.data.corpus}: 1 .txt; UTF-8; 60 documents" in said
    assert "sft: no held-out tasks" in said


def test_held_out_tasks_that_do_not_fit_the_context_are_counted_and_not_measured(plan: Plan, tmp_path: Path) -> None:
    tasks = [{"type": "math", "prompt": "猫" * size + "1+1等于几？", "expected_answer": "2"} for size in (1, 2, 200, 300)]
    heldout = tmp_path / "long.json"
    heldout.write_text(json.dumps(tasks), "utf-8")
    console = quiet()
    data = dataclasses.replace(plan.data, rlvf_heldout=heldout)
    run(dataclasses.replace(plan, stages=("sft",), data=data), console)
    assert f"2 of the 4 held-out tasks of {heldout}" in " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    measured = {row["measure"]: row["items"] for row in json.loads((plan.out / "report.json").read_text("utf-8"))}
    assert measured["verified accuracy on tasks"] == 2


def test_what_we_save_is_what_transformers_loads(plan: Plan) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    run(dataclasses.replace(plan, stages=("pretrain", "sft")), quiet())
    model, tokenizer = load_model(plan.out, "sft")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(plan.out / "sft").eval()
    their_tokenizer = transformers.AutoTokenizer.from_pretrained(plan.out / "sft")
    ids = tokenizer.encode("天空是什么颜色？abc 12")
    assert their_tokenizer.encode("天空是什么颜色？abc 12", add_special_tokens=False) == ids
    with no_grad(), torch.no_grad():
        ours = model.eval()(np.array([ids]))[0].data
        np.testing.assert_allclose(ours, theirs(torch.tensor([ids])).logits.numpy(), atol=1e-4)


def test_a_second_run_with_resume_does_nothing_twice(plan: Plan) -> None:
    run(dataclasses.replace(plan, stages=("pretrain",)), quiet())
    weights = plan.out / "pretrain" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    run(dataclasses.replace(plan, stages=("pretrain", "sft"), resume=True), quiet())
    assert weights.stat().st_mtime_ns == before
    assert load_model(plan.out, "sft")


class Killed(BaseException):
    """The process is gone: whatever it would still do, a ``finally`` included, must not happen."""


CHANGES = ((os, "rename"), (os, "replace"), (os, "unlink"), (os, "mkdir"), (os, "rmdir"), (io, "open"))
"""Whatever changes a file or a folder: ``pathlib`` and ``shutil`` come here too."""
CHANGES += ((safetensors.numpy, "save_file"),)


@contextlib.contextmanager
def killed_before(change: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Once training is done, the ``change``-th change of a file or folder does not happen, nor anything after it."""
    done: list[str] = []
    armed = False

    def training(*arguments: Any, **others: Any) -> Any:
        nonlocal armed
        history = run_trainer(*arguments, **others, save_every_seconds=0)
        armed = True
        return history

    def counted(name: str, do: Callable[..., Any]) -> Callable[..., Any]:
        def count(*arguments: Any, **others: Any) -> Any:
            if armed and not (name == "open" and "r" in [*arguments, "r"][1]):
                if len(done) == change:
                    raise Killed
                done.append(name)
            return do(*arguments, **others)

        return count

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "run_trainer", training)
        for module, name in CHANGES:
            patch.setattr(module, name, counted(name, getattr(module, name)))
        yield done


@pytest.mark.parametrize("again", [False, True], ids=["anew", "over an older one"])
def test_killed_at_any_step_of_its_end_a_stage_is_in_the_report(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    monkeypatch.setattr(curves, "draw_curves", lambda history, stage, path, best_step: path.touch())
    monkeypatch.setattr(page, "write_html_report", lambda out: None)
    short = dataclasses.replace(PRESET, settings={"pretrain": PretrainConfig(steps=2, batch_size=4)})
    plan = dataclasses.replace(plan, stages=("pretrain",), preset=short, tokenizer="char")
    steps: list[str] = []
    for change in itertools.count():
        here = dataclasses.replace(plan, out=plan.out / str(change))
        if again:
            run(here, quiet())
            shutil.rmtree(here.out / "logs")  # an older result must not stand in for the new one
            (here.out / "report.json").unlink()
        with killed_before(change, monkeypatch) as done:
            try:
                run(here, quiet())
                break
            except Killed:
                steps = done
        run(dataclasses.replace(here, resume=True), quiet())
        rows = json.loads((here.out / "report.json").read_text("utf-8"))
        assert {row["stage"] for row in rows} == {"pretrain"}, steps
        assert load_model(here.out, "pretrain")
        left = {path.name for path in here.out.iterdir()}
        assert left >= {"pretrain"} and not any(".partial" in name or ".previous" in name for name in left), left
    assert "save_file" in steps and steps.count("rename") == 1 + again and len(steps) > 10


def test_a_second_run_at_one_place_is_refused_while_the_first_one_lasts(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = dataclasses.replace(plan, stages=("pretrain",))
    step, lines = Pretrainer.step, []

    def meanwhile(self: Pretrainer, index: int) -> Any:
        if not lines:
            with pytest.raises(UserError, match="another run") as caught:
                run(plan, quiet())
            lines.append(str(caught.value))
        return step(self, index)

    monkeypatch.setattr(Pretrainer, "step", meanwhile)
    run(plan, quiet())
    assert f"process {os.getpid()}" in lines[0]
    assert not (plan.out / "run.lock").exists()
    steps = [json.loads(line)["step"] for line in (plan.out / "logs" / "pretrain.jsonl").open(encoding="utf-8")]
    assert steps == sorted(steps)  # of one run


def test_a_stage_that_ruins_its_model_keeps_the_older_one(plan: Plan) -> None:
    stages = ("pretrain", "sft")
    run(dataclasses.replace(plan, stages=stages), quiet())
    before = {path: path.read_bytes() for path in [*(plan.out / "sft").iterdir(), plan.out / "logs" / "sft.jsonl"]}
    broken = dataclasses.replace(
        PRESET, settings={**PRESET.settings, "sft": SFTConfig(epochs=2, batch_size=4, lr=50, warmup_steps=0)}
    )
    with pytest.raises(UserError) as caught:
        run(dataclasses.replace(plan, stages=("sft",), preset=broken), quiet())
    line = str(caught.value)
    assert "sft has ruined the model: dialogue loss " in line and f"the older {plan.out / 'sft'} is kept" in line
    assert f"in {plan.out / 'sft.ruined'}" in line and "--lr" in line and "\n" not in line
    assert {path: path.read_bytes() for path in before} == before
    names = {path.name for path in (plan.out / "sft.ruined").iterdir()}
    assert names == {path.name for path in before if path.parent.name == "sft"} | {"best"}  # that of its beginning
    assert {path.name for path in (plan.out / "logs").glob("sft*")} == {"sft.jsonl", "sft.ruined.jsonl"}
    assert not list(plan.out.glob("*.partial*"))
    run(dataclasses.replace(plan, stages=stages, resume=True), quiet())  # what is there is as good as it was
    with pytest.raises(UserError, match=r"there is no .*sft, and this one is in"):
        run(dataclasses.replace(plan, stages=stages, preset=broken, out=plan.out / "anew"), quiet())
    assert not (plan.out / "anew" / "sft").exists() and load_model(plan.out / "anew", "pretrain")
    for name in ("report.md", "report.html"):  # of the stage that went well
        told = (plan.out / "anew" / name).read_text("utf-8")
        assert "bits per character" in told and "dialogue loss" not in told


# -- the best model and the last ------------------------------------------------------------------------------
@pytest.fixture
def turning(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Pretraining of six steps that is at its best on the way: what is called its loss is how far it is from 3.3."""
    evaluate = Pretrainer.evaluate

    def distance(self: Pretrainer) -> Any:
        measured = evaluate(self)
        return {**measured, "loss": abs(measured["loss"] - 3.3)}

    monkeypatch.setattr(Pretrainer, "evaluate", distance)
    settings = PretrainConfig(steps=6, batch_size=4, lr=0.03, warmup_steps=0, evaluate_every=1)
    preset = dataclasses.replace(PRESET, settings={"pretrain": settings})
    return dataclasses.replace(plan, stages=("pretrain",), preset=preset, tokenizer="char")


def measured_at(out: Path, quantity: str = "loss") -> dict[int, float]:
    return {record["step"]: record[quantity] for record in read_history(out / "logs" / "pretrain.jsonl").evaluations}


def test_the_better_model_is_kept_beside_the_last_one_or_in_its_place(turning: Plan) -> None:
    outs = {keep: turning.out / keep for keep in ("last", "best")}
    said = {}
    for keep, out in outs.items():
        console = quiet()
        run(dataclasses.replace(turning, out=out, keep=keep), console)  # type: ignore[arg-type]
        said[keep] = console.file.getvalue()  # type: ignore[attr-defined]
    losses, perplexities = (measured_at(outs["last"], quantity) for quantity in ("loss", "perplexity"))
    step = min(losses, key=losses.__getitem__)
    assert losses == measured_at(outs["best"]) and 0 < step < 6

    def weights(directory: Path) -> bytes:
        assert load_checkpoint(directory)
        return (directory / "model.safetensors").read_bytes()

    last, best = weights(outs["last"] / "pretrain"), weights(outs["last"] / "pretrain" / "best")
    assert weights(outs["best"] / "pretrain") == best != last == weights(outs["best"] / "pretrain" / "last")
    assert not (outs["last"] / "pretrain" / "last").exists() and not (outs["best"] / "pretrain" / "best").exists()

    numbers = f"loss was best at step {step}, {losses[step]:.4g}, and is {losses[6]:.4g} at step 6, the last"
    for keep, other in (("last", "best"), ("best", "last")):
        where = outs[keep] / "pretrain" / other
        assert f"pretrain: {numbers}; the checkpoint is the {keep}, the {other} is in {where}\n" in said[keep]
        report = (outs[keep] / "report.md").read_text("utf-8")
        assert f"- **Best step**, step {step}: {numbers}; the checkpoint is the {keep} one" in report
        html = (outs[keep] / "report.html").read_text("utf-8")
        assert numbers in html and f"最好的一步，第 {step} 步" in html and "dashed: the best step" in html
        measure = next(m for m in load_results(outs[keep])[0].measures if m.measure == "perplexity")
        assert measure.after == perplexities[{"last": 6, "best": step}[keep]]


def test_where_the_last_model_is_the_best_nothing_lies_beside_it(plan: Plan) -> None:
    for keep in ("last", "best"):
        out, console = plan.out / keep, quiet()
        run(dataclasses.replace(plan, stages=("pretrain",), out=out, keep=keep), console)  # type: ignore[arg-type]
        assert not [path for path in (out / "pretrain").iterdir() if path.is_dir()]
        assert load_results(out)[0].turn is None and "Best step" not in (out / "report.md").read_text("utf-8")
    total = len(read_history(out / "logs" / "pretrain.jsonl").steps)
    too_seldom = f"pretrain: measured every 200 steps of {total}, too seldom for --keep best to find a better one on the way"
    assert f"{too_seldom}; lower --evaluate-every" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_stage_that_is_stopped_early_is_a_finished_one(turning: Plan) -> None:
    plan = dataclasses.replace(turning, early_stop=1)
    run(plan, quiet())
    losses = measured_at(plan.out)
    *_, best, last = losses
    assert last < 6 and best == min(losses, key=losses.__getitem__)
    for report in ("report.md", "report.html"):
        told = (plan.out / report).read_text("utf-8")
        assert f"has not been better since; {6 - last} of 6 steps are left out" in told and "Stopped early" in told
    assert not list(plan.out.glob("*.partial*"))
    result = load_results(plan.out)[0]
    assert result.turn and (result.turn.step, result.turn.last_step) == (best, last)
    assert result.settings["early_stop"] == 1 and result.settings["keep"] == "last"
    console = quiet()
    run(dataclasses.replace(plan, resume=True), console)
    assert "pretrain is finished already" in console.file.getvalue()  # type: ignore[attr-defined]
    for changed, line in (({"early_stop": 5}, "early_stop is 1 there and 5 here"), ({"keep": "best"}, "keep is last there")):
        with pytest.raises(UserError, match=line):
            run(dataclasses.replace(plan, resume=True, **changed), quiet())
    seldom = quiet()
    run(dataclasses.replace(plan, early_stop=6, out=plan.out / "seldom"), seldom)
    said = seldom.file.getvalue()  # type: ignore[attr-defined]
    assert "pretrain: measured every 1 steps of 6, too seldom for --early-stop 6 to end it" in said


@pytest.mark.parametrize("keep", ["last", "best"])
def test_killed_at_any_step_of_its_end_a_stage_has_both_models(
    turning: Plan, monkeypatch: pytest.MonkeyPatch, keep: Any
) -> None:
    monkeypatch.setattr(pipeline, "_write_reports", lambda out, console: None)
    plan = dataclasses.replace(turning, keep=keep, early_stop=1)
    whole, other = plan.out / "whole", {"last": "best", "best": "last"}[keep]
    run(dataclasses.replace(plan, out=whole), quiet())
    expected = files_in(whole / "pretrain")
    assert f"{other}/model.safetensors" in expected and f"{other}/tokenizer.json" in expected
    del expected["result.json"]  # it holds times
    for change in itertools.count(0, 2):
        here = dataclasses.replace(plan, out=plan.out / str(change))
        with killed_before(change, monkeypatch):
            try:
                run(here, quiet())
                break
            except Killed:
                pass
        run(dataclasses.replace(here, resume=True), quiet())
        found = files_in(here.out / "pretrain")
        assert {name: found[name] for name in expected} == expected and len(found) == len(expected) + 1
        assert not [path for path in here.out.iterdir() if ".partial" in path.name or ".writing" in path.name]
    assert change > 10


def test_a_training_anew_that_was_killed_at_once_leaves_the_older_log(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = dataclasses.replace(plan, stages=("pretrain",))
    run(plan, quiet())
    log = plan.out / "logs" / "pretrain.jsonl"
    before = log.read_bytes()

    def killed(*arguments: object, **settings: object) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(pipeline, "run_trainer", killed)  # before there is anything of the new training to go on from
        run(plan, quiet())
    assert not log.exists()
    run(dataclasses.replace(plan, resume=True), quiet())
    assert log.read_bytes() == before and [path.name for path in log.parent.iterdir()] == [log.name]


def test_the_report_names_precision_and_threads(plan: Plan) -> None:
    console = quiet()
    run(dataclasses.replace(plan, stages=("pretrain",)), console)
    shown = f"precision {kernels.precision()}, threads {kernels.num_threads()}"
    assert shown in (plan.out / "report.md").read_text("utf-8")
    assert kernels.precision_reason() in console.file.getvalue()


def test_a_run_in_another_precision_is_not_resumed(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Pretrainer.step
    monkeypatch.setattr(Pretrainer, "step", lambda self, i: (signal.raise_signal(signal.SIGINT), step(self, i))[1])
    with pytest.raises(Interrupted):
        run(dataclasses.replace(plan, stages=("pretrain",)), quiet())
    monkeypatch.setattr(Pretrainer, "step", step)
    other = {"float32": "bf16", "bf16": "float32"}[kernels.precision()]
    with monkeypatch.context() as elsewhere, pytest.raises(UserError, match="made with other settings"):
        elsewhere.setattr(kernels, "precision", lambda: other)
        run(dataclasses.replace(plan, stages=("pretrain",), resume=True), quiet())
    run(dataclasses.replace(plan, stages=("pretrain",), resume=True), quiet())
    assert load_model(plan.out, "pretrain")


def test_the_same_plan_gives_the_same_model(plan: Plan, tmp_path: Path) -> None:
    for name in ("one", "two"):
        run(dataclasses.replace(plan, stages=("pretrain", "sft", "reward"), out=tmp_path / name), quiet())
    for directory in ("sft", "reward_model"):
        one, two = ((tmp_path / name / directory / "model.safetensors").read_bytes() for name in ("one", "two"))
        assert one == two


def test_a_stage_without_what_it_needs_says_which_command_makes_it(plan: Plan) -> None:
    with pytest.raises(UserError, match="--stage sft"):
        run(dataclasses.replace(plan, stages=("rlvf",)), quiet())
    run(dataclasses.replace(plan, stages=("sft",)), quiet())  # from random weights: pretraining left out
    with pytest.raises(UserError, match="--stage reward"):
        run(dataclasses.replace(plan, stages=("rlhf",)), quiet())


def test_a_run_can_start_from_the_model_of_another_and_leaves_that_one_alone(plan: Plan, tmp_path: Path) -> None:
    run(dataclasses.replace(plan, stages=("pretrain",)), quiet())
    before = (plan.out / "pretrain" / "model.safetensors").read_bytes()
    mine = dataclasses.replace(plan, stages=("sft", "reward"), base=plan.out, out=tmp_path / "mine")
    console = quiet()
    run(mine, console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"sft: starts from {plan.out / 'pretrain'}" in said
    assert f"reward: starts from {mine.out / 'sft'}" in said
    assert (plan.out / "pretrain" / "model.safetensors").read_bytes() == before
    assert not (plan.out / "sft").exists()


def test_any_finished_stage_of_any_run_is_a_start_and_run_json_says_which(plan: Plan, tmp_path: Path) -> None:
    run(dataclasses.replace(plan, stages=("pretrain", "sft")), quiet())
    before = {path: path.read_bytes() for path in plan.out.rglob("*") if path.is_file()}
    for first, expected in (("sft", "sft"), ("pretrain", "sft"), ("pretrain", "pretrain")):
        mine = dataclasses.replace(
            plan,
            stages=(first,),
            base=plan.out,
            base_stage="sft" if expected == "sft" else None,
            out=tmp_path / first / expected,
        )
        console = quiet()
        run(mine, console)
        assert f"{first}: starts from {plan.out / expected}" in console.file.getvalue()  # type: ignore[attr-defined]
        begun = json.loads((mine.out / "run.json").read_text("utf-8"))["begun"][first]
        assert list(begun["base"]) == [str(plan.out / expected)]
        theirs, ours = load_model(plan.out, expected)[1], load_model(mine.out, first)[1]
        assert ours.encode("天空是蓝色的") == theirs.encode("天空是蓝色的")
        again = quiet()
        run(dataclasses.replace(mine, resume=True), again)
        assert f"{first} is finished already" in again.file.getvalue()  # type: ignore[attr-defined]
        with pytest.raises(UserError, match=r"no checkpoint to start from.*rlvf"):
            run(dataclasses.replace(mine, base_stage="rlvf"), quiet())
    assert {path: path.read_bytes() for path in before} == before


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dialogues: list) -> list[dict[str, Any]]:
    """Dialogues in place of the project's own."""
    records = [{"messages": [{"role": "user", "content": f"{i}是什么？"}, dialogues[0]["messages"][-1]]} for i in range(40)]
    (tmp_path / "shipped").mkdir()
    (tmp_path / "shipped" / "sft_data.json").write_text(json.dumps(records), "utf-8")
    (tmp_path / "shipped" / "pretrain_data.txt").write_text("\n\n".join(f"{i}是一个数。" for i in range(40)), "utf-8")
    task = {"type": "math", "prompt": "20+1等于几？", "expected_answer": "21"}
    (tmp_path / "shipped" / "rlvf_data.json").write_text(json.dumps([task]), "utf-8")
    monkeypatch.setattr(installation, "DATA", tmp_path / "shipped")
    return records


def test_what_is_mixed_in_is_said_and_belongs_to_the_run(plan: Plan, shipped: list) -> None:
    plan = dataclasses.replace(plan, stages=("sft",), data=dataclasses.replace(plan.data, mix=0.5))
    console = quiet()
    run(plan, console)
    assert "of the project's own are mixed in, others in every epoch (--mix 0.5)" in console.file.getvalue()  # type: ignore[attr-defined]
    run(dataclasses.replace(plan, resume=True), quiet())
    with pytest.raises(UserError, match=r"sft there is of another run: mix is 0.5 there and 0.0 here"):
        run(dataclasses.replace(plan, resume=True, data=dataclasses.replace(plan.data, mix=0.0)), quiet())


def test_a_pair_that_is_too_long_is_found_before_the_first_stage(plan: Plan, tmp_path: Path, pairs: list) -> None:
    path = tmp_path / "long.json"
    path.write_text(json.dumps([{**pairs[0], "chosen": "天空" * 200}, *pairs[1:]], ensure_ascii=False), "utf-8")
    data = dataclasses.replace(plan.data, reward_data=path)
    plan = dataclasses.replace(plan, stages=("pretrain", "reward"), data=dataclasses.replace(data, strict=True))
    with pytest.raises(UserError, match=r"long.json, line 1: the preference pair is longer than the context"):
        run(plan, quiet())
    assert not (plan.out / "pretrain").exists()
    console = quiet()
    run(dataclasses.replace(plan, data=data), console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    found = f"reward: 1 of {len(pairs)} pairs exceed the context of 64 tokens and will be left out"
    assert said.index(f"{path}: {len(pairs)} pairs, ") < said.index(found) < said.index("pretrain: ", said.index(found))


def test_one_system_text_is_no_question(plan: Plan, tmp_path: Path) -> None:
    system = {"role": "system", "content": "你是小鸟。"}
    asked = [[system, {"role": "user", "content": f"{i}？"}, {"role": "assistant", "content": "好。"}] for i in range(30)]
    path = tmp_path / "system.json"
    path.write_text(json.dumps([{"messages": messages} for messages in asked], ensure_ascii=False), "utf-8")
    data = dataclasses.replace(plan.data, sft_data=path, sft_heldout=None)
    run(dataclasses.replace(plan, stages=("sft",), data=data), quiet())
    samples = load_results(plan.out)[0].samples
    assert samples and all(sample.prompt.endswith("？") for sample in samples)


def test_a_base_without_a_model_is_refused(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no checkpoint to start from.*pretrain"):
        run(dataclasses.replace(plan, stages=("sft",), base=tmp_path / "nowhere"), quiet())


def test_rlvf_says_what_becomes_of_the_answers_to_questions(plan: Plan) -> None:
    stages = ("sft", "reward", "rlvf")
    run(dataclasses.replace(plan, stages=stages), quiet())
    measures = {m.measure: m for m in load_results(plan.out)[-1].measures}
    assert measures["mean reward (SFT deviations)"].items == 2
    assert measures["win rate against SFT by rubric"].before == 0.5  # it starts from the SFT model itself
    assert measures["KL per response (nats)"].before == pytest.approx(0, abs=1e-5)


def test_a_reward_model_of_another_tokenizer_is_refused(plan: Plan) -> None:
    run(dataclasses.replace(plan, stages=("sft",)), quiet())
    run(dataclasses.replace(plan, stages=("sft", "reward"), tokenizer="char", out=plan.out / "char"), quiet())
    RewardModel.from_pretrained(plan.out / "char" / "reward_model").save_pretrained(plan.out / "reward_model")
    load_model(plan.out / "char", "sft")[1].save_pretrained(plan.out / "reward_model")
    with pytest.raises(UserError, match="another tokenizer"):
        run(dataclasses.replace(plan, stages=("rlhf",)), quiet())
