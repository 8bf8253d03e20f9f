"""How much memory a run will take, said before it begins; a run that will not fit is refused.

A process that takes more than its container may is ended without a word, hours later; one that takes more than the
machine has makes it stand still. Both are known beforehand from the sizes (:mod:`scratchgpt.training.memory`).
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scratchgpt.config import GPTConfig
from scratchgpt.errors import UserError
from scratchgpt.kernels.runtime.cache import is_filled
from scratchgpt.kernels.runtime.cgroup import memory_limit
from scratchgpt.models.architectures import read_config
from scratchgpt.runs.plan import Plan
from scratchgpt.stages.run_folder import stage_directory
from scratchgpt.stages.stage import Sizes, Stage
from scratchgpt.tokenizer.special_tokens import SPECIAL_TOKENS
from scratchgpt.training.memory import (
    CHARACTER,
    DOCUMENT,
    FITTED_CHARACTER,
    RECORD,
    STREAM_TOKEN,
    Parts,
    largest,
    together,
    tokens_of,
    total,
)

PROGRAM = 190e6
"""Bytes of Python, NumPy, Numba, the compiled kernels and, for the report, Matplotlib."""
COMPILING = 370e6
"""Bytes more where the kernels are compiled first."""
KEPT_OF_DATA = 0.6
"""What is left, while a stage trains, of the most that reading the data and making the tokenizer took."""
MEMINFO = Path("/proc/meminfo")
STATUS = Path("/proc/self/status")
GB = 1e9
LOWERING = ("batch_size", "minibatch_size", "max_new_tokens", "context_size", "num_layers", "emb_dim", "vocab_size")
"""The settings whose smaller values may lower what a run takes."""


@dataclass(frozen=True)
class Need:
    """The most that a run takes.

    Attributes:
        stage: the stage that takes it.
        parts: what is held together then.
    """

    stage: str
    parts: Parts

    @property
    def bytes(self) -> float:
        """All parts together."""
        return total(self.parts)

    def __str__(self) -> str:
        return f"{self.bytes / GB:.2f} GB at the most, in {self.stage}"


@dataclass(frozen=True)
class Room:
    """How much memory there is.

    Attributes:
        bytes: the most that the run can have.
        where: who says so.
    """

    bytes: float
    where: str


# -- what a run takes ---------------------------------------------------------------------------------------
def need_of(plan: Plan, stages: Sequence[Stage]) -> Need:
    """The largest need of all stages that are to run, in order.

    Raises:
        UserError: if a data file or a checkpoint cannot be read.
    """
    start = plan.start_of(stages[0])
    model = _fresh_model(plan) if start is None else read_config(stage_directory(*start))
    return max((_stage_need(plan, stage, model, fresh=start is None) for stage in stages), key=lambda need: need.bytes)


def _fresh_model(plan: Plan) -> GPTConfig:
    if plan.tokenizer != "char":
        return plan.preset.model
    texts = list(plan.data.documents()[0])
    if not plan.preset.running_text:
        texts += [turn["content"] for record in plan.data.spoken() for turn in record["messages"]]
    characters = set().union(*texts)
    return dataclasses.replace(plan.preset.model, vocab_size=len(characters) + len(SPECIAL_TOKENS))


def _stage_need(plan: Plan, stage: Stage, model: GPTConfig, fresh: bool) -> Need:
    program = {"program": PROGRAM + (0 if is_filled() else COMPILING)}
    read = _data_bytes(plan, stage, model.vocab_size, fresh and stage.from_nothing)
    sizes = Sizes(model, plan.preset.of(stage.name), plan.data, plan.tokenizer == "char")
    kept = {"data and tokenizer": KEPT_OF_DATA * read}
    moments: list[Parts] = [{"data and tokenizer": read}, *(together(kept, moment) for moment in stage.memory(sizes))]
    return Need(stage.name, together(program, largest(moments)))


def _data_bytes(plan: Plan, stage: Stage, vocab_size: int, fresh: bool) -> float:
    """The most that reading the stage's data takes, the tokenizer made from it included where there is none yet."""
    read = 0.0
    for source in stage.reads:
        found = source(plan.data)
        for records in found if isinstance(found, tuple) else (found,):
            one = RECORD if len(records) and isinstance(records[0], Mapping) else DOCUMENT
            read += one * len(records) + CHARACTER * sum(map(_characters, records))
    if not fresh:
        return read
    documents = plan.data.documents()[0]
    tokens = sum(tokens_of(text, vocab_size, plan.tokenizer == "char") for text in documents)
    fitted = FITTED_CHARACTER * sum(map(len, documents)) if plan.tokenizer == "bpe" else 0
    return read + max(fitted, STREAM_TOKEN * tokens)


def _characters(record: Any) -> int:
    """Of all texts in a record."""
    if isinstance(record, str):
        return len(record)
    if isinstance(record, Mapping):
        return sum(map(_characters, record.values()))
    return sum(map(_characters, record)) if isinstance(record, list) else 0


# -- what there is ------------------------------------------------------------------------------------------
def room() -> Room | None:
    """The least of what the container, the machine and the shell's limit leave to this process; None if nobody says.

    Only Linux says what is available; elsewhere it is all that the machine has.
    """
    return min(_rooms(), key=lambda room: room.bytes, default=None)


def _rooms() -> Iterator[Room]:
    held = _kilobytes(STATUS, "VmRSS") or 0
    if (limit := memory_limit()) is not None:
        yield Room(limit, "the limit of this container (its control group)")
    if (available := _kilobytes(MEMINFO, "MemAvailable")) is not None:
        yield Room(available + held, "what this machine has available")
    elif (installed := _installed()) is not None:
        yield Room(installed, "what this machine has")
    if (addresses := _address_limit()) is not None:
        # addresses are used up by what is mapped and never touched, too: libraries, the stacks of threads
        untouched = (_kilobytes(STATUS, "VmSize") or 0) - held
        yield Room(addresses - untouched, "what the limit of this shell leaves (ulimit -v)")


def _kilobytes(path: Path, name: str) -> int | None:
    """A line "name:   123 kB" of one of Linux's files, in bytes."""
    try:
        lines = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
        return 1024 * int(lines[name].split()[0])
    except (OSError, KeyError, ValueError, IndexError):
        return None


def _installed() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf, and others not every name
        return None


def _address_limit() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit


# -- whether it fits ----------------------------------------------------------------------------------------
def require_room(plan: Plan, stages: Sequence[Stage]) -> Need:
    """What the run takes, if that fits.

    Args:
        plan: of the run; one that says ``ignore_memory_limit`` always fits.
        stages: those that are to run.

    Raises:
        UserError: if it takes more than there is: how much, of what, who says how much there is, and the flags that
            lower it with what they lower it to.
    """
    need, there_is = need_of(plan, stages), room()
    if there_is is None or need.bytes <= there_is.bytes or plan.ignore_memory_limit:
        return need
    parts = ", ".join(
        f"{name} {size / GB:.2f}" for name, size in sorted(need.parts.items(), key=lambda part: -part[1]) if size > 5e6
    )
    lower = ", ".join(f"{flag} ({size / GB:.2f} GB)" for flag, size in lowering_flags(plan, stages, need))
    raise UserError(
        f"this run would take about {need} ({parts}), and {there_is.where} is {there_is.bytes / GB:.2f} GB; "
        + (f"lower it with {lower}, or " if lower else "")
        + "run it all the same with --ignore-memory-limit"
    )


def lowering_flags(plan: Plan, stages: Sequence[Stage], need: Need) -> list[tuple[str, float]]:
    """Flags that lower what a run takes by 2% at least, each with half of its setting's value in the stage at fault.

    Returns:
        The flag as it is typed, and what the run would take with it; the one that helps most is first.
    """
    found = []
    for name in LOWERING:
        changed = _halved(plan, stages, need.stage, name)
        if changed is None:
            continue
        value, smaller = changed
        size = need_of(smaller, stages).bytes
        if size < 0.98 * need.bytes:
            found.append((f"--{name.replace('_', '-')} {value}", size))
    return sorted(found, key=lambda flag: flag[1])


def _halved(plan: Plan, stages: Sequence[Stage], at_fault: str, name: str) -> tuple[int, Plan] | None:
    """Half of the setting's value, and the plan with it; None where it has no such setting or cannot change it."""
    preset, model = plan.preset, plan.preset.model
    if hasattr(model, name):
        value = getattr(model, name) // 2
        if plan.start_of(stages[0]) is not None or value < 1 or (name == "emb_dim" and value % model.num_heads):
            return None  # a run that goes on from a checkpoint has its sizes
        return value, dataclasses.replace(plan, preset=dataclasses.replace(preset, model=_with(model, name, value)))
    value = getattr(preset.of(at_fault), name, 0) // 2
    if value < 1:
        return None
    having = [stage.name for stage in stages if hasattr(preset.of(stage.name), name)]
    settings = {**preset.settings, **{stage: _with(preset.of(stage), name, value) for stage in having}}
    return value, dataclasses.replace(plan, preset=dataclasses.replace(preset, settings=settings))


def _with(config: Any, name: str, value: int) -> Any:
    return dataclasses.replace(config, **{name: value})
