"""The processes that `bench/train_step.py` measures: one side (ours or PyTorch's) in one precision each.

Precision, environment variables and thread pools belong to a process, so no two sides share one. A worker
answers the requests of `common.PeerProcess`: build a model and warm it up, time one step, measure the
matrix-product peak, measure memory. The first half of this file runs there; `running` and `Peaks` at its end are
the benchmark's own side.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import PeerProcess, seconds_of

SCRIPT = Path(__file__).with_name("train_step.py")
"""What a worker process is started with."""
PRECISIONS = ("float32", "bf16")
WARM_UP_STEPS = 3
LEARNING_RATE, WEIGHT_DECAY, MAX_GRAD_NORM = 1e-3, 0.1, 1.0


@dataclass(frozen=True)
class Shape:
    """Sizes of a model and of the batch it is trained on."""

    name: str
    vocab_size: int
    emb_dim: int
    num_heads: int
    num_layers: int
    context_size: int
    batch: int

    @property
    def tokens(self) -> int:
        """Tokens of one step."""
        return self.batch * self.context_size

    @property
    def matmul_parameters(self) -> int:
        """Parameters that a token is multiplied with: 12 C^2 a layer, and the tied head."""
        return 12 * self.num_layers * self.emb_dim**2 + self.vocab_size * self.emb_dim

    @property
    def attention_gflop(self) -> float:
        """4 D a visible pair of query and key forward and 8 D back, all heads: 12 C a pair."""
        pairs = self.batch * self.context_size * (self.context_size + 1) / 2
        return 12e-9 * self.num_layers * self.emb_dim * pairs

    @property
    def gflop(self) -> float:
        """Work of one step: 6 a parameter and token (2 forward, 4 back), and attention. Nothing else is counted,
        and nothing twice: what a side computes again in backward is its own affair."""
        return 6e-9 * self.matmul_parameters * self.tokens + self.attention_gflop

    @property
    def parameters(self) -> int:
        """All parameters: matrices, biases, layernorms (13 C a layer and 2 C) and positions."""
        vectors = (13 * self.num_layers + 2) * self.emb_dim
        return self.matmul_parameters + vectors + self.context_size * self.emb_dim


SHAPES = {
    "tiny": Shape("tiny", vocab_size=512, emb_dim=64, num_heads=2, num_layers=2, context_size=64, batch=4),
    "mini": Shape("mini", vocab_size=6400, emb_dim=256, num_heads=4, num_layers=4, context_size=256, batch=16),
    "base": Shape("base", vocab_size=1000, emb_dim=256, num_heads=8, num_layers=6, context_size=256, batch=16),
    "gpt2": Shape("gpt2", vocab_size=50257, emb_dim=768, num_heads=12, num_layers=12, context_size=1024, batch=1),
}


def batch_of(shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Random ids and the targets that follow them, (B, T) each; the same on both sides."""
    ids = np.random.default_rng(0).integers(shape.vocab_size, size=(shape.batch, shape.context_size + 1))
    return np.ascontiguousarray(ids[:, :-1]), np.ascontiguousarray(ids[:, 1:])


class Worker:
    """One side in one precision; `step` trains the model of the last `build` and returns the loss."""

    step: Callable[[], float]

    def build(self, shape: Shape) -> None:
        """Make a fresh model, its optimizer and `step`."""
        raise NotImplementedError

    def exchange_weights(self, path: str) -> None:
        """Write the initial weights (our side) or read them (the peer's)."""
        raise NotImplementedError

    def square_product(self, size: int) -> Callable[[], object]:
        """A product of two (size, size) matrices in this side's precision."""
        raise NotImplementedError

    def answer(self, do: str, **request: Any) -> Any:
        """Answer one request.

        "build": make a model of `shape`, exchange its weights through the file `weights` if that is given, make
        `warm_up` steps (3), and return their losses. "step": seconds of one step. "peak": GFLOP/s. "memory": bytes
        that steps of `shape` need.
        """
        if do == "build":
            self.build(Shape(**request["shape"]))
            if "weights" in request:
                self.exchange_weights(request["weights"])
            return [self.step() for _ in range(request.get("warm_up", WARM_UP_STEPS))]
        if do == "step":
            return seconds_of(self.step)
        if do == "peak":
            return self.peak()
        if do == "memory":
            return self.memory(Shape(**request["shape"]))
        raise ValueError(f"no request {do!r}")

    def peak(self) -> float:
        """GFLOP/s of large square products, the best of several."""
        rates = []
        for size in (1024, 2048):
            product = self.square_product(size)
            rates += [2e-9 * size**3 / seconds_of(product) for _ in range(6)]
        return max(rates)

    def memory(self, shape: Shape) -> int:
        """Bytes that model, optimizer and training steps need at their highest point, over the imported libraries.

        The most the process ever held (VmHWM, set back before) less what it held just before the model was
        built, after a step of a tiny model had loaded every library and kernel."""
        self.build(SHAPES["tiny"])
        self.step()
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
        self.build(shape)
        for _ in range(WARM_UP_STEPS):
            self.step()
        return _status("VmHWM") - before


class OurWorker(Worker):
    """Our engine, driven as the pretraining stage drives it."""

    def __init__(self, precision: str, threads: int) -> None:
        from scratchgpt import kernels

        kernels.set_threads(threads)
        kernels.set_precision(precision)

    def build(self, shape: Shape) -> None:
        """Make a fresh model without dropout, its optimizer and `step`."""
        from scratchgpt.config import GPTConfig
        from scratchgpt.models.gpt2 import GPT

        sizes = {key: value for key, value in asdict(shape).items() if key not in ("name", "batch")}
        self.model = GPT(GPTConfig(dropout=0.0, **sizes))
        self.train_on(shape)

    def train_on(self, shape: Shape) -> None:
        """Make an optimizer of what is not frozen in the model, and `step`."""
        from scratchgpt.datasets.batches import TokenBatch
        from scratchgpt.nn.optimizers import AdamW
        from scratchgpt.training.update import language_model_step

        model, batch = self.model, TokenBatch(*batch_of(shape))
        optimizer = AdamW(model.named_parameters(), weight_decay=WEIGHT_DECAY)
        self.step = lambda: language_model_step(model, optimizer, batch, LEARNING_RATE, MAX_GRAD_NORM)["loss"]

    def exchange_weights(self, path: str) -> None:
        """Write the weights."""
        from scratchgpt.models.weights import save_weights

        save_weights(Path(path), self.model.state_dict())

    def square_product(self, size: int) -> Callable[[], object]:
        """kernels.matmul of two float32 arrays; in bf16 it does the rounding as well."""
        from scratchgpt import kernels

        a, b = np.random.default_rng(0).standard_normal((2, size, size), np.float32)
        return lambda: kernels.matmul(a, b)


class FrozenWorker(OurWorker):
    """Our engine with every weight frozen but one."""

    def answer(self, do: str, **request: Any) -> Any:
        """ "train only": freeze all of a fresh model of `shape` but the parameter `name`, and warm up."""
        if do != "train only":
            return super().answer(do, **request)
        shape = Shape(**request["shape"])
        self.build(shape)
        self.model.freeze()
        dict(self.model.named_parameters())[request["name"]].requires_grad = True
        self.train_on(shape)
        return [self.step() for _ in range(WARM_UP_STEPS)]


class TorchWorker(Worker):
    """The same model in PyTorch."""

    def __init__(self, precision: str, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self.precision = precision

    def build(self, shape: Shape) -> None:
        """Make a fresh model, its optimizer and `step`."""
        import torch
        import torch_gpt

        sizes = {key: value for key, value in asdict(shape).items() if key not in ("name", "batch")}
        model = torch_gpt.TorchGPT(**sizes)
        optimizer = torch_gpt.optimizer_of(model, LEARNING_RATE, WEIGHT_DECAY)
        ids, targets = (torch.from_numpy(array) for array in batch_of(shape))
        self.model = model
        self.step = lambda: torch_gpt.train_step(model, optimizer, ids, targets, self.precision, MAX_GRAD_NORM)

    def exchange_weights(self, path: str) -> None:
        """Read the weights that our side wrote."""
        self.model.load(path)

    def square_product(self, size: int) -> Callable[[], object]:
        """a @ b of two tensors that are float32 or bfloat16."""
        import torch

        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        a, b = torch.randn(2, size, size).to(dtype)
        return lambda: a @ b


def _status(field: str) -> int:
    """A figure in bytes from this process's /proc/self/status (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field + ":"))


@contextmanager
def running(name: str, threads: int) -> Iterator[PeerProcess]:
    """The worker `name` in a process of its own, for the length of a with statement."""
    process = PeerProcess(str(SCRIPT), name, threads)
    try:
        yield process
    finally:
        process.close()


class Peaks:
    """GFLOP/s of large square products, the best that each worker has shown."""

    def __init__(self) -> None:
        self.rates: dict[str, float] = {}

    def measure(self, name: str, process: PeerProcess) -> None:
        """Measure once more in the running worker `name`."""
        self.rates[name] = max(self.rates.get(name, 0.0), process.ask(do="peak"))

    def best(self, precision: str) -> float:
        """The machine's peak in a precision: the best of both sides."""
        return max(rate for name, rate in self.rates.items() if name.endswith(precision))

    def __str__(self) -> str:
        parts = []
        for precision in PRECISIONS:
            rates = [f"{name.split('-')[0]} {r:.0f}" for name, r in self.rates.items() if name.endswith(precision)]
            if rates:
                parts.append(f"{precision} {self.best(precision):.0f} ({', '.join(sorted(rates))})")
        return "peak, GFLOP/s of large square products: " + "; ".join(parts)
