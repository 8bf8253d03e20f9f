"""Puts small faults into the code, one at a time, and lists those that the tests do not notice.

    python -m tests.mutants                                     # everything below; hours
    python -m tests.mutants scratchgpt/verify --sample 150      # some of a folder's or file's, chosen by --seed
    python -m tests.mutants scratchgpt/autograd --only "tensor.py unbroadcast"      # those of one function

A mutant runs against its module's own tests, then against the other test modules that import it (``choice.py``), each
in a process of its own; no file is changed. It is killed if one fails, or if it takes much longer than without it. Those
in ``equivalent.txt`` are not run and not counted: they cannot be told from the original, which a line there explains.
The exit status is 1 if a mutant survives, or if a line of that file no longer fits.

Code that Numba compiles is left out (``faults.py``), and so is what it calls while it compiles.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.choice import ROOT
from tests.mutants.faults import Mutant, mutants
from tests.mutants.running import Fate, fate_of

PATHS = ["scratchgpt/autograd", "scratchgpt/stages/policy_gradient.py", "scratchgpt/verify", "scratchgpt/kernels"]
EQUIVALENT = Path(__file__).with_name("equivalent.txt")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("paths", nargs="*", default=PATHS, help="files and folders of the package")
    parser.add_argument("--sample", type=int, help="this many of each path's mutants")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--jobs", type=int, default=1, help="how many at the same time")
    parser.add_argument("--only", default="", help="those whose name holds this text")
    parser.add_argument("--list", action="store_true", help="name them, run none")
    flags = parser.parse_args()
    explained = equivalents(EQUIVALENT.read_text(encoding="utf-8"))
    total: Counter[str] = Counter()
    rows = []
    for path in flags.paths:
        made = mutants_below(Path(path))
        total["stale"] += tell_stale(explained, Path(path), made)
        known = [mutant for mutant in made if mutant.key in explained]
        chosen = [mutant for mutant in made if mutant.key not in explained and flags.only in mutant.key]
        if flags.sample is not None and flags.sample < len(chosen):
            chosen = random.Random(flags.seed).sample(chosen, flags.sample)
        if flags.list:
            print(*(f"{mutant.line}: {mutant.key}" for mutant in chosen), sep="\n")
            continue
        counts = judge(chosen, flags.jobs)
        total += counts
        rows.append((path, len(made), len(known), len(chosen), counts))
    for path, made_count, equivalent, run, counts in rows:
        killed = counts["killed"] + counts["timeout"]
        share = f"{killed / run:.1%}" if run else "-"
        print(
            f"{path}: {made_count} mutants, {equivalent} equivalent; {run} run, {killed} killed ({share}), "
            f"{counts['timeout']} of them by the clock; {counts['survived']} survived"
        )
    return 1 if total["survived"] or total["stale"] else 0


def mutants_below(path: Path) -> list[Mutant]:
    """The mutants of a file, or of all files in a folder."""
    files = [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))
    found = []
    for file in (file.resolve() for file in files if file.name != "__init__.py"):
        found += mutants(file.read_text(encoding="utf-8"), file.relative_to(ROOT).as_posix())
    return found


def equivalents(text: str) -> dict[str, str]:
    """What ``equivalent.txt`` says: a mutant's key in a line, and why it makes no difference in the indented ones below."""
    found: dict[str, str] = {}
    key = ""
    for line in text.splitlines():
        if line.startswith(" "):
            found[key] = f"{found[key]} {line.strip()}".strip()
        elif line and not line.startswith("#"):
            key, found[line] = line, ""
    return found


def tell_stale(explained: dict[str, str], path: Path, made: list[Mutant]) -> int:
    """Say which lines about the files of a path fit no mutant any more, or explain nothing."""
    below = path.resolve().relative_to(ROOT).as_posix()
    keys = {mutant.key for mutant in made}
    about = [key for key in explained if key.startswith((f"{below}/", f"{below} "))]
    stale = [key for key in about if key not in keys or not explained[key]]
    for key in stale:
        print(f"{EQUIVALENT.name}: no such mutant, or no reason: {key}")
    return len(stale)


def judge(chosen: list[Mutant], jobs: int) -> Counter[str]:
    """Run mutants, and say which survive as soon as they have."""
    counts: Counter[str] = Counter()
    started = time.monotonic()
    with ThreadPoolExecutor(jobs) as pool:
        for number, (mutant, (fate, test)) in enumerate(zip(chosen, pool.map(fate_of, chosen), strict=True), 1):
            counts[fate.value] += 1
            if fate is Fate.SURVIVED:
                print(f"survived: {mutant.path}:{mutant.line}\n{mutant.key}", flush=True)
            elif fate is Fate.TIMEOUT:
                print(f"timeout in {test}: {mutant.key}", flush=True)
            if number % 10 == 0:
                so_far = f"{number} of {len(chosen)} in {time.monotonic() - started:.0f} s, {counts['survived']} survived"
                print(so_far, file=sys.stderr, flush=True)
    return counts


if __name__ == "__main__":
    sys.exit(main())
