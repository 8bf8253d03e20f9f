"""From settings to command-line flags and back.

The flags of the hyperparameters are made from the config classes, so that no setting is written twice. Each
one exists flat (``--lr``), for every stage of the run that has it, and under its stage (``--sft.lr``), for
that stage alone; a flag that is not given leaves the preset's value.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

import tyro

from scratchgpt.config import GPTConfig
from scratchgpt.errors import UserError
from scratchgpt.stages import ALL
from scratchgpt.stages.presets import Preset

Flags = TypeVar("Flags")


# -- parsing ------------------------------------------------------------------------------------------------
def parse_flags(flags_type: type[Flags], argv: Sequence[str], program: str) -> Flags:
    """The flags that were given, as an object of ``flags_type``.

    Args:
        flags_type: a dataclass; its fields are the flags, its docstring what ``--help`` says.
        argv: what was typed behind the program's name.
        program: its name, for messages.

    Raises:
        UserError: for an unknown flag or a value that does not fit, in one line.
        SystemExit: with code 0, once ``--help`` is printed.
    """
    # A file of its own, in UTF-8 and no terminal: what tyro prints is then the same everywhere.
    printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            return tyro.cli(flags_type, prog=program, args=argv, config=(tyro.conf.FlagCreatePairsOff,))
    except SystemExit as leaving:
        printed.seek(0)
        if leaving.code:
            raise UserError(f"{_one_line(printed.read())}; see {program} --help") from None
        print(printed.read(), end="")
        raise


def _one_line(boxed: str) -> str:
    """The point of tyro's complaint, which is a box of several paragraphs divided by rules."""
    lines = [line.strip("│ ") for line in boxed.splitlines() if not line.startswith(("╭", "╰"))]
    sections = [" ".join(part.split()) for part in re.split("─{2,}", "\n".join(lines))]
    message = sections[0].split(" Got errors:")[0].rstrip(".")
    misfit = re.fullmatch(r"Error parsing (\S+): .*\bmatching (?:\{None\}\|)?(\S+) .* from \[(.*)\]", message)
    if misfit:
        message = f"{misfit[1]}: {misfit[3]} is not of type {misfit[2]}"
    for section in sections[1:]:
        if section.startswith("Perhaps you meant:") and (meant := re.search(r"--\S+", section)):
            message += f" (perhaps you meant {meant[0]})"
    return message


# -- hyperparameters ----------------------------------------------------------------------------------------
def stage_configs() -> dict[str, type]:
    """The class of each stage's settings, by the stage's name."""
    return {stage.name: stage.config for stage in ALL}


def hyperparameter_fields() -> list[tuple[str, Any, Any]]:
    """Fields for ``dataclasses.make_dataclass``: one group of all flat flags, and one group a stage."""
    sections = _sections()
    sections_with: dict[str, list[str]] = {}
    for section, config in sections.items():
        for field in dataclasses.fields(config):
            sections_with.setdefault(field.name, []).append(section)
    flat = [
        _optional_flag(name, sections[having[0]], f"{', '.join(having)}: {_help(name, having)}".rstrip(": "))
        for name, having in sections_with.items()
    ]
    groups = [("everywhere", _group("for every stage of the run that has it", flat), True)]
    for stage, config in stage_configs().items():
        nested = [_optional_flag(f.name, config, _help(f.name, [stage])) for f in dataclasses.fields(config)]
        groups.append((stage, _group(f"For {stage} alone; explained above.", nested), False))
    return [
        (name, Annotated[group, tyro.conf.arg(name="")] if flat else group, dataclasses.field(default_factory=group))
        for name, group, flat in groups
    ]


def with_hyperparameters(preset: Preset, flags: Any, stages: Sequence[str]) -> Preset:
    """The preset with the values of the flags that were given; a stage's own flag beats the flat one.

    Args:
        preset: where every other value comes from.
        flags: an object with the attributes that :func:`hyperparameter_fields` describes.
        stages: the names of the stages of the run.

    Raises:
        UserError: if a value is out of range, or if a flag has no effect because its stage does not run.
    """
    for stage in stage_configs():
        if stage not in stages and (idle := given(getattr(flags, stage))):
            flag = _spelled(next(iter(idle)))
            raise UserError(f"--{stage}.{flag} has no effect: the stage {stage} is not part of this run")
    everywhere = given(flags.everywhere)
    changed: dict[str, Any] = {}
    used: set[str] = set()
    for section in ("model", *stages):
        config = preset.model if section == "model" else preset.of(section)
        names = {field.name for field in dataclasses.fields(config)}
        values = {name: value for name, value in everywhere.items() if name in names}
        used |= values.keys()
        if section != "model":
            values |= given(getattr(flags, section))
        changed[section] = dataclasses.replace(config, **values)
    for name in everywhere.keys() - used:
        having = ", ".join(stage for stage in stage_configs() if hasattr(preset.of(stage), name))
        raise UserError(f"--{_spelled(name)} has no effect: it belongs to {having}, which this run leaves out")
    model = changed.pop("model")
    return dataclasses.replace(preset, model=model, settings={**preset.settings, **changed})


def given(group: Any) -> dict[str, Any]:
    """The flags of a group that were given, with their values."""
    values = {field.name: getattr(group, field.name) for field in dataclasses.fields(group)}
    return {name: value for name, value in values.items() if value is not None}


def _sections() -> dict[str, type]:
    """The classes of all settings: the model's, and each stage's."""
    return {"model": GPTConfig, **stage_configs()}


def _spelled(name: str) -> str:
    return name.replace("_", "-")


def _group(title: str, fields: list[tuple[str, Any, None]]) -> type:
    return dataclasses.make_dataclass("Hyperparameters", fields, frozen=True, namespace={"__doc__": title})


def _optional_flag(name: str, config: type, text: str) -> tuple[str, Any, None]:
    """A field of the config as a flag that need not be given."""
    hint = typing.get_type_hints(config)[name] | None
    kinds = [kind.__name__.upper() for kind in typing.get_args(hint) if kind is not type(None)]
    argument = tyro.conf.arg(help=text, metavar="|".join(kinds), help_behavior_hint="")
    return name, Annotated[hint, argument], None


def _help(name: str, sections: Sequence[str]) -> str:
    """What the docstrings of the sections say about the setting, each text once."""
    texts = [_explained(_sections()[section]).get(name, "").rstrip(".") for section in sections]
    return " / ".join(dict.fromkeys(text for text in texts if text and not text.startswith("as ")))


def _explained(config: type) -> Mapping[str, str]:
    """{"lr": text, ...} from the ``Attributes`` part of a docstring."""
    documented = (base.__doc__ or "" for base in config.__mro__)
    described = "\n".join(text.partition("Attributes:\n")[2] for text in documented)
    entries = re.findall(r"^ {8}(\w[\w, ]*): ((?:.|\n {12,})*)", described, re.MULTILINE)
    return {name: " ".join(text.split()) for names, text in entries for name in names.split(", ")}
