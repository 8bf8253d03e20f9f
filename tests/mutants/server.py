"""Imported once, by the server that the processes are forked from: everything foreign, and nothing of ours."""

from __future__ import annotations

import ast
import contextlib
import importlib
import warnings

import hypothesis.strategies

from tests.mutants.choice import ROOT

names = {"pytest", "_hypothesis_pytestplugin", "_pytest.assertion.rewrite", "torch"}
for path in (ROOT / "scratchgpt").rglob("*.py"):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for foreign in sorted(name for name in names if name.split(".")[0] != "scratchgpt"):
        with contextlib.suppress(ImportError):
            importlib.import_module(foreign)
    hypothesis.strategies.text().validate()  # makes the table of all characters, two seconds of work
