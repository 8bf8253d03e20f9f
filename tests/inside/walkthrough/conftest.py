"""Small subjects and small data for the walkthrough's tests, all on the NumPy kernels: nothing to compile."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from scratchgpt import kernels
from scratchgpt.datasets.sources import DataSources
from scratchgpt.evaluation import judge
from scratchgpt.inside.walkthrough import ppo_pages, reward_pages, rlvf_pages, sft_pages
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.reward import RewardModel
from scratchgpt.stages.run_folder import stage_directory
from tests.tiny import save_checkpoint, tiny_tokenizer, write_data


@pytest.fixture(autouse=True)
def numpy_kernels():
    before = kernels.backend()
    kernels.use("numpy")
    yield
    kernels.use(before)


@pytest.fixture(autouse=True)
def no_checkpoint_of_mine(tmp_path, monkeypatch):
    """Away from whatever the repository's own folder of checkpoints holds."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def small_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataSources:
    """The stages' example data are these, not the project's."""
    flags = write_data(tmp_path / "data")
    data = {
        name.removeprefix("--").replace("-", "_"): Path(path)
        for name, path in zip(flags[::2], flags[1::2], strict=True)
    }
    sources = DataSources(**data)
    for module in (sft_pages, reward_pages, ppo_pages, rlvf_pages):
        monkeypatch.setattr(module, "DataSources", lambda: sources)
    return sources


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few and short responses."""
    monkeypatch.setattr(judge, "STANDARD_PROMPTS", 4)
    ppo = dataclasses.replace(ppo_pages.SETTINGS, batch_size=4, minibatch_size=2, max_new_tokens=6)
    monkeypatch.setattr(ppo_pages.ppo_pages, "__defaults__", (ppo,))
    verified = dataclasses.replace(rlvf_pages.SETTINGS, samples_per_task=3, max_new_tokens=6)
    monkeypatch.setattr(rlvf_pages.rlvf_pages, "__defaults__", (verified,))
    monkeypatch.setattr(rlvf_pages, "TASKS", 2)


@pytest.fixture
def finished_run(tmp_path: Path) -> Path:
    """A folder with all five stages, untrained."""
    out = tmp_path / "run"
    for seed, stage in enumerate(("pretrain", "sft", "rlhf", "rlvf")):
        save_checkpoint(out, stage, seed)
    directory = stage_directory(out, "reward")
    RewardModel.from_pretrained(GPT.from_pretrained(out / "sft"), seed=5).save_pretrained(directory)
    tiny_tokenizer().save_pretrained(directory)
    return out
