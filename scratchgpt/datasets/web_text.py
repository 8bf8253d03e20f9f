"""HTML -> the text that a browser would show, and the encoding that a page names."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_UNSEEN = {"script", "style", "title", "template", "noscript", "svg", "textarea", "select"}
_INLINE = {
    *("a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font", "i"),
    *("img", "input", "ins", "kbd", "label", "mark", "q", "rp", "rt", "ruby", "s", "samp", "small", "span", "strike"),
    *("strong", "sub", "sup", "time", "tt", "u", "var", "wbr"),
}
_FAR_EASTERN = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef"
_BROKEN_LINE = re.compile(f"(?<=[{_FAR_EASTERN}])[ \t]*[\r\n]\\s*(?=[{_FAR_EASTERN}])")
_CHARSET = re.compile(rb"<(?:meta|\?xml)[^>]{0,300}?(?:charset|encoding)\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)


def text_of_html(page: str) -> str:
    """What a reader sees of a page, a line for each paragraph, heading, item or row, and no line empty.

    Args:
        page: HTML, well formed or not.
    """
    parser = _SeenText()
    parser.feed(page)
    parser.close()
    return parser.text()


def charset_of_html(page: bytes) -> str | None:
    """The encoding that a page says it is in; None if it says nothing."""
    found = _CHARSET.search(page[:4096])
    return None if found is None else found[1].decode("ascii")


class _SeenText(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._pieces: list[str] = []
        self._unseen: list[str] = []
        self._preformatted = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _UNSEEN:
            self._unseen.append(tag)
        elif tag in {"td", "th"}:
            self._add(" ")
        elif tag not in _INLINE:
            self._pieces.append("\n")
        self._preformatted += tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        if tag in self._unseen:  # with it ends whatever was left open inside
            del self._unseen[self._unseen.index(tag) :]
        elif tag in {"body", "html"}:
            self._unseen.clear()
        if tag not in _INLINE | _UNSEEN | {"td", "th"}:
            self._pieces.append("\n")
        self._preformatted = max(0, self._preformatted - (tag == "pre"))

    def handle_data(self, data: str) -> None:
        if self._unseen:
            return
        if not self._preformatted:
            # a line that was broken for the editor: Chinese has no space there
            data = re.sub(r"[ \t\r\n\f]+", " ", _BROKEN_LINE.sub("", data))
        self._add(data)

    def _add(self, text: str) -> None:
        begins_line = not self._pieces or self._pieces[-1].endswith("\n")
        text = text.lstrip(" ") if begins_line and not self._preformatted else text
        if text:
            self._pieces.append(text)

    def text(self) -> str:
        lines = (line.rstrip(" \t\r") for line in "".join(self._pieces).split("\n"))
        return "\n".join(line for line in lines if line)
