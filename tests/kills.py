"""Kills training runs at random moments and resumes them: each must end as if nothing had happened.

    python -m tests.kills --kills 100              # all five stages, compiled kernels, this machine's precision
    python -m tests.kills --seed 0 --trial 17      # one trial again: the same kills at the same changes of files

A trial is one run in a folder of its own: killed, resumed, killed again, until it comes to its end. Signals take turns,
SIGKILL, SIGTERM, SIGHUP, SIGINT; half of the kills come by the clock, half just before a change of some file (see
:mod:`tests.killed_at`). At the end weights, logs and report are compared with those of a run that nothing disturbed,
and nothing may be left over. What went wrong is said, and the trial's folder is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from scratchgpt.models.huggingface import WEIGHTS_FILE
from scratchgpt.stages import ALL
from scratchgpt.training.checkpoints import read_arrays

ROOT = Path(__file__).resolve().parent.parent
SIGNALS = [signal.Signals[name] for name in ("SIGKILL", "SIGTERM", "SIGHUP", "SIGINT")]
MOST_KILLS = 25
"""In one trial; then it is left alone to the end."""
SOON = 8
"""A kill at a change comes within the first of them: as many as an undisturbed run makes, divided by this."""
HANGS_AFTER, COMPILES_WITHIN = 600, 3600
"""Seconds after which a run that does not end hangs; and the first one, which may have kernels to compile."""
AHEAD = (0.1, 0.6, 0.2, 0.1)
"""How likely the clock's next kill comes while the program starts, where the run stands, one place on, two on."""

ANIMALS = "猫狗鸟鱼牛羊马兔鸡鸭"
SMALL = [
    *["--emb-dim", "32", "--num-heads", "2", "--num-layers", "2", "--context-size", "64", "--vocab-size", "300"],
    *["--batch-size", "8", "--evaluate-every", "5", "--lr", "0.01", "--warmup-steps", "2"],
]
PRETRAINING = [*SMALL, "--stage", "pretrain", "--steps", "12"]
ALL_STAGES = [
    *[*SMALL, "--pretrain.steps", "12", "--sft.epochs", "2", "--reward.epochs", "1", "--max-new-tokens", "8"],
    *["--rlhf.num-episodes", "5", "--rlhf.minibatch-size", "4", "--rlhf.value-warmup", "1", "--rlhf.lr", "0.001"],
    *["--rlvf.num-iterations", "5", "--rlvf.tasks-per-iteration", "4", "--rlvf.samples-per-task", "4"],
    *["--rlvf.lr", "0.001"],
]
"""A whole run in a few seconds, in which every stage has something to learn."""

SAID = ("note: the text is longer than", "compiling kernels", "stopped: ")
"""How the lines begin that a run may write to the standard error."""
NEVER_SAID = ("outdated", "another", "earlier version", "damaged", "missing", "cut off", "ruined", "diverged")
"""What a resumed run has no reason to say."""
TIMES = [
    (r"(\d+ min )?\d+ s\b", "TIME"),
    (r"(\d+ 分 )?\d+ 秒", "TIME"),
    (r"[\d,]+ (tokens per second|个词元)", "SPEED"),
    (r"(?m)\| [\d,]+ \|$", "| SECONDS |"),
]
"""How a report tells what no two runs have in common."""


def write_data(folder: Path) -> list[str]:
    """Write small data of all four kinds, as many answers right as wrong; returns the flags that name them."""
    counts = [(animal, 1 + (i + j) % 2) for i, animal in enumerate(ANIMALS) for j in range(8)]
    asked = [(f"有几只{animal}？", f"{count}。") for animal, count in counts]
    records: dict[str, list[dict[str, Any]]] = {
        "corpus": [{"text": f"{question}有{answer}我喜欢看它们，它们很快乐。"} for question, answer in asked],
        "sft-data": [
            {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}
            for question, answer in asked
        ],
        "reward-data": [{"prompt": question, "chosen": "1。", "rejected": "2。"} for question, _ in asked],
        "rlvf-data": [
            {"type": "math", "prompt": question, "expected_answer": answer[0]} for question, answer in asked[::2]
        ],
    }
    folder.mkdir(parents=True)
    flags = []
    for name, lines in records.items():
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
        flags += [f"--{name}", str(path)]
    return flags


# -- one run, killed or not --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kill:
    """When and how a run is ended.

    Attributes:
        signal: by which.
        event: just before which change of a file; None for a kill by the clock.
        place, seconds: by the clock, so long after the run has come to that place (:func:`place`) or beyond.
    """

    signal: signal.Signals
    event: int | None = None
    place: str = ""
    seconds: float = 0.0


@dataclass
class Ending:
    """How a run ended.

    Attributes:
        code: of its process, -N where signal N ended it.
        place: where the run stood when it was killed, or where it came to.
        killed: at which moment it was killed, in words; empty if it was not.
        outside: whether the program had not yet begun with the run or was done with it.
        out, err: what it said.
        spent: seconds by place.
    """

    code: int
    place: str
    killed: str
    outside: bool
    out: str
    err: str
    spent: dict[str, float] = field(default_factory=dict)


def place(trial: Path, stages: Sequence[str]) -> str:
    """Where the run in the trial's folder stands: ``start`` (nothing said yet), a stage, or ``report``."""
    if not (trial / "said").stat().st_size:
        return "start"
    for stage in ALL:
        finished = (trial / "out" / stage.directory / WEIGHTS_FILE).is_file()
        if stage.name in stages and (not finished or partial_file(trial, stage.directory).is_file()):
            return stage.name
    return "report"


def partial_file(trial: Path, directory: str) -> Path:
    """Where the unfinished state of the stage with that directory lies (or would lie)."""
    return trial / "out" / f"{directory}.partial.safetensors"


@dataclass
class Runs:
    """What is run, again and again.

    Attributes:
        folder: of the data and of the trials.
        flags: of every run.
        stages: those that it makes.
        spent: seconds that the undisturbed run spent at each place; changes: how many changes of files it made.
    """

    folder: Path
    flags: list[str]
    stages: list[str] = field(default_factory=lambda: [stage.name for stage in ALL])
    spent: dict[str, float] = field(default_factory=dict)
    changes: int = 0

    @property
    def places(self) -> list[str]:
        """In the order in which a run comes to them."""
        return ["start", *self.stages, "report"]

    def reference(self) -> Ending:
        """Make the run that nothing disturbs, twice if kernels had to be compiled.

        Raises:
            SystemExit: if it fails.
        """
        for name in ("reference", "reference-compiled"):
            trial = self.folder / name
            ending = self.run(trial, None, resume=False, eager=False)
            if ending.code:
                sys.exit(f"undisturbed, a run ends with {ending.code}: {ending.err}")
            self.spent, self.changes = ending.spent, int((trial / "counted").read_text())
            if "compiling" not in ending.err:
                break
            trial.rename(self.folder / "compiling")
        if name != "reference":
            trial.rename(self.folder / "reference")
            if different := differences(self.folder / "compiling", self.folder / "reference"):
                sys.exit(f"two undisturbed runs are not alike: {different}")
        return ending

    def run(self, trial: Path, kill: Kill | None, resume: bool, eager: bool) -> Ending:
        """Run it in the trial's folder, and kill it."""
        trial.mkdir(exist_ok=True)
        (trial / "tmp").mkdir(exist_ok=True)
        told = trial / "killed"
        told.unlink(missing_ok=True)
        at: dict[str, Any] = {"eager": eager, "told": str(told), "counted": str(trial / "counted")}
        if kill is not None and kill.event is not None:
            at |= {"event": kill.event, "signal": int(kill.signal)}
        environment = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
        environment |= {"TMPDIR": str(trial / "tmp"), "KILLED_AT": json.dumps(at)}
        environment["MPLCONFIGDIR"] = str(self.folder / "matplotlib")  # whatever fonts are listed elsewhere
        command = [sys.executable, "tests/killed_at.py", "train.py", *self.flags, "--out", str(trial / "out")]
        with (trial / "said").open("wb") as said, (trial / "complained").open("wb") as complained:
            process = subprocess.Popen(
                command + ["--resume"] * resume,
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=complained,
                preexec_fn=usual_signals,
            )
            try:
                ending = self._watched(process, trial, kill)
            finally:
                process.kill()  # where it is we who were interrupted
        if told.is_file():
            ending.killed = f"before {told.read_text(encoding='utf-8').replace(str(trial), '')}"
        texts = [(trial / name).read_text(encoding="utf-8", errors="replace") for name in ("said", "complained")]
        ending.out, ending.err = texts
        return ending

    def _watched(self, process: subprocess.Popen[bytes], trial: Path, kill: Kill | None) -> Ending:
        ending = Ending(0, "start", "", False, "", "")
        began = entered = time.monotonic()
        due = None if kill is None or kill.event is not None else kill
        reached: float | None = None
        while process.poll() is None:
            now, here = time.monotonic(), place(trial, self.stages)
            if here != ending.place:
                ending.spent[ending.place] = now - entered
                ending.place, entered = here, now
            if due and reached is None and self.places.index(here) >= self.places.index(due.place):
                reached = now
            if due and reached is not None and now - reached >= due.seconds:
                ending.outside = here == "start" or (here == "report" and not (trial / "out" / "run.lock").exists())
                ending.killed = f"{now - entered:.3f} s into {here}"
                process.send_signal(due.signal)
                due = None
            if now - began > (HANGS_AFTER if self.spent else COMPILES_WITHIN):
                process.kill()
                ending.killed += ", but it hangs"
            time.sleep(0.005)
        ending.code = process.wait()
        ending.spent[ending.place] = time.monotonic() - entered
        if not ending.killed:
            ending.place = place(trial, self.stages)
        return ending


def usual_signals() -> None:
    """A run started in the background, or under ``nohup``, would not hear all of them."""
    for number in SIGNALS[1:]:
        signal.signal(number, signal.SIG_DFL)


# -- what may be wrong with how it ended ---------------------------------------------------------------------------


def faults_of(ending: Ending, kill: Kill | None) -> Iterator[str]:
    """What is wrong with the exit code of a run and with what it said."""
    politely = kill is not None and kill.signal != signal.SIGKILL and bool(ending.killed)
    if not ending.killed:
        codes = {0}
    elif not politely:
        codes = {-signal.SIGKILL}
    else:
        assert kill is not None
        codes = {128 + kill.signal} | ({-kill.signal, 0} if ending.outside else set())
    if ending.code not in codes:
        yield f"exit code {ending.code}, not {' or '.join(map(str, sorted(codes)))}"
    if politely and not ending.outside and "stopped: " not in ending.err:
        yield "it does not say that it has stopped"
    for line in ending.err.splitlines():
        if line.strip() and not line.startswith(SAID):
            yield f"it complains: {line}"
            break
    for word in NEVER_SAID:
        if word in ending.out + ending.err:
            yield f"it speaks of {word!r}"


def steps_lost(trial: Path, stage: str, log_before: bytes) -> int:
    """How many of the steps that the killed run has put into the stage's log its saved state has not made."""
    directory = next(other.directory for other in ALL if other.name == stage)
    log, partial = trial / "out" / "logs" / f"{stage}.jsonl", partial_file(trial, directory)
    if not log.is_file() or log.read_bytes() == log_before:
        return 0
    records = [json.loads(line) for line in log.read_bytes().split(b"\n") if line]
    logged = max([record["step"] for record in records if record["kind"] == "step"], default=0)
    saved = int(read_arrays(partial)[1]["step"]) if partial.is_file() else 0
    return logged - saved


def differences(reference: Path, trial: Path) -> list[str]:
    """What is not the same in the folders of two runs that have come to their end, times apart."""
    there, here = content(reference / "out"), content(trial / "out")
    found = [f"{name} is missing" for name in there.keys() - here.keys()]
    found += [f"{name} is left over" for name in here.keys() - there.keys()]
    found += [f"{name} differs" for name in there.keys() & here.keys() if there[name] != here[name]]
    found += [f"{path.name} is left in the temporary folder" for path in (trial / "tmp").iterdir()]
    return sorted(found)


def content(out: Path) -> dict[str, Any]:
    """Every file below a folder by its name, without the times in it."""
    files = [path for path in out.rglob("*") if path.is_file()]
    return {str(path.relative_to(out)): without_times(path) for path in files}


def without_times(path: Path) -> Any:
    """What a file holds that must be the same in every run."""
    if path.suffix == ".json":
        return timeless(json.loads(path.read_text(encoding="utf-8")))
    if path.suffix == ".jsonl":
        lines = path.read_bytes().split(b"\n")
        return [timeless(json.loads(line)) if line else line for line in lines]
    if path.suffix in {".md", ".html"}:
        text = path.read_text(encoding="utf-8")
        for pattern, instead in TIMES:
            text = re.sub(pattern, instead, text)
        return text
    return path.read_bytes()


def timeless(value: Any) -> Any:
    """JSON without the entries that hold times."""
    if isinstance(value, dict):
        return {name: timeless(v) for name, v in value.items() if name not in {"seconds", "tokens_per_second"}}
    return [timeless(v) for v in value] if isinstance(value, list) else value


# -- trials ------------------------------------------------------------------------------------------------------


@dataclass
class Trial:
    """What became of a run that was killed until it came to its end.

    Attributes:
        kills: the signal, whether by the clock or at a change, and where the run stood.
        faults: what went wrong.
        runs: how often it was started.
    """

    kills: list[tuple[str, str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    runs: int = 0


def drawn(runs: Runs, rng: np.random.Generator, turn: int, here: str) -> Kill:
    """The next kill of a run that stands at a place."""
    number = SIGNALS[turn % len(SIGNALS)]
    if rng.integers(2):
        return Kill(number, event=int(rng.integers(1, 1 + runs.changes // SOON)))
    at = max(1, runs.places.index(here))
    near = [0, *(min(at + ahead, len(runs.places) - 1) for ahead in range(3))]
    where = runs.places[near[rng.choice(4, p=AHEAD)]]
    return Kill(number, place=where, seconds=rng.uniform(0, runs.spent.get(where, 1.0)))


def tried(runs: Runs, seed: int, number: int, most: int = MOST_KILLS) -> Trial:
    """Kill and resume one run until it comes to its end; its folder stays where something went wrong."""
    rng, trial, result = np.random.default_rng((seed, number)), runs.folder / f"trial-{number}", Trial()
    here = "start"
    while True:
        kill = drawn(runs, rng, number + len(result.kills), here) if len(result.kills) < most else None
        logs = {path.stem: path.read_bytes() for path in (trial / "out" / "logs").glob("*.jsonl")}
        ending = runs.run(trial, kill, resume=result.runs > 0, eager=bool(rng.integers(2)))
        result.runs += 1
        faults = list(faults_of(ending, kill))
        if ending.killed and kill is not None:
            result.kills.append((kill.signal.name, "change" if kill.event else "clock", ending.place))
            if kill.signal != signal.SIGKILL and ending.place in runs.stages:
                lost = steps_lost(trial, ending.place, logs.get(ending.place, b""))
                faults += [f"{lost} steps of {ending.place} are lost"] * bool(lost)
            here = ending.place
        if ending.code == 0:
            faults += differences(runs.folder / "reference", trial)
        moment = f"{kill.signal.name} {ending.killed}" if kill and ending.killed else "not killed"
        result.faults += [f"trial {number}, run {result.runs} ({moment}): {fault}" for fault in faults]
        if ending.code == 0 or result.faults:
            break
    if not result.faults:
        shutil.rmtree(trial)
    return result


def table(kills: Sequence[tuple[str, str, str]], places: Sequence[str]) -> str:
    """How often a run was killed by which signal, and where it stood."""
    counted = Counter((f"{name} {how}", where) for name, how, where in kills)
    rows = [f"{number.name} {how}" for number in SIGNALS for how in ("clock", "change")]
    lines = [["", *places, "together"]]
    for row in rows:
        numbers = [counted[row, where] for where in places]
        lines.append([row, *map(str, numbers), str(sum(numbers))])
    sums = [sum(counted[row, where] for row in rows) for where in places]
    lines.append(["together", *map(str, sums), str(sum(sums))])
    return "\n".join("  ".join([cells[0].ljust(14), *(cell.rjust(8) for cell in cells[1:])]) for cells in lines)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="kill training runs at random moments and resume them")
    parser.add_argument("--kills", type=int, default=100, help="at least so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trial", type=int, help="this one alone")
    flags = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    runs = Runs(folder, [*write_data(folder / "data"), *ALL_STAGES])
    undisturbed = runs.reference()
    print(
        f"{undisturbed.out.splitlines()[0]}; {sum(runs.spent.values()):.0f} s undisturbed, {runs.changes} changes",
        flush=True,
    )
    kills: list[tuple[str, str, str]] = []
    wrong, started, number = 0, 0, flags.trial or 0
    while len(kills) < flags.kills:
        trial = tried(runs, flags.seed, number)
        kills, started, wrong = kills + trial.kills, started + trial.runs, wrong + bool(trial.faults)
        print(
            f"trial {number}: {len(trial.kills)} kills, {len(trial.faults)} faults; {len(kills)} kills so far",
            flush=True,
        )
        for fault in trial.faults:
            print(f"    --seed {flags.seed} {fault}", flush=True)
        number += 1
        if flags.trial is not None:
            break
    print(table(kills, runs.places))
    print(f"{len(kills)} kills in {number - (flags.trial or 0)} trials, {started} runs: {wrong} trials went wrong")
    if wrong:
        print(f"their folders are kept in {folder}")
    else:
        shutil.rmtree(folder)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
