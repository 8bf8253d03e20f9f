"""How fast is BPE, learned and applied, on one thread?

    python bench/tokenizer.py [--text FILE ...] [--works training encoding] [--pairs N] [--json FILE]

Training learns 6,400 entries from a text given as a list of documents, against `tokenizers` and `rustbpe`.
Encoding turns text into a list of ids with the merges learned from the same text and the same split pattern,
against `tiktoken` and `tokenizers`; that the ids are equal is checked in every pair. MB are 10^6 bytes of UTF-8.
A peer that is not installed is left out. Every side runs in a process of its own, on one thread.

What is remembered: we keep, within one call of `encode`, the ids of the chunks last seen, and between calls
nothing; tiktoken keeps nothing; tokenizers keeps the ids of 10,000 words for good. So every pair encodes a slice
of the text that neither side has seen before. "lines" is text given line by line, a call each: there the cost of
a call shows, some 4 us of ours, and tiktoken is ahead for lines of less than about a hundred bytes.

Without --text: the Chinese is data/pretrain_data.txt; the English is the ASCII lines of this repository's own
documents and source code, prose and code in turn; mixed are paragraphs of the two, one of each in turn.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from common import (
    ROOT,
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

VOCAB_SIZE = 6400
PEERS = {"training": ("tokenizers", "rustbpe"), "encoding": ("tiktoken", "tokenizers")}
SECONDS_A_TRAINING_COMPARISON = 60.0

Documents = list[str]
Encode = Callable[[str], list[int]]


def documents_of(text: str) -> Documents:
    """The paragraphs of a text, which blank lines part."""
    return [document for document in text.split("\n\n") if document.strip()]


def repository_english() -> str:
    """The ASCII lines of the repository's English documents and of its source code."""
    files = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    for folder in ("scratchgpt", "bench", "tests"):
        files += ROOT.glob(f"{folder}/**/*.py")
    lines = (line for file in sorted(files) for line in file.read_text(encoding="utf-8").split("\n"))
    return "\n".join(line for line in lines if line.isascii())


def corpora(files: list[Path]) -> dict[str, Documents]:
    """The texts to measure with, by name: of `files`, or else Chinese, English and mixed."""
    if files:
        return {file.stem: documents_of(file.read_text(encoding="utf-8")) for file in files}
    chinese = documents_of((ROOT / "data" / "pretrain_data.txt").read_text(encoding="utf-8"))
    english = documents_of(repository_english())
    mixed = [document for pair in zip(chinese, english, strict=False) for document in pair]
    return {"Chinese": chinese, "English": english, "mixed": mixed}


def megabytes(documents: Documents) -> float:
    """The size of the texts in 10^6 bytes of UTF-8."""
    return sum(len(document.encode()) for document in documents) / 1e6


def slices(documents: Documents, count: int) -> list[str]:
    """The documents in order, joined to `count` texts of nearly equal size."""
    sizes = np.cumsum([len(document.encode()) for document in documents])
    cuts = [0, *np.searchsorted(sizes, sizes[-1] * np.arange(1, count) / count).tolist(), len(documents)]
    return ["\n\n".join(documents[cuts[i] : cuts[i + 1]]) for i in range(count)]


def split_pattern() -> str:
    """The pattern that all sides split with."""
    from scratchgpt.tokenizer.split_pattern import SPLIT_PATTERN

    return SPLIT_PATTERN


def train_ours(documents: Documents) -> int:
    """Train our tokenizer; the number of entries. The other two do the same."""
    from scratchgpt.tokenizer import BPETokenizer

    tokenizer = BPETokenizer(VOCAB_SIZE)
    tokenizer.fit(documents)
    return len(tokenizer)


def train_tokenizers(documents: Documents) -> int:
    """Train a byte-level BPE of the `tokenizers` package."""
    import tokenizers
    from tokenizers import models, pre_tokenizers, trainers

    from scratchgpt.tokenizer import SPECIAL_TOKENS

    tokenizer = tokenizers.Tokenizer(models.BPE())
    split = pre_tokenizers.Split(tokenizers.Regex(split_pattern()), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    return tokenizer.get_vocab_size()


def train_rustbpe(documents: Documents) -> int:
    """Train with the `rustbpe` package, which has no special tokens among its entries."""
    import rustbpe

    from scratchgpt.tokenizer import SPECIAL_TOKENS

    tokenizer = rustbpe.Tokenizer()
    tokenizer.train_from_iterator(iter(documents), VOCAB_SIZE - len(SPECIAL_TOKENS), pattern=split_pattern())
    return tokenizer.vocab_size + len(SPECIAL_TOKENS)


def encoder(name: str, path: str) -> Encode:
    """The side's function from text to ids, with the tokenizer that we saved at `path`."""
    from scratchgpt.tokenizer import SPECIAL_TOKENS, BPETokenizer

    tokenizer = BPETokenizer.load(path)
    if name == "tiktoken":
        import tiktoken

        special_tokens = {token: i for i, token in enumerate(SPECIAL_TOKENS)}
        ranks = {tokenizer.token_bytes(i): i for i in range(len(SPECIAL_TOKENS), len(tokenizer))}
        encoding = tiktoken.Encoding(
            "ours", pat_str=split_pattern(), mergeable_ranks=ranks, special_tokens=special_tokens
        )
        return encoding.encode_ordinary
    if name == "tokenizers":
        import tokenizers

        # without the added tokens: our own encode takes their spellings as plain text
        contents = json.loads(Path(path).read_text(encoding="utf-8")) | {"added_tokens": []}
        peer = tokenizers.Tokenizer.from_str(json.dumps(contents))
        return lambda text: peer.encode(text).ids
    return tokenizer.encode


def worker(name: str) -> Callable[..., Any]:
    """Answers the requests to one side: train on documents, take a tokenizer, encode texts, a call each."""
    os.environ |= {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    train = {"ours": train_ours, "tokenizers": train_tokenizers, "rustbpe": train_rustbpe}.get(name)
    encode: Encode | None = None

    def answer(
        documents: Documents | None = None, tokenizer: str | None = None, texts: Documents | None = None
    ) -> dict[str, Any]:
        nonlocal encode
        results: list[Any] = []
        if documents is not None:
            assert train is not None
            seconds = seconds_of(lambda: results.append(train(documents)))
            return {"seconds": seconds, "result": results[0]}
        if tokenizer is not None:
            encode = encoder(name, tokenizer)
            return {}
        assert encode is not None and texts is not None
        seconds = seconds_of(lambda: results.extend([encode(text) for text in texts]))
        return {"seconds": seconds, "result": [zlib.crc32(np.array(ids, np.int32).tobytes()) for ids in results]}

    return answer


def pair_of_runs(
    ours: PeerProcess, theirs: PeerProcess, name: str, requests: list[dict[str, Any]]
) -> tuple[Callable[[], float], Callable[[], float]]:
    """Two functions that send the next request to each side and return its seconds.

    Raises SystemExit if the two sides answered a request differently."""
    answers: list[list[Any]] = [[], []]

    def run(side: int, process: PeerProcess) -> float:
        number = len(answers[side])
        answer = process.ask(**requests[number])
        answers[side].append(answer["result"])
        if len(answers[1 - side]) > number and answers[0][number] != answers[1][number]:
            raise SystemExit(f"{name} gives another result than we do: the comparison would mean nothing")
        return answer["seconds"]

    return functools.partial(run, 0, ours), functools.partial(run, 1, theirs)


def compare_training(name: str, documents: Documents, sides: dict[str, PeerProcess], pairs: int) -> list[Comparison]:
    """Training on all documents, against every peer there is."""
    comparisons = []
    for peer in (peer for peer in PEERS["training"] if peer in sides):
        size = megabytes(documents)
        work = f"BPE training, {VOCAB_SIZE} entries, {size:.1f} MB {name}, one thread"
        comparison = Comparison(work, f"train {name}", peer, size, "MB/s")
        runs = pair_of_runs(sides["ours"], sides[peer], peer, [{"documents": documents}] * (pairs + 1))
        comparisons.append(interleave(*runs, comparison, pairs, SECONDS_A_TRAINING_COMPARISON))
    return comparisons


def compare_encoding(name: str, documents: Documents, sides: dict[str, PeerProcess], pairs: int) -> list[Comparison]:
    """Encoding a slice of the text a pair, in one call and in a call a line, against every peer there is."""
    from scratchgpt.tokenizer import BPETokenizer

    tokenizer = BPETokenizer(VOCAB_SIZE)
    tokenizer.fit(documents)
    peers = [peer for peer in PEERS["encoding"] if peer in sides]
    with TemporaryDirectory() as directory:
        path = str(Path(directory) / "tokenizer.json")
        tokenizer.save(path)
        for side in ("ours", *peers):
            sides[side].ask(tokenizer=path)
    comparisons = []
    texts = slices(documents, 2 * (pairs + 1))
    ways = {
        "encode": [{"texts": [text]} for text in texts[: pairs + 1]],
        "lines": [{"texts": text.split("\n")} for text in texts[pairs + 1 :]],
    }
    for label, requests in ways.items():
        size = megabytes([text for request in requests for text in request["texts"]]) / len(requests)
        for peer in peers:
            work = f"BPE encoding, {name}{', a call a line' if label == 'lines' else ''}, one thread"
            comparison = Comparison(work, f"{label} {name}", peer, size, "MB/s")
            runs = pair_of_runs(sides["ours"], sides[peer], peer, requests)
            comparisons.append(interleave(*runs, comparison, pairs, float("inf")))
    return comparisons


def main() -> None:
    """Run the comparisons and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="also write the figures to FILE")
    parser.add_argument("--text", metavar="FILE", nargs="+", type=Path, default=[], help="measure on these texts")
    parser.add_argument("--works", nargs="+", choices=list(PEERS), default=list(PEERS), help="default: both")
    parser.add_argument("--pairs", type=int, default=11, help="measured pairs a comparison (default: 11)")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--threads", help=argparse.SUPPRESS)  # always 1; the common code passes it on
    flags = parser.parse_args()
    if flags.serve:
        serve(worker(flags.serve))
        return
    console = Console()
    packages = sorted({package for work in flags.works for package in PEERS[work]})
    console.print(machine_line(1, "regex", *packages), highlight=False, soft_wrap=True)
    names = ["ours", *(package for package in packages if importable(package))]
    sides = {name: PeerProcess(__file__, name, 1) for name in names}
    comparisons: list[Comparison] = []
    for name, documents in corpora(flags.text).items():
        if "training" in flags.works:
            comparisons += compare_training(name, documents, sides, flags.pairs)
        if "encoding" in flags.works:
            comparisons += compare_encoding(name, documents, sides, flags.pairs)
    for side in sides.values():
        side.close()
    if not comparisons:
        raise SystemExit(f"nothing to compare with: pip install {' '.join(packages)}")
    title = f"byte-level BPE, {VOCAB_SIZE} entries, one thread (ratio > 1: we lead)"
    console.print(comparison_table(title, comparisons))
    if flags.json:
        write_json(flags.json, comparisons)


if __name__ == "__main__":
    main()
