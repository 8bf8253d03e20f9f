"""Flags made of the settings: each exists flat and under its stage, and what is given reaches the right ones."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest

from scratchgpt.cli.flags import given, hyperparameter_fields, parse_flags, stage_configs, with_hyperparameters
from scratchgpt.cli.train import train
from scratchgpt.config import GPTConfig
from scratchgpt.errors import UserError
from scratchgpt.stages import ALL
from scratchgpt.stages.presets import get_preset


@dataclass(frozen=True)
class SomeFlags:
    """Flags of a test.

    Attributes:
        number: a whole number, or none.
        lively: yes or no.
    """

    number: int | None = None
    lively: bool = False


# -- parsing ------------------------------------------------------------------------------------------------
def test_flags_are_read_in_both_spellings():
    assert parse_flags(SomeFlags, [], "some.py") == SomeFlags()
    assert parse_flags(SomeFlags, ["--number", "-4", "--lively"], "some.py") == SomeFlags(-4, True)


def test_help_prints_and_leaves(capsys):
    with pytest.raises(SystemExit) as leaving:
        parse_flags(SomeFlags, ["--help"], "some.py")
    assert not leaving.value.code
    shown = capsys.readouterr().out
    assert "some.py" in shown and "a whole number" in shown and "--no-lively" not in shown


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--number", "many"], "--number: 'many' is not of type INT; see some.py --help"),
        (["--numbr", "3"], "(perhaps you meant --number); see some.py --help"),
        (["stray"], "Unrecognized options: stray; see some.py --help"),
    ],
)
def test_a_mistake_is_one_line_of_what_is_wrong(argv, message, capsys):
    with pytest.raises(UserError) as caught:
        parse_flags(SomeFlags, argv, "some.py")
    assert message in str(caught.value) and "\n" not in str(caught.value) and "│" not in str(caught.value)
    assert capsys.readouterr() == ("", "")


# -- hyperparameters ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("spelling", ["--batch_size", "--batch-size"])
def test_a_flat_flag_reaches_every_stage_that_has_it(plan_for, spelling):
    preset = plan_for(spelling, "48", "--lr=0.125").preset
    assert [preset.of(s).batch_size for s in ("pretrain", "sft", "reward", "rlhf")] == [48] * 4
    assert [preset.of(s).lr for s in stage_configs()] == [0.125] * 5
    assert preset.of("sft").epochs == get_preset("mini").of("sft").epochs


@pytest.mark.parametrize("nested_first", [True, False])
def test_a_nested_flag_reaches_one_stage_and_wins(plan_for, nested_first):
    nested, flat = ["--sft.lr", "0.5", "--rlhf.kl_coef", "0.75"], ["--lr", "0.25"]
    preset = plan_for(*(nested + flat if nested_first else flat + nested)).preset
    assert (preset.of("sft").lr, preset.of("reward").lr) == (0.5, 0.25)
    assert (preset.of("rlhf").kl_coef, preset.of("rlvf").kl_coef) == (0.75, get_preset("mini").of("rlvf").kl_coef)


def test_stages_that_do_not_run_keep_their_settings(plan_for):
    preset = plan_for("--stage", "sft", "--lr", "0.25").preset
    assert preset.of("sft").lr == 0.25
    assert preset.of("reward") == get_preset("mini").of("reward")


def test_every_setting_has_a_flag(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert train(["--help"]) == 0
    shown = capsys.readouterr().out
    for section, config in {"model": GPTConfig, **stage_configs()}.items():
        for field in dataclasses.fields(config):
            flag = field.name.replace("_", "-")
            assert f" --{flag} " in shown
            assert section == "model" or f" --{section}.{flag} " in shown


def hyperparameters(*argv: str):
    flags_type = dataclasses.make_dataclass("Flags", hyperparameter_fields(), namespace={"__doc__": "Flags."})
    return parse_flags(flags_type, argv, "some.py")


def test_what_is_not_given_is_none():
    flags = hyperparameters("--lr", "0.5", "--sft.epochs", "2")
    assert [name for name, _, _ in hyperparameter_fields()] == ["everywhere", *(stage.name for stage in ALL)]
    assert given(flags.everywhere) == {"lr": 0.5} and given(flags.sft) == {"epochs": 2.0}
    assert given(flags.rlvf) == {}
    assert given(hyperparameters("--dropout", "0").everywhere) == {"dropout": 0.0}  # nothing, and yet given


def test_only_what_is_given_changes_the_preset():
    preset = get_preset("tiny")
    assert with_hyperparameters(preset, hyperparameters(), ["pretrain", "sft"]) == dataclasses.replace(
        preset, settings={**preset.settings}
    )
    changed = with_hyperparameters(preset, hyperparameters("--emb-dim", "64", "--sft.lr", "0.5"), ["sft"])
    assert changed.model == dataclasses.replace(preset.model, emb_dim=64)
    assert changed.of("sft") == dataclasses.replace(preset.of("sft"), lr=0.5)
    assert changed.of("reward") == preset.of("reward")


@pytest.mark.parametrize(
    ("argv", "stages", "message"),
    [
        (["--rlhf.lr", "1"], ["sft"], "--rlhf.lr has no effect: the stage rlhf is not part of this run"),
        (["--kl-coef", "1"], ["sft"], "--kl-coef has no effect: it belongs to rlhf, rlvf, which this run leaves out"),
        (["--dropout", "1"], ["sft"], "dropout must be"),
    ],
)
def test_a_flag_without_effect_or_out_of_range_is_refused(argv, stages, message):
    with pytest.raises(UserError, match=message):
        with_hyperparameters(get_preset("mini"), hyperparameters(*argv), stages)
