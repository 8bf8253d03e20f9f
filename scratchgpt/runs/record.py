"""Whose run a folder holds: what every stage in it was made from, and whether a resumed run means the same.

<out>/run.json               what each stage was begun from: an unfinished state belongs to that
<out>/<stage>/result.json    what a finished stage was made from, in the same rename as its weights

A folder of an earlier version has neither; nothing can be compared there, and it is resumed as it is.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scratchgpt.errors import UserError
from scratchgpt.installation import typed
from scratchgpt.models.huggingface import WEIGHTS_FILE
from scratchgpt.runs.plan import Plan
from scratchgpt.runs.report import load_result, write_whole
from scratchgpt.stages import ALL
from scratchgpt.stages.run_folder import is_finished, partial_file, stage_directory
from scratchgpt.stages.stage import Stage

DATA_FORMAT = 1
"""How records become batches; raised whenever the same records and settings begin to give other batches."""
RECORD_FILE = "run.json"
FLAG_OF = {
    "documents": "--corpus",
    "dialogues": "--sft-data",
    "dialogues_mixed_in": "--mix",
    "spoken": "--sft-data",
    "pairs": "--reward-data",
    "measured_tasks": "--rlvf-data",
    "verifiable_tasks": "--rlvf-data",
}
"""The flag that names the data which a method of DataSources reads."""


@dataclass(frozen=True)
class Origin:
    """What a stage is made from, as far as JSON can say it.

    Attributes:
        seed: of everything that is random.
        data: of each kind of records the stage reads, the SHA-256 of what was read, held-out records included.
        settings: the stage's own, by name, and those of all stages: which model is kept, and when it stops early.
        new_model: kind of tokenizer and sizes of the model that are asked for where it is made from nothing.
        base: the SHA-256 of the weights that it starts from and of those that it needs; the key is the name of a stage
            of this folder, or the directory of another run's.
        data_format: ``DATA_FORMAT`` of the version that made it.
        mix: share of the project's own data in what is trained on.
    """

    seed: int
    data: dict[str, str]
    settings: dict[str, Any]
    new_model: dict[str, Any] = dataclasses.field(default_factory=dict)
    base: dict[str, str] = dataclasses.field(default_factory=dict)
    data_format: int = DATA_FORMAT
    mix: float = 0.0

    def difference(self, here: Origin) -> str:
        """The first thing beside the base that differs from another origin, in words; empty if nothing does."""
        pairs: list[tuple[str, Any, Any]] = [
            ("seed", self.seed, here.seed),
            ("the data format", self.data_format, here.data_format),
            ("mix", self.mix, here.mix),
        ]
        for there, now in ((self.new_model, here.new_model), (self.settings, here.settings)):
            # A setting that only one of two versions knows cannot be compared.
            pairs += [(name, there[name], now[name]) for name in there if name in now]
        for name, old, new in pairs:
            if old != new:
                return f"{name} is {old} there and {new} here"
        for kind, digest in self.data.items():
            if here.data.get(kind, digest) != digest:
                return f"the {kind} there are not those of {FLAG_OF.get(kind, 'the data')} here"
        return ""


def digest_of(records: Any) -> str:
    """The SHA-256 of whatever a method of DataSources read: of the content, wherever the file lies."""
    text = json.dumps(records, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def origin_of(plan: Plan, stage: Stage, data: Mapping[str, str]) -> Origin:
    """What the stage would be made from now.

    Args:
        plan: of the run.
        stage: its declaration.
        data: the digest of every kind of records of the run, by the name of the method that reads it.
    """
    start = plan.start_of(stage)
    settings = {**dataclasses.asdict(plan.preset.of(stage.name)), "keep": plan.keep, "early_stop": plan.early_stop}
    base = {need: _weights_digest(plan.out, need) for need in stage.needs if is_finished(plan.out, need)}
    if start is not None:
        source, name = start
        base[name if source == plan.out else str(stage_directory(source, name))] = _weights_digest(source, name)
    return _as_json_has_it(
        Origin(
            seed=plan.seed,
            data={read.__name__: data[read.__name__] for read in stage.reads},
            settings=settings,
            new_model={} if start else {"tokenizer": plan.tokenizer, **dataclasses.asdict(plan.preset.model)},
            base=base,
            mix=plan.data.mix,
        )
    )


def _as_json_has_it(origin: Origin) -> Origin:
    return _origin(json.loads(json.dumps(dataclasses.asdict(origin))))


def _origin(record: Mapping[str, Any]) -> Origin:
    known = {field.name for field in dataclasses.fields(Origin)}
    return Origin(**{name: value for name, value in record.items() if name in known})


def _weights_digest(out: Path, stage: str) -> str:
    path = stage_directory(out, stage) / WEIGHTS_FILE
    state = path.stat()
    return _file_digest(path, state.st_mtime_ns, state.st_size, state.st_ino)


@functools.lru_cache
def _file_digest(path: Path, *state: int) -> str:
    """The SHA-256 of a file, read again only where its state has changed."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- on disk ------------------------------------------------------------------------------------------------
def made_from(out: Path, stage: str) -> Origin | None:
    """What the finished stage was made from; None if it is not there or an earlier version made it.

    Raises:
        UserError: if its result is damaged.
    """
    if not is_finished(out, stage):
        return None
    result = load_result(out, stage)
    try:
        return _origin(result.origin) if result and result.origin else None
    except (TypeError, AttributeError) as error:
        raise UserError(f"{out}: the result of {stage} is damaged ({error}); run the stage again") from None


def begun_from(out: Path) -> dict[str, Origin]:
    """What each stage was begun from when it last began.

    Raises:
        UserError: if the record is damaged.
    """
    path = out / RECORD_FILE
    if not path.is_file():
        return {}
    try:
        begun = json.loads(path.read_text(encoding="utf-8"))["begun"]
        return {stage: _origin(record) for stage, record in begun.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path}: damaged record of the run ({error}); delete it, then nothing is compared") from None


def begin(out: Path, stage: str, origin: Origin) -> None:
    """Put down what a stage begins from, in one step.

    Raises:
        UserError: if the disk is full or may not be written, or if the record that is there is damaged.
    """
    _write(out, {**begun_from(out), stage: origin})


def _origin_there(out: Path, stage: str) -> Origin | None:
    """Of the stage's unfinished state, if there is one, else of its finished checkpoint; None if it is not known."""
    return begun_from(out).get(stage) if partial_file(out, stage).is_file() else made_from(out, stage)


def start_record(out: Path) -> bool:
    """Begin the record of a folder that has none.

    Returns:
        Whether an earlier version had left stages there, of which nothing is known.
    """
    if (out / RECORD_FILE).is_file():
        return False
    left = [stage for stage in ALL if is_finished(out, stage.name) or partial_file(out, stage.name).is_file()]
    _write(out, {})
    return bool(left)


def _write(out: Path, begun: Mapping[str, Origin]) -> None:
    record = {"begun": {stage: dataclasses.asdict(origin) for stage, origin in begun.items()}}
    write_whole(out / RECORD_FILE, json.dumps(record, ensure_ascii=False, indent=2) + "\n")


# -- what --resume may go on from ---------------------------------------------------------------------------
def check_resumable(plan: Plan, stage: Stage, here: Origin) -> None:
    """See that what there is of the stage is of the run that is meant.

    Args:
        plan: of the run that is resumed.
        stage: its declaration.
        here: what the stage would be made from now.

    Raises:
        UserError: if it is of another one, naming what differs; or if it would go on from a stage outside of the plan
            that is itself outdated.
    """
    there = _origin_there(plan.out, stage.name)
    if there is not None and (difference := there.difference(here)):
        keeps = is_finished(plan.out, stage.name) and len(plan.stages) > 1
        keep = f", or add --skip-{stage.name} to keep it" if keeps else ""
        raise UserError(
            f"{plan.out}: {stage.name} there is of another run: {difference}; "
            f"name another --out, or leave out --resume to train it anew{keep}"
        )
    for name in here.base:
        changed = outdated_by(plan.out, name) if name not in plan.stages and is_stage(name) else None
        if changed:
            raise UserError(
                f"{stage_directory(plan.out, name)}: was made from another {changed} than the one now in {plan.out}, "
                f"and {stage.name} goes on from it; make it anew with: {typed('train')} --stage {name} --out {plan.out}"
            )


def is_stage(name: str) -> bool:
    """Whether a stage has that name; else it is the directory of another run."""
    return any(stage.name == name for stage in ALL)


def outdated_by(out: Path, stage: str) -> str | None:
    """The stage whose checkpoint is another now than when the finished stage, or one of its bases, was made from it."""
    there = made_from(out, stage)
    for name, digest in (there.base if there else {}).items():
        if is_stage(name) and is_finished(out, name):
            if _weights_digest(out, name) != digest:
                return name
            if deeper := outdated_by(out, name):
                return deeper
    return None


def other_base(plan: Plan, stage: Stage, here: Origin) -> str | None:
    """What the stage's finished or unfinished state was not made from, but would be now; None if it is up to date.

    Args:
        plan: of the run that is resumed.
        stage: its declaration.
        here: what the stage would be made from now.
    """
    there = _origin_there(plan.out, stage.name)
    if there is None:
        return None
    for name, digest in here.base.items():
        # A base that the plan does not speak of may have come later, and the stage was not meant to start from it.
        meant = name in there.base or name in plan.stages or not is_stage(name)
        if meant and there.base.get(name) != digest:
            return name
    return None
