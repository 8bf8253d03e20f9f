"""The tree of the tests: a module has its test at the mirrored path, and test modules share through helpers alone."""

from __future__ import annotations

import ast
import configparser
import importlib
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(path for path in (ROOT / "scratchgpt").rglob("*.py") if path.name != "__init__.py")
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))


def named(path: Path) -> str:
    """A module's path below ``scratchgpt/``."""
    return path.relative_to(ROOT / "scratchgpt").as_posix()


def mirrored(path: Path) -> Path:
    """Where the test of a module lies."""
    below = path.relative_to(ROOT / "scratchgpt")
    return ROOT / "tests" / below.with_name(f"test_{below.name}")


def imported_by(test: Path) -> set[str]:
    """The modules below ``tests`` that a test module imports, however it says so."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(test.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{test}: imports are absolute"
            found |= {str(node.module), *(f"{node.module}.{name.name}" for name in node.names)}
    return {module for module in found if module.split(".")[0] == "tests"}


def test_every_module_has_its_test_at_the_mirrored_path() -> None:
    without = {named(path) for path in MODULES if not mirrored(path).is_file()}
    assert without == set()


@pytest.mark.parametrize("test", TESTS, ids=lambda path: path.relative_to(ROOT / "tests").as_posix())
def test_no_test_module_imports_another(test: Path) -> None:
    for module in imported_by(test):
        assert not any(part.startswith("test_") for part in module.split(".")), module


def test_folders_of_tests_are_packages() -> None:
    """Two tests of one name, as ``stages/test_reward.py`` and ``models/test_reward.py``, are then told apart."""
    assert all((test.parent / "__init__.py").is_file() for test in TESTS)


def test_the_import_contract_covers_every_room() -> None:
    """``lint-imports`` holds each list of layers to be complete; a room without a list it would pass over."""
    contract = configparser.ConfigParser()
    contract.read(ROOT / ".importlinter", encoding="utf-8")
    covered = {
        contract[section]["containers"].strip()
        for section in contract.sections()
        if contract[section].get("type") == "layers" and contract[section].getboolean("exhaustive")
    }
    folders = {path.parent for path in MODULES}
    assert covered == {".".join(folder.relative_to(ROOT).parts) for folder in folders}


SCRIPTS = sorted([*(ROOT / "bench").glob("*.py"), *(ROOT / "docs" / "pictures").glob("*.py"), *ROOT.glob("*.py")])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_scripts_beside_the_package_import_what_is_there(script: Path) -> None:
    """Nothing else runs them all: a name that has moved would be noticed by whoever needs the script."""
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "scratchgpt":
            module = importlib.import_module(str(node.module))
            for name in node.names:
                there = hasattr(module, name.name) or importlib.util.find_spec(f"{node.module}.{name.name}")
                assert there, f"{node.module} has no {name.name}"
