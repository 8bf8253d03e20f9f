"""Which run a command reads from: the named one, else one's own, else the one that travels with the package."""

from __future__ import annotations

from pathlib import Path

import pytest

from scratchgpt.cli.which_run import chosen_run, run_or_fresh
from scratchgpt.errors import UserError
from scratchgpt.stages import run_folder
from tests.tiny import save_checkpoint


@pytest.fixture(autouse=True)
def travelling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that travels with the package, and a current directory without one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_folder, "SHIPPED_RUN", tmp_path / "travels")
    save_checkpoint(tmp_path / "travels", "rlvf")
    return tmp_path / "travels"


def test_what_was_named_is_taken_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert chosen_run(Path("anything")) == Path("anything")
    assert capsys.readouterr() == ("", "")


def test_ones_own_run_comes_first_as_soon_as_a_model_of_it_writes(
    travelling: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_checkpoint(run_folder.DEFAULT_RUN, "reward_model")  # which does not
    assert chosen_run(None) == travelling
    said = capsys.readouterr()
    assert said.out == "" and "comes with scratchgpt" in said.err and "python train.py" in said.err
    save_checkpoint(run_folder.DEFAULT_RUN, "pretrain")
    assert chosen_run(None) == run_folder.DEFAULT_RUN
    assert "the model in checkpoints" in capsys.readouterr().err


def test_without_any_the_folder_of_ones_own_is_named_for_the_complaint(
    travelling: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_folder, "SHIPPED_RUN", travelling / "nowhere")
    assert chosen_run(None) == run_folder.DEFAULT_RUN


def test_a_fresh_model_and_a_named_one_exclude_each_other(travelling: Path) -> None:
    assert run_or_fresh(None, fresh=True) is None
    assert run_or_fresh(None, fresh=False) == travelling and run_or_fresh(Path("x"), fresh=False) == Path("x")
    with pytest.raises(UserError, match="leave one of them out"):
        run_or_fresh(Path("x"), fresh=True)
