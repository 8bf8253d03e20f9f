"""The report: what is written is what was measured, it can be read back, and a full disk harms nothing."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from scratchgpt.errors import UserError
from scratchgpt.runs import curves, report
from scratchgpt.runs.report import Measure, Sample, StageResult, Turn, load_results, save_result, write_report
from tests.tiny import files_in, write_log

SFT = StageResult(
    stage="sft",
    measures=[
        Measure("sft", "dialogue loss", 3.25, 1.5, 40),
        Measure("sft", "right answers", 0.0, 0.625, 1200),
        Measure("sft", "answers of which none is held out", 0.0, 0.0, 0),
    ],
    samples=[Sample("你好|吗\n？", "<|im_end|>", "你好！我是*小助手*。")],
    seconds=125.04,
    tokens_per_second=9876.5,
    settings={"lr": 1e-3, "epochs": 2},
)
PRETRAIN = StageResult("pretrain", [Measure("pretrain", "perplexity", float("inf"), 12.5, 90)], seconds=10.0)


@pytest.fixture
def no_pictures(monkeypatch):
    monkeypatch.setattr(curves, "draw_curves", lambda history, stage, path, best_step: path.write_bytes(b"png"))


# -- results on disk ----------------------------------------------------------------------------------------
def test_results_come_back_in_the_order_of_the_stages(tmp_path):
    save_result(tmp_path / "sft", SFT)
    save_result(tmp_path / "pretrain", PRETRAIN)
    pretrain, sft = load_results(tmp_path)
    assert sft == SFT
    assert pretrain.measures == [Measure("pretrain", "perplexity", None, 12.5, 90)]  # JSON knows no infinity


@pytest.mark.parametrize("content", ["{", "[]", '{"stage": "sft"}', '{"measures": [{"x": 1}], "samples": []}'])
def test_a_damaged_result_is_named(tmp_path, content):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "sft.result.json").write_text(content)
    with pytest.raises(UserError, match=r"sft\.result\.json: damaged"):
        load_results(tmp_path)


def test_results_of_earlier_versions_lie_beside_the_logs(tmp_path):
    save_result(tmp_path / "sft", SFT)
    (tmp_path / "logs").mkdir()
    (tmp_path / "sft" / "result.json").rename(tmp_path / "logs" / "sft.result.json")
    assert load_results(tmp_path) == [SFT]
    newer = dataclasses.replace(SFT, seconds=1.0)
    save_result(tmp_path / "sft", newer)
    assert load_results(tmp_path) == [newer]


def test_a_full_disk_leaves_result_and_report_as_they_were(tmp_path, monkeypatch, no_pictures):
    save_result(tmp_path / "sft", SFT)
    write_report(tmp_path)
    before = files_in(tmp_path)
    assert set(before) == {"sft/result.json", "report.json", "report.md"}

    def no_space(self, *args, **kwargs):
        self.write_bytes(b"half a ")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", no_space)
    for write in (lambda: save_result(tmp_path / "sft", SFT), lambda: write_report(tmp_path)):
        with pytest.raises(UserError, match="No space left"):
            write()
        assert files_in(tmp_path) == before


# -- the report ---------------------------------------------------------------------------------------------
def test_json_holds_one_row_a_measure(tmp_path, no_pictures):
    save_result(tmp_path / "sft", SFT)
    save_result(tmp_path / "pretrain", PRETRAIN)
    write_report(tmp_path)
    rows = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert rows == [
        {"stage": "pretrain", "measure": "perplexity", "before": None, "after": 12.5, "items": 90, "seconds": 10.0},
        {"stage": "sft", "measure": "dialogue loss", "before": 3.25, "after": 1.5, "items": 40, "seconds": 125.0},
        {"stage": "sft", "measure": "right answers", "before": 0.0, "after": 0.625, "items": 1200, "seconds": 125.0},
    ]


def test_markdown_shows_table_settings_samples_and_machine(tmp_path, no_pictures):
    save_result(tmp_path / "sft", SFT)
    save_result(tmp_path / "pretrain", PRETRAIN)
    write_log(tmp_path, "sft")
    write_report(tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    lines = text.splitlines()
    assert "| stage | measure | before | after | items | seconds |" in lines
    assert "| pretrain | perplexity ↓ | – | 12.5 | 90 | 10 |" in lines
    assert "| sft | dialogue loss ↓ | 3.25 | 1.5 | 40 | 125 |" in lines
    assert "| sft | right answers ↑ | 0 | 0.625 | 1,200 | 125 |" in lines
    assert "Total time: 2 min 15 s." in lines
    assert "2 min 5 s, 9,876 tokens per second in training." in lines
    assert "Settings: lr 0.001, epochs 2." in lines
    assert r"| 你好\|吗<br>？ | &lt;\|im\_end\|&gt; | 你好！我是\*小助手\*。 |" in lines
    assert "![curves of sft](curves/sft.png)" in lines and (tmp_path / "curves" / "sft.png").read_bytes() == b"png"
    assert "curves/pretrain.png" not in text  # it left no log
    assert report.cpu_name() in text and "thread" in text and f"numpy {np.__version__}" in text


def test_markdown_shows_the_warnings_of_the_run(tmp_path, no_pictures):
    save_result(tmp_path / "pretrain", PRETRAIN)
    save_result(tmp_path / "sft", SFT)
    write_log(tmp_path, "pretrain")
    write_log(tmp_path, "sft")
    warning = {"kind": "warning", "step": 3, "sign": "KL blow-up", "text": "12 nats; lower lr"}
    with (tmp_path / "logs" / "sft.jsonl").open("a", encoding="utf-8") as log:
        log.write("\n" + json.dumps(warning) + "\n")
    write_report(tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert text.count("**Warning**") == 1
    assert "\n- **Warning**, step 3: KL blow-up: 12 nats; lower lr\n" in text[text.index("## sft") :]


@pytest.mark.parametrize(
    ("measure", "arrow"),
    [
        ("bits per character", "↓"),
        ("perplexity", "↓"),
        ("dialogue loss", "↓"),
        ("pair accuracy: rude", "↑"),
        ("mean reward", "↑"),
        ("KL per response (nats)", ""),
    ],
)
def test_arrows_say_what_is_better(measure, arrow):
    assert Measure("sft", measure, 0.0, 0.0, 1).arrow == arrow


@pytest.mark.parametrize(
    ("measure", "before", "after", "items", "ruined"),
    [
        ("dialogue loss", 6.1, 359411.0, 40, True),
        ("dialogue loss", 2.0, 3.4, 40, False),
        ("dialogue loss", 2.0, 3.6, 40, True),
        ("dialogue loss", 0.01, 0.4, 40, False),
        ("bits per character", 9.0, 2.0, 40, False),
        ("dialogue loss", 2.0, float("nan"), 40, True),
        ("dialogue loss", float("inf"), 5.0, 40, False),
        ("dialogue loss", 2.0, 90.0, 0, False),
        ("pair accuracy", 0.9, 0.3, 100, True),
        ("pair accuracy", 0.9, 0.5, 100, False),
        ("pair accuracy", 0.5, 0.0, 4, False),  # two answers of four: chance
        ("mean reward (SFT deviations)", 0.1, -2.5, 60, True),
        ("mean reward (SFT deviations)", 0.1, -0.8, 60, False),
        ("mean reward (SFT deviations)", -4.0, -1.0, 60, False),
        ("KL per response (nats)", 0.1, 500.0, 60, False),
    ],
)
def test_a_measure_knows_when_the_model_is_ruined(measure, before, after, items, ruined):
    assert Measure("sft", measure, before, after, items).ruined == ruined


def test_a_damaged_log_is_named(tmp_path):
    save_result(tmp_path / "sft", SFT)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "sft.jsonl").write_text('{"kind": "st\n')
    with pytest.raises(UserError, match=r"sft\.jsonl, line 1: damaged"):
        write_report(tmp_path)


def test_markdown_shows_the_steps_that_were_skipped(tmp_path, no_pictures):
    save_result(tmp_path / "sft", SFT)
    write_log(tmp_path, "sft")
    with (tmp_path / "logs" / "sft.jsonl").open("a", encoding="utf-8") as log:
        for step in (5, 6):
            log.write("\n" + json.dumps({"kind": "skipped", "step": step, "text": "the loss is nan"}))
    write_report(tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "\n- **Skipped**: loss or gradient not finite: step 5, 6\n" in text and "Note" not in text


def test_the_report_says_what_the_log_lacks(tmp_path, no_pictures):
    save_result(tmp_path / "sft", SFT)
    write_log(tmp_path, "sft")
    log = tmp_path / "logs" / "sft.jsonl"
    log.write_bytes(log.read_bytes()[:-3])
    write_report(tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "\n- **Note**: sft.jsonl: the last line was cut off while it was written, it is left out\n" in text


def test_the_report_draws_the_log(tmp_path):
    save_result(tmp_path / "sft", SFT)
    write_log(tmp_path, "sft")
    write_report(tmp_path)
    picture = imread(tmp_path / "curves" / "sft.png")
    assert picture.shape[1] > 800  # two panels: loss and accuracy, none for the part of the data
    assert np.ptp(picture[..., :3]) > 0.5
    assert sorted(path.name for path in (tmp_path / "curves").iterdir()) == ["sft.png"]


TURN = Turn("loss", 240, 7.66, 480, 10.64, "last")


def test_a_result_knows_where_the_stage_was_better_than_in_the_end(tmp_path, no_pictures):
    turned = dataclasses.replace(SFT, turn=TURN)
    save_result(tmp_path / "sft", turned)
    assert load_results(tmp_path) == [turned] and TURN.beside == "best"
    write_report(tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    line = "loss was best at step 240, 7.66, and is 10.64 at step 480, the last"
    kept = "the checkpoint is the last one, in whose folder best is the best one"
    assert f"\n- **Best step**, step 240: {line}; {kept}\n" in text
    broken = dataclasses.replace(TURN, last_value=None, keep="best")
    assert str(broken).endswith("and is – at step 480, the last") and broken.beside == "last"


def test_the_curves_mark_where_the_stage_was_best(tmp_path, monkeypatch):
    marked = []
    monkeypatch.setattr(curves, "mark_best", lambda panel, step: marked.append(step))
    for turn in (None, dataclasses.replace(TURN, step=2)):
        save_result(tmp_path / "sft", dataclasses.replace(SFT, turn=turn))
        write_log(tmp_path, "sft")
        write_report(tmp_path)
    assert marked == [None, None, 2, 2]  # a panel of the loss and one of the accuracy


def test_markdown_says_why_a_stage_ended_early_and_what_threads_change(tmp_path, no_pictures):
    save_result(tmp_path / "sft", SFT)
    write_log(tmp_path, "sft")
    with (tmp_path / "logs" / "sft.jsonl").open("a", encoding="utf-8") as log:
        log.write("\n" + json.dumps({"kind": "stopped", "step": 4, "text": "loss was 3 at step 0"}) + "\n")
    write_report(tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "\n- **Stopped early**, step 4: loss was 3 at step 0\n" in text
    machine = next(line for line in text.splitlines() if line.startswith("Machine: "))
    assert machine == f"Machine: {report.machine()}. {report.OTHER_THREADS}" and "weights then differ" in machine
