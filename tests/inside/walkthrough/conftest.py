"""Small subjects and small data for the walkthrough's tests, all on the NumPy kernels: nothing to compile."""

from __future__ import annotations

from pathlib import Path

import pytest

from scratchgpt import kernels
from scratchgpt.datasets.sources import DataSources
from scratchgpt.inside.walkthrough import ppo_pages, reward_pages, rlvf_pages, sft_pages
from tests.inside.walkthrough.printing import printed as printed
from tests.tiny import write_data


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
