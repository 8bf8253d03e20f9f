"""The memory that a run says it will take against what it took: python -m bench.memory

Every shape is a run of `train.py` of a few steps in a process of its own, whose line "memory: about ..." is held
against the most that the process held (what `/usr/bin/time -v` calls maximum resident set size). Three of them are a
stage alone, on the checkpoints of the run of all five. What is off by more than a fifth ends the benchmark with code 1.
The kernels are compiled by a run before, which is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data"
TOLERANCE = 0.2
OWN = ("corpus-heldout", "sft-heldout", "rlvf-heldout")
"""Of the project's own data only a part is held out, so that measuring takes seconds."""
SHAPES: dict[str, str] = {
    "pretrain tiny, the project's data": "--stage pretrain --preset tiny --own-data",
    "pretrain mini": "--stage pretrain --preset mini",
    "pretrain, 8 layers of 512": "--stage pretrain --num-layers 8 --emb-dim 512 --num-heads 8",
    "pretrain, context 1024": "--stage pretrain --context-size 1024 --batch-size 8",
    "pretrain, vocabulary 16000": "--stage pretrain --vocab-size 16000 --own-data",
    "pretrain, batch 64, float32": "--stage pretrain --batch-size 64 --precision float32",
    "pretrain, characters, dropout": "--stage pretrain --tokenizer char --dropout 0.1 --context-size 512",
    "SFT mini, batch 96": "--stage sft --batch-size 96",
    "all five, mini": "--out {all}",
    "reward alone, batch 64": "--stage reward --out {all} --batch-size 64",
    "RLHF alone": "--stage rlhf --out {all}",
    "RLVF alone, float32": "--stage rlvf --out {all} --precision float32",
}
"""Each run's flags."""
SHORT = {
    "pretrain": "--pretrain.steps 3",
    "sft": "--sft.epochs 1",
    "reward": "--reward.epochs 0.1",
    "rlhf": "--rlhf.num-episodes 2 --rlhf.value-warmup 0 --rlhf.evaluate-every 5",
    "rlvf": "--rlvf.num-iterations 2 --rlvf.evaluate-every 5",
}
"""What makes a stage a few steps long."""
PARTS = {"sft": (600, 64), "reward": (600, 80), "rlvf": (400, 64)}
"""Records to train on and to measure on."""


def write_data(folder: Path) -> dict[str, Path]:
    """A part of the project's data, and the flags that name it."""
    flags: dict[str, Path] = {}
    for flag, source, characters in (
        ("corpus", "pretrain_data.txt", 300_000),
        ("corpus-heldout", "pretrain_heldout.txt", 20_000),
    ):
        flags[flag] = folder / source
        flags[flag].write_text((DATA / source).read_text(encoding="utf-8")[:characters], encoding="utf-8")
    for kind, counts in PARTS.items():
        for part, count in zip(("data", "heldout"), counts, strict=True):
            path = flags[f"{kind}-{part}"] = folder / f"{kind}_{part}.json"
            records = json.loads((DATA / path.name).read_text(encoding="utf-8"))
            path.write_text(json.dumps(records[:: len(records) // count][:count], ensure_ascii=False), "utf-8")
    return flags


def command(shape: str, folder: Path, data: dict[str, Path]) -> list[str]:
    """The whole command of a shape."""
    flags = shape.format(all=folder / "all").split()
    own = "--own-data" in flags
    flags = [flag for flag in flags if flag != "--own-data"]
    stage = flags[flags.index("--stage") + 1] if "--stage" in flags else None
    out = [] if "--out" in flags else ["--out", tempfile.mkdtemp(dir=folder)]
    named = [f"--{name}={path}" for name, path in data.items() if not own or name in OWN]
    short = " ".join(text for name, text in SHORT.items() if stage in (None, name)).split()
    return [sys.executable, str(ROOT / "train.py"), *flags, *out, *named, *short]


def run(argv: list[str]) -> tuple[float, float, str]:
    """Bytes said beforehand, bytes held at most, and the stage that takes them.

    Raises:
        RuntimeError: if the run failed or said nothing.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(argv, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    said = re.search(r"memory: about ([\d.]+) GB at the most, in (\w+)", text)
    if process.returncode or said is None:
        raise RuntimeError(f"{' '.join(argv)} ended with {process.returncode}:\n{text[-2000:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return 1e9 * float(said[1]), unit * usage.ru_maxrss, said[2]


def measured(names: list[str], folder: Path) -> Iterator[tuple[str, float, float, str]]:
    """Each shape's name, what was said and what was held, in bytes, and the stage."""
    data = write_data(folder)
    run(command("--preset tiny --vocab-size 400", folder, data))  # compiles what is not compiled yet
    run(command("--preset tiny --vocab-size 400 --precision float32", folder, data))
    for name in names:
        yield (name, *run(command(SHAPES[name], folder, data)))


def main() -> int:
    """Run the shapes, print the table; 1 if a prediction was off by more than a fifth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(SHAPES), choices=list(SHAPES), metavar="NAME")
    names = parser.parse_args().only
    if any("{all}" in SHAPES[name] for name in names) and "all five, mini" not in names:
        names = ["all five, mini", *names]
    table = Table("shape", "largest in", "said, MB", "took, MB", "said / took", box=box.SIMPLE, title="memory of a run")
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name, said, took, stage in measured(names, Path(folder)):
            worst = max(worst, abs(said / took - 1))
            row = (name, stage, f"{said / 1e6:.0f}", f"{took / 1e6:.0f}", f"{said / took:.2f}")
            table.add_row(*row)
            print("  ".join(row), file=sys.stderr, flush=True)
    Console(width=100).print(table)
    print(f"furthest off: {worst:.0%}; at most {TOLERANCE:.0%} are allowed")
    return int(worst > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
