"""How fast does a model write, and how soon does it begin?

    python bench/generate.py [--json FILE] [--threads N] [--pairs N]

A mini model with random weights (speed does not depend on what was learned) writes as many tokens as it is
asked for, and `transformers`, if it is installed, does the same with the same weights, the same threads, in a
process of its own; both in float32 and, where the CPU has it, in bf16:
  one stream     greedy, 128 tokens after a prompt of 32: what a chat feels like;
  64 streams     sampled together, 64 tokens after prompts of 32: what PPO and RLVF spend their time on;
  first token    of a prompt of 200 tokens: how long one waits for an answer to begin.
Then `python chat.py` is started a few times, until it asks for the first line and until it begins to answer.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from common import (
    ROOT,
    USER_ENVIRONMENT,
    Comparison,
    PeerProcess,
    comparison_table,
    importable,
    interleave,
    machine_line,
    seconds_of,
    serve,
    write_json,
)
from rich.console import Console

SECONDS_A_COMPARISON = 40.0
STAGE = "sft"


@dataclass(frozen=True)
class Work:
    """Something to write: `rows` prompts of `prompt` tokens, `new` tokens after each, chosen as `sampling` says."""

    name: str
    label: str
    rows: int
    prompt: int
    new: int
    sampling: dict[str, Any]
    ours: str = "float32"
    theirs: str = "float32"
    """The precisions."""

    @property
    def tokens(self) -> int:
        """What its speed counts: the tokens written, or read where the point is to begin."""
        return self.rows * (self.prompt if self.new == 1 else self.new)

    def prompts(self) -> list[list[int]]:
        """Random ids without the special ones."""
        return np.random.default_rng(0).integers(6, 6400, (self.rows, self.prompt)).tolist()


GREEDY: dict[str, Any] = {"temperature": 0.0}
ROLLOUT: dict[str, Any] = {"temperature": 1.0}
NARROW: dict[str, Any] = {"temperature": 0.8, "top_k": 50, "top_p": 0.9}
WORKS = (
    Work("decode 1 stream, greedy, 128 tokens", "1 stream, greedy", 1, 32, 128, GREEDY),
    Work("decode 1 stream, top-k 50, top-p 0.9, 128 tokens", "1, top-k+p", 1, 32, 128, NARROW),
    Work("decode 64 streams, sampling, 64 tokens", "64 streams", 64, 32, 64, ROLLOUT),
    Work("decode 64 streams, top-k 50, top-p 0.9, 64 tokens", "64, top-k+p", 64, 32, 64, NARROW),
    Work("first token, 200-token prompt", "first token", 1, 200, 1, GREEDY),
)


def works() -> list[Work]:
    """Each piece of work in float32; where the CPU has bf16, also in bf16 against both precisions of the peer."""
    from scratchgpt.kernels.runtime.precision import has_bf16

    found = list(WORKS)
    for theirs in ("float32", "bf16") if has_bf16() else ():
        found += [replace(w, name=f"{w.name}, bf16 against {theirs}", ours="bf16", theirs=theirs) for w in WORKS]
    return found


def transformers_server(threads: int) -> Callable[..., float]:
    """A function that lets `transformers` do one piece of work and returns its seconds."""
    import torch
    import transformers

    torch.set_num_threads(threads)
    transformers.logging.set_verbosity_error()
    models: dict[str, Any] = {}

    def measure(directory: str, work: dict[str, Any]) -> float:
        if work["theirs"] not in models:
            dtype = torch.bfloat16 if work["theirs"] == "bf16" else torch.float32
            models[work["theirs"]] = transformers.GPT2LMHeadModel.from_pretrained(directory).to(dtype).eval()
        model, new = models[work["theirs"]], work["new"]
        model.generation_config.eos_token_id = None  # every row is written to its end
        ids = torch.tensor(Work(**work).prompts())
        sampling = work["sampling"]
        greedy = sampling["temperature"] == 0
        options = {"do_sample": False} if greedy else {"do_sample": True, "top_k": 0, "top_p": 1.0, **sampling}
        options |= {"max_new_tokens": new, "attention_mask": torch.ones_like(ids)}

        def write() -> None:
            assert model.generate(ids, **options).shape == (work["rows"], work["prompt"] + new)

        return seconds_of(write)

    return measure


def save_model(folder: Path) -> Any:
    """A random mini model, saved with a tokenizer as the checkpoint of a stage that chats."""
    from scratchgpt.config import get_mini_config
    from scratchgpt.models.gpt2 import GPT
    from scratchgpt.stages.run_folder import stage_directory
    from scratchgpt.tokenizer import CharTokenizer

    model = GPT(get_mini_config(), seed=0)
    model.save_pretrained(stage_directory(folder, STAGE))
    tokenizer = CharTokenizer()
    tokenizer.build_vocab("".join(map(chr, range(0x4E00, 0x4E00 + 6400 - 6))))
    tokenizer.save(stage_directory(folder, STAGE))
    return model


def compare(work: Work, model: Any, directory: Path, peer: PeerProcess | None, pairs: int) -> Comparison:
    """The work done by us, and by the peer if there is one."""
    from scratchgpt import kernels
    from scratchgpt.inference.generate import generate_batch

    kernels.set_precision(work.ours)
    prompts = work.prompts()
    seed = iter(range(1_000_000))

    def write() -> None:
        rows = generate_batch(model, prompts, work.new, seed=next(seed), **work.sampling)
        assert all(len(row) == work.new for row in rows)

    def ours() -> float:
        return seconds_of(write)

    label, against = f"{work.label} {work.ours}", f"transformers {work.theirs}" if peer else "-"
    comparison = Comparison(work.name, label, against, work.tokens, "tok/s")
    theirs = (lambda: float(peer.ask(directory=str(directory), work=vars(work)))) if peer else ours
    return interleave(ours, theirs, comparison, pairs, SECONDS_A_COMPARISON)


@dataclass
class Waiting:
    """Seconds that a person waits for `python chat.py`; there is no peer to compare with."""

    work: str
    seconds: list[float] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """An entry of the JSON file; the fields that need a peer are null."""
        middle = round(float(np.median(self.seconds)), 3)
        return {
            "work": self.work, "peer": None, "ratio": None,
            "ours": middle, "theirs": None, "unit": "s", "pairs": len(self.seconds),
        }  # fmt: skip


def chat_start(folder: Path, threads: int, starts: int) -> tuple[Waiting, Waiting]:
    """Start chat.py some times after a first time: to its prompt, and from a question to the first of its answer."""
    to_prompt = Waiting("chat.py, start to prompt, second start")
    to_answer = Waiting("chat.py, first question to first words of the answer, second start")
    command = [sys.executable, str(ROOT / "chat.py"), "--out", str(folder), "--threads", str(threads)]
    for start in range(1 + starts):
        begin = perf_counter()
        # Unbuffered bytes, read as they come: a prompt does not end its line.
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "bufsize": 0}
        process = subprocess.Popen(command, **pipes, env=chat_environment())
        read_until(process, "你> ")
        prompted = perf_counter()
        assert process.stdin is not None
        process.stdin.write("一丁\n".encode())
        read_until(process, "AI> ")
        answered = perf_counter()
        process.stdin.close()
        process.kill()
        process.wait()
        if start:  # the first one may have had kernels to compile
            to_prompt.seconds.append(prompted - begin)
            to_answer.seconds.append(answered - prompted)
    return to_prompt, to_answer


def chat_environment() -> dict[str, str]:
    """The user's environment with UTF-8 pipes, whatever the locale."""
    return {**USER_ENVIRONMENT, "PYTHONIOENCODING": "utf-8"}


def read_until(process: subprocess.Popen[bytes], text: str) -> None:
    """Read the output of a process up to `text`. Raises RuntimeError if it ends before."""
    assert process.stdout is not None
    seen = b""
    while text.encode() not in seen:
        piece = os.read(process.stdout.fileno(), 4096)
        if not piece:
            raise RuntimeError(f"chat.py ended with code {process.wait()}; it wrote {seen.decode(errors='replace')!r}")
        seen += piece


def main() -> None:
    """Run the comparisons and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="also write the figures to FILE")
    parser.add_argument("--threads", type=int, help="threads for us and for the peer (default: all)")
    parser.add_argument("--pairs", type=int, default=11, help="measured pairs a comparison (default: 11)")
    parser.add_argument("--starts", type=int, default=5, help="starts of chat.py (default: 5; 0: leave it out)")
    parser.add_argument("--only", metavar="TEXT", default="", help="only works whose name holds TEXT")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.serve:
        serve(transformers_server(flags.threads))
        return
    from scratchgpt import kernels
    from scratchgpt.stages.run_folder import stage_directory

    if flags.threads:
        kernels.set_threads(flags.threads)
    threads = kernels.num_threads()
    console = Console()
    console.print(machine_line(threads, "torch", "transformers"), highlight=False, soft_wrap=True)
    peer = None
    if importable("torch") and importable("transformers"):
        peer = PeerProcess(__file__, "transformers", threads)
    else:
        console.print("transformers is not installed: our own runs are shown twice, the ratio is their noise")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = save_model(folder)
        chosen = [work for work in works() if flags.only in work.name]
        comparisons = [compare(work, model, stage_directory(folder, STAGE), peer, flags.pairs) for work in chosen]
        if peer is not None:
            peer.close()
        waits = chat_start(folder, threads, flags.starts) if flags.starts else ()
    if comparisons:
        title = "writing with the mini model, against transformers (ratio > 1: we lead)"
        console.print(comparison_table(title, comparisons))
    for wait in waits:
        low, middle, high = min(wait.seconds), float(np.median(wait.seconds)), max(wait.seconds)
        spread = f"({low:.2f} to {high:.2f}, {len(wait.seconds)} starts)"
        console.print(f"{wait.work}: {middle:.2f} s {spread}", highlight=False)
    if flags.json:
        write_json(flags.json, [*comparisons, *waits])


if __name__ == "__main__":
    main()
