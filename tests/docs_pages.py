r"""The pages of docs/ as the tests see them: their headings, links, names of code, snippets and shown output.

What a page may hold, so that the tests can run it:

- a ```python block runs as it stands; the blocks of a page share their names, from top to bottom;
- a ```bash block holds one command a line, run in a folder without checkpoints (data/, bench/ and the like are there);
- a ```text block right after it is what it prints; without one nothing may be printed;
- in shown output a line that holds only `…` stands for any lines, `…` inside a line for anything up to its end;
- numbers with a decimal point may differ by two units of their last shown digit or half a percent, others not at all;
- `<!-- not run: reason -->` right before a block excuses it, for what takes minutes or needs a trained model.

`python -m tests.docs_runner docs/zh/01-tokenizer.md` writes the real output into a page.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
LANGUAGES = ("zh", "en")
RUNNABLE = ("python", "bash")
ANYTHING = "…"

_FENCE = re.compile(r"^(`{3,})(\w*)\s*$")
_EXCUSE = re.compile(r"^<!-- not run: \S.* -->$")
_NUMBER = re.compile(r"(?<![A-Za-z_.\d])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_NAME = re.compile(r"`(scratchgpt(?:\.\w+)+)(?:\([^`]*\))?`")
_FILE = re.compile(r"`((?:scratchgpt|docs|data|bench|tests)/[\w./-]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, content, first and last line (from 1) in the page, and whether it is excused."""

    language: str
    content: str
    first: int
    last: int
    excused: bool = False


@dataclass(frozen=True)
class Snippet:
    """A block to run, and the block that shows what it prints, or None."""

    code: Block
    shown: Block | None


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found: list[Block] = []
    lines = text.split("\n")
    start, fence, language = 0, "", ""
    for number, line in enumerate(lines, 1):
        if fence:
            if line.rstrip() == fence:
                excused = bool(start > 1 and _EXCUSE.match(lines[start - 2].strip()))
                found.append(Block(language, "\n".join(lines[start : number - 1]), start, number, excused))
                fence = ""
        elif match := _FENCE.match(line):
            start, fence, language = number, match[1], match[2]
    if fence:
        raise ValueError(f"line {start}: the block never ends")
    return found


def snippets(text: str) -> list[Snippet]:
    """What a page runs, each with the output it shows."""
    lines = text.split("\n")
    all_blocks = blocks(text)
    found = []
    for block, after in zip(all_blocks, [*all_blocks[1:], None], strict=True):
        if block.language not in RUNNABLE or block.excused:
            continue
        follows = after is not None and after.language == "text" and not "".join(lines[block.last : after.first - 1])
        found.append(Snippet(block, after if follows else None))
    return found


def prose(text: str) -> str:
    """The page without its fenced blocks; the number of lines stays."""
    lines = text.split("\n")
    for block in blocks(text):
        lines[block.first - 1 : block.last] = [""] * (block.last - block.first + 1)
    return "\n".join(lines)


def headings(text: str, level: int) -> list[str]:
    """The headings of a level, in order."""
    mark = "#" * level + " "
    return [line[len(mark) :].strip() for line in prose(text).split("\n") if line.startswith(mark)]


def sections(text: str) -> list[tuple[str, str]]:
    """The parts of a page below its headings of level 2: (heading, content)."""
    kept = prose(text).split("\n")
    starts = [number for number, line in enumerate(kept) if line.startswith("## ")]
    whole = text.split("\n")
    return [
        (whole[start][3:].strip(), "\n".join(whole[start + 1 : end]))
        for start, end in zip(starts, [*starts[1:], len(whole)], strict=True)
    ]


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub and the site make it."""
    plain = re.sub(r"[`*]", "", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def anchors(text: str) -> set[str]:
    """All anchors of a page."""
    found = [slug(heading) for level in range(1, 5) for heading in headings(text, level)]
    return {*found, *re.findall(r'<a id="([^"]+)"', prose(text))}


def links(text: str) -> list[str]:
    """The targets of all links and pictures."""
    return _LINK.findall(prose(text))


def broken_links(page: Path, text: str) -> list[str]:
    """The links of a page that lead to no file, or to no heading of it; those to other sites are not followed."""
    broken = []
    for target in links(text):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        file = (page.parent / place).resolve() if place else page.resolve()
        whole = text if file == page.resolve() else file.read_text(errors="replace") if file.is_file() else None
        if whole is None or (anchor and anchor not in anchors(whole)):
            broken.append(target)
    return broken


def code_names(text: str) -> list[str]:
    """The dotted names in code font that begin with ``scratchgpt.``."""
    return _NAME.findall(prose(text))


def file_names(text: str) -> list[str]:
    """The files of the project in code font."""
    return _FILE.findall(prose(text))


def resolve(name: str) -> Any:
    """What a dotted name stands for.

    Raises:
        AttributeError: if there is no such thing.
    """
    parts = name.split(".")
    found: Any = importlib.import_module(parts[0])
    for position, part in enumerate(parts[1:], 2):
        try:
            found = getattr(found, part)
        except AttributeError:
            try:
                found = importlib.import_module(".".join(parts[:position]))
            except ImportError:
                raise AttributeError(f"there is no {'.'.join(parts[:position])} (in {name})") from None
    return found


# -- what was printed against what is shown -----------------------------------------------------------------
def same_output(shown: str, printed: str) -> bool:
    """Whether the printed text is the shown one, by the rules at the head of this file."""
    return _same_lines(shown.rstrip().split("\n"), printed.rstrip().split("\n"))


def _same_lines(shown: list[str], printed: list[str]) -> bool:
    position = 0
    for number, line in enumerate(shown):
        if line.strip() == ANYTHING:
            rest = shown[number + 1 :]
            return any(
                _same_lines(rest, printed[skipped:]) for skipped in range(position, len(printed) + bool(not rest))
            )
        if position == len(printed) or not _same_line(line, printed[position]):
            return False
        position += 1
    return position == len(printed)


def _same_line(shown: str, printed: str) -> bool:
    numbers: list[str] = []
    pattern = "".join(_piece(piece, numbers) for piece in _pieces(shown.strip()))
    match = re.fullmatch(pattern, printed.strip())
    return match is not None and all(_same_number(*pair) for pair in zip(numbers, match.groups(), strict=True))


def _pieces(line: str) -> Iterator[str]:
    end = 0
    for match in _NUMBER.finditer(line):
        yield line[end : match.start()]
        yield match[0]
        end = match.end()
    yield line[end:]


def _piece(piece: str, numbers: list[str]) -> str:
    """The pattern of a piece; a number is a group of it, and noted."""
    if _NUMBER.fullmatch(piece):
        numbers.append(piece)
        return r"([-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?)"
    parts = (r"\s*".join(map(re.escape, re.split(r"\s+", part))) for part in piece.split(ANYTHING))
    return ".*".join(parts)


def _same_number(shown: str, printed: str) -> bool:
    if shown == printed:
        return True
    if "." not in shown and "e" not in shown:
        return False
    digits, _, exponent = shown.partition("e")
    last_place = 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))
    a, b = float(shown.replace(",", "")), float(printed.replace(",", ""))
    return abs(a - b) <= max(2.001 * last_place, 0.005 * abs(a))
