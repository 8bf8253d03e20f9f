"""docs/notebook.ipynb runs from top to bottom, and its own model learns to write its own sentence."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).parent.parent / "docs" / "notebook.ipynb"


def test_every_cell_runs() -> None:
    cells = [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    install, *programs = ["".join(cell["source"]) for cell in cells]
    assert install == "%pip install --quiet .."
    names: dict[str, Any] = {}
    printed = []
    for number, program in enumerate(programs):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(program, f"cell {number}", "exec"), names)
        printed.append(out.getvalue())
    assert "小算" in printed[0]
    assert printed[1].split()[1::2] and "".join(printed[1].split()[1::2]) == "今天天气很好"
    assert printed[2].count("%") == 5
    assert names["after"] < 1 < names["before"]
    assert printed[4].startswith("小狗住在") and printed[4].count("里，每天看着") == 1


def test_it_is_saved_without_output() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert all(not cell.get("outputs") and not cell.get("execution_count") for cell in cells)
