"""Small subjects and small data for the walkthrough's tests, all on the NumPy kernels: nothing to compile."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from scratchgpt import kernels
from scratchgpt.inside.walkthrough import ppo_pages, reward_pages, rlvf_pages, sft_pages
from scratchgpt.inside.walkthrough.page import Page, show_pages
from scratchgpt.inside.walkthrough.texts import Speech
from scratchgpt.runs.plan import Plan
from scratchgpt.runs.presets import get_preset
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
def small_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """The stages' example data are these, not the project's."""
    flags = write_data(tmp_path / "data")
    data = {
        name.removeprefix("--").replace("-", "_"): Path(path)
        for name, path in zip(flags[::2], flags[1::2], strict=True)
    }
    plan = Plan(stages=(), preset=get_preset("tiny"), out=tmp_path, **data)
    for module in (sft_pages, reward_pages, ppo_pages, rlvf_pages):
        monkeypatch.setattr(module, "project_plan", lambda: plan)
    return plan


def printed(pages: list[Page], language: str = "zh", width: int = 80) -> str:
    """All pages as a terminal of that width shows them, checked to fit it, without the blanks at the ends of lines."""
    console = Console(file=io.StringIO(), width=width, highlight=False)
    show_pages(console, pages, Speech(language))
    text = console.file.getvalue()
    assert max(map(cell_len, text.splitlines())) <= width
    return re.sub(" +\n", "\n", text)
