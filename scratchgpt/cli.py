"""The commands behind ``train.py`` and ``chat.py``: flags in, exit code out, one clear line for every mistake."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console

from scratchgpt import kernels
from scratchgpt.chat import Conversation, answer_once, talk
from scratchgpt.errors import UserError
from scratchgpt.flags import given, hyperparameter_fields, parse_flags, with_hyperparameters
from scratchgpt.guarded import guarded
from scratchgpt.inference.sampling import SamplingConfig
from scratchgpt.kernels.runtime.threads import default_threads
from scratchgpt.models.huggingface import read_config
from scratchgpt.runs import pipeline
from scratchgpt.runs.presets import get_preset
from scratchgpt.training.checkpoints import STAGES, is_finished, stage_directory

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
OptionalText = Annotated[str | None, tyro.conf.arg(metavar="TEXT", help_behavior_hint="")]
Kernels = Annotated[Literal["numba", "numpy"] | None, tyro.conf.arg(metavar="{numba,numpy}", help_behavior_hint="")]
Precision = Literal["float32", "bf16", "auto"]
Threads = Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")]
ChatStage = Annotated[
    Literal["pretrain", "sft", "rlhf", "rlvf"] | None,
    tyro.conf.arg(metavar="{pretrain,sft,rlhf,rlvf}", help_behavior_hint=""),
]


@dataclass(frozen=True)
class RunFlags:
    """Train a chat model: pretrain, sft, reward, rlhf, rlvf.

    Attributes:
        stage: the stage to run, or all of them in order.
        preset: model size and settings that go well together.
        skip_pretrain: leave the stage out; the next one starts from the latest checkpoint before it.
        skip_sft: leave the stage out.
        skip_reward: leave the stage out.
        skip_rlhf: leave the stage out.
        skip_rlvf: leave the stage out.
        out: where checkpoints, logs and the report go.
        base: folder of another run, with whose model the first stage starts. By default --out.
        seed: of everything that is random.
        resume: go on where an interrupted run stopped, with the same flags otherwise.
        tokenizer: byte-level BPE, or one id a character.
        kernels: compiled, or the plain NumPy references. By default what SCRATCHGPT_KERNELS says, or numba.
        threads: threads of the kernels and of BLAS. By default one a physical core.
        precision: of the matrix products in training. auto takes bf16 where the CPU is faster with it.
        profile: show where the time of a step of the stage goes (of the first one, if there are several), then leave.
        corpus: text to pretrain on: a .txt or .jsonl file (field "text"), or a folder of them.
        corpus_heldout: text to measure on. By default a part of --corpus is held out.
        sft_data: dialogues (field "messages"), .json or .jsonl.
        sft_heldout: dialogues to measure on.
        reward_data: preference pairs (fields "prompt", "chosen", "rejected").
        reward_heldout: pairs to measure on.
        rlvf_data: tasks (fields "type", "prompt", "expected_answer").
        rlvf_heldout: tasks to measure on.
    """

    stage: Literal["pretrain", "sft", "reward", "rlhf", "rlvf", "all"] = "all"
    preset: Literal["tiny", "mini", "base", "shakespeare"] = "mini"
    skip_pretrain: bool = False
    skip_sft: bool = False
    skip_reward: bool = False
    skip_rlhf: bool = False
    skip_rlvf: bool = False
    out: Path = Path("checkpoints")
    base: OptionalPath = None
    seed: int = 0
    resume: bool = False
    tokenizer: Literal["bpe", "char"] = "bpe"
    kernels: Kernels = None
    threads: Threads = None
    precision: Precision = "auto"
    profile: bool = False
    corpus: OptionalPath = None
    corpus_heldout: OptionalPath = None
    sft_data: OptionalPath = None
    sft_heldout: OptionalPath = None
    reward_data: OptionalPath = None
    reward_heldout: OptionalPath = None
    rlvf_data: OptionalPath = None
    rlvf_heldout: OptionalPath = None

    def stages(self) -> tuple[str, ...]:
        """The stages to run, in order.

        Raises:
            UserError: if none is left.
        """
        asked = STAGES if self.stage == "all" else (self.stage,)
        left = tuple(stage for stage in asked if not getattr(self, f"skip_{stage}"))
        if not left:
            raise UserError("nothing to do: every stage that was asked for is skipped")
        return left


@dataclass(frozen=True)
class ChatFlags:
    """Talk with the model that train.py made.

    Attributes:
        out: where train.py wrote its checkpoints.
        stage: which stage's model; by default the most advanced there is.
        prompt: print one answer to this and leave.
        temperature: 0 always takes the most likely token; higher is more varied.
        top_k: choose among the k most likely tokens only; 0 means all.
        top_p: choose among the most likely tokens that together reach this probability; 1 means all.
        repetition_penalty: above 1 makes words that were said already less likely.
        max_length: most tokens of an answer.
        seed: the same seed gives the same answers.
        kernels: compiled, or the plain NumPy references. By default what SCRATCHGPT_KERNELS says, or numba.
        threads: threads of the kernels and of BLAS. By default one a physical core.
    """

    out: Path = Path("checkpoints")
    stage: ChatStage = None
    prompt: OptionalText = None
    temperature: float = 0.3
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    max_length: int = 160
    seed: int = 0
    kernels: Kernels = None
    threads: Threads = None


def train(argv: Sequence[str] | None = None) -> int:
    """The command ``python train.py``: run stages as the flags say.

    Args:
        argv: the flags; None means those of the process.

    Returns:
        The exit code.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    resuming = argv if "--resume" in argv else [*argv, "--resume"]
    return guarded(lambda: _train(argv), f"go on with: python train.py {shlex.join(resuming)}")


def chat(argv: Sequence[str] | None = None) -> int:
    """The command ``python chat.py``: a dialogue in the terminal, or one answer with ``--prompt``.

    Args:
        argv: the flags; None means those of the process.

    Returns:
        The exit code.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    return guarded(lambda: _chat(argv), "nothing was changed")


def _train(argv: Sequence[str]) -> None:
    fields = [("run", Annotated[RunFlags, tyro.conf.arg(name="")], RunFlags()), *hyperparameter_fields()]
    # The description shown by --help is the docstring of the class that is parsed.
    flags_type: Any = dataclasses.make_dataclass("TrainFlags", fields, namespace={"__doc__": _headline(RunFlags)})
    flags = parse_flags(flags_type, argv, "train.py")
    run: RunFlags = flags.run
    stages = run.stages()
    preset = with_hyperparameters(get_preset(run.preset), flags, stages)
    _check(run)
    _check_sizes(given(flags.everywhere), stages[0], run.base or run.out)
    _set_kernels(run.kernels, run.threads)
    kernels.set_precision(run.precision)

    data = {name: getattr(run, name) for name in DATA_PATHS}
    plan = pipeline.Plan(
        stages=stages,
        preset=preset,
        tokenizer=run.tokenizer,
        out=run.out,
        base=run.base,
        seed=run.seed,
        resume=run.resume,
        **data,
    )
    action = pipeline.profile if run.profile else pipeline.run
    action(plan, Console())


def _chat(argv: Sequence[str]) -> None:
    flags = parse_flags(ChatFlags, argv, "chat.py")
    _set_kernels(flags.kernels, flags.threads)

    sampling = SamplingConfig(flags.temperature, flags.top_k, flags.top_p, flags.repetition_penalty)
    conversation = Conversation(flags.out, flags.stage, sampling, flags.max_length, flags.seed)
    if flags.prompt is None:
        talk(conversation)
    else:
        answer_once(conversation, flags.prompt)


def _headline(flags_type: type) -> str:
    return (flags_type.__doc__ or "").split("\n")[0]


def _check(run: RunFlags) -> None:
    """What can be seen to be wrong before hours of work begin."""
    if run.seed < 0:
        raise UserError(f"--seed must not be negative, not {run.seed}")
    if run.out.exists() and not run.out.is_dir():
        raise UserError(f"--out {run.out}: is a file; name a folder")
    for name in DATA_PATHS:
        path = getattr(run, name)
        if path is not None and not path.exists():
            raise UserError(f"--{name.replace('_', '-')} {path}: there is no such file; check the path")


def _check_sizes(values: dict[str, Any], first_stage: str, out: Path) -> None:
    """A run that goes on from a checkpoint cannot change the model's sizes: say so rather than ignore the flags."""
    start = next((s for s in pipeline.PREDECESSORS.get(first_stage, ()) if is_finished(out, s)), None)
    if start is None:
        return
    directory = stage_directory(out, start)
    sizes = dataclasses.asdict(read_config(directory))
    for name in ("emb_dim", "num_heads", "num_layers", "context_size", "dropout"):
        if values.get(name, sizes[name]) != sizes[name]:
            raise UserError(
                f"--{name.replace('_', '-')} {values[name]}: the checkpoint {directory} has {sizes[name]}; "
                "leave the flag out, or train anew from --stage pretrain"
            )


def _set_kernels(backend: str | None, threads: int | None) -> None:
    if backend is not None:
        kernels.use(backend)
    kernels.backend()  # complains now if the environment names one that does not exist
    kernels.set_threads(default_threads() if threads is None else threads)
