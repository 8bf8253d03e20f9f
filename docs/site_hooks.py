"""What the site does to a page while MkDocs builds it (see `hooks` in mkdocs.yml).

- Equations become MathML, which browsers draw by themselves: the site needs no script for them and no network.
- A link to a file outside of docs/, right on GitHub, names the file instead.
- What is inside `<details>` is Markdown, as it is on GitHub.
"""

from __future__ import annotations

import html
import re
from typing import Any

import latex2mathml.converter

_OUTSIDE = re.compile(r"(?<!!)\[([^\]]*)\]\((?:\.\./){2}([\w./-]+)\)")
_DISPLAY = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL)
_INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
_GROUPED = re.compile(r"\d+(?:\{,\}\d{3})+")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Have the Markdown inside of details read as such, and name files that the site does not hold."""
    markdown = _OUTSIDE.sub(r"\1 (`\2`)", markdown)
    return markdown.replace("<details>", '<details markdown="1">')


def on_page_content(content: str, **_: Any) -> str:
    """Turn LaTeX into MathML."""
    content = _DISPLAY.sub(lambda match: _mathml(match[1], "block"), content)
    return _INLINE.sub(lambda match: _mathml(match[1], "inline"), content)


def _in_one_piece(number: re.Match[str]) -> str:
    """6{,}400 as text, or there would be a gap after the comma."""
    return rf"\text{{{number[0].replace('{,}', ',')}}}"


def _mathml(latex: str, display: str) -> str:
    latex = html.unescape(latex).replace(r"\lVert", r"\|").replace(r"\rVert", r"\|").strip()
    latex = _GROUPED.sub(_in_one_piece, latex)
    return latex2mathml.converter.convert(latex, display=display)
