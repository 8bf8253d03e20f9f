"""Picture of page 01: the bytes of four characters grow together, merge by merge."""

from __future__ import annotations

from drawing import BLUE, GREY, PALE_BLUE, PALE_GREEN, PALE_GREY, PALE_ORANGE, box, canvas, draw_both
from matplotlib.figure import Figure

from scratchgpt.tokenizer import BPETokenizer
from scratchgpt.tokenizer.byte_level import BYTE_IDS, FIRST_MERGE_ID
from scratchgpt.tokenizer.plain_bpe import replace_pair

TEXT = "人工智能"
CORPUS = ["人工智能是人做的智能，不是人。"] * 2 + ["工人做工，人人能做。"]
TITLE = {"zh": "“人工智能”：从 {} 个字节到 {} 个词元", "en": "“人工智能”: from {} bytes to {} tokens"}
BYTES = {"zh": "字节", "en": "bytes"}
MERGE = {"zh": "合并 {}", "en": "merge {}"}
COUNT = {"zh": "{} 个词元", "en": "{} tokens"}


def stages() -> tuple[BPETokenizer, list[tuple[int, list[int]]]]:
    """The tokenizer, and the ids of the text after each merge that changed it: (number of the merge, ids)."""
    tokenizer = BPETokenizer(vocab_size=262 + 40)
    tokenizer.fit(CORPUS)
    ids = BYTE_IDS[list(TEXT.encode())].tolist()
    found = [(0, ids)]
    for number, pair in enumerate(tokenizer.merges):
        merged = replace_pair(ids, pair, FIRST_MERGE_ID + number)
        if merged != ids:
            ids = merged
            found.append((number + 1, ids))
    return tokenizer, found


def draw(language: str) -> Figure:
    """The picture in a language."""
    tokenizer, found = stages()
    row, unit, left = 0.5, 0.58, 1.35
    figure, axes = canvas(left + 12 * unit + 1.25, 0.7 + row * len(found))
    title = TITLE[language].format(len(found[0][1]), len(found[-1][1]))
    top = 0.25 + row * len(found)
    axes.text(left, top + 0.18, title, fontsize=12, fontweight="bold", va="center")
    for line, (number, ids) in enumerate(found):
        y = top - row * (line + 1) + 0.08
        label = MERGE[language].format(number) if number else BYTES[language]
        axes.text(left - 0.15, y + 0.17, label, ha="right", va="center", color=BLUE if number else GREY)
        x = left
        for token_id in ids:
            data = tokenizer.token_bytes(token_id)
            width = unit * len(data)
            readable = data.decode("utf-8", "ignore")
            whole = len(readable.encode()) == len(data)
            fill = (PALE_GREEN if len(readable) > 1 else PALE_BLUE) if whole else PALE_ORANGE
            text = f"{readable}  {token_id}" if whole else data.hex(" ").upper()
            box(axes, x + 0.02, y, width - 0.04, 0.36, text, PALE_GREY if len(data) == 1 else fill, fontsize=9)
            x += width
        axes.text(x + 0.12, y + 0.17, COUNT[language].format(len(ids)), va="center", fontsize=9, color=GREY)
    return figure


if __name__ == "__main__":
    draw_both("01-tokenizer", draw)
