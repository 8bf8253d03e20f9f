"""``python -m scratchgpt check``: what a file holds and what a run would make of it, before hours are spent on it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro
from rich.text import Text as Styled

from scratchgpt.cli.commands.tokenize import tokenizer_at
from scratchgpt.cli.which_run import RunFlag, chosen_run
from scratchgpt.config import GPTConfig
from scratchgpt.datasets.corpus import load_corpus
from scratchgpt.datasets.records import DIALOGUE, PAIR, TASK, Kind, Record, kind_of, load_records, place_of, question_of
from scratchgpt.datasets.surface import feature_accuracy, surface_features
from scratchgpt.errors import UserError
from scratchgpt.evaluation.answering import encode_question
from scratchgpt.evaluation.reward_scores import encode_answer
from scratchgpt.inside.bilingual import Language, Text
from scratchgpt.models.architectures import read_config
from scratchgpt.models.huggingface import CONFIG_FILE
from scratchgpt.stages.run_folder import finished_writers, stage_directory
from scratchgpt.terminal import VisibleConsole, visible
from scratchgpt.tokenizer import Tokenizer, encode_chat_with_mask
from scratchgpt.verify.verifiers import complaint_about

EXAMPLES = 5
LONGEST_EXAMPLE = 400
"""Tokens of an example that are shown."""
TELLING = 0.6
"""A surface that tells the better answer more often than this is worth a warning."""
LEARNED = "black on #cdeec0"
KINDS = {kind.name: kind for kind in (DIALOGUE, PAIR, TASK)}

Sides = list[tuple[list[int], list[int]]]
"""What the model reads of a record: ids and loss mask, once, or of a pair twice."""


@dataclass(frozen=True)
class Arguments:
    """Look at data before training: what it is, how long, what is left out and why, and how the model will see it.

    Attributes:
        files: texts, dialogues, preference pairs or tasks, in any format that train.py reads.
        kind: what they hold. By default what they look like.
        checkpoint: a tokenizer.json, its folder, or the folder that train.py wrote to, for the tokens and the context.
            By default checkpoints, or those of the model that comes with scratchgpt.
        context_size: tokens that the model reads. By default those of the checkpoint.
        encoding: of the files, such as gb18030. By default it is recognised.
        strict: refuse what teaches nothing, as train.py --strict does.
        lang: the language of what is said.
    """

    files: tyro.conf.Positional[tuple[Path, ...]]
    kind: Annotated[
        Literal["dialogues", "pairs", "tasks", "text"] | None,
        tyro.conf.arg(metavar="{dialogues,pairs,tasks,text}", help_behavior_hint=""),
    ] = None
    checkpoint: Annotated[RunFlag, tyro.conf.arg(aliases=["--tokenizer"])] = None
    context_size: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    encoding: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    strict: bool = False
    lang: Language = "zh"


@dataclass(frozen=True)
class Item:
    """A record or a document, as the model reads it.

    Attributes:
        place: file and line, or what it begins with.
        question: what must not stand twice, or nothing.
        content: all that is learned from, to find what is there twice.
        texts: all that is read.
        sides: the tokens.
        note: what belongs to it and is not read, or nothing.
    """

    place: str
    question: str
    content: str
    texts: tuple[str, ...]
    sides: Sides
    note: str = ""

    @property
    def length(self) -> int:
        """Tokens of the longest side."""
        return max(len(ids) for ids, _ in self.sides)


def run(arguments: Arguments) -> None:
    """Print what each file holds.

    Raises:
        UserError: if a file cannot be read or is malformed, with the line.
    """
    if not arguments.files:
        raise UserError("there is no file to look at; name one, as in: check mine.jsonl")
    if arguments.context_size is not None and arguments.context_size < 1:
        raise UserError(f"--context-size must be at least 1, not {arguments.context_size}")
    kinds = [_kind(path, arguments) for path in arguments.files]  # whatever cannot be read is said at once
    run_folder = chosen_run(arguments.checkpoint)
    tokenizer = tokenizer_at(run_folder)
    context = arguments.context_size or context_size_at(run_folder)
    console = VisibleConsole(highlight=False, soft_wrap=True)
    for number, (path, kind) in enumerate(zip(arguments.files, kinds, strict=True)):
        if number:
            console.print()
        _check(path, kind, tokenizer, context, arguments, console)


def _kind(path: Path, arguments: Arguments) -> Kind | None:
    if arguments.kind is not None:
        return KINDS.get(arguments.kind)
    return None if path.is_dir() else kind_of(path, arguments.encoding)


def context_size_at(place: Path) -> int:
    """The context of the model at a place that ``--checkpoint`` may name; the default one if there is no model."""
    folder = place.parent if place.suffix == ".json" else place
    if (folder / CONFIG_FILE).is_file():
        return read_config(folder).context_size
    for stage in finished_writers(folder):
        return read_config(stage_directory(folder, stage)).context_size
    return GPTConfig().context_size


def _check(
    path: Path, kind: Kind | None, tokenizer: Tokenizer, context: int, arguments: Arguments, console: VisibleConsole
) -> None:
    language = arguments.lang

    def say(zh: str, en: str) -> None:
        console.print(visible(Text(zh, en)(language)), markup=False)

    records: list[Record] = []
    if kind is None:
        corpus = load_corpus(path, arguments.encoding)
        for line in corpus.description():
            say(line, line)
        items = [_document(text, tokenizer) for text in corpus.documents]
    else:
        unanswerable = {"unanswerable": complaint_about} if kind is TASK else {}
        read = load_records(path, kind, arguments.strict, arguments.encoding, **unanswerable)
        say(read.description(), read.description())
        records = read.records
        items = [_ITEM_OF[kind.name](record, tokenizer) for record in records]
    if not items:
        return
    _say_lengths(items, kind, context, say)
    _say_duplicates(items, say)
    _say_unseen(items, tokenizer, say)
    if kind is PAIR:
        _say_surface(records, say)
    _show_examples(items, tokenizer, say, console)


# -- records as the model reads them --------------------------------------------------------------------------
def _document(text: str, tokenizer: Tokenizer) -> Item:
    ids = tokenizer.encode(text)
    return Item(repr(text[:20]), "", text, (text,), [(ids, [1] * len(ids))])


def _dialogue(record: Record, tokenizer: Tokenizer) -> Item:
    texts = tuple(message["content"] for message in record["messages"])
    sides = [encode_chat_with_mask(tokenizer, record["messages"])]
    return Item(place_of(record), question_of(record), json.dumps(record["messages"]), texts, sides)


def _pair(record: Record, tokenizer: Tokenizer) -> Item:
    history = record.get("history", [])
    texts = (record["prompt"], record["chosen"], record["rejected"], *(message["content"] for message in history))
    sides: Sides = []
    for side in ("chosen", "rejected"):
        ids = encode_answer(tokenizer, record["prompt"], record[side], history)
        # The reward model reads its score at the last token.
        sides.append((ids, [0] * (len(ids) - 1) + [1]))
    return Item(place_of(record), record["prompt"], json.dumps([history, *texts]), texts, sides)


def _task(record: Record, tokenizer: Tokenizer) -> Item:
    asked, expected = record["prompt"], record["expected_answer"]
    ids = encode_question(tokenizer, asked)
    content = json.dumps([asked, expected])
    return Item(place_of(record), asked, content, (asked, expected), [(ids, [0] * len(ids))], expected)


_ITEM_OF: dict[str, Callable[[Record, Tokenizer], Item]] = {"dialogues": _dialogue, "pairs": _pair, "tasks": _task}
_ROOM = {"dialogues": 1, "pairs": 0, "tasks": -1}
"""By how much a record may exceed the context: a dialogue's last token is only a target, a task needs an answer."""


# -- what is said ---------------------------------------------------------------------------------------------
Say = Callable[[str, str], None]


def _say_lengths(items: Sequence[Item], kind: Kind | None, context: int, say: Say) -> None:
    lengths = np.array([item.length for item in items])
    middle, most = int(np.median(lengths)), int(np.quantile(lengths, 0.9))
    least, greatest, total = int(lengths.min()), int(lengths.max()), int(lengths.sum())
    shortest, longest = items[int(lengths.argmin())], items[int(lengths.argmax())]
    say(
        f"长度（词元，上下文 {context}）：最短 {least:,}，中位 {middle:,}，九成不超过 {most:,}，最长 {greatest:,}，"
        f"共 {total:,}",
        f"length (tokens, context {context}): shortest {least:,}, median {middle:,}, nine in ten up to {most:,}, "
        f"longest {greatest:,}, in all {total:,}",
    )
    say(f"  最短：{shortest.place}；最长：{longest.place}", f"  shortest: {shortest.place}; longest: {longest.place}")
    if kind is None:
        return
    too_long = [item for item in items if item.length > context + _ROOM[kind.name]]
    if too_long:
        say(
            f"  {len(too_long):,} 条超出上下文，训练时会舍去，第一条：{too_long[0].place}",
            f"  {len(too_long):,} exceed the context and will be left out, first {too_long[0].place}",
        )


def _say_duplicates(items: Sequence[Item], say: Say) -> None:
    contents, questions = Counter(i.content for i in items), Counter(i.question for i in items if i.question)
    again, asked_again = (sum(counted.values()) - len(counted) for counted in (contents, questions))
    first = next((item for item in items if contents[item.content] > 1), None)
    where = "" if first is None else f" ({first.place})"
    say(
        f"重复：{again:,} 条与前面完全相同{where}；{asked_again:,} 个问题前面问过",
        f"duplicates: {again:,} repeat another wholly{where}; {asked_again:,} ask what was asked before",
    )


def characters_known(tokenizer: Tokenizer) -> set[str]:
    """The characters that stand whole in some token: what a tokenizer made for its text has seen there."""
    return set("".join(tokenizer.token_bytes(i).decode("utf-8", "ignore") for i in range(len(tokenizer))))


def _say_unseen(items: Iterable[Item], tokenizer: Tokenizer, say: Say) -> None:
    counted = Counter(character for item in items for text in item.texts for character in text)
    known = characters_known(tokenizer)
    unseen = Counter({character: count for character, count in counted.items() if character not in known})
    share = sum(unseen.values()) / max(1, sum(counted.values()))
    shown = " ".join(character for character, _ in unseen.most_common(10))
    say(
        f"分词器没有整字的字符：{share:.2%}" + (f"，最多的是：{shown}" if shown else ""),
        f"characters that the tokenizer has no token for: {share:.2%}" + (f", most of all {shown}" if shown else ""),
    )


def _say_surface(pairs: Sequence[Record], say: Say) -> None:
    length = feature_accuracy(pairs, len)
    say(
        f"只看长度就能猜中较好回答的比例：{length:.1%}" + ("，太高了：奖励模型会只学长短" if length > TELLING else ""),
        f"length alone tells the better answer: {length:.1%}"
        + (", too often: a reward model will learn nothing but length" if length > TELLING else ""),
    )
    others = [f"{name} {value:.1%}" for name, value in surface_features(pairs).items() if name != "length"]
    say(f"  其他表面特征：{'，'.join(others)}", f"  other surfaces: {', '.join(others)}")


# -- examples -------------------------------------------------------------------------------------------------
def runs_of(ids: Sequence[int], mask: Sequence[int]) -> Iterator[tuple[list[int], bool]]:
    """Neighbouring tokens that are learned, or are not, together."""
    run: list[int] = []
    for position, token in enumerate(ids):
        if run and mask[position] != mask[position - 1]:
            yield run, bool(mask[position - 1])
            run = []
        run.append(token)
    if run:
        yield run, bool(mask[len(ids) - 1])


def as_seen(tokenizer: Tokenizer, ids: Sequence[int], mask: Sequence[int], coloured: bool) -> Styled:
    """The text of the tokens, what is learned on green, or where there are no colours between ⟦ and ⟧.

    Args:
        tokenizer: that made them.
        ids: tokens.
        mask: 1 where one is learned.
        coloured: whether colours can be seen.
    """
    shown = Styled()
    for run, learned in runs_of(ids[:LONGEST_EXAMPLE], mask[:LONGEST_EXAMPLE]):
        text = visible(tokenizer.decode_bytes(run, skip_special_tokens=False).decode("utf-8", "replace"))
        shown.append(text if coloured or not learned else f"⟦{text}⟧", style=LEARNED if learned and coloured else "")
    if len(ids) > LONGEST_EXAMPLE:
        shown.append(" …")
    return shown


def _show_examples(items: Sequence[Item], tokenizer: Tokenizer, say: Say, console: VisibleConsole) -> None:
    coloured = console.is_terminal and not console.no_color
    mark = Text("绿底", "on green") if coloured else Text("⟦ ⟧ 之间", "between ⟦ and ⟧")
    say(f"模型看到的样子（{mark.zh}是要学的）：", f"as the model sees it (what is learned is {mark.en}):")
    count = min(EXAMPLES, len(items))
    for item in (items[i * len(items) // count] for i in range(count)):
        say(f"— {item.place}", f"— {item.place}")
        for ids, mask in item.sides:
            console.print(as_seen(tokenizer, ids, mask, coloured))
        if item.note:
            say(f"（答案：{item.note}）", f"(answer: {item.note})")
