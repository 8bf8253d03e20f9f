"""The seam of the stages: one file and one entry in the list, and a sixth stage is there for everyone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scratchgpt.config import Settings
from scratchgpt.datasets.sources import DataSources
from scratchgpt.errors import UserError
from scratchgpt.evaluation.measures import measured_tasks, verifiable_tasks
from scratchgpt.stages import ALL, stage_named, writing_stages
from tests.tiny import QUICK, save_checkpoint, write_data

ROOT = Path(__file__).resolve().parent.parent.parent
POLISH = '''
"""A throw-away sixth stage: supervised fine-tuning once more, after everything else."""

from dataclasses import dataclass
from typing import ClassVar

from scratchgpt.config import Bound, SupervisedConfig
from scratchgpt.datasets.sources import DataSources
from scratchgpt.stages.sft import SFTTrainer
from scratchgpt.stages.stage import Setup, Stage
from scratchgpt.stages.work import Piece, Work


@dataclass(frozen=True)
class PolishConfig(SupervisedConfig):
    """Settings of the throw-away stage.

    Attributes:
        shine: nothing at all.
    """

    OWN_BOUNDS: ClassVar = {"shine": Bound(0)}
    epochs: float = 0.1
    shine: float = 1.0


class PolishTrainer(SFTTrainer):
    name = "polish"


def build(context):
    dialogues, heldout = context.data.dialogues()
    model, tokenizer = context.model, context.tokenizer
    trainer = PolishTrainer(model, tokenizer, model.config, context.settings, dialogues, heldout, (), context.seed)
    return Setup(trainer, model, tokenizer, lambda: {"dull loss": (trainer.heldout_metrics()["loss"], 3)},
                 lambda: [("a", "b")])


POLISH = Stage(name="polish", title_zh="抛光", title_en="Polishing", directory="polished", config=PolishConfig,
               reads=(DataSources.dialogues,), build=build, work=lambda outlook: Work(1, [Piece("train", 99, 2, 8, 4)]), follows=("rlvf", "sft"), questions=1)
'''
MAIN = """
import sys
from polish import POLISH
from scratchgpt.stages import ALL
ALL.append(POLISH)
from scratchgpt.cli.chat import chat
from scratchgpt.cli.train import train
sys.exit({"train": train, "chat": chat}[sys.argv[1]](sys.argv[2:]))
"""


@pytest.fixture
def command(tmp_path: Path):
    """Runs train or chat in a process of its own that has a sixth stage; gives what it printed."""
    (tmp_path / "polish.py").write_text(POLISH, encoding="utf-8")
    (tmp_path / "main.py").write_text(MAIN, encoding="utf-8")

    def run(*argv: str, code: int = 0, said: str = "") -> str:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)]), "COLUMNS": "200"}
        done = subprocess.run(
            [sys.executable, str(tmp_path / "main.py"), *argv],
            env=environment, cwd=tmp_path, input=said, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    return run


def test_a_sixth_stage_is_one_file_and_one_entry(command, tmp_path: Path) -> None:
    usage = command("train", "--help")
    for part in ("rlvf,polish,all}", "--skip-polish", "--polish.shine", "nothing at all", "Train a chat model: "):
        assert part in usage
    assert "shine must be 0 or positive, not -1.0" in command("train", "--polish.shine", "-1", code=2)

    out = tmp_path / "out"
    save_checkpoint(out, "sft")
    printed = command("train", "--out", str(out), "--stage", "polish", *QUICK[:2], *write_data(tmp_path / "data"))
    assert f"polish: starts from {out / 'sft'}" in printed and "dull loss: " in printed
    assert "in all on this machine: polish " in printed
    assert (out / "polished" / "model.safetensors").is_file() and (out / "logs" / "polish.jsonl").is_file()
    assert {row["stage"] for row in json.loads((out / "report.json").read_text(encoding="utf-8"))} == {"polish"}
    assert "## polish" in (out / "report.md").read_text(encoding="utf-8")
    assert "抛光" in (out / "report.html").read_text(encoding="utf-8")

    talk = command("chat", "--out", str(out), "--kernels", "numpy", "--max-length", "3", said="/help\n/stage sft\n/quit\n")
    assert "polish, " in talk and "sft rlhf rlvf polish" in talk
    assert "polish" in command("chat", "--help")


def test_what_the_stages_declare_fits_together() -> None:
    names = [stage.name for stage in ALL]
    assert names == ["pretrain", "sft", "reward", "rlhf", "rlvf"]
    assert len({stage.directory for stage in ALL}) == len(ALL)
    for position, stage in enumerate(ALL):
        assert set(stage.follows) | set(stage.needs) <= set(names[:position]), stage.name
        assert stage.follows or stage.from_nothing, stage.name
        assert issubclass(stage.config, Settings) and stage.config()
        known = {
            DataSources.documents,
            DataSources.spoken,
            DataSources.dialogues,
            DataSources.dialogues_mixed_in,
            DataSources.pairs,
            measured_tasks,
            verifiable_tasks,
        }
        assert set(stage.reads) <= known, stage.name
        assert stage.title_zh and stage.title_en
    assert [stage.name for stage in writing_stages()] == ["rlvf", "rlhf", "sft", "pretrain"]


def test_an_unknown_stage_names_those_there_are() -> None:
    with pytest.raises(UserError, match="no stage 'dpo'; choose one of pretrain, sft, reward, rlhf, rlvf"):
        stage_named("dpo")
