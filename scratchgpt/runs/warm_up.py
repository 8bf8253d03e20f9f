"""Compiling ahead: every kernel of training and talking, shared out to several processes.

Numba compiles on first use, one function after the other, and no process compiles two at a time. What one has compiled
lies in the folder of compiled kernels, where all that start later find it; so several processes with a share each are
done sooner, and a run that follows compiles nothing.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import numpy as np
from rich.console import Console

from scratchgpt import kernels
from scratchgpt.config import GPTConfig
from scratchgpt.kernels.fingerprint import fingerprint
from scratchgpt.kernels.matrix.packing import pack_weights
from scratchgpt.kernels.matrix.panels import linear, linear_gelu
from scratchgpt.kernels.runtime import cache, dispatch
from scratchgpt.kernels.runtime.threads import default_threads
from scratchgpt.kernels.sample import sample
from scratchgpt.models.gpt2 import GPT
from scratchgpt.terminal import waiting
from scratchgpt.tokenizer import BPETokenizer
from scratchgpt.tokenizer.byte_level import FIRST_MERGE_ID

SIZES = GPTConfig(vocab_size=8, emb_dim=8, num_heads=2, num_layers=1, context_size=8)
"""What is compiled does not depend on sizes."""


def _zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


# -- the shares ------------------------------------------------------------------------------------------------
def _learn_merges() -> None:
    BPETokenizer(FIRST_MERGE_ID + 1).fit(["ab ab"])


def _encode() -> None:
    tokenizer = BPETokenizer(FIRST_MERGE_ID)
    tokenizer.fit(["a"])  # no room for merges: nothing is learned
    tokenizer.encode("a")


def _read_prompts() -> None:
    kernels.attention_forward(_zeros(1, 2, 24), 2)
    kernels.layernorm_forward(_zeros(2, 8), _zeros(8), _zeros(8), 1e-5)


def _choose_tokens() -> None:
    settings = np.ones(1), np.zeros(1, np.int64), np.ones(1)
    sample(_zeros(1, 8), np.zeros(1), *settings)
    fingerprint([_zeros(8)])


def _decode() -> None:
    decoder = GPT(SIZES).decoder()
    store = decoder.cache(1)
    store.extend(1)
    decoder.step(store, np.array([1]))
    panels = pack_weights([_zeros(8, 8)])[0]  # what prompts go through is a part of the step
    linear(_zeros(1, 8), panels, _zeros(8))
    linear_gelu(_zeros(1, 8), panels, _zeros(8))


def _attend_backward() -> None:
    for batch in (1, kernels.num_threads()):  # one head is cut between the threads, as many as there are threads not
        qkv, out = _zeros(batch, 2, 24), _zeros(batch, 2, 8)
        kernels.attention_backward(out, qkv, out, _zeros(batch, 1, 2), 1)


def _multiply() -> None:
    square, row = _zeros(2, 2), _zeros(2)
    kernels.matmul(square, kernels.pack(square), row)
    kernels.add_matmul(square, square, square)
    kernels.matmul_gelu(square, square, row)
    kernels.matmul_gelu_backward(square, square, square)
    kernels.weight_gradient(square, square)


def _go_over_rows() -> None:
    rows, row, ids = _zeros(2, 8), _zeros(8), np.zeros(2, np.int64)
    _, mean, rstd = kernels.layernorm_forward(rows, row, row, 1e-5)
    kernels.layernorm_backward(rows, rows, row, mean, rstd)
    losses, logsumexp = kernels.cross_entropy_forward(rows, ids, -100)
    kernels.cross_entropy_backward(losses, rows, ids, logsumexp, -100)
    kernels.cross_entropy_gradient(rows, ids, losses, -100)
    kernels.gelu_backward(rows, kernels.gelu_forward(rows))
    kernels.dropout_forward(rows, 0.5, 1)
    kernels.embedding_backward(rows, ids, 8)
    kernels.adamw_step(row, row, row.copy(), row.copy(), 1e-3, 0.9, 0.99, 1e-8, 0.0, 1, 1.0)


@dataclass(frozen=True)
class Share:
    """What one process compiles at a time.

    Attributes:
        use: calls the kernels.
        seconds: of one core's time that compiling took on an AVX-512 CPU, to begin with the longest.
        by_precision: whether the kernels are others in another precision.
        talks: whether they are needed to talk with a model.
    """

    use: Callable[[], None]
    seconds: float
    by_precision: bool = False
    talks: bool = False


SHARES = {
    "decode": Share(_decode, 20, by_precision=True, talks=True),
    "multiply": Share(_multiply, 19, by_precision=True),
    "attend backward": Share(_attend_backward, 10),
    "read prompts": Share(_read_prompts, 8, talks=True),
    "go over rows": Share(_go_over_rows, 8),
    "learn merges": Share(_learn_merges, 8),
    "choose tokens": Share(_choose_tokens, 7, talks=True),
    "encode": Share(_encode, 6, talks=True),
}
"""All that is compiled."""


def compile_share(name: str, precision: str) -> None:
    """Compile a share, or load what is compiled already.

    Args:
        name: of the share.
        precision: of the matrix products.
    """
    kernels.set_precision(precision)
    SHARES[name].use()


# -- in several processes ----------------------------------------------------------------------------------------
def everything() -> list[tuple[str, str]]:
    """All shares, each with a precision: float32, in which models talk, and that in which this CPU trains."""
    return _jobs(sorted({"float32", _training_precision()}), list(SHARES))


def for_training() -> list[tuple[str, str]]:
    """The shares that a run needs, in the precision in force."""
    return _jobs([kernels.precision()], list(SHARES))


def for_talking() -> list[tuple[str, str]]:
    """The shares that are needed to talk with a model."""
    return _jobs(["float32"], [name for name, share in SHARES.items() if share.talks])


def _jobs(precisions: Sequence[str], names: Sequence[str]) -> list[tuple[str, str]]:
    jobs = [(name, precision) for name in names for precision in precisions]
    return [job for job in jobs if SHARES[job[0]].by_precision or job[1] == precisions[0]]


def _training_precision() -> str:
    before = kernels.precision()
    try:
        return kernels.set_precision("auto")
    finally:
        kernels.set_precision(before)


def warm_up(jobs: Sequence[tuple[str, str]], processes: int | None = None) -> Iterator[str]:
    """Compile the shares in processes of their own, the longest first.

    Args:
        jobs: shares and precisions, as of :func:`everything`.
        processes: how many; None: one for each CPU that the kernels would use, and no more than shares.

    Yields:
        The name of every share when it is compiled.

    Raises:
        BrokenProcessPool: if a process was killed: whoever needs its share compiles it when it comes to it.
    """
    count = min(len(jobs), processes or default_threads())
    begin_with_longest = sorted(jobs, key=lambda job: -SHARES[job[0]].seconds)
    spawn = multiprocessing.get_context("spawn")  # a fork would share the threads of the kernels
    with concurrent.futures.ProcessPoolExecutor(count, spawn, _begin) as pool:
        running = {pool.submit(compile_share, *job): job[0] for job in begin_with_longest}
        try:
            for done in concurrent.futures.as_completed(running):
                done.result()
                yield running[done]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _begin() -> None:
    """In each process: Ctrl-C ends it without a word, and that it compiles is said by whoever started it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    dispatch.be_silent()


def warm_up_if_cold(jobs: Sequence[tuple[str, str]], console: Console) -> None:
    """Where nothing is compiled yet and will be kept, compile the shares ahead.

    Args:
        jobs: shares and precisions.
        console: what is waited for is said there.
    """
    if kernels.backend() != "numba" or default_threads() == 1 or not cache.is_kept() or not cache.is_empty():
        return
    try:
        with waiting(console, f"compiling kernels in {min(len(jobs), default_threads())} processes, first start only"):
            for _ in warm_up(jobs):
                pass
    except (BrokenProcessPool, OSError):  # no process could be started: they are compiled when they are needed
        return
