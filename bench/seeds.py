"""One table of several runs that differ in their seed: each measure's mean and range over them, in Markdown.

    for seed in 0 1 2; do python train.py --seed $seed --out runs/$seed; done
    python bench/seeds.py runs/0 runs/1 runs/2

A figure that holds for one seed may be luck; the range says how far it moves when nothing but chance changes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from common import ROOT  # noqa: F401  puts the package on the path

from scratchgpt.errors import UserError
from scratchgpt.report import Measure, load_results


def measures_of(folder: Path) -> dict[tuple[str, str], Measure]:
    """The measures of a run's report by stage and name. Raises UserError if there are none."""
    found = {(m.stage, m.measure): m for result in load_results(folder) for m in result.measures}
    if not found:
        raise UserError(f"{folder}: no finished stage here; train with: python train.py --out {folder}")
    return found


def seconds_of_runs(folders: list[Path]) -> str:
    """How long all stages of each run took, and the largest and smallest of these times."""
    minutes = [sum(result.seconds for result in load_results(folder)) / 60 for folder in folders]
    return f"whole run: {', '.join(f'{m:.1f}' for m in minutes)} minutes"


def number(value: float) -> str:
    """Three significant digits or so, as the report writes them."""
    return f"{value:.4g}"


def over_runs(values: list[float | None]) -> str:
    """Mean and range of one measure."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    return f"{number(sum(known) / len(known))} ({number(min(known))} to {number(max(known))})"


def table(runs: list[dict[tuple[str, str], Measure]]) -> list[str]:
    """The lines of the table; a measure that a run lacks is left out of the mean."""
    lines = ["| stage | measure | items | before | after, mean (range) | change |", "|---|---|---:|---:|---:|---:|"]
    for key in dict.fromkeys(key for run in runs for key in run):
        rows = [run[key] for run in runs if key in run]
        before, after = [row.before for row in rows], [row.after for row in rows]
        changes = [b - a for a, b in zip(before, after, strict=True) if a is not None and b is not None]
        change = f"{sum(changes) / len(changes):+.4g}" if changes else "-"
        stage, measure = key
        lines.append(
            f"| {stage} | {measure} | {rows[0].items} | {over_runs(before)} | {over_runs(after)} | {change} |"
        )
    return lines


def main() -> None:
    """Read the runs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="the --out folders of the runs")
    folders = parser.parse_args().runs
    try:
        lines = table([measures_of(folder) for folder in folders])
    except UserError as error:
        parser.exit(2, f"error: {error}\n")
    print("\n".join([*lines, "", seconds_of_runs(folders)]))


if __name__ == "__main__":
    main()
