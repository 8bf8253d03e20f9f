"""The rooms of the generators: arrows run one way only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from data import generators

ROOMS = Path(generators.__file__).parent
BELOW = {"tasks": set(), "prose": {"tasks"}, "chat": {"tasks"}, "preferences": {"chat"}}
"""What each room may import from, besides itself and the reader of the sources."""


def imported(file: Path) -> set[str]:
    """The modules of ``data`` that a file imports, however it says so."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            modules |= {f"{node.module}.{name.name}" for name in node.names}
    return {module for module in modules if module.split(".")[0] == "data"}


def test_every_module_is_in_a_room() -> None:
    assert {path.name for path in ROOMS.iterdir() if path.name != "__pycache__"} == {"__init__.py", *BELOW}


@pytest.mark.parametrize("room", BELOW)
def test_arrows_run_one_way_only(room: str) -> None:
    files = sorted((ROOMS / room).glob("*.py"))
    assert len(files) > 1
    for file in files:
        for module in imported(file):
            if not module.startswith("data.source_files."):
                assert module.split(".")[:2] == ["data", "generators"], (file, module)
                assert module.split(".")[2] in BELOW[room] | {room}, (file, module)
