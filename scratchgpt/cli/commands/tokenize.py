"""``python -m scratchgpt tokenize``: how text becomes tokens, and what the vocabulary holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text as Styled

from scratchgpt.cli.which_run import RunFlag, chosen_run
from scratchgpt.errors import UserError
from scratchgpt.inside.bilingual import Language, Text
from scratchgpt.inside.token_display import (
    VISIBLE,
    ShownToken,
    cut_ends,
    hexadecimal,
    origin,
    part_in_words,
    readable,
    tokens_of,
)
from scratchgpt.stages.run_folder import finished_writers, stage_directory
from scratchgpt.terminal import VisibleConsole
from scratchgpt.tokenizer import BPETokenizer, Tokenizer, load_tokenizer
from scratchgpt.tokenizer.byte_level import FIRST_MERGE_ID
from scratchgpt.tokenizer.plain_bpe import ids_of_bytes, ids_of_merges, merge_steps
from scratchgpt.tokenizer.split_pattern import compile_splitter

TOKEN_WIDTH = 14
"""Columns of a token in the list of the vocabulary; a longer one takes what it needs."""
COLOURS = ("#bfe3ff", "#ffd9b8", "#cdeec0", "#f5cdea", "#fff0a8", "#d9d2ff")
"""Backgrounds of neighbouring tokens; all are light, so that black on them can be read in every terminal."""


@dataclass(frozen=True)
class Arguments:
    """Show how text becomes tokens: their borders, ids and bytes.

    Attributes:
        text: what to tokenize; with --vocab, list only the tokens that hold it.
        merges: show every merge on the way from the bytes to the tokens.
        vocab: list the vocabulary instead.
        checkpoint: a tokenizer.json, its folder, or the folder of a run. By default checkpoints, or that of
            the model that comes with scratchgpt.
        lang: the language of the explanations.
    """

    text: tyro.conf.Positional[Annotated[str | None, tyro.conf.arg(metavar="[TEXT]", help_behavior_hint="")]] = None
    merges: bool = False
    vocab: bool = False
    checkpoint: RunFlag = None
    lang: Language = "zh"


def run(arguments: Arguments) -> None:
    """Print the tokens of the text, or the vocabulary.

    Raises:
        UserError: if there is nothing to show or no such tokenizer.
    """
    if not arguments.vocab and not arguments.text:
        raise UserError('there is no text to tokenize; give one, as in: tokenize "我爱你", or list --vocab')
    if arguments.vocab and arguments.merges:
        raise UserError("--merges shows how a text is cut, --vocab lists the vocabulary; leave one of them out")
    tokenizer = tokenizer_at(chosen_run(arguments.checkpoint))
    if arguments.merges:
        print(*merge_lines(tokenizer, arguments.text or "", arguments.lang), sep="\n")
    elif arguments.vocab:
        _print_vocabulary(tokenizer, arguments.text or "", arguments.lang)
    else:
        _print_tokens(tokens_of(tokenizer, arguments.text or ""), arguments.text or "", arguments.lang)


# -- which tokenizer ----------------------------------------------------------------------------------------
def tokenizer_at(place: Path) -> Tokenizer:
    """The tokenizer of a place.

    Args:
        place: a tokenizer.json, its folder, or the folder of a run.

    Raises:
        UserError: if there is none.
    """
    if place.suffix == ".json" or (place / "tokenizer.json").is_file():
        return load_tokenizer(place)
    for stage in finished_writers(place):
        return load_tokenizer(stage_directory(place, stage))
    raise UserError(f"{place}: no tokenizer here; name a tokenizer.json, its folder, or what train.py wrote")


# -- a text -------------------------------------------------------------------------------------------------
def coloured(tokens: Sequence[ShownToken], width: int) -> Styled:
    """The tokens side by side, each on a colour of its own, with a line between them for who sees no colours.

    Args:
        tokens: in order.
        width: columns of a line; it is broken between two tokens, and after one that breaks it itself.
    """
    lines, used = Styled(), 0
    for number, token in enumerate(tokens):
        size = cell_len(token.readable)
        if used and used + 1 + size > width:
            lines.append("\n")
            used = 0
        if used:
            lines.append("│", style="dim")
        lines.append(token.readable, style=f"black on {COLOURS[number % len(COLOURS)]}")
        used += size + bool(used)
        if b"\n" in token.data:
            lines.append("\n")
            used = 0
    return lines


def note(token: ShownToken) -> Text | None:
    """What a reader has to know about a token: that it is no whole character, or has no id."""
    if token.unknown:
        return Text("词表里没有，变成 <UNK>", "not in the vocabulary, becomes <UNK>")
    if not token.parts:
        return None
    words = [part_in_words(part) for part in token.parts]
    halves = Text("；".join(text.zh for text in words), "; ".join(text.en for text in words))
    return Text(f"不是整字：{halves.zh}", f"not whole: {halves.en}")


def _print_tokens(tokens: Sequence[ShownToken], text: str, language: Language) -> None:
    console = VisibleConsole(highlight=False)
    console.print(coloured(tokens, console.width))
    size = sum(len(token.data) for token in tokens)
    share = len(text) / len(tokens)
    console.print(
        Text(
            f"\n{len(text)} 个字符，{size} 字节，{len(tokens)} 个词元：平均一个词元 {share:.2f} 个字符",
            f"\n{len(text)} characters, {size} bytes, {len(tokens)} tokens: {share:.2f} characters a token",
        )(language)
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    heads = (Text("位置", "place"), Text("编号", "id"), Text("词元", "token"), Text("字节", "bytes"), Text("", ""))
    for number, head in enumerate(heads):
        table.add_column(head(language), justify="right" if number < 2 else "left", no_wrap=number < 3)
    for place, token in enumerate(tokens):
        said = note(token)
        cell = Styled(token.readable, style=f"black on {COLOURS[place % len(COLOURS)]}")
        row = hexadecimal(token.data), Styled(said(language) if said else "", style="dim")
        table.add_row(str(place), str(token.id), cell, *row)
    console.print(table)


# -- from bytes to tokens ----------------------------------------------------------------------------------
def merge_lines(tokenizer: Tokenizer, text: str, language: Language) -> Iterator[str]:
    """A text's way from bytes to tokens, chunk by chunk: a line for the bytes, and one for the state after each merge.

    Args:
        tokenizer: one that merges.
        text: what to cut.
        language: of the explanations.

    Raises:
        UserError: if the tokenizer merges nothing.
    """
    if not isinstance(tokenizer, BPETokenizer):
        raise UserError("--merges: this tokenizer gives every character an id of its own and merges nothing")
    merged_ids = ids_of_merges(tokenizer.merges)
    for chunk in compile_splitter()(text):
        before: list[int] = []
        yield Text(f"片段 “{chunk}”", f"chunk “{chunk}”")(language).replace("\n", VISIBLE["\n"])
        for ids in merge_steps(ids_of_bytes(chunk), merged_ids):
            pieces = " | ".join(readable(tokenizer.token_bytes(token_id)) for token_id in ids)
            made = next((token_id for token_id in ids if token_id not in before), None) if before else None
            if made is None:
                yield f"  {Text('字节', 'bytes')(language)}: {pieces}"
            else:
                rank = made - FIRST_MERGE_ID
                left, right = (readable(tokenizer.token_bytes(part)) for part in tokenizer.merges[rank])
                yield f"  {Text('合并', 'merge')(language)} {rank}: {left} + {right} -> {made}: {pieces}"
            before = ids


# -- the vocabulary -----------------------------------------------------------------------------------------
def vocabulary_lines(tokenizer: Tokenizer, holding: str, language: Language) -> Iterator[str]:
    """The entries of a vocabulary, a line each: id, token, where it comes from, what it is cut from, bytes.

    Args:
        tokenizer: whose vocabulary.
        holding: only the entries that hold this text; of the empty text all.
        language: of the explanations.
    """
    wanted = holding.encode("utf-8", "surrogatepass")
    for token_id in range(len(tokenizer)):
        data = tokenizer.token_bytes(token_id)
        if wanted not in data:
            continue
        origin_and_cuts = [origin(tokenizer, token_id), *cut_ends(data)]
        said = ("；" if language == "zh" else "; ").join(text(language) for text in origin_and_cuts)
        shown = readable(data)
        yield f"{token_id:6}  {shown}{' ' * (TOKEN_WIDTH - cell_len(shown))}  {said}  [{hexadecimal(data)}]"


def _print_vocabulary(tokenizer: Tokenizer, holding: str, language: Language) -> None:
    found = 0
    for line in vocabulary_lines(tokenizer, holding, language):
        print(line)
        found += 1
    if holding and not found:
        raise UserError(f"no token of the {len(tokenizer)} in the vocabulary holds {holding!r}")
    print(Text(f"共 {found} 个词元", f"{found} tokens")(language))
