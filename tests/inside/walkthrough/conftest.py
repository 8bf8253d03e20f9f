"""Small subjects and small data for the walkthrough's tests, all on the NumPy kernels: nothing to compile."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from scratchgpt import kernels
from scratchgpt.datasets.sources import DataSources
from scratchgpt.inside.walkthrough import ppo_pages, reward_pages, rlvf_pages, sft_pages
from scratchgpt.inside.walkthrough.page import Page, show_pages
from scratchgpt.inside.walkthrough.texts import Speech
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


def printed(pages: list[Page], language: str = "zh", width: int = 80) -> str:
    """All pages as a terminal of that width shows them, checked to fit it, without the blanks at the ends of lines."""
    console = Console(file=io.StringIO(), width=width, highlight=False)
    show_pages(console, pages, Speech(language))
    text = console.file.getvalue()
    assert max(map(cell_len, text.splitlines())) <= width
    return re.sub(" +\n", "\n", text)
