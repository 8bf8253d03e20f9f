"""What all benchmarks share: fair timing, the machine's description, a table and a JSON file.

A machine's speed drifts by a factor of two within an hour, so a time alone says little. Every figure here is
a ratio of two things measured in turn, a pair at a time; its median and the middle half of the pairs are shown.
A peer that brings its own thread pool runs in a process of its own, with the environment the user has.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from time import perf_counter
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if importlib.util.find_spec("scratchgpt") is None:
    sys.path.insert(0, str(ROOT))
USER_ENVIRONMENT = dict(os.environ)  # before scratchgpt.kernels adds what its own threads need

import numpy as np  # noqa: E402
from rich import box  # noqa: E402
from rich.table import Table  # noqa: E402


@dataclass
class Comparison:
    """Times of one piece of work done by us and by a peer, in pairs measured one right after the other.

    `work` names it in the JSON file, `label` in the table. `ours` and `theirs` hold seconds; `amount` is the
    work of one run in units of 1e9 `unit` (GFLOP for unit "GFLOP/s"), so that speeds can be shown as well.
    A ratio above 1 means that we are ahead."""

    work: str
    label: str
    peer: str
    amount: float = 1.0
    unit: str = "GFLOP/s"
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> np.ndarray:
        """Their time over ours, pair by pair."""
        return np.array(self.theirs) / np.array(self.ours)

    @property
    def ratio(self) -> float:
        """The median of the pairs' ratios."""
        return float(np.median(self.ratios))

    def speed(self, seconds: list[float]) -> float:
        """The median speed in `unit` of runs that took `seconds`."""
        return self.amount / float(np.median(seconds))

    def record(self) -> dict[str, Any]:
        """The comparison as one entry of the JSON file."""
        return {
            "work": self.work,
            "peer": self.peer,
            "ratio": round(self.ratio, 3),
            "ours": round(self.speed(self.ours), 3),
            "theirs": round(self.speed(self.theirs), 3),
            "unit": self.unit,
            "pairs": len(self.ratios),
        }


def seconds_of(run: Callable[[], Any]) -> float:
    """The time of one call."""
    start = perf_counter()
    run()
    return perf_counter() - start


def interleave(
    ours: Callable[[], float], theirs: Callable[[], float], comparison: Comparison, pairs: int, budget: float
) -> Comparison:
    """Fill in a comparison: after one warm-up each, `pairs` pairs of timed runs, ours and theirs in turn.

    `ours` and `theirs` run the work once and return its seconds. Slow work stops after `budget` seconds,
    but not before three pairs. Which of the two goes first alternates."""
    ours()
    theirs()
    start = perf_counter()
    while len(comparison.ours) < pairs and (len(comparison.ours) < 3 or perf_counter() - start < budget):
        if len(comparison.ours) % 2:
            comparison.theirs.append(theirs())
            comparison.ours.append(ours())
        else:
            comparison.ours.append(ours())
            comparison.theirs.append(theirs())
    return comparison


class PeerProcess:
    """A peer in a process of its own: this same benchmark file, started with `--serve NAME`.

    It reads one JSON request a line and answers with one JSON line; `serve` is the other end."""

    def __init__(self, script: str, name: str, threads: int) -> None:
        environment = {**USER_ENVIRONMENT, "OMP_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            [sys.executable, script, "--serve", name, "--threads", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def ask(self, **request: Any) -> Any:
        """Send a request and wait for the answer. Raises RuntimeError if the process has died."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the peer process ended with code {self.process.wait()}")
        return json.loads(answer)

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def serve(answer: Callable[..., Any]) -> None:
    """Answer requests of a `PeerProcess` until its end of the pipe is closed."""
    for line in sys.stdin:
        print(json.dumps(answer(**json.loads(line))), flush=True)


def importable(name: str) -> bool:
    """Whether the package is installed; nothing is imported."""
    return importlib.util.find_spec(name) is not None


def machine_line(threads: int, *packages: str) -> str:
    """One line on the CPU, the threads in use and the versions of Python, NumPy, Numba and `packages`."""
    cpu = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        names = [line.split(":", 1)[1].strip() for line in information.read_text().splitlines() if "model name" in line]
        cpu = names[0] if names else cpu
    versions = [f"Python {platform.python_version()}"]
    for package in ("numpy", "numba", *packages):
        versions.append(f"{package} {metadata.version(package) if importable(package) else '(not installed)'}")
    return f"{cpu}, {os.cpu_count()} CPUs, {threads} threads; {', '.join(versions)}"


def new_table(title: str, caption: str, *heads: str, texts: int = 1) -> Table:
    """An empty table in the style of all benchmarks; its first `texts` columns hold words, the others numbers."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.caption, table.caption_justify = caption, "left"
    for i, head in enumerate(heads):
        # The second column of words is the one that breaks lines where the terminal is narrow.
        table.add_column(head, justify="left" if i < texts else "right", no_wrap=i == 0 or i >= texts)
    return table


def comparison_table(title: str, comparisons: list[Comparison]) -> Table:
    """Work, peer, milliseconds and speed of both, the ratio's median and middle half."""
    unit = comparisons[0].unit
    fewest, most = min(len(c.ratios) for c in comparisons), max(len(c.ratios) for c in comparisons)
    pairs = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    caption = f"medians of {pairs} pairs measured in turn; middle half: quartiles of the pairs' ratios"
    heads = ("ours\nms", "theirs\nms", f"ours\n{unit}", f"theirs\n{unit}", "ratio", "middle\nhalf")
    table = new_table(title, caption, "work", "against", *heads, texts=2)
    previous = None
    for c in comparisons:
        low, high = np.percentile(c.ratios, [25, 75])
        if previous not in (None, c.label):
            table.add_section()
        table.add_row(
            "" if previous == c.label else c.label,
            c.peer,
            f"{1e3 * np.median(c.ours):.1f}",
            f"{1e3 * np.median(c.theirs):.1f}",
            f"{c.speed(c.ours):.0f}",
            f"{c.speed(c.theirs):.0f}",
            f"[bold]{c.ratio:.2f}[/bold]",
            f"{low:.2f}-{high:.2f}",
        )
        previous = c.label
    return table


def write_records(path: str | Path, records: list[dict[str, Any]]) -> None:
    """Write a list of records with the keys of `Comparison.record`."""
    Path(path).write_text(json.dumps(records, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_json(path: str | Path, comparisons: list[Comparison]) -> None:
    """Write the list of records that `Comparison.record` describes."""
    write_records(path, [c.record() for c in comparisons])
