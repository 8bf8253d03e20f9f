"""How the memory of attention, forward and backward, grows with T: ours, and the textbook's that keeps a matrix.

Each figure comes from a fresh process, since a process keeps freed memory for later: the most it held during forward
and backward, less what it held just before, when its libraries, its kernels and the input were there already.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from attention_sides import array_side
from common import PeerProcess, new_table
from rich.table import Table

SCRIPT = Path(__file__).with_name("attention.py")
"""What a process is started with."""
TIMES = (512, 1024, 2048, 4096, 8192)
LONGEST_TEXTBOOK = 4096
"""The longest T whose matrix is made."""
WARM_UP_TIME = 64
"""T of the run that loads every library and kernel."""
RESET = Path("/proc/self/clear_refs")
"""Where Linux takes the order to forget the highest point so far."""


def has_peak_memory() -> bool:
    """Whether this system says how much memory a process held at most, and can be told to forget it."""
    return RESET.exists()


class Growth:
    """Megabytes of both sides at every T, batch 1."""

    def __init__(self, heads: int, head_size: int, threads: int) -> None:
        self.heads, self.head_size, self.threads = heads, head_size, threads
        self.ours = {time: self.measure("ours", time) for time in TIMES}
        self.textbook = {time: self.measure("textbook", time) for time in TIMES if time <= LONGEST_TEXTBOOK}

    def measure(self, name: str, time: int) -> float:
        """What forward and backward of one side need."""
        process = PeerProcess(str(SCRIPT), f"memory-{name}", self.threads)
        try:
            return 1e-6 * process.ask(shape=(1, time, self.heads, self.head_size))
        finally:
            process.close()

    def matrix(self, time: int) -> float:
        """Megabytes of one (T, T) matrix a head."""
        return 4e-6 * self.heads * time**2

    def table(self) -> Table:
        """Both sides at every T, and by how much they grow."""
        times = "times the\nlast T's"
        columns = ("T", "ours\nMB", times, "KB a\nposition", "textbook\nMB", times, "theirs\n/ ours")
        caption = "most that a fresh process held during forward and backward, over the input it was given"
        title = f"memory, batch 1, {self.heads} heads of {self.head_size}"
        table = new_table(title, caption, *columns)
        for previous, time in pairwise((0, *TIMES)):
            cells = [f"{self.ours[time]:.1f}", f"{self.ours[time] / self.ours[previous]:.2f}" if previous else ""]
            cells.append(f"{1e3 * self.ours[time] / time:.1f}")
            if time in self.textbook:
                cells.append(f"{self.textbook[time]:.0f}")
                cells.append(f"{self.textbook[time] / self.textbook[previous]:.2f}" if previous else "")
                cells.append(f"[bold]{self.textbook[time] / self.ours[time]:.1f}[/bold]")
            table.add_row(str(time), *cells)
        return table

    def lesson(self) -> list[str]:
        """What a reader can take away from the table."""
        first, last, compared = TIMES[0], TIMES[-1], max(self.textbook)
        results = 4e-3 * (4 * self.heads * self.head_size + self.heads)
        doubling = self.textbook[compared] / self.textbook[compared // 2]
        return [
            f"From T {first} to {last}, {last // first} times as long, ours grows "
            f"{self.ours[last] / self.ours[first]:.1f} times: linear. A position costs "
            f"{1e3 * self.ours[last] / last:.1f} KB, {results:.1f} of them results (output, one logsumexp a head, the "
            "gradient of qkv); the rest are copies of K and V, and sums of dK and dV, of a thread's head.",
            f"The textbook's grows {doubling:.1f} times when T doubles, to {self.textbook[compared]:.0f} MB at T "
            f"{compared}: a matrix is {self.matrix(compared):.0f} MB, and backward needs its gradient beside it. At T "
            f"{last} one matrix would be {self.matrix(last):.0f} MB, for every sequence of a batch and every layer.",
        ]

    def records(self) -> list[dict[str, Any]]:
        """For the JSON file: megabytes against the textbook's, and our growth against a linear one."""
        records = []
        for time, theirs in self.textbook.items():
            record = {"work": f"attention memory T {time}", "peer": "textbook", "ratio": theirs / self.ours[time]}
            records.append({**record, "ours": self.ours[time], "theirs": theirs, "unit": "MB"})
        for previous, time in pairwise(TIMES):
            linear, growth = time / previous, self.ours[time] / self.ours[previous]
            record = {"work": f"attention memory growth T {previous} to {time}", "peer": "linear"}
            records.append({**record, "ratio": linear / growth, "ours": growth, "theirs": linear, "unit": "times"})
        return [{**r, **{key: round(r[key], 3) for key in ("ratio", "ours", "theirs")}, "pairs": 1} for r in records]


# -- in the other processes ---------------------------------------------------------------------------------
def _held_bytes(field: str) -> int:
    """Bytes this process holds (VmRSS) or held at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field + ":"))


def memory_worker(name: str, threads: int) -> Callable[..., int]:
    """Answers with the bytes that forward and backward of a side need at their highest point; good for one answer."""
    if name == "ours":
        from scratchgpt import kernels

        kernels.set_threads(threads)

    def answer(shape: list[int]) -> int:
        batch, time, heads, head_size = shape
        array_side(name, (batch, WARM_UP_TIME, heads, head_size)).once()
        side = array_side(name, (batch, time, heads, head_size))
        gc.collect()
        RESET.write_text("5")
        before = _held_bytes("VmRSS")
        side.once()
        return _held_bytes("VmHWM") - before

    return answer
