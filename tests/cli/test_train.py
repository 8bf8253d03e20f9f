"""``train.py``: flags reach the plan, and every mistake gives one line and exit code 2."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.numpy

from scratchgpt import kernels
from scratchgpt.cli.chat import chat
from scratchgpt.cli.train import DATA_PATHS, train
from scratchgpt.config import GPTConfig
from scratchgpt.errors import Interrupted
from scratchgpt.kernels.runtime.threads import default_threads
from scratchgpt.runs import curves, pipeline
from scratchgpt.stages.presets import get_preset
from tests.tiny import QUICK, files_in, save_checkpoint, write_data


# -- flags --------------------------------------------------------------------------------------------------
def test_no_flags_mean_all_stages_of_the_mini_preset(plan_for):
    plan = plan_for()
    assert plan.stages == ("pretrain", "sft", "reward", "rlhf", "rlvf")
    assert plan.preset == get_preset("mini")
    assert (plan.tokenizer, plan.seed, plan.resume, plan.data.corpus) == ("bpe", 0, False, None)


def test_general_flags_reach_the_plan(plan_for, tmp_path):
    paths = {}
    for name in DATA_PATHS:
        paths[name] = tmp_path / name
        paths[name].write_text("x")
    data = [argument for name, path in paths.items() for argument in (f"--{name}", str(path))]
    plan = plan_for("--preset", "tiny", "--seed", "7", "--resume", "--tokenizer", "char", *data)
    assert plan.preset == get_preset("tiny")
    assert (plan.tokenizer, plan.seed, plan.resume) == ("char", 7, True)
    assert {name: getattr(plan.data, name) for name in DATA_PATHS} == paths


def test_the_last_model_is_kept_and_all_steps_are_made_unless_flags_say_otherwise(plan_for):
    assert (plan_for().keep, plan_for().early_stop) == ("last", None)
    plan = plan_for("--keep", "best", "--early-stop", "3")
    assert (plan.keep, plan.early_stop) == ("best", 3)


def test_skipping_leaves_stages_out(plan_for):
    assert plan_for("--skip-pretrain", "--skip_rlhf").stages == ("sft", "reward", "rlvf")
    assert plan_for("--stage", "reward").stages == ("reward",)


def test_the_flags_of_the_documentation(plan_for):
    preset = plan_for(
        *["--emb_dim", "64", "--num_heads", "2", "--num_layers", "3", "--vocab_size", "500", "--clip_ratio", "0.3"],
        *["--num_episodes", "4", "--num_iterations", "5", "--samples_per_task", "6", "--correct_reward", "2"],
        *["--incorrect_reward", "-1.5", "--epochs", "3", "--init-std", "0.02"],
    ).preset
    assert dataclasses.replace(preset.model, dropout=0.1) == GPTConfig(500, 64, 2, 3, init_std=0.02)
    assert (preset.of("rlhf").clip_ratio, preset.of("rlvf").clip_ratio, preset.of("rlhf").num_episodes) == (0.3, 0.3, 4)
    assert (preset.of("rlvf").num_iterations, preset.of("rlvf").samples_per_task) == (5, 6)
    assert (preset.of("rlvf").correct_reward, preset.of("rlvf").incorrect_reward, preset.of("pretrain").epochs) == (2.0, -1.5, 3.0)


def test_kernels_threads_and_precision_act_before_the_run(monkeypatch, tmp_path):
    seen, asked = [], []
    monkeypatch.setattr(pipeline, "run", lambda plan, console: seen.append((kernels.backend(), kernels.num_threads())))
    monkeypatch.setattr(kernels, "set_precision", asked.append)
    assert train(["--kernels", "numpy", "--threads", "1", "--precision", "float32", "--out", str(tmp_path)]) == 0
    assert train(["--kernels", "numpy", "--out", str(tmp_path)]) == 0
    assert seen == [("numpy", 1), ("numpy", default_threads())]
    assert asked == ["float32", "auto"]


def test_what_is_said_of_the_data_reaches_the_run(monkeypatch, tmp_path):
    plans = []
    monkeypatch.setattr(pipeline, "run", lambda plan, console: plans.append(plan))
    corpus = tmp_path / "own.txt"
    corpus.write_text("一")
    for argv in (["--stage", "pretrain", "--encoding", "big5"], ["--stage", "all"]):
        assert train([*argv, "--corpus", str(corpus), "--out", str(tmp_path / "out")]) == 0
    assert [plan.data.encoding for plan in plans] == ["big5", None]
    assert [plan.data.dialogues_follow for plan in plans] == [False, True]


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_bf16_on_a_cpu_without_it(mistake, monkeypatch, tmp_path, backend):
    monkeypatch.setattr(sys.modules["scratchgpt.kernels.runtime.precision"], "has_bf16", lambda: False)
    line = mistake(train, "--precision", "bf16", "--kernels", backend, "--out", tmp_path / "out")
    assert "bf16" in line and "float32" in line
    assert files_in(tmp_path) == {}


def test_a_base_may_name_a_stage(plan_for, tmp_path):
    save_checkpoint(tmp_path / "run", "rlvf")
    plan = plan_for("--stage", "sft", "--base", f"{tmp_path / 'run'}:rlvf")
    assert (plan.base, plan.base_stage) == (tmp_path / "run", "rlvf")
    plan = plan_for("--stage", "sft", "--base", str(tmp_path / "run"))
    assert (plan.base, plan.base_stage) == (tmp_path / "run", None)
    odd = tmp_path / "odd:sft"
    odd.mkdir()
    assert plan_for("--stage", "sft", "--base", str(odd)).base == odd


def test_sft_goes_on_with_a_model_that_answers_at_a_fifth_of_the_learning_rate(plan_for, tmp_path):
    usual = get_preset("mini").of("sft").lr

    def rate(base: str, *flags: str) -> float:
        return plan_for("--stage", "sft", "--base", f"{tmp_path}:{base}", *flags).preset.of("sft").lr

    assert rate("rlvf") == rate("sft") == pytest.approx(usual / 5)
    assert rate("pretrain") == usual
    assert rate("rlvf", "--lr", "0.01") == rate("rlvf", "--sft.lr", "0.01") == 0.01


def test_mix_and_strict_reach_the_data(plan_for, tmp_path):
    (tmp_path / "x.json").write_text("x")
    data = plan_for("--mix", "0.3", "--strict", "--sft-data", str(tmp_path / "x.json")).data
    assert (data.mix, data.strict) == (0.3, True)


# -- mistakes on the command line ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("argv", "fragment"),
    [
        (["--foo", "3"], "--foo"),
        (["--batch_siz", "3"], "perhaps you meant --batch-size"),
        (["--sft.kl-coef", "3"], "--sft.kl-coef"),
        (["stray"], "stray"),
        (["--stage", "dpo"], "invalid choice 'dpo' for argument '--stage'"),
        (["--preset", "huge"], "'huge'"),
        (["--batch-size", "many"], "--batch-size: 'many' is not of type INT"),
        (["--rlhf.lr", "x"], "--rlhf.lr: 'x' is not of type FLOAT"),
        (["--kernels", "cuda"], "cuda"),
        (["--lr"], "--lr"),
        (["--emb-dim", "30"], "emb_dim must be divisible by num_heads: 30 / 4"),
        (["--dropout", "1"], "dropout must be in [0, 1)"),
        (["--epochs", "0"], "epochs must be positive"),
        (["--sft.lr", "nan"], "sft: lr must be positive"),
        (["--clip-ratio", "2"], "clip_ratio"),
        (["--samples-per-task", "1"], "rlvf: samples_per_task must be a whole number, at least 2, not 1"),
        (["--stage", "sft", "--rlhf.lr", "1"], "--rlhf.lr has no effect"),
        (["--stage", "sft", "--kl-coef", "1"], "--kl-coef has no effect: it belongs to rlhf, rlvf"),
        (["--stage", "sft", "--skip-sft"], "nothing to do"),
        (["--precision", "float16"], "float16"),
        (["--threads", "9999"], "threads: 9999 is out of range"),
        (["--seed", "-1"], "--seed must not be negative"),
        (["--early-stop", "0"], "--early-stop must be at least 1 measurement, not 0"),
        (["--early-stop", "soon"], "--early-stop: 'soon' is not of type INT"),
        (["--keep", "first"], "invalid choice 'first' for argument '--keep'"),
        (["--mix", "1"], "--mix must be at least 0 and below 1, not 1"),
        (["--mix", "0.3"], "--mix 0.3 has no effect without data of your own; name some with --corpus, --sft-data"),
        (["--stage", "sft", "--base", "x:reward"], "--base x:reward: that model writes no text"),
        (["--rlvf-data", "no/such/file.json"], "no/such/file.json"),
    ],
)
def test_wrong_flags(mistake, monkeypatch, tmp_path, argv, fragment):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pipeline, "run", lambda plan, console: pytest.fail("must not run"))
    assert fragment in mistake(train, *argv)
    assert files_in(tmp_path) == {}


def test_out_must_not_be_a_file(mistake, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert "is a file" in mistake(train, "--out", tmp_path / "file")
    assert files_in(tmp_path) == {"file": b"mine"}


def test_sizes_of_a_checkpoint_cannot_be_changed_by_flags(mistake, tmp_path):
    save_checkpoint(tmp_path, "pretrain")
    line = mistake(train, "--stage", "sft", "--out", tmp_path, "--emb-dim", "64")
    assert "--emb-dim 64" in line and "has 32" in line


# -- bad data -----------------------------------------------------------------------------------------------
GOOD = json.dumps({"messages": [{"role": "user", "content": "问"}, {"role": "assistant", "content": "答"}]})
BAD_FILES = [
    ("sft", b"", "is empty"),
    ("sft", f"[\n{GOOD},\n".encode() + b'{"messages": "\xff\xfe"}]', "line 3: not UTF-8"),
    ("sft", f"[\n{GOOD},\n{{]".encode(), "line 3: malformed JSON"),
    ("sft", f'[\n{GOOD},\n{{"text": "x"}}]'.encode(), "line 3: the record has no field 'messages'"),
    ("sft", b"[]", "holds no records"),
    ("reward", b'[{"prompt": "a", "chosen": "b"}]', "line 1: the record has no field 'rejected'"),
    ("rlvf", b'[{"type": "poem", "prompt": "a", "expected_answer": "b"}]', "line 1: type 'poem'"),
    ("corpus", b"", "is empty"),
    ("corpus", "一\n二\n".encode() + b"\xff", "line 3: not UTF-8"),
]


@pytest.mark.parametrize(("kind", "content", "fragment"), BAD_FILES)
def test_bad_data_is_named_with_its_line_and_overwrites_nothing(mistake, tmp_path, kind, content, fragment):
    out = tmp_path / "out"
    for stage in ("pretrain", "sft"):
        save_checkpoint(out, stage)
    before = files_in(out)
    bad = tmp_path / "bad.txt" if kind == "corpus" else tmp_path / "bad.json"
    bad.write_bytes(content)
    stage, flag = ("pretrain", "--corpus") if kind == "corpus" else (kind, f"--{kind}-data")
    line = mistake(train, "--kernels", "numpy", "--stage", stage, "--out", out, flag, bad)
    assert str(bad) in line and fragment in line
    assert files_in(out) == before


# -- checkpoints --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("stage", ["reward", "rlhf", "rlvf"])
def test_a_stage_without_its_predecessor_names_the_command(mistake, tmp_path, stage):
    data = write_data(tmp_path / "data")
    line = mistake(train, "--stage", stage, "--out", tmp_path / "out", "--kernels", "numpy", *data)
    assert "python train.py --stage" in line


def test_a_checkpoint_that_does_not_fit_its_tokenizer(mistake, tmp_path):
    directory = save_checkpoint(tmp_path / "out", "pretrain")
    config = json.loads((directory / "tokenizer.json").read_text(encoding="utf-8"))
    vocab = config["model"]["vocab"]
    vocab |= {chr(0x5000 + i): len(vocab) + i for i in range(50)}
    (directory / "tokenizer.json").write_text(json.dumps(config), encoding="utf-8")
    data = write_data(tmp_path / "data")
    for command in (chat, train):
        extra = ["--stage", "sft", *data] if command is train else ["--prompt", "你好"]
        line = mistake(command, "--out", tmp_path / "out", "--kernels", "numpy", *extra)
        assert "the tokenizer has" in line and str(directory) in line


# -- the system ---------------------------------------------------------------------------------------------
def test_a_full_disk_keeps_the_old_checkpoint(mistake, monkeypatch, tmp_path):
    out = tmp_path / "out"
    old = save_checkpoint(out, "pretrain", seed=5)
    before = files_in(old)

    def no_space(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    data = write_data(tmp_path / "data")
    monkeypatch.setattr(safetensors.numpy, "save_file", no_space)
    line = mistake(train, "--stage", "pretrain", "--out", out, *QUICK, "--epochs", "0.01", *data)
    assert "No space left" in line and "unchanged" in line
    assert files_in(old) == before
    assert not list(out.glob("*.writing"))


def test_an_interrupted_run_says_which_command_goes_on(monkeypatch, capsys, tmp_path):
    def interrupted(plan, console):
        raise Interrupted("sft", 12)

    monkeypatch.setattr(pipeline, "run", interrupted)
    for resume in ([], ["--resume"]):
        assert train(["--out", str(tmp_path / "a run"), *resume, "--preset", "tiny"]) == 130
        said = capsys.readouterr().err
        assert said.startswith("stopped: sft stopped after step 12, its state is saved; go on with: python train.py ")
        command = f"--out '{tmp_path / 'a run'}' --resume --preset tiny" if resume else f"--out '{tmp_path / 'a run'}' --preset tiny --resume"
        assert said.endswith(f"python train.py {command}\n")


def test_the_scripts_hand_over_the_exit_code(tmp_path):
    root = Path(__file__).resolve().parent.parent.parent
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONIOENCODING": "utf-8"}
    for script in ("train.py", "chat.py"):
        command = [sys.executable, str(root / script), "--stage", "nonsense"]
        done = subprocess.run(command, capture_output=True, cwd=tmp_path, encoding="utf-8", env=environment)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
        assert "nonsense" in done.stderr


# -- the profile ---------------------------------------------------------------------------------------------
def test_a_profile_shows_the_first_stage_and_writes_nothing(capsys, tmp_path):
    data = write_data(tmp_path / "data")
    before = files_in(tmp_path)
    flags = ["--out", str(tmp_path / "out"), *QUICK, "--batch-size", "4", *data, "--tokenizer", "char"]
    for stage, extra in (("pretrain", []), ("sft", ["--stage", "sft"])):
        assert train([*flags, *extra, "--profile", "--precision", "float32", "--threads", "1"]) == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert f"One step of {stage}, batch 4" in shown
        assert "2 layers, 32 channels, 2 heads, context 64" in shown and "float32, threads: 1" in shown
        for row in ("causal_attention 2 ", "h.*.attn.c_proj", "clip and update", "engine and rest", "tokens/s"):
            assert row in shown
    assert files_in(tmp_path) == before


def test_a_profile_of_the_reward_model(capsys, tmp_path):
    save_checkpoint(tmp_path / "out", "sft")
    before, data = files_in(tmp_path / "out"), write_data(tmp_path / "data")
    flags = ["--out", str(tmp_path / "out"), "--kernels", "numpy", "--reward.batch-size", "4", *data]
    assert train(["--stage", "reward", *flags, "--profile"]) == 0, capsys.readouterr().err
    assert "One step of reward, batch 4" in capsys.readouterr().out
    assert files_in(tmp_path / "out") == before


@pytest.mark.parametrize("stage", ["rlhf", "rlvf"])
def test_a_profile_of_reinforcement_learning_is_refused(mistake, tmp_path, stage):
    assert f"not {stage}" in mistake(train, "--stage", stage, "--profile", "--out", tmp_path)


# -- the whole ----------------------------------------------------------------------------------------------
def test_two_stages_then_an_answer(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(curves, "draw_curves", lambda history, stage, path, best_step: path.touch())  # slow, and tested elsewhere
    out, data = tmp_path / "out", write_data(tmp_path / "data")
    short = ["--out", str(out), *QUICK, "--batch-size", "4", "--epochs", "0.05", *data, "--tokenizer", "char"]
    assert train([*short, "--skip-reward", "--skip-rlhf", "--skip-rlvf"]) == 0, capsys.readouterr().err
    assert {row["stage"] for row in json.loads((out / "report.json").read_text())} == {"pretrain", "sft"}
    capsys.readouterr()
    assert chat(["--out", str(out), "--kernels", "numpy", "--prompt", "小猫住在哪里？", "--max_length", "5"]) == 0
    captured = capsys.readouterr()
    assert captured.out.strip() and captured.err == ""
