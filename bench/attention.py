"""How fast is causal attention, forward and back, how much memory does it need, and what makes the difference?

    python bench/attention.py [--json FILE] [--threads N] [--pairs N] [--times 64 256 1024] [--heads 4 --head-size 64]

Our kernel, float32, is measured against three others on the same input with the same threads:
  torch      torch.nn.functional.scaled_dot_product_attention, if torch is installed, in its own process;
  reference  the kernel's NumPy reference, which computes the probabilities again in backward;
  textbook   NumPy as attention is taught: it keeps the (T, T) matrix of probabilities for backward.
A run is forward and then backward, as in training; both are timed, and all sides' results are compared. Three tables
follow: time, where the time goes, memory; under each what it shows, from the figures just measured.

GFLOP/s counts what the mathematics needs: 4 D a visible pair of query and key forward (scores and weighted sum)
and 8 D back. What a side computes twice, or computes and hides, is its own affair.
The peak is the fastest large square float32 product seen in the same run, our kernel's or NumPy's.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
from attention_memory import Growth, has_peak_memory, memory_worker
from attention_sides import PASSES_OF_TEXTBOOK, Shape, Side, TorchSide, array_side, torch_worker
from common import (
    Comparison,
    PeerProcess,
    importable,
    interleave,
    machine_line,
    new_table,
    seconds_of,
    serve,
    write_records,
)
from rich.console import Console
from rich.table import Table

BATCHES = {64: 64, 128: 32, 256: 16, 512: 8, 1024: 4, 2048: 2, 4096: 1}
PARTS = ("forward", "backward", "forward+backward")
BREAKDOWN_TIME = 1024
"""The time of the measured input nearest to this T is taken apart."""
NUMPY_SECONDS = 3.0
"""Seconds after which the comparison with a NumPy side ends (not before three pairs)."""
TOLERANCE = 1e-4
"""Difference of two sides' results, relative to the largest element, above which they cannot compute the same."""


def visible_pairs(time: int) -> float:
    """Pairs of a query and a key that it may see, for one head."""
    return time * (time + 1) / 2


def gflop(shape: Shape) -> tuple[float, float, float]:
    """Work of forward, backward and both."""
    batch, time, heads, head_size = shape
    pairs = 1e-9 * batch * heads * head_size * visible_pairs(time)
    return 4 * pairs, 8 * pairs, 12 * pairs


class Measured:
    """All comparisons on one input: `comparisons[part, peer]`, and the largest difference of the results."""

    def __init__(self, shape: Shape, torch: PeerProcess | None, pairs: int) -> None:
        self.shape, self.difference = shape, 0.0
        self.comparisons: dict[tuple[str, str], Comparison] = {}
        if torch is not None:
            self.compare(TorchSide(torch, shape), pairs, math.inf)
        for name in ("reference", "textbook"):
            self.compare(array_side(name, shape), pairs, NUMPY_SECONDS)

    def compare(self, peer: Side, pairs: int, budget: float) -> None:
        """Our side and `peer` in turn. Raises RuntimeError if their results differ."""
        ours = array_side("ours", self.shape)
        interleave(ours.run, peer.run, Comparison("", "", ""), pairs, budget)
        for mine, theirs in zip(ours.samples(), peer.samples(), strict=True):
            difference = float(np.abs(mine - theirs).max() / np.abs(theirs).max())
            if not difference < TOLERANCE:
                raise RuntimeError(f"attention at T {self.shape[1]}: our results and those of {peer.name} differ")
            self.difference = max(self.difference, difference)
        # The first run of each only warms up.
        seconds = [np.array(side.seconds[1:]) for side in (ours, peer)]
        seconds = [np.column_stack((both, both.sum(axis=1))) for both in seconds]
        for i, (part, amount) in enumerate(zip(PARTS, gflop(self.shape), strict=True)):
            comparison = Comparison(f"attention {part} T {self.shape[1]}", part, peer.name, amount)
            comparison.ours, comparison.theirs = (list(both[:, i]) for both in seconds)
            self.comparisons[part, peer.name] = comparison

    def our_seconds(self, part: str) -> float:
        """The median of our runs, whoever the peer was."""
        runs = [c.ours for (name, _), c in self.comparisons.items() if name == part]
        return float(np.median(np.concatenate(runs)))

    def speed(self, part: str) -> float:
        """Our GFLOP/s."""
        return gflop(self.shape)[PARTS.index(part)] / self.our_seconds(part)


class Peak:
    """The best GFLOP/s that our matrix product and NumPy's have shown."""

    def __init__(self) -> None:
        self.rates = {"ours": 0.0, "NumPy": 0.0}

    def measure(self) -> None:
        """Try both again: the machine's speed moves."""
        from scratchgpt import kernels

        size = 1024
        a, b = np.random.default_rng(0).standard_normal((2, size, size), np.float32)
        for name, product in (("ours", lambda: kernels.matmul(a, b)), ("NumPy", lambda: a @ b)):
            fastest = min(seconds_of(product) for _ in range(10))
            self.rates[name] = max(self.rates[name], 2e-9 * size**3 / fastest)

    @property
    def best(self) -> float:
        """The machine's peak."""
        return max(self.rates.values())


def time_table(measured: list[Measured], peak: Peak) -> Table:
    """Our time and speed at every T, and how many times as long the others take."""
    heads, head_size = measured[0].shape[2:]
    peers = list(dict.fromkeys(peer for _, peer in measured[0].comparisons))
    counts = {peer: [len(m.comparisons[PARTS[0], peer].ours) for m in measured] for peer in peers}
    pairs = ", ".join(f"{peer} {' to '.join(map(str, sorted({min(n), max(n)})))}" for peer, n in counts.items())
    rates = ", ".join(f"{name} {rate:.0f}" for name, rate in peak.rates.items())
    caption = (
        f"against: their time / ours, median of pairs measured in turn ({pairs}); middle half: quartiles. Peak "
        f"{peak.best:.0f} GFLOP/s ({rates}). The sides' results differ by at most "
        f"{max(m.difference for m in measured):.0e} of the largest element"
    )
    columns = [f"against\n{peers[0]}", "middle\nhalf", *(f"against\n{peer}" for peer in peers[1:])]
    title = f"causal attention, batch x T, {heads} heads of {head_size}, float32 (ratio > 1: we lead)"
    table = new_table(title, caption, "work", "ours\nms", "ours\nGFLOP/s", "% of\npeak", *columns)
    for m in measured:
        for part in PARTS:
            speed = m.speed(part)
            cells = f"{1e3 * m.our_seconds(part):.1f}", f"{speed:.0f}", f"{100 * speed / peak.best:.0f}"
            ratios = [f"[bold]{m.comparisons[part, peer].ratio:.2f}[/bold]" for peer in peers]
            low, high = np.percentile(m.comparisons[part, peers[0]].ratios, [25, 75])
            label = f"{m.shape[0]}x{m.shape[1]} {'both' if part == PARTS[2] else part}"
            table.add_row(label, *cells, ratios[0], f"{low:.2f}-{high:.2f}", *ratios[1:])
        table.add_section()
    return table


def time_lesson(measured: list[Measured], peak: Peak) -> list[str]:
    """Online softmax, recomputing, hidden blocks, and what keeps us from the peak."""
    from attention_pieces import visited_pairs

    first, last = measured[0], measured[-1]
    batch, time, heads, _ = last.shape
    queries = batch * heads * time
    matrix = 4e-6 * queries * time
    forward, backward = (last.comparisons[part, "textbook"] for part in PARTS[:2])
    their_seconds = float(np.median(forward.theirs))
    executed = last.speed(PARTS[2]) * 14 / 12 * visited_pairs(time) / visible_pairs(time)
    visited = [f"{100 * visited_pairs(m.shape[1]) / m.shape[1] ** 2:.0f}% at T {m.shape[1]}" for m in (first, last)]
    intensity = [f"{(m.shape[1] + 1) / 8:.0f} at T {m.shape[1]}" for m in (first, last)]
    shares = [f"{100 * m.speed(PARTS[0]) / peak.best:.0f}%" for m in (first, last)]
    return [
        f"Online softmax. At T {time} the textbook's matrix is {matrix:.0f} MB, and forward reads or writes it about "
        f"{PASSES_OF_TEXTBOOK} times: {1e-3 * PASSES_OF_TEXTBOOK * matrix:.1f} GB in {their_seconds:.2f} s. A softmax "
        "needs the row's maximum and sum, which seems to ask for the whole row first. Keep both as they are so far, "
        "shrink what was summed when a larger score turns up, and one pass over the keys in small blocks is enough: "
        f"no matrix, {forward.ratio:.1f} times as fast.",
        f"Recomputing. For backward the textbook keeps those {matrix:.0f} MB. We keep one number a query, "
        f"{4e-6 * queries:.2f} MB, and compute each block of probabilities again: 10 D operations a pair instead of "
        f"8 D, and still {backward.ratio:.1f} times as fast.",
        f"Causality. Blocks of keys that come after all their queries are never visited. We compute {visited[0]} and "
        f"{visited[1]}, more than half since blocks on the diagonal are computed whole; the textbook 100%.",
        f"Length. Forward does 2 C (T + 1) operations a position on 16 C bytes of q, k, v and output: {intensity[0]}, "
        f"{intensity[1]} a byte. Short sequences wait for memory: {shares[0]} of the peak against "
        f"{shares[1]}.",
        f"The limit. Counting what is computed twice or hidden, forward and backward together do {executed:.0f} "
        f"GFLOP/s at T {time}, {100 * executed / peak.best:.0f}% of the peak: matrix products set the pace, as the "
        "next table shows.",
    ]


def show(console: Console, table: Table, lesson: list[str]) -> None:
    """Print a table and what it shows."""
    console.print(table)
    for line in lesson:
        console.print(f"- {line}", highlight=False)
    console.print()


def main() -> None:
    """Measure and print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="also write the figures to FILE")
    parser.add_argument("--threads", type=int, help="threads for us and for every peer (default: all)")
    parser.add_argument("--pairs", type=int, default=11, help="measured pairs a comparison (default: 11)")
    parser.add_argument("--times", type=int, nargs="+", default=[64, 256, 512, 1024, 2048, 4096], metavar="T")
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--head-size", type=int, default=64)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.serve:
        name = flags.serve
        serve(torch_worker(flags.threads) if name == "torch" else memory_worker(name.split("-")[1], flags.threads))
        return
    from attention_pieces import Breakdown

    from scratchgpt import kernels

    if flags.threads:
        kernels.set_threads(flags.threads)
    threads = kernels.num_threads()
    console = Console()
    console.print(machine_line(threads, "torch"), highlight=False, soft_wrap=True)
    torch = PeerProcess(__file__, "torch", threads) if importable("torch") else None
    peak, measured = Peak(), []
    with console.status("measuring"):
        for time in sorted(flags.times):
            peak.measure()
            shape = (BATCHES.get(time, max(1, 4096 // time)), time, flags.heads, flags.head_size)
            measured.append(Measured(shape, torch, flags.pairs))
    if torch is not None:
        torch.close()
    show(console, time_table(measured, peak), time_lesson(measured, peak))

    breakdown = Breakdown(min((m.shape for m in measured), key=lambda shape: abs(shape[1] - BREAKDOWN_TIME)))
    show(console, breakdown.table(), breakdown.lesson())
    records = [c.record() for m in measured for c in m.comparisons.values()]
    if has_peak_memory():
        growth = Growth(flags.heads, flags.head_size, threads)
        show(console, growth.table(), growth.lesson())
        records += growth.records()
    else:
        console.print("memory: left out, it is read from /proc, which this system does not have")
    if flags.json:
        write_records(flags.json, records)


if __name__ == "__main__":
    main()
