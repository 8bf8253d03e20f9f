"""The command behind ``train.py``."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from scratchgpt import kernels
from scratchgpt.cli.flags import given, hyperparameter_fields, parse_flags, with_hyperparameters
from scratchgpt.cli.guarded import guarded
from scratchgpt.cli.machine_flags import Kernels, Threads, set_kernels
from scratchgpt.datasets.sources import DataSources
from scratchgpt.errors import UserError
from scratchgpt.installation import typed
from scratchgpt.models.architectures import read_config
from scratchgpt.runs import pipeline
from scratchgpt.runs.plan import Plan
from scratchgpt.stages import ALL, stage_named
from scratchgpt.stages.presets import Preset, get_preset
from scratchgpt.stages.run_folder import DEFAULT_RUN, stage_directory
from scratchgpt.stages.sft import SFT
from scratchgpt.terminal import VisibleConsole

GOING_ON = 0.2
"""Of SFT's learning rate, where it goes on with a model that answers already: at all of it, it forgot how to add."""
DATA_PATHS = (
    "corpus",
    "corpus_heldout",
    "sft_data",
    "sft_heldout",
    "reward_data",
    "reward_heldout",
    "rlvf_data",
    "rlvf_heldout",
)
"""The flags that name data of the user's own."""
# A flag that may be left out, shown without a default of "None".
OptionalPath = Annotated[Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="")]
Precision = Literal["float32", "bf16", "auto"]


@dataclass(frozen=True)
class RunFlags:
    """The flags of a run, beside which stages and which hyperparameters.

    Attributes:
        preset: model size and settings that go well together.
        out: where checkpoints, logs and the report go.
        base: folder of another run, with whose model the first stage starts, as it is: its sizes and its tokenizer.
            RUN:STAGE takes the model of that stage there (as checkpoints:rlvf). By default --out.
        seed: of everything that is random.
        resume: go on where an interrupted run stopped, with the same flags otherwise.
        keep: which model becomes a stage's checkpoint, that of its last step or that of its best measurement on
            held-out data (there is one every --evaluate-every steps). Where they differ the other one is kept too, in
            <stage>/best or <stage>/last.
        early_stop: end a stage after so many measurements in a row without a better one. By default it makes all its
            steps.
        tokenizer: byte-level BPE, or one id a character.
        kernels: compiled, or the plain NumPy references. By default what SCRATCHGPT_KERNELS says, or numba.
        threads: threads of the kernels and of BLAS. By default one a physical core.
        precision: of the matrix products in training. auto takes bf16 where the CPU is faster with it.
        ignore_memory_limit: run even if it will take more memory than there is, by what is known beforehand.
        profile: show where the time of a step of the stage goes (of the first one, if there are several), then leave.
        corpus: text to pretrain on: .txt, .md, .html, .jsonl, .json, .csv or .parquet (field "text"), packed as .gz,
            .xz, .bz2 or .zst or not, or a folder of them.
        corpus_heldout: text to measure on. By default a part of --corpus is held out.
        sft_data: dialogues: messages, ShareGPT, Alpaca, questions and answers in JSON, CSV, Parquet or plain text, a
            messenger's export. What a file is taken for is said; python -m scratchgpt check FILE shows more.
        sft_heldout: dialogues to measure on.
        reward_data: preference pairs: prompt, chosen, rejected as text or messages, or whole dialogues.
        reward_heldout: pairs to measure on.
        rlvf_data: tasks: prompt and expected_answer, or question and answer (which may end in "#### 42").
        rlvf_heldout: tasks to measure on.
        strict: refuse whatever teaches nothing (an empty answer, chosen and rejected the same, more than the context
            holds), rather than leave it out and count it.
        mix: share of the project's own data, from 0 to below 1, to mix into the data of yours: the model keeps what it
            knew.
        encoding: of the texts, such as gb18030. By default it is recognised.
    """

    preset: Literal["tiny", "mini", "base", "shakespeare"] = "mini"
    out: Path = DEFAULT_RUN
    base: OptionalPath = None
    seed: int = 0
    resume: bool = False
    keep: Literal["best", "last"] = "last"
    early_stop: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    tokenizer: Literal["bpe", "char"] = "bpe"
    kernels: Kernels = None
    threads: Threads = None
    precision: Precision = "auto"
    ignore_memory_limit: bool = False
    profile: bool = False
    corpus: OptionalPath = None
    corpus_heldout: OptionalPath = None
    sft_data: OptionalPath = None
    sft_heldout: OptionalPath = None
    reward_data: OptionalPath = None
    reward_heldout: OptionalPath = None
    rlvf_data: OptionalPath = None
    rlvf_heldout: OptionalPath = None
    strict: bool = False
    mix: float = 0.0
    encoding: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None


def stage_fields() -> list[tuple[str, Any, Any]]:
    """Fields for ``dataclasses.make_dataclass``: ``stage``, and ``skip_<stage>`` for every stage there is."""
    names = tuple(stage.name for stage in ALL)
    which: Any = Annotated[
        Literal[(*names, "all")], tyro.conf.arg(help="the stage to run, or all of them in order.")
    ]
    skip = "leave the stage out; the next one starts from the latest checkpoint before it."
    skips: list[tuple[str, Any, Any]] = [
        (f"skip_{name}", Annotated[bool, tyro.conf.arg(help=skip)], False) for name in names
    ]
    return [("stage", which, "all"), *skips]


def stages_asked_for(flags: Any) -> tuple[str, ...]:
    """The names of the stages to run, in order.

    Args:
        flags: an object with the attributes that :func:`stage_fields` describes.

    Raises:
        UserError: if none is left.
    """
    asked = [stage.name for stage in ALL if flags.stage in ("all", stage.name)]
    left = tuple(name for name in asked if not getattr(flags, f"skip_{name}"))
    if not left:
        raise UserError("nothing to do: every stage that was asked for is skipped")
    return left


def train(argv: Sequence[str] | None = None) -> int:
    """The command ``train``: run stages as the flags say.

    Args:
        argv: the flags; None means those of the process.

    Returns:
        The exit code.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    resuming = argv if "--resume" in argv else [*argv, "--resume"]
    return guarded(lambda: _train(argv), f"go on with: {typed('train')} {shlex.join(resuming)}")


def _train(argv: Sequence[str]) -> None:
    of_the_run = ("run", Annotated[RunFlags, tyro.conf.arg(name="")], RunFlags())
    fields = [*stage_fields(), of_the_run, *hyperparameter_fields()]
    # The description shown by --help is the docstring of the class that is parsed.
    description = f"Train a chat model: {', '.join(stage.name for stage in ALL)}."
    flags_type: Any = dataclasses.make_dataclass("TrainFlags", fields, namespace={"__doc__": description})
    flags = parse_flags(flags_type, argv, typed("train"))
    run_flags: RunFlags = flags.run
    stages = stages_asked_for(flags)
    base, base_stage = _base(run_flags.base)
    preset = with_hyperparameters(_going_on(get_preset(run_flags.preset), stages[0], base_stage), flags, stages)
    _check(run_flags)
    set_kernels(run_flags.kernels, run_flags.threads)
    kernels.set_precision(run_flags.precision)

    paths = {name: getattr(run_flags, name) for name in DATA_PATHS}
    data = DataSources(
        **paths,
        running_text=preset.running_text,
        seed=run_flags.seed,
        strict=run_flags.strict,
        mix=run_flags.mix,
        encoding=run_flags.encoding,
        dialogues_follow=any(DataSources.dialogues in stage_named(name).reads for name in stages),
    )
    plan = Plan(
        stages=stages,
        preset=preset,
        tokenizer=run_flags.tokenizer,
        out=run_flags.out,
        base=base,
        base_stage=base_stage,
        resume=run_flags.resume,
        keep=run_flags.keep,
        early_stop=run_flags.early_stop,
        data=data,
        ignore_memory_limit=run_flags.ignore_memory_limit,
    )
    _check_sizes(given(flags.everywhere), plan)
    action = pipeline.profile if run_flags.profile else pipeline.run
    action(plan, VisibleConsole())


def _check(flags: RunFlags) -> None:
    """What can be seen to be wrong before hours of work begin."""
    if flags.seed < 0:
        raise UserError(f"--seed must not be negative, not {flags.seed}")
    if flags.out.exists() and not flags.out.is_dir():
        raise UserError(f"--out {flags.out}: is a file; name a folder")
    if not 0 <= flags.mix < 1:
        raise UserError(f"--mix must be at least 0 and below 1, not {flags.mix:g}")
    own = ("corpus", "sft_data", "reward_data", "rlvf_data")
    if flags.mix and not any(getattr(flags, name) for name in own):
        named = ", ".join(f"--{name.replace('_', '-')}" for name in own)
        raise UserError(f"--mix {flags.mix:g} has no effect without data of your own; name some with {named}")
    for name in DATA_PATHS:
        path = getattr(flags, name)
        if path is not None and not path.exists():
            raise UserError(f"--{name.replace('_', '-')} {path}: there is no such file; check the path")


def _base(named: Path | None) -> tuple[Path | None, str | None]:
    """The folder and the stage that --base names, as RUN or RUN:STAGE."""
    if named is None or named.exists():
        return named, None
    folder, colon, stage = str(named).rpartition(":")
    if colon and folder and stage in {one.name for one in ALL}:
        return Path(folder), stage
    return named, None


def _going_on(preset: Preset, first: str, base_stage: str | None) -> Preset:
    """The preset of a run whose first stage, SFT, goes on with a model that answers: slower, lest it forget."""
    if first != SFT.name or base_stage is None or base_stage in SFT.follows:
        return preset
    settings = dataclasses.replace(preset.of(first), lr=preset.of(first).lr * GOING_ON)
    return dataclasses.replace(preset, settings={**preset.settings, first: settings})


def _check_sizes(values: dict[str, Any], plan: Plan) -> None:
    """A run that goes on from a checkpoint cannot change the model's sizes: say so rather than ignore the flags."""
    start = plan.start_of(stage_named(plan.stages[0]))
    if start is None:
        return
    directory = stage_directory(*start)
    sizes = dataclasses.asdict(read_config(directory))
    for name in ("emb_dim", "num_heads", "num_layers", "context_size", "dropout"):
        if values.get(name, sizes[name]) != sizes[name]:
            raise UserError(
                f"--{name.replace('_', '-')} {values[name]}: the checkpoint {directory} has {sizes[name]}; "
                "leave the flag out, or train anew from --stage pretrain"
            )
