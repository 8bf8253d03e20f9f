"""The learning path: every snippet prints what its page shows, every link leads somewhere, both languages agree."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.docs_pages import (
    DOCS,
    LANGUAGES,
    ROOT,
    RUNNABLE,
    Block,
    anchors,
    blocks,
    broken_links,
    code_names,
    file_names,
    headings,
    links,
    prose,
    resolve,
    same_output,
    sections,
    snippets,
)
from tests.docs_runner import outputs

PAGES = sorted(DOCS.rglob("*.md"))
STEPS = sorted(page.name for page in (DOCS / "zh").glob("[0-9][0-9]-*.md"))
PARTS = {
    "zh": ["一句话", "图", "公式", "代码", "跑一跑", "改一改，先猜", "三个问题"],
    "en": [
        "In one sentence",
        "The picture",
        "The equation",
        "The code",
        "Run it",
        "Change it, predict first",
        "Three questions",
    ],
}


def named(page: Path) -> str:
    return str(page.relative_to(DOCS))


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


# -- the pages ----------------------------------------------------------------------------------------------
def test_every_snippet_prints_what_its_page_shows() -> None:
    # The files beside the learning path show benchmarks, which no two runs repeat.
    pages = [page for page in PAGES if page.parent != DOCS]
    found = [snippets(text_of(page)) for page in pages]
    printed = outputs([[snippet.code for snippet in page] for page in found])
    wrong = []
    for page, of_page, real_of_page in zip(pages, found, printed, strict=True):
        for snippet, real in zip(of_page, real_of_page, strict=True):
            shown = "" if snippet.shown is None else snippet.shown.content
            if not same_output(shown, real):
                place = f"docs/{named(page)}, line {snippet.code.first}"
                wrong.append(f"{place} shows\n{shown}\nbut prints\n{real.rstrip()}\n")
    assert not wrong, f"{len(wrong)} snippets\n" + "\n".join(wrong)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_names_and_files_exist(page: Path) -> None:
    text = text_of(page)
    assert broken_links(page, text) == []
    for name in code_names(text):
        resolve(name)
    assert [name for name in file_names(text) if not (ROOT / name).exists()] == []


def test_both_languages_have_the_same_pages() -> None:
    chinese, english = ([page.name for page in sorted((DOCS / name).glob("*.md"))] for name in LANGUAGES)
    assert chinese == english


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("step", STEPS)
def test_a_page_has_its_seven_parts(step: str, language: str) -> None:
    text = text_of(DOCS / language / step)
    assert headings(text, 2) == PARTS[language]
    content = [part for _, part in sections(text)]
    assert f"](../pictures/{step.removesuffix('.md')}.{language}.svg)" in content[1]
    assert "$$" in content[2]
    assert code_names(content[3])
    assert any(snippet.shown for snippet in snippets(content[4]))
    assert content[5].count("<details>") >= 1
    assert content[6].count("<details>") == 3
    assert text.count("<details>") == text.count("</details>") == text.count("<summary>") == text.count("</summary>")


@pytest.mark.parametrize("step", STEPS)
def test_both_languages_run_the_same(step: str) -> None:
    kinds = [[s.code.language for s in snippets(text_of(DOCS / language / step))] for language in LANGUAGES]
    assert kinds[0] == kinds[1]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_index_leads_to_every_page(language: str) -> None:
    assert set(STEPS) <= set(links(text_of(DOCS / language / "index.md")))


def test_every_page_is_in_the_site() -> None:
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [named(page) for page in PAGES if not re.search(rf"[ :]{re.escape(named(page))}$", site, re.MULTILINE)] == []


@pytest.mark.parametrize("picture", sorted((DOCS / "pictures").glob("*.svg")), ids=lambda picture: picture.name)
def test_every_picture_is_whole_and_shown(picture: Path) -> None:
    root = ElementTree.parse(picture).getroot()
    assert root.tag.endswith("svg")
    assert list(root.iter("{http://www.w3.org/2000/svg}text")), "text is kept as text, to be read, found and translated"
    assert any(f"pictures/{picture.name})" in text_of(page) for page in PAGES)


# -- what the checks are made of ----------------------------------------------------------------------------
PAGE = """# A page

```python
print(1)
```

```text
1
```

## Below `x`

See [there](#below-x), [nowhere](#nothing), `scratchgpt.models.gpt2.GPT`, `scratchgpt.models.gpt2.Nothing`, `data/nothing.txt`.

<!-- not run: takes an hour -->
```bash
sleep 3600
```

```bash
echo [no](link.md)
```
"""


def test_a_page_is_taken_apart(tmp_path: Path) -> None:
    assert [(b.language, b.first, b.last, b.excused) for b in blocks(PAGE)] == [
        ("python", 3, 5, False),
        ("text", 7, 9, False),
        ("bash", 16, 18, True),
        ("bash", 20, 22, False),
    ]
    assert [(s.code.first, s.shown and s.shown.content) for s in snippets(PAGE)] == [(3, "1"), (20, None)]
    assert all(block.language in (*RUNNABLE, "text") for block in blocks(PAGE))
    assert anchors(PAGE) == {"a-page", "below-x"}
    assert broken_links(tmp_path / "page.md", PAGE) == ["#nothing"]
    assert file_names(PAGE) == ["data/nothing.txt"]
    assert "echo" not in prose(PAGE)
    good, bad = code_names(PAGE)
    resolve(good)
    with pytest.raises(AttributeError, match=r"no scratchgpt\.models\.gpt2\.Nothing"):
        resolve(bad)


def test_a_block_that_never_ends_is_reported() -> None:
    with pytest.raises(ValueError, match="line 2"):
        blocks("\n```python\nprint(1)\n")


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("loss 1.234", "loss 1.235", True),
        ("loss 1.234", "loss 1.334", False),
        ("loss -0.50", "loss 0.50", False),
        ("1,234 tokens", "1,235 tokens", False),
        ("1.50e-08", "1.51e-08", True),
        ("shape (2, 3)", "shape (2, 4)", False),
        ("猫 0.5", "狗 0.5", False),
        ("a  0.5", "a -0.5", False),
        ("took … seconds", "took 5.1 seconds", True),
        ("took … seconds", "took 5.1 minutes", False),
        ("a\n…\nd", "a\nb\nc\nd", True),
        ("a\n…\nd", "a\nb\nc", False),
        ("a\n…", "a", True),
        ("a", "a\nb", False),
        ("a\nb", "a", False),
        ("", "a", False),
        ("", "", True),
    ],
)
def test_output_is_compared_by_its_rules(shown: str, printed: str, same: bool) -> None:
    assert same_output(shown, printed) is same


def test_the_runner_keeps_names_within_a_page_and_catches_errors() -> None:
    first = [Block("python", "x = 2", 1, 1), Block("python", "print(x)", 1, 1), Block("python", "1 / 0", 1, 1)]
    second = [Block("python", "print('x' in dir())", 1, 1), Block("bash", "echo a | tr a b; ls checkpoints", 1, 1)]
    (nothing, two, error), (known, shell) = outputs([first, second])
    assert (nothing, two, known) == ("", "2\n", "False\n")
    assert "ZeroDivisionError" in error
    assert shell.startswith("b\n") and "No such file" in shell
