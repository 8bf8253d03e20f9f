"""Feeds damaged files to everything that reads one: each must be read, or refused in one line, quickly and in little memory.

    python -m tests.fuzz --files 10000               # over all readers, in worker processes
    python -m tests.fuzz --files 500 --reader tokenizer
    python -m tests.fuzz --reader tokenizer --number 17   # one file again, with the traceback

Small valid files are damaged as a fault would (bits, lost and doubled pieces) and as a person would (another value at
some place in JSON). File ``number`` of a reader is a function of the seed and the number, so any of them can be made
again; none is kept.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import json
import multiprocessing
import multiprocessing.connection
import os
import resource
import signal
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scratchgpt.config import GPTConfig
from scratchgpt.datasets.corpus import read_corpus
from scratchgpt.datasets.records import read_dialogues, read_pairs, read_tasks
from scratchgpt.errors import UserError
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.reward import RewardModel
from scratchgpt.models.weights import INDEX_FILE, save_weights
from scratchgpt.nn.modules import Linear
from scratchgpt.nn.optimizers import AdamW
from scratchgpt.tokenizer import BPETokenizer, CharTokenizer, load_tokenizer
from scratchgpt.training.history import read_history
from scratchgpt.training.state import load_state, save_state
from scratchgpt.training.trainer import Trainer
from scratchgpt.verify.verifiers import complaint_about

SECONDS, MEGABYTES = 1, 300
"""What one file may take: processor time, and memory beyond what the process had before."""
STARTS_WITHIN, HANGS_AFTER = 300, 20
"""Seconds of the clock without a word from a worker: for what takes no processor time, or never looks at signals."""

CONFIG = GPTConfig(vocab_size=20, emb_dim=8, num_heads=2, num_layers=2, context_size=8)
TEXT = "天上有云。The cat sat on the mat, 3 + 4 = 7.\n\n第二段 <|im_start|> x² …\n"
DIALOGUE = {
    "messages": [{"role": "user", "content": "几点？"}, {"role": "assistant", "content": "三点。"}],
    "weight": 2,
}
PAIR = {"prompt": "几点？", "chosen": "三点。", "rejected": "不知道。", "kind": "off_topic"}
TASK = {"type": "math", "prompt": "计算 3 + 4", "expected_answer": "7", "keywords": ["加"]}
LOG = [
    {"kind": "evaluation", "step": 0, "loss": 3.0, "accuracy": 0.1},
    {"kind": "step", "step": 1, "loss": 2.5, "tokens": 5.0, "seconds": 0.1},
    {"kind": "sample", "step": 1, "text": "从前"},
]
ODD = (
    None, True, False, 0, 1, -1, 7, 8.0, 0.5, 2**31, 2**63, 10**9, -(10**400), float("nan"), float("inf"), "", "8", "gpt2",
    "\x1b[2J", "\ud800", "\x00", "../x", "x" * 5000, [], {}, [[]], [1, 2], {"a": 1}, ["a", "b"], [None] * 5,
)  # fmt: skip


class OneLayer(Trainer):
    """A trainer with something of everything that is saved."""

    name, total_steps, evaluate_every, fingerprint = "one", 9, 9, "lr=0.1"

    def __init__(self) -> None:
        super().__init__()
        layer = Linear(np.zeros((3, 2), np.float32), np.zeros(2, np.float32))
        self.modules, self.optimizers = {"model": layer}, {"model": AdamW(layer.named_parameters(), lr=0.1)}


SHAREGPT = {"conversations": [{"from": "human", "value": "几点？"}, {"from": "gpt", "value": "三点。"}], "system": "短些"}
OPENAI = {
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "几点？"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "clock", "arguments": "{}"}}]},
        {"role": "tool", "content": "3"},
        {"role": "assistant", "content": "三点。", "weight": 1},
    ],
    "tools": [{"name": "clock"}],
}
ALPACA = {"instruction": "翻译", "input": "猫", "output": "cat", "history": [["你好", "你好！"]]}
WHOLE_DIALOGUES = {
    side: [{"role": "user", "content": "几点？"}, {"role": "assistant", "content": answer}]
    for side, answer in (("chosen", "三点。"), ("rejected", "不知道。"))
}
GSM8K = {"question": "3 + 4 = ?", "answer": "3 + 4 = <<3+4=7>>7\n#### 7"}
MESSENGER = "2024-05-01 12:03 甲: 在吗\n[2024/5/1 12:04:07] 乙: 在的\n5/1/24, 12:05 PM - 甲：吃什么？\n一起？\n" * 2


@dataclass(frozen=True)
class Reader:
    """Something that reads files.

    Attributes:
        write: fills a folder with valid ones.
        read: reads them.
        damaged: which of them are damaged, one at a time.
    """

    write: Callable[[Path], object]
    read: Callable[[Path], object]
    damaged: tuple[str, ...]


def write_shards(folder: Path) -> None:
    """A model whose weights lie in two shards."""
    GPT(CONFIG).save_pretrained(folder)
    state = GPT(CONFIG).state_dict()
    places = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(state)}
    for shard in set(places.values()):
        save_weights(folder / shard, {name: array for name, array in state.items() if places[name] == shard})
    (folder / INDEX_FILE).write_text(json.dumps({"metadata": {"total_size": 9}, "weight_map": places}))
    (folder / "model.safetensors").unlink()


def write_tokenizer(tokenizer: BPETokenizer | CharTokenizer, folder: Path) -> None:
    """A tokenizer that knows a little."""
    tokenizer.fit([TEXT * 3])
    tokenizer.save_pretrained(folder)


def write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    """A record a line."""
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")


def records_reader(record: dict[str, Any], read: Callable[[Path], object], as_lines: bool) -> Reader:
    """A reader of data records, in a .json or a .jsonl file."""
    if as_lines:
        return Reader(
            lambda d: write_lines(d / "data.jsonl", [record] * 3), lambda d: read(d / "data.jsonl"), ("data.jsonl",)
        )
    return Reader(
        lambda d: (d / "data.json").write_text(json.dumps([record] * 3, indent=1)),
        lambda d: read(d / "data.json"),
        ("data.json",),
    )


def text_reader(name: str, content: str, read: Callable[[Path], object]) -> Reader:
    """A reader of records that are no JSON of ours."""
    return Reader(lambda d: (d / name).write_text(content, encoding="utf-8"), lambda d: read(d / name), (name,))


def write_parquet(folder: Path) -> None:
    """Questions and answers in the columns of a table."""
    arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    table = arrow.table({"question": ["几点？", "你好"] * 3, "answer": ["三点。", "你好！"] * 3})
    parquet.write_table(table, folder / "data.parquet")


READERS = {
    "model": Reader(GPT(CONFIG).save_pretrained, GPT.from_pretrained, ("config.json", "model.safetensors")),
    "shards": Reader(write_shards, GPT.from_pretrained, (INDEX_FILE, "model-00001-of-00002.safetensors")),
    "reward": Reader(
        RewardModel(CONFIG).save_pretrained, RewardModel.from_pretrained, ("config.json", "model.safetensors")
    ),
    "tokenizer": Reader(lambda d: write_tokenizer(BPETokenizer(275), d), load_tokenizer, ("tokenizer.json",)),
    "characters": Reader(lambda d: write_tokenizer(CharTokenizer(), d), load_tokenizer, ("tokenizer.json",)),
    "dialogues": records_reader(DIALOGUE, read_dialogues, as_lines=False),
    "dialogue-lines": records_reader(DIALOGUE, read_dialogues, as_lines=True),
    "pairs": records_reader(PAIR, read_pairs, as_lines=False),
    "tasks": records_reader(TASK, read_tasks, as_lines=True),
    "sharegpt": records_reader(SHAREGPT, read_dialogues, as_lines=False),
    "openai": records_reader(OPENAI, read_dialogues, as_lines=True),
    "alpaca": records_reader(ALPACA, read_dialogues, as_lines=True),
    "whole-dialogues": records_reader(WHOLE_DIALOGUES, read_pairs, as_lines=False),
    "gsm8k": records_reader(GSM8K, lambda path: read_tasks(path, complaint_about), as_lines=True),
    "csv": text_reader("data.csv", "问题,答案\n几点？,三点。\n\"你好，\n在吗？\",在。\n", read_dialogues),
    "tsv-pairs": text_reader("data.tsv", "prompt\tchosen\trejected\n几点？\t三点。\t不知道。\n" * 2, read_pairs),
    "questions": text_reader("data.txt", "问：几点？ 答：三点。\n问：你好\n答：你好！\n再见。\n", read_dialogues),
    "speakers": text_reader("data.txt", "用户：几点？\n助手：三点。\n\nUser: hi\nAssistant: hello\n", read_dialogues),
    "messenger": text_reader("data.txt", MESSENGER, read_dialogues),
    "corpus": Reader(
        lambda d: (d / "corpus.txt").write_text(TEXT, encoding="utf-8"),
        lambda d: read_corpus(d / "corpus.txt"),
        ("corpus.txt",),
    ),
    "corpus-lines": records_reader({"text": TEXT}, read_corpus, as_lines=True),
    "log": Reader(lambda d: write_lines(d / "log.jsonl", LOG), lambda d: read_history(d / "log.jsonl"), ("log.jsonl",)),
    "partial": Reader(
        lambda d: save_state(OneLayer(), d / "partial.safetensors", 3),
        lambda d: load_state(OneLayer(), d / "partial.safetensors"),
        ("partial.safetensors",),
    ),
}

if importlib.util.find_spec("pyarrow") is not None:
    READERS["parquet"] = Reader(write_parquet, lambda d: read_dialogues(d / "data.parquet"), ("data.parquet",))


def write_note(folder: Path) -> None:
    """A file that only the traps read."""
    (folder / "note.txt").write_text(TEXT, encoding="utf-8")


def trap(misbehave: Callable[[], object]) -> Reader:
    """A reader that does something bad once its file is damaged."""

    def read(folder: Path) -> None:
        if (folder / "note.txt").read_bytes() != TEXT.encode():
            misbehave()

    return Reader(write_note, read, ("note.txt",))


def raise_two_lines() -> None:
    """What no error of a user may be."""
    raise UserError("one line\nand another")


def never_end() -> None:
    """What a loop does that waits for an end that the file does not have."""
    while True:
        pass


TRAPS = {
    "slow": trap(never_end),
    "greedy": trap(lambda: bytearray(2 * MEGABYTES * 2**20)),
    "deadly": trap(lambda: os._exit(7)),
    "wordy": trap(raise_two_lines),
    "broken": trap(lambda: {}["key"]),
}
"""Readers that fail, each in its way, so that it is seen that fuzzing notices."""
EVERY = {**READERS, **TRAPS}


# -- damage ------------------------------------------------------------------------------------------------------


def places(value: object, path: tuple = ()) -> Iterator[tuple]:
    """Where in a JSON value anything stands."""
    yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield from places(member, (*path, key))


def at(value: Any, path: tuple) -> Any:
    """What stands at a place."""
    for key in path:
        value = value[key]
    return value


def change_json(text: str, rng: np.random.Generator) -> str:
    """Another value somewhere, one taken out, one moved; or what no writer of JSON would write."""
    value = json.loads(text)
    everywhere = list(places(value))[1:]
    place = everywhere[rng.integers(len(everywhere))]
    kind = rng.integers(8)
    new: Any = ODD[rng.integers(len(ODD))]
    if kind == 0:
        new = at(value, everywhere[rng.integers(len(everywhere))])
    elif kind == 1:
        new = "RAW"
    parent, key = at(value, place[:-1]), place[-1]
    if kind == 2:
        del parent[key]
    elif kind == 3 and isinstance(parent, dict):
        parent[str(new)[:100]] = parent.pop(key)
    else:
        parent[key] = json.loads(json.dumps(new))
    changed = json.dumps(value, ensure_ascii=bool(rng.integers(2)) or "\\ud800" in json.dumps(value))
    raw = (
        "[" * 100_000,
        '{"a":' * 50_000,
        "9" * 5000,
        "1e999",
        "-",
        '"',
        "[1" + ",1" * 20_000 + "]",
        '"a":1,"a"',
        "\t\x07",
    )
    return changed.replace('"RAW"', raw[rng.integers(len(raw))]) if kind == 1 else changed


def change_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """Bits flipped, a piece lost, doubled, zeroed or put elsewhere, the end cut off, or rubbish put in."""
    first, last = sorted(rng.integers(0, len(data) + 1, 2).tolist())
    if rng.integers(2):
        last = min(last, first + 8)
    piece = data[first:last]
    kind = rng.integers(7)
    if kind == 0:
        flipped = bytearray(data)
        for position in rng.integers(0, len(data), rng.integers(1, 5)):
            flipped[position] ^= 1 << int(rng.integers(8))
        return bytes(flipped)
    new = (
        b"",
        piece * 2,
        bytes(len(piece)),
        rng.bytes(len(piece)),
        rng.choice([b"\xff\xfe", b"\x1b", b"\xc3", b"\n", b"{"]),
    )
    if kind == 6:
        return data[:first]
    return data[:first] + bytes(new[kind - 1]) + data[last:]


def change_header(data: bytes, rng: np.random.Generator) -> bytes:
    """Another value in the header of a safetensors file, whose length is put right."""
    size = int.from_bytes(data[:8], "little")
    header = change_json(data[8 : 8 + size].decode(), rng).encode("utf-8", "surrogatepass")
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def damaged(name: str, data: bytes, rng: np.random.Generator) -> bytes:
    """The contents of a file after something has happened to it."""
    if rng.integers(3) == 0 or name.endswith((".txt", ".csv", ".tsv", ".parquet")):
        return change_bytes(data, rng)
    if name.endswith(".safetensors"):
        return change_header(data, rng)
    if name.endswith(".jsonl"):
        lines = data.decode().splitlines()
        number = rng.integers(len(lines))
        lines[number] = change_json(lines[number], rng)
        return "\n".join(lines).encode("utf-8", "surrogatepass")
    return change_json(data.decode(), rng).encode("utf-8", "surrogatepass")


def put_damaged(reader: str, folder: Path, valid: dict[str, bytes], seed: int, number: int) -> None:
    """Fill the folder with the reader's valid files, one of them damaged."""
    rng = np.random.default_rng((seed, zlib.crc32(reader.encode()), number))
    for name, data in valid.items():
        (folder / name).write_bytes(data)
    name = EVERY[reader].damaged[rng.integers(len(EVERY[reader].damaged))]
    (folder / name).write_bytes(damaged(name, valid[name], rng))


# -- workers -----------------------------------------------------------------------------------------------------


class TooSlowError(BaseException):
    """The file took more than its time; nothing in the readers catches it."""


def verdict(read: Callable[[Path], object], folder: Path) -> str:
    """What came of a file: ``read``, ``refused``, or what is wrong with how it was read."""

    def too_slow(*_: object) -> None:
        raise TooSlowError

    signal.signal(signal.SIGPROF, too_slow)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        read(folder)
    except UserError as error:
        return "refused" if len(str(error).splitlines()) == 1 else f"more than one line: {error!r:.200}"
    except TooSlowError:
        return f"over {SECONDS} s"
    except MemoryError:
        return f"over {MEGABYTES} MB"
    except Exception as error:
        return f"uncaught {type(error).__name__}: {error!s:.200}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return "read"


def work(reader: str, numbers: range, seed: int, answers: multiprocessing.connection.Connection) -> None:
    """Read damaged files, one after the other, and answer with each one's verdict."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        EVERY[reader].write(folder)
        valid = {path.name: path.read_bytes() for path in folder.iterdir()}
        EVERY[reader].read(folder)  # imports and compiled code take their memory before the limit is set
        limit_memory()
        answers.send({})
        for number in numbers:
            put_damaged(reader, folder, valid, seed, number)
            answers.send({number: verdict(EVERY[reader].read, folder)})


def limit_memory() -> None:
    """From now on this process gets no more than the allowance on top of what it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + MEGABYTES * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def fuzz(reader: str, count: int, seed: int = 0) -> dict[int, str]:
    """The verdicts of damaged files 0 to count-1; a worker that dies or hangs is ended, and another goes on."""
    context = multiprocessing.get_context("spawn")
    verdicts: dict[int, str] = {}
    while len(verdicts) < count:
        ours, theirs = context.Pipe(duplex=False)
        worker = context.Process(target=work, args=(reader, range(len(verdicts), count), seed, theirs), daemon=True)
        worker.start()
        theirs.close()
        why, started = "", False
        with contextlib.suppress(EOFError):
            while len(verdicts) < count:
                if not ours.poll(HANGS_AFTER if started else STARTS_WITHIN):
                    why = "hangs"
                    break
                answer, started = ours.recv(), True
                verdicts |= answer
        if why:
            worker.kill()
        worker.join()
        if len(verdicts) < count:
            verdicts[len(verdicts)] = why or f"the process ended with {worker.exitcode}"
    return verdicts


def failures(verdicts: dict[int, str]) -> dict[int, str]:
    """Those files that were neither read nor refused as they should."""
    return {number: what for number, what in verdicts.items() if what not in {"read", "refused"}}


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="feed damaged files to everything that reads one")
    parser.add_argument("--files", type=int, default=1000, help="over all readers together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", choices=READERS, action="append", help="only this one; may be repeated")
    parser.add_argument("--number", type=int, help="one file again, in this process, with the traceback")
    flags = parser.parse_args()
    readers = flags.reader or list(READERS)
    if flags.number is not None:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            READERS[readers[0]].write(folder)
            valid = {path.name: path.read_bytes() for path in folder.iterdir()}
            put_damaged(readers[0], folder, valid, flags.seed, flags.number)
            print(READERS[readers[0]].read(folder))
        return 0
    total, wrong = 0, 0
    for reader in readers:
        verdicts = fuzz(reader, -(-flags.files // len(readers)), flags.seed)
        failed = failures(verdicts)
        total, wrong = total + len(verdicts), wrong + len(failed)
        read = sum(what == "read" for what in verdicts.values())
        print(
            f"{reader}: {len(verdicts)} files, {read} read, {len(verdicts) - read - len(failed)} refused, {len(failed)} wrong"
        )
        for number, what in list(failed.items())[:10]:
            print(f"    --reader {reader} --seed {flags.seed} --number {number}: {what}")
    print(f"{total} files, {wrong} neither read nor refused in one line within {SECONDS} s and {MEGABYTES} MB")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
