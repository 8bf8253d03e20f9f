"""Runs the snippets of docs/ in one process: as a child of test_docs.py, or by hand to renew what a page shows.

python -m tests.docs_runner docs/zh/01-tokenizer.md docs/en/01-tokenizer.md
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import shlex
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from tests.docs_pages import ANYTHING, ROOT, Block, same_output, snippets

SEEN_BY_COMMANDS = ("bench", "chat.py", "data", "docs", "train.py")
"""What a command finds in its folder, as in the project's own; but no checkpoints. The package is not among them: it
would be imported by way of the link, and Numba would compile everything again, since its cache goes by the path."""
WIDTH = 80
ANNOUNCEMENT = "compiling kernels"
"""How the one line begins that is printed on a first start only."""


def outputs(pages: Sequence[Sequence[Block]]) -> list[list[str]]:
    """What the blocks of every page print, run in a process of their own; two pages with the same code run once."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name in SEEN_BY_COMMANDS:
            (place / name).symlink_to(ROOT / name)
        (place / "programs").mkdir()
        python = place / "programs" / "python"
        python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        python.chmod(0o755)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("SCRATCHGPT_", "FORCE_COLOR"))}
        environment |= {
            "COLUMNS": str(WIDTH),
            "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONIOENCODING": "utf-8",
            "TERM": "dumb",
        }
        given = json.dumps([[(block.language, block.content) for block in page] for page in pages])
        child = subprocess.run(
            [sys.executable, "-m", "tests.docs_runner"],
            input=given,
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=place,
            env=environment,
        )
    if child.returncode:
        raise RuntimeError(f"the runner of the snippets failed:\n{child.stderr}")
    result: list[list[str]] = json.loads(child.stdout)
    return result


def _run_pages(pages: list[list[tuple[str, str]]]) -> list[list[str]]:
    known: dict[str, list[str]] = {}
    for page in pages:
        key = _meaning(page)
        if key not in known:
            known[key] = _run_page(page)
    return [known[_meaning(page)] for page in pages]


def _meaning(page: list[tuple[str, str]]) -> str:
    """The code without its comments: the pages of two languages often differ in nothing else."""
    with contextlib.suppress(SyntaxError):
        return repr([(kind, ast.dump(ast.parse(code)) if kind == "python" else code) for kind, code in page])
    return repr(page)


def _run_page(page: list[tuple[str, str]]) -> list[str]:
    from scratchgpt import kernels

    kernels.use("numba")
    kernels.set_precision("float32")
    names: dict[str, object] = {"__name__": "__main__"}
    return [_python(code, names) if kind == "python" else _bash(code) for kind, code in page]


def _python(code: str, names: dict[str, object]) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            exec(compile(code, "<snippet>", "exec"), names)
        except Exception:
            traceback.print_exc()
    return _cleaned(printed.getvalue())


def _bash(code: str) -> str:
    lines = code.replace("\\\n", " ").split("\n")
    return "".join(_cleaned(_command(line)) for line in lines if line.strip() and not line.startswith("#"))


def _command(command: str) -> str:
    """A command of our own runs in this process, which saves its start; what it is piped into does not."""
    ours, _, rest = command.partition(" | ")
    words = shlex.split(ours, comments=True)
    if words[:3] != ["python", "-m", "scratchgpt"]:
        return _shell(command, "")
    printed, complaints = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complaints if rest else printed):
        from scratchgpt.__main__ import main

        main(words[3:])
    return complaints.getvalue() + (_shell(rest, printed.getvalue()) if rest else printed.getvalue())


def _shell(command: str, given: str) -> str:
    child = subprocess.run(
        ["bash", "-c", command],
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    return child.stdout


def _cleaned(printed: str) -> str:
    lines = printed.split("\n")
    return "\n".join(line.rstrip() for line in lines if not line.startswith(ANNOUNCEMENT))


def fill(page: Path) -> int:
    """Write the real output into a page wherever it shows another; returns in how many places."""
    text = page.read_text(encoding="utf-8")
    found = snippets(text)
    (printed,) = outputs([[snippet.code for snippet in found]])
    lines = text.split("\n")
    changed = 0
    for snippet, real in reversed(list(zip(found, printed, strict=True))):
        if snippet.shown is None or (ANYTHING in snippet.shown.content and same_output(snippet.shown.content, real)):
            continue  # what was left out on purpose stays left out
        if snippet.shown.content != real.rstrip():
            lines[snippet.shown.first : snippet.shown.last - 1] = real.rstrip().split("\n")
            changed += 1
    page.write_text("\n".join(lines), encoding="utf-8")
    return changed


if __name__ == "__main__":
    if sys.argv[1:]:
        for argument in sys.argv[1:]:
            print(f"{argument}: {fill(Path(argument))} renewed")
    else:
        answer = json.dumps(_run_pages(json.load(sys.stdin)))
        print(answer)
