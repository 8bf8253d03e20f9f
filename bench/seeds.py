"""One table of several runs that differ in their seed: each measure after its stage, run by run, in Markdown.

    for seed in 0 1 2; do python train.py --seed $seed --out runs/$seed; done
    python bench/seeds.py runs/0 runs/1 runs/2

A figure that holds for one seed may be luck; three say how far it moves when nothing but chance changes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from common import ROOT  # noqa: F401  puts the package on the path

from scratchgpt.errors import UserError
from scratchgpt.runs.report import Measure, load_results, number_text


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


def table(names: list[str], runs: list[dict[tuple[str, str], Measure]]) -> list[str]:
    """The lines of the table; a run that lacks a measure shows a dash and is left out of the mean."""
    lines = [
        f"| stage | measure | items | before | {' | '.join(names)} | mean |",
        "|---|---|" + "---:|" * (len(runs) + 3),
    ]
    for stage, measure in dict.fromkeys(key for run in runs for key in run):
        rows = [run.get((stage, measure)) for run in runs]
        known = [row for row in rows if row is not None]
        before, after = (_known(getattr(row, side) for row in known) for side in ("before", "after"))
        numbers = [_mean(before), *(number_text(row.after if row else None) for row in rows), _mean(after)]
        name = f"{measure} {known[0].arrow}".rstrip()
        lines.append(f"| {stage} | {name} | {known[0].items:,} | {' | '.join(numbers)} |")
    return lines


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: list[float]) -> str:
    return number_text(sum(values) / len(values) if values else None)


def main() -> None:
    """Read the runs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="the --out folders of the runs")
    folders = parser.parse_args().runs
    try:
        lines = table([folder.name for folder in folders], [measures_of(folder) for folder in folders])
    except UserError as error:
        parser.exit(2, f"error: {error}\n")
    print("\n".join([*lines, "", seconds_of_runs(folders)]))


if __name__ == "__main__":
    main()
