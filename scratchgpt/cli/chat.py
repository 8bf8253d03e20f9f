"""The command behind ``chat.py``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from scratchgpt.cli.conversation import Conversation, answer_once, talk
from scratchgpt.cli.flags import parse_flags
from scratchgpt.cli.guarded import guarded
from scratchgpt.cli.machine_flags import Kernels, StageFlag, Threads, set_kernels
from scratchgpt.cli.which_run import RunFlag, chosen_run
from scratchgpt.inference.sampling import SamplingConfig
from scratchgpt.installation import typed
from scratchgpt.runs.warm_up import for_talking, warm_up_if_cold
from scratchgpt.stages.run_folder import most_advanced_stage
from scratchgpt.terminal import VisibleConsole

OptionalText = Annotated[str | None, tyro.conf.arg(metavar="TEXT", help_behavior_hint="")]


@dataclass(frozen=True)
class ChatFlags:
    """Talk with the model that train.py made.

    Attributes:
        out: the folder of a run. By default checkpoints, or the model that comes with scratchgpt.
        stage: which stage's model; by default the most advanced there is.
        prompt: print one answer to this and leave.
        temperature: 0 always takes the most likely token; higher is more varied.
        top_k: choose among the k most likely tokens only; 0 means all.
        top_p: choose among the most likely tokens that together reach this probability; 1 means all.
        repetition_penalty: above 1 makes less likely what the answer holds already; the question's words may come.
        max_length: most tokens of an answer.
        seed: the same seed gives the same answers.
        kernels: compiled, or the plain NumPy references. By default what SCRATCHGPT_KERNELS says, or numba.
        threads: threads of the kernels and of BLAS. By default one a physical core.
    """

    out: RunFlag = None
    stage: StageFlag = None
    prompt: OptionalText = None
    temperature: float = 0.3
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    max_length: int = 160
    seed: int = 0
    kernels: Kernels = None
    threads: Threads = None


def chat(argv: Sequence[str] | None = None) -> int:
    """The command ``chat``: a dialogue in the terminal, or one answer with ``--prompt``.

    Args:
        argv: the flags; None means those of the process.

    Returns:
        The exit code.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    return guarded(lambda: _chat(argv), "nothing was changed")


def _chat(argv: Sequence[str]) -> None:
    flags = parse_flags(ChatFlags, argv, typed("chat"))
    set_kernels(flags.kernels, flags.threads)

    sampling = SamplingConfig(flags.temperature, flags.top_k, flags.top_p, flags.repetition_penalty)
    run = chosen_run(flags.out)
    stage = flags.stage or most_advanced_stage(run)  # where there is none, nobody waits for that to be said
    warm_up_if_cold(for_talking(), VisibleConsole(stderr=True))
    conversation = Conversation(run, stage, sampling, flags.max_length, flags.seed)
    if flags.prompt is None:
        talk(conversation)
    else:
        answer_once(conversation, flags.prompt)
