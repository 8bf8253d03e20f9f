"""Does our engine learn as well as PyTorch? The same model on the same tokens, side by side.

    python bench/pretrain_parity.py [--steps 300] [--preset mini] [--precision auto] [--corpus FILE] [--seed 0]

Both sides start from the same weights and take the same batches in the same order with the same learning rates,
clipping and AdamW; PyTorch runs eagerly in float32. After a few steps rounding has driven the weights apart, so it is
not the weights that are compared but what counts: bits per character of the held-out text. They should differ by less
than 1%. Everything but the sides themselves is the pretraining stage's own code, so a default run is what is tested.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import tempfile
from pathlib import Path

import torch
from common import machine_line, new_table
from rich.console import Console
from torch_gpt import TorchGPT, optimizer_of, train_step

from scratchgpt import kernels
from scratchgpt.datasets.batches import encode_documents, heldout_windows
from scratchgpt.datasets.sources import DataSources
from scratchgpt.evaluation.measures import EVALUATION_BATCH
from scratchgpt.kernels.runtime.precision import PRECISIONS
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.weights import save_weights
from scratchgpt.nn.schedules import cosine_schedule
from scratchgpt.runs.plan import MAX_TOKEN_LENGTH
from scratchgpt.stages.presets import get_preset
from scratchgpt.stages.pretrain import Pretrainer
from scratchgpt.tokenizer import BPETokenizer

TARGET = 1.0
"""Per cent by which the two may differ."""
ROWS = 10
"""Rows of the table on the way."""


class TorchPretrainer:
    """PyTorch's side: `ours` with its model, optimizer and arithmetic replaced.

    Takes over the weights that `ours` has when it is made."""

    def __init__(self, ours: Pretrainer) -> None:
        self.ours, self.settings = ours, ours.settings
        sizes = ours.model.config
        self.model = TorchGPT(sizes.vocab_size, sizes.emb_dim, sizes.num_heads, sizes.num_layers, sizes.context_size)
        with tempfile.TemporaryDirectory() as folder:
            weights = Path(folder) / "weights.safetensors"
            save_weights(weights, ours.model.state_dict())
            self.model.load(str(weights))
        self.optimizer = optimizer_of(self.model, self.settings.lr, self.settings.weight_decay)

    def step(self, index: int) -> float:
        """The step of that number; its loss."""
        settings = self.settings
        lr = cosine_schedule(index, self.ours.total_steps, settings.lr, settings.warmup_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        batch = self.ours.batches.batch(index)
        ids, targets = torch.from_numpy(batch.input_ids), torch.from_numpy(batch.targets)
        return train_step(self.model, self.optimizer, ids, targets, "float32", settings.max_grad_norm)

    @torch.no_grad()
    def bits_per_character(self) -> float:
        """Of the held-out text, cut into the same windows as on our side."""
        stream = encode_documents(self.ours.heldout, self.ours.tokenizer)
        nats = 0.0
        for batch in heldout_windows(stream, self.ours.model.config.context_size, EVALUATION_BATCH):
            targets = torch.from_numpy(batch.targets)
            mean = self.model(torch.from_numpy(batch.input_ids), targets)
            nats += mean.item() * int((targets >= 0).sum())
        return nats / math.log(2) / sum(map(len, self.ours.heldout))


def pretrainer(preset_name: str, steps: int, corpus: Path | None, seed: int) -> Pretrainer:
    """The pretraining stage of a preset, `steps` long, with a tokenizer made for the training text.

    Raises ValueError if the preset cannot be compared."""
    preset = get_preset(preset_name)
    settings = dataclasses.replace(preset.of("pretrain"), steps=steps)
    if preset.model.dropout or settings.beta2 != 0.95:
        raise ValueError(f"preset {preset_name}: the PyTorch side has no dropout and a beta2 of 0.95")
    data = DataSources(corpus=corpus, running_text=preset.running_text, seed=seed)
    documents, heldout = data.documents()
    tokenizer = BPETokenizer(preset.model.vocab_size, MAX_TOKEN_LENGTH)
    tokenizer.fit(documents)
    config = dataclasses.replace(preset.model, vocab_size=tokenizer.vocab_size)
    return Pretrainer(GPT(config, seed), tokenizer, config, settings, documents, heldout, seed)


def main() -> None:
    """Train both sides and print what they have learned."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300, help="training steps, schedule included (default: 300)")
    parser.add_argument("--preset", choices=["tiny", "mini", "base"], default="mini")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto", help="of our side (default: auto)")
    parser.add_argument("--corpus", type=Path, help="text to train on (default: the project's own)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="threads for us and for PyTorch (default: all)")
    flags = parser.parse_args()
    if flags.threads:
        kernels.set_threads(flags.threads)
    torch.set_num_threads(kernels.num_threads())
    precision = kernels.set_precision(flags.precision)
    console = Console()
    console.print(machine_line(kernels.num_threads(), "torch"), highlight=False, soft_wrap=True)

    ours = pretrainer(flags.preset, flags.steps, flags.corpus, flags.seed)
    theirs = TorchPretrainer(ours)
    title = f"training loss, {flags.preset} preset, nats a token"
    table = new_table(title, "mean since the row before", "step", f"ours\n{precision}", "PyTorch\nfloat32", texts=0)
    losses: list[tuple[float, float]] = []
    shown = {round(flags.steps * (row + 1) / ROWS) for row in range(ROWS)}
    for index in range(flags.steps):
        losses.append((ours.step(index)["loss"], theirs.step(index)))
        if index + 1 in shown:
            means = [sum(side) / len(losses) for side in zip(*losses, strict=True)]
            table.add_row(f"{index + 1}", *(f"{mean:.4f}" for mean in means))
            losses.clear()
    console.print(table)
    bits, peer = ours.evaluate()["bits_per_character"], theirs.bits_per_character()
    difference = 100 * (bits / peer - 1)
    verdict = "within" if abs(difference) <= TARGET else "NOT within"
    console.print(
        f"held-out bits per character after {flags.steps} steps: ours {bits:.4f}, PyTorch {peer:.4f}, "
        f"difference {difference:+.2f}% ({verdict} {TARGET:g}%)",
        highlight=False,
        soft_wrap=True,
    )


if __name__ == "__main__":
    main()
