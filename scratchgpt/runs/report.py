"""The report of a run: what each stage measured before and after, curves, samples, time.

<out>/<stage>/result.json         what a stage hands over when it ends (:class:`StageResult`), beside its weights;
                                  earlier versions wrote <out>/logs/<stage>.result.json instead
<out>/report.md  report.json      the table of all stages, and everything around it
<out>/curves/<stage>.png          drawn by :mod:`scratchgpt.runs.curves`
"""

from __future__ import annotations

import dataclasses
import html
import importlib.metadata
import json
import math
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from scratchgpt import kernels
from scratchgpt.errors import UserError
from scratchgpt.files import replacing_file, write_text
from scratchgpt.stages import ALL
from scratchgpt.stages.run_folder import stage_directory
from scratchgpt.training.checkpoints import full_disk_is_a_user_error
from scratchgpt.training.history import History, read_history

RESULT_FILE = "result.json"
"""In the directory of a stage's checkpoint."""
LOWER_IS_BETTER = {"loss", "perplexity", "bits"}
"""A measure whose name holds one of these words should fall; any other should rise."""
WATCHED = {"kl", "length"}
"""A measure whose name holds one of these words has no better direction: it says at what cost the others moved."""
SHARES = {"accuracy", "rate", "right"}
"""A measure whose name holds one of these words is a share of its items."""
KINDS = {"warning": "Warning", "skipped": "Skipped", "stopped": "Stopped early", "turn": "Best step", "note": "Note"}
"""What the kinds of remarks are called."""
OTHER_THREADS = "Another number of threads adds in another order: the weights then differ in the last bits."
LIBRARIES = ("scratchgpt", "numpy", "numba", "llvmlite", "safetensors", "matplotlib")
"""The packages whose versions the report names."""


@dataclass(frozen=True)
class Measure:
    """One measure of a stage on held-out data.

    Attributes:
        stage: its name on the command line.
        measure: what was measured, in words.
        before, after: the values before and after the stage; None where there is nothing to measure.
        items: how many held-out items it is a mean over.
    """

    stage: str
    measure: str
    before: float | None
    after: float | None
    items: int

    @property
    def arrow(self) -> str:
        """The direction that is better: ↓ or ↑; empty where neither is."""
        words = set(re.findall("[a-z]+", self.measure.lower()))
        return "" if words & WATCHED else "↓" if words & LOWER_IS_BETTER else "↑"

    @property
    def ruined(self) -> bool:
        """Whether it ended so far from where it began, in the wrong direction, that the model is broken.

        A loss that rose by half and 0.5 more; a share that lost more than half of itself and more than three standard
        errors of its items; a score that fell by half and 1 more (a reward counts in standard deviations); whatever was
        finite and is no more.
        """
        if not self.arrow or not self.items or self.before is None or not math.isfinite(self.before):
            return False
        if self.after is None or not math.isfinite(self.after):
            return True
        fall = self.before - self.after
        if self.arrow == "↓":
            return -fall > 0.5 * abs(self.before) + 0.5
        if SHARES & set(re.findall("[a-z]+", self.measure.lower())):
            return fall > 0.5 * self.before and fall > 3 * math.sqrt(0.25 / self.items)
        return fall > 0.5 * abs(self.before) + 1


@dataclass(frozen=True)
class Sample:
    """What the model made of a prompt before and after a stage.

    Attributes:
        prompt: what was asked, or the beginning of a text.
        before, after: the answer, or how the text went on.
    """

    prompt: str
    before: str
    after: str


@dataclass(frozen=True)
class Turn:
    """Where a stage that had a better model on its way than in the end was best.

    Attributes:
        quantity: what was measured on held-out data, by its name in the log.
        step, value: of the best measurement.
        last_step, last_value: of the last one; the value is None where it is not finite.
        keep: which of the two models is the stage's checkpoint, "best" or "last".
    """

    quantity: str
    step: int
    value: float
    last_step: int
    last_value: float | None
    keep: str

    @property
    def beside(self) -> str:
        """Which of the two models is kept beside the checkpoint, in a directory of this name inside of it."""
        return "last" if self.keep == "best" else "best"

    def __str__(self) -> str:
        """What happened, in one line."""
        last = f"{number_text(self.last_value)} at step {self.last_step}, the last"
        return f"{self.quantity} was best at step {self.step}, {number_text(self.value)}, and is {last}"


@dataclass(frozen=True)
class StageResult:
    """What a finished stage hands to the report.

    Attributes:
        stage: its name on the command line.
        measures: of the stage, the most important first.
        samples: prompts with what the model wrote before and after.
        seconds: wall time of the stage, measuring included.
        tokens_per_second: of training alone.
        settings: the stage's hyperparameters by name.
        origin: what the stage was made from (:class:`scratchgpt.runs.record.Origin`); empty if that is not known.
        turn: where it was better than in the end, if it was.
    """

    stage: str
    measures: list[Measure]
    samples: list[Sample] = field(default_factory=list)
    seconds: float = 0.0
    tokens_per_second: float = 0.0
    settings: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict)
    turn: Turn | None = None


# -- on disk ------------------------------------------------------------------------------------------------
def save_result(directory: Path, result: StageResult) -> None:
    """Write ``result.json`` in one step; a value that is not finite becomes null.

    Args:
        directory: of the stage's checkpoint: weights and result appear together, or neither.
        result: of the stage.

    Raises:
        UserError: if the disk is full or may not be written; an older result is unchanged then.
    """
    write_whole(directory / RESULT_FILE, _json(dataclasses.asdict(result)))


def load_results(out: Path) -> list[StageResult]:
    """The results of the stages that have run, in the order of the stages.

    Raises:
        UserError: if one of the files is damaged.
    """
    found = (load_result(out, stage.name) for stage in ALL)
    return [result for result in found if result is not None]


def load_result(out: Path, stage: str) -> StageResult | None:
    """The result of the stage, or None if it has none.

    Raises:
        UserError: if the file is damaged.
    """
    of_earlier_versions = out / "logs" / f"{stage}.result.json"
    for path in (stage_directory(out, stage) / RESULT_FILE, of_earlier_versions):
        if path.is_file():
            return _read_result(path)
    return None


def _read_result(path: Path) -> StageResult:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        measures = [Measure(**measure) for measure in record.pop("measures")]
        samples = [Sample(**sample) for sample in record.pop("samples")]
        turn = Turn(**found) if (found := record.pop("turn", None)) else None
        return StageResult(measures=measures, samples=samples, turn=turn, **record)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path}: damaged result of a stage ({error}); delete it or run the stage again") from None


def _json(content: Any) -> str:
    return json.dumps(_finite(content), ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def _finite(content: Any) -> Any:
    """JSON has no infinity and no NaN: they become null."""
    if isinstance(content, dict):
        return {name: _finite(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def write_whole(path: Path, text: str) -> None:
    """Write a text file in one step: it is the old one or the new one, never half of one.

    Raises:
        UserError: if the disk is full or may not be written; the file is unchanged then.
    """
    with full_disk_is_a_user_error(path):
        write_text(path, text)


# -- the report ---------------------------------------------------------------------------------------------
def write_report(out: Path) -> None:
    """Write ``report.md``, ``report.json`` and the curves from all results and logs in ``out``.

    Raises:
        UserError: if a result or log is damaged, or the disk is full or may not be written.
    """
    results = measured_results(out)
    rows = [
        {
            "stage": measure.stage,
            "measure": measure.measure,
            "before": measure.before,
            "after": measure.after,
            "items": measure.items,
            "seconds": round(result.seconds, 1),
        }
        for result in results
        for measure in result.measures
    ]
    write_whole(out / "report.json", _json(rows))
    sections = []
    for result in results:
        history = stage_history(out, result.stage)
        sections.append(_section(result, _draw(out, result, history), history))
    write_whole(out / "report.md", _markdown(results, sections))


def measured_results(out: Path) -> list[StageResult]:
    """The results of the stages that have run, without the measures that the held-out data had no item for.

    Raises:
        UserError: if one of the files is damaged.
    """
    return [
        dataclasses.replace(result, measures=[measure for measure in result.measures if measure.items > 0])
        for result in load_results(out)
    ]


def stage_history(out: Path, stage: str) -> History:
    """What the stage's log tells; empty if it left none.

    Raises:
        UserError: if the log is damaged.
    """
    return read_history(out / "logs" / f"{stage}.jsonl")


class Remark(NamedTuple):
    """What is worth knowing of how a stage went.

    Attributes:
        kind: warning, skipped, stopped, turn or note.
        step: when; None if it is of no one step.
        text: one line.
    """

    kind: str
    step: int | None
    text: str


def remarks(result: StageResult, history: History) -> list[Remark]:
    """All that is worth knowing of how a stage went, beside its numbers: both reports show it."""
    found = [Remark("warning", w["step"], f"{w['sign']}: {w['text']}") for w in history.warnings]
    if history.skipped:
        numbers = ", ".join(str(record["step"]) for record in history.skipped)
        found.append(Remark("skipped", None, f"loss or gradient not finite: step {numbers}"))
    found += [Remark("stopped", record["step"], record["text"]) for record in history.stopped]
    if result.turn is not None:
        turn = result.turn
        kept = f"the checkpoint is the {turn.keep} one, in whose folder {turn.beside} is the {turn.beside} one"
        found.append(Remark("turn", turn.step, f"{turn}; {kept}"))
    return found + [Remark("note", None, note) for note in history.notes]


def _draw(out: Path, result: StageResult, history: History) -> str | None:
    """The path of the stage's curves, relative to ``out``; None if it left no log."""
    from scratchgpt.runs import curves  # here: Matplotlib takes a second to load, which chatting need not wait for

    if not history.steps and not history.evaluations:
        return None
    path = out / "curves" / f"{result.stage}.png"
    with full_disk_is_a_user_error(path), replacing_file(path) as fresh:
        curves.draw_curves(history, result.stage, fresh, result.turn.step if result.turn else None)
    return path.relative_to(out).as_posix()


def _markdown(results: Sequence[StageResult], sections: Sequence[list[str]]) -> str:
    total = sum(result.seconds for result in results)
    lines = [
        "# Report",
        "",
        "Every measure is taken on held-out data that no stage trains on, before and after the stage. "
        "↑ higher is better, ↓ lower is better; without an arrow, the cost at which the others moved.",
        "",
        *_table(
            ("stage", "measure", "before", "after", "items", "seconds"),
            [_row(measure, result.seconds) for result in results for measure in result.measures],
            numbers=4,
        ),
        "",
        f"Total time: {duration_text(total)}.",
        "",
        *_machine(),
    ]
    for section in sections:
        lines += section
    return "\n".join(lines) + "\n"


def _row(measure: Measure, seconds: float) -> tuple[str, ...]:
    named = f"{measure.measure} {measure.arrow}".strip()
    values = number_text(measure.before), number_text(measure.after)
    return measure.stage, named, *values, f"{measure.items:,}", f"{seconds:,.0f}"


def _section(result: StageResult, curves: str | None, history: History) -> list[str]:
    settings = ", ".join(f"{name} {setting_text(value)}" for name, value in result.settings.items())
    lines = ["", f"## {result.stage}", ""]
    lines += [f"{duration_text(result.seconds)}, {result.tokens_per_second:,.0f} tokens per second in training.", ""]
    if settings:
        lines += [f"Settings: {settings}.", ""]
    if told := [_remark(remark) for remark in remarks(result, history)]:
        lines += [*told, ""]
    if curves:
        lines += [f"![curves of {result.stage}]({curves})", ""]
    if result.samples:
        rows = [(sample.prompt, sample.before, sample.after) for sample in result.samples]
        lines += _table(("prompt", "before", "after"), rows)
    return lines


def _remark(remark: Remark) -> str:
    place = "" if remark.step is None else f", step {remark.step}"
    return f"- **{KINDS[remark.kind]}**{place}: {remark.text}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 0) -> list[str]:
    """Lines of a Markdown table; the last ``numbers`` columns are set to the right."""
    marks = ["---"] * (len(header) - numbers) + ["---:"] * numbers
    return ["| " + " | ".join(map(_cell, row)) + " |" for row in (header, marks, *rows)]


def _cell(text: str) -> str:
    """The text as it stands, inside a table: nothing in it is markup."""
    escaped = re.sub(r"([\\`*_|\[\]~])", r"\\\1", html.escape(text, quote=False))
    return "<br>".join(escaped.splitlines())


def _machine() -> list[str]:
    return [f"Machine: {machine()}. {OTHER_THREADS}", "", f"Versions: {', '.join(versions())}."]


def machine() -> str:
    """What the run was made on: the processor, threads, system, kernels."""
    threads = "1 thread" if kernels.num_threads() == 1 else f"{kernels.num_threads()} threads"
    return f"{cpu_name()}, {threads}, {platform.system()}, kernels: {kernels.backend()}"


def versions() -> list[str]:
    """The names and versions of Python and of the packages that matter."""
    found = [f"Python {platform.python_version()}"]
    for library in LIBRARIES:
        try:
            found.append(f"{library} {importlib.metadata.version(library)}")
        except importlib.metadata.PackageNotFoundError:  # run from the source folder without being installed
            continue
    return found


def cpu_name() -> str:
    """The processor's name as the system tells it, or its architecture."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def number_text(value: float | None) -> str:
    """A measured value in four digits; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def setting_text(value: Any) -> str:
    """The value of a setting, a number as short as it is."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def duration_text(seconds: float) -> str:
    """75.2 -> "1 min 15 s"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
