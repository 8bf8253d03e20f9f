"""Does our engine learn what PyTorch learns? One pretraining twice, on the same weights and the same tokens.

    python bench/pretrain_parity.py [--side both] [--preset mini] [--steps N] [--precision float32] [--out FOLDER]

Our side is the pretraining stage as `train.py` runs it. The other is the `GPT2LMHeadModel` of `transformers`, which
reads the checkpoint that our model saves before its first step, under PyTorch's AdamW and gradient clipping, eager,
in float32. Batches, learning rates and the held-out text are the stage's own. Both write the loss of every step and the
held-out bits per character to FOLDER/ours.json and FOLDER/torch.json, so that each may run apart (`--side`) and
whichever comes last compares; one that was stopped goes on from its last saved state. Exit status 1: they differ by
more than they may.

Training is chaotic: once the learning rate is up, a difference of one rounding grows e-fold every seven steps or so
until the curves are as far apart as those of two equally good runs. So it is not the weights that are compared but what
counts, the loss curve and bits per character of the held-out text. How near two runs can be at all is seen with
`--nudge N` (N = 0, 1, ...): a side once more, every weight that it starts from moved to a float beside it.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import math
import sys
import tempfile
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from common import machine_line, new_table
from rich.console import Console
from rich.table import Table
from torch_gpt import optimizer_of, train_step
from transformers import GPT2LMHeadModel
from transformers.utils import logging as transformers_logging

from scratchgpt import kernels
from scratchgpt.datasets.batches import encode_documents, heldout_windows
from scratchgpt.datasets.sources import DataSources
from scratchgpt.errors import UserError
from scratchgpt.evaluation.measures import EVALUATION_BATCH
from scratchgpt.nn.modules import Module
from scratchgpt.nn.schedules import cosine_schedule
from scratchgpt.runs.pipeline import set_up
from scratchgpt.runs.plan import Plan
from scratchgpt.stages.presets import get_preset
from scratchgpt.stages.pretrain import PRETRAIN, Pretrainer
from scratchgpt.training.state import load_state, save_state

ROWS = 10
"""Rows of the table on the way."""
SAVE_EVERY = 20
"""Steps between two saved states."""


@dataclass(frozen=True)
class Bounds:
    """By how much the sides may differ.

    Attributes:
        nats: in the training loss of any step.
        percent: in the held-out bits per character.
    """

    nats: float
    percent: float


BOUNDS = {"float32": Bounds(nats=1e-2, percent=0.2), "bf16": Bounds(nats=1e-1, percent=1.0)}
"""By the precision of our side; PyTorch's is float32 in either case."""


@dataclass(frozen=True)
class Curve:
    """What one side has learned.

    Attributes:
        origin: what the sides must have in common: settings, and hashes of the first weights and of all batches.
        losses: mean training loss of every step, nats a token.
        bits_per_character: of the held-out text, after the last step.
        how: the machine, threads and precision, for the reader.
    """

    origin: dict[str, str]
    losses: list[float]
    bits_per_character: float
    how: str

    @classmethod
    def load(cls, path: Path) -> Curve:
        """Read what :meth:`save` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def save(self, path: Path) -> None:
        """Write a JSON file."""
        path.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n", encoding="utf-8")


class LossOf(torch.nn.Module):
    """A model of `transformers` as `torch_gpt.train_step` calls one: ids and targets in, the mean loss out."""

    def __init__(self, model: GPT2LMHeadModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """input_ids and targets (B, T) -> the mean loss"""
        logits = self.model(input_ids, use_cache=False).logits
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.reshape(-1))


def move_to_neighbours(model: Module, rng: np.random.Generator) -> None:
    """Let every weight be the next float above or below it."""
    for parameter in model.parameters():
        towards = rng.choice(np.array([-np.inf, np.inf], parameter.dtype), parameter.shape)
        parameter.data[...] = np.nextafter(parameter.data, towards)


class Side(ABC):
    """One of the two that learn.

    Args:
        trainer: the pretraining stage, before its first step.
        nudge: None, or the seed by which its first weights are moved.
    """

    def __init__(self, trainer: Pretrainer, nudge: int | None) -> None:
        self.trainer = trainer
        trainer.fingerprint = json.dumps(origin_of(trainer))
        if nudge is not None:
            move_to_neighbours(trainer.model, np.random.default_rng(nudge))

    @abstractmethod
    def loss_of_step(self, index: int) -> float:
        """Make the step of that number; its loss."""

    @abstractmethod
    def bits_per_character(self) -> float:
        """Of the held-out text."""

    @abstractmethod
    def save(self, path: Path, done: int) -> None:
        """Write what it needs to go on after so many steps."""

    @abstractmethod
    def load(self, path: Path) -> int:
        """Take up where `save` left off; how many steps that was after. Raises UserError for another run's state."""


class OurSide(Side):
    """The stage itself."""

    def loss_of_step(self, index: int) -> float:
        return self.trainer.step(index)["loss"]

    def bits_per_character(self) -> float:
        return self.trainer.evaluate()["bits_per_character"]

    def save(self, path: Path, done: int) -> None:
        save_state(self.trainer, path, done)

    def load(self, path: Path) -> int:
        return load_state(self.trainer, path)


class TorchSide(Side):
    """The stage with its model, optimizer and arithmetic replaced by PyTorch's."""

    def __init__(self, trainer: Pretrainer, nudge: int | None) -> None:
        super().__init__(trainer, nudge)
        with tempfile.TemporaryDirectory() as folder:
            trainer.model.save_pretrained(Path(folder))
            self.model = LossOf(GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32))
        self.model.train()
        self.optimizer = optimizer_of(self.model, trainer.settings.lr, trainer.settings.weight_decay)

    def loss_of_step(self, index: int) -> float:
        settings = self.trainer.settings
        lr = cosine_schedule(index, self.trainer.total_steps, settings.lr, settings.warmup_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        batch = self.trainer.batches.batch(index)
        ids, targets = torch.from_numpy(batch.input_ids).long(), torch.from_numpy(batch.targets).long()
        return train_step(self.model, self.optimizer, ids, targets, "float32", settings.max_grad_norm)

    @torch.no_grad()
    def bits_per_character(self) -> float:
        self.model.eval()
        trainer = self.trainer
        stream = encode_documents(trainer.heldout, trainer.tokenizer)
        nats = 0.0
        for batch in heldout_windows(stream, trainer.model.config.context_size, EVALUATION_BATCH):
            targets = torch.from_numpy(batch.targets).long()
            mean = self.model(torch.from_numpy(batch.input_ids).long(), targets)
            nats += mean.item() * int((targets >= 0).sum())
        return nats / math.log(2) / sum(map(len, trainer.heldout))

    def save(self, path: Path, done: int) -> None:
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        half_written = path.with_suffix(".new")
        torch.save({**state, "done": done, "origin": self.trainer.fingerprint}, half_written)
        half_written.replace(path)

    def load(self, path: Path) -> int:
        state = torch.load(path, weights_only=True)
        if state["origin"] != self.trainer.fingerprint:
            raise UserError(f"{path}: of another run; give another --out, or remove it")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        return state["done"]


SIDES = {"ours": OurSide, "torch": TorchSide}


def pretrainer(preset_name: str, steps: int | None, corpus: Path | None, seed: int, console: Console) -> Pretrainer:
    """The pretraining stage of a preset as a run sets it up; `steps` in place of the preset's own if it is given.

    Raises UserError if the preset cannot be compared."""
    preset = get_preset(preset_name)
    settings = dataclasses.replace(preset.of("pretrain"), steps=steps)
    if preset.model.dropout or settings.beta2 != 0.95:
        raise UserError(f"preset {preset_name}: both sides run without dropout and with a beta2 of 0.95")
    preset = dataclasses.replace(preset, settings={**preset.settings, "pretrain": settings})
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(("pretrain",), preset, Path(folder), data=DataSources(corpus=corpus, seed=seed))
        trainer = set_up(PRETRAIN, plan, console).trainer
    assert isinstance(trainer, Pretrainer)
    return trainer


def origin_of(trainer: Pretrainer) -> dict[str, str]:
    """What the sides must have in common, taken before the first step."""
    weights, batches = hashlib.sha256(), hashlib.sha256()
    for name, array in sorted(trainer.model.state_dict().items()):
        weights.update(name.encode() + array.tobytes())
    for index in range(trainer.total_steps):
        batch = trainer.batches.batch(index)
        batches.update(batch.input_ids.tobytes() + batch.targets.tobytes())
    settings = f"{trainer.settings}, seed {trainer.seed}"
    return {"settings": settings, "weights": weights.hexdigest(), "batches": batches.hexdigest()}


def learn(side: Side, file: Path, how: str, console: Console) -> None:
    """Make all steps of one side, or those that are left, measure, and write its curve."""
    total, state, so_far = side.trainer.total_steps, file.with_suffix(".partial"), file.with_suffix(".losses")
    losses: list[float] = []
    if state.is_file():
        done = side.load(state)
        losses = json.loads(so_far.read_text(encoding="utf-8"))[:done]
        console.print(f"  goes on after step {done}", highlight=False)
    while len(losses) < total:
        losses.append(side.loss_of_step(len(losses)))
        if len(losses) % SAVE_EVERY == 0:
            so_far.write_text(json.dumps(losses), encoding="utf-8")  # first: what is beyond the state is cut off
            side.save(state, len(losses))
        if len(losses) % max(1, total // ROWS) == 0:
            console.print(f"  step {len(losses)} of {total}: {losses[-1]:.4f}", highlight=False)
    Curve(json.loads(side.trainer.fingerprint), losses, side.bits_per_character(), how).save(file)
    state.unlink(missing_ok=True)
    so_far.unlink(missing_ok=True)


def largest_difference(one: Curve, other: Curve) -> tuple[float, int, float]:
    """Between two losses of one step, in nats; that step; how much more bits per character the first takes, in percent.

    Raises UserError if they are not of the same run."""
    for part in one.origin:
        if one.origin[part] != other.origin[part]:
            raise UserError(f"the sides differ in their {part}: run both anew, with the same flags")
    differences = [abs(a - b) for a, b in zip(one.losses, other.losses, strict=True)]
    # A loss that is not finite is no agreement.
    differences = [difference if math.isfinite(difference) else math.inf for difference in differences]
    worst = differences.index(max(differences))
    return differences[worst], worst + 1, 100 * (one.bits_per_character / other.bits_per_character - 1)


def curve_table(ours: Curve, theirs: Curve) -> Table:
    """Both losses in `ROWS` stretches of the run."""
    title = "training loss, nats a token"
    table = new_table(title, "means since the row before", "step", "ours", "PyTorch", "largest\ndifference", texts=0)
    steps = len(ours.losses)
    ends = sorted({round(steps * (row + 1) / ROWS) for row in range(ROWS)} - {0})
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        pairs = list(zip(ours.losses, theirs.losses, strict=True))[start:end]
        means = [sum(side) / len(pairs) for side in zip(*pairs, strict=True)]
        table.add_row(f"{end}", *(f"{mean:.4f}" for mean in means), f"{max(abs(a - b) for a, b in pairs):.1e}")
    return table


def compare(ours: Curve, theirs: Curve, bounds: Bounds, console: Console) -> bool:
    """Print how far the two curves lie apart; whether that is within the bounds."""
    nats, step, percent = largest_difference(ours, theirs)
    console.print(f"ours:    {ours.how}\nPyTorch: {theirs.how}", highlight=False, soft_wrap=True)
    console.print(curve_table(ours, theirs))
    near = [nats <= bounds.nats, abs(percent) <= bounds.percent]
    words = ["within" if yes else "NOT within" for yes in near]
    console.print(
        f"loss: the largest difference is {nats:.2e} nats, in step {step} of {len(ours.losses)} "
        f"({words[0]} {bounds.nats:g})\n"
        f"held-out bits per character: ours {ours.bits_per_character:.5f}, PyTorch {theirs.bits_per_character:.5f}, "
        f"difference {percent:+.4f}% ({words[1]} {bounds.percent:g}%)",
        highlight=False,
        soft_wrap=True,
    )
    return all(near)


def main() -> int:
    """Train the sides that were asked for, and compare those that there are; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", choices=[*SIDES, "both", "neither"], default="both", help="neither: compare alone")
    parser.add_argument("--nudge", type=int, help="seed by which the first weights are moved to floats beside them")
    parser.add_argument("--preset", choices=["tiny", "mini", "base"], default="mini")
    parser.add_argument("--steps", type=int, help="training steps, schedule included (default: the preset's own)")
    parser.add_argument("--precision", choices=list(BOUNDS), default="float32", help="of our side (default: float32)")
    parser.add_argument("--corpus", type=Path, help="text to train on (default: the project's own)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="threads for us and for PyTorch (default: all)")
    parser.add_argument("--out", type=Path, default=Path("pretrain_parity"), help="folder of ours.json and torch.json")
    flags = parser.parse_args()
    if flags.threads:
        kernels.set_threads(flags.threads)
    torch.set_num_threads(kernels.num_threads())
    kernels.set_precision(flags.precision)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    console = Console()
    machine = machine_line(kernels.num_threads(), "torch", "transformers")

    flags.out.mkdir(parents=True, exist_ok=True)
    for name in SIDES if flags.side == "both" else [name for name in SIDES if name == flags.side]:
        nudged = "" if flags.nudge is None else f"-nudged-{flags.nudge}"
        console.print(f"{name}{nudged}: {flags.preset} preset", highlight=False)
        side = SIDES[name](pretrainer(flags.preset, flags.steps, flags.corpus, flags.seed, console), flags.nudge)
        how = f"{'float32' if name == 'torch' else flags.precision}; {machine}"
        learn(side, flags.out / f"{name}{nudged}.json", how, console)
    if missing := [name for name in SIDES if not (flags.out / f"{name}.json").is_file()]:
        console.print(f"to compare, run the other side as well: there is no {', '.join(missing)} in {flags.out} yet")
        return 0
    ours, theirs = (Curve.load(flags.out / f"{name}.json") for name in SIDES)
    for name, curve in zip(SIDES, (ours, theirs), strict=True):
        for file in sorted(flags.out.glob(f"{name}-nudged-*.json")):
            nats, step, percent = largest_difference(Curve.load(file), curve)
            line = f"{file.stem} against {name}: {nats:.2e} nats, in step {step}; bits per character {percent:+.4f}%"
            console.print(line, highlight=False, soft_wrap=True)
    return 0 if compare(ours, theirs, BOUNDS[flags.precision], console) else 1


if __name__ == "__main__":
    sys.exit(main())
