"""Which tests are to notice the mutants of a module: its own at the mirrored path, those of its users, and its importers.

What a test module imports is read from its source. A name taken from a package (``from scratchgpt.kernels import gelu``)
counts for the module that the package has it from; the imports of a helper below ``tests/`` are its user's.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST = 3
"""Test modules that are tried on a mutant. In a room those that import least, being most about it, come first."""

TOO_SLOW = {ROOT / "tests" / "kernels" / "test_other_cpus.py"}
"""It compiles all kernels anew for CPUs that this one is not, whatever the mutant."""


def chosen_tests(path: Path) -> list[Path]:
    """The test modules for a module of the package: its own, then those of its room, then others, best first."""
    name = ".".join(path.resolve().relative_to(ROOT).with_suffix("").parts)
    modules = [module for module in sorted((ROOT / "scratchgpt").rglob("*.py")) if name in imports_of(module)]
    tests = [test for test in sorted((ROOT / "tests").rglob("test_*.py")) if name in imports_of(test)]
    own = _own(path)
    candidates = {test for test in (*map(_own, modules), *tests) if test.is_file()} - {own} - TOO_SLOW
    nearest = sorted(candidates, key=lambda test: (test.parent != own.parent, len(imports_of(test)), test))
    return [own, *nearest][:MOST]


def _own(module: Path) -> Path:
    below = module.resolve().relative_to(ROOT / "scratchgpt")
    return ROOT / "tests" / below.with_name(f"test_{below.name}")


@cache
def imports_of(path: Path) -> frozenset[str]:
    """The modules of ``scratchgpt`` that a module, test module or helper gets something from."""
    source = path.read_text(encoding="utf-8")
    if "scratchgpt" not in source and "tests." not in source:
        return frozenset()
    nodes = list(ast.walk(ast.parse(source)))
    found: set[str] = set()
    packages: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                whole = f"{node.module}.{name.name}"
                if _file(whole) is not None:
                    packages[name.asname or name.name] = whole
                found.add(_origin(node.module, name.name))
        elif isinstance(node, ast.Import):
            packages |= {name.asname or name.name: name.name for name in node.names}
            found |= {name.name for name in node.names}
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in packages:
            found.add(_origin(packages[node.value.id], node.attr))
    helpers = {file for name in found if name.startswith("tests.") and (file := _file(name)) and file != path}
    found = {name for name in found if name.startswith("scratchgpt")}
    return frozenset(found.union(*map(imports_of, helpers)))


@cache
def _origin(module: str, name: str) -> str:
    """The module in which a name that can be had from a module stands."""
    if _file(f"{module}.{name}") is not None:
        return f"{module}.{name}"
    file = _file(module)
    if file is not None and file.name == "__init__.py":
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and node.module:
                for imported in node.names:
                    if (imported.asname or imported.name) == name:
                        return _origin(node.module, imported.name)
    return module


def _file(module: str) -> Path | None:
    """Where a module or package of this repository lies."""
    place = ROOT.joinpath(*module.split("."))
    candidates = (place.with_name(f"{place.name}.py"), place / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)
