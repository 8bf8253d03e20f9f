"""Faults are found in decorated functions, put in without touching a file, and noticed or not as the tests deserve."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("a process's time and memory are limited as Linux does it", allow_module_level=True)

from tests.mutants import running
from tests.mutants.__main__ import equivalents, tell_stale
from tests.mutants.choice import ROOT, chosen_tests, imports_of
from tests.mutants.faults import Mutant, mutants
from tests.mutants.running import Fate, NotGreenError, fate_of, usual_end

TINY = """
import functools

def decorated(function):
    @functools.wraps(function)
    def outer(*arguments):
        return function(*arguments)
    return outer

@decorated
def clamp(x: int | None, low, high=9):
    '''x between 1 and 9'''
    if x < low:
        return low
    return min(x, high)

@decorated
def halvings(n):
    count = 0
    while n > 1:
        n //= 2
        count += 1
    return count

def next_one(n):
    return n + 1
"""
ITS_TESTS = """
import subprocess, sys
from tiny import clamp, halvings

def test_clamp():
    assert [clamp(x, 3) for x in (1, 5, 20)] == [3, 5, 9]

def test_halvings():
    assert halvings(8) == 3

def test_next_in_another_program():
    program = "import sys; sys.path.insert(0, sys.argv[1]); import tiny; print(tiny.next_one(8))"
    said = subprocess.run([sys.executable, "-c", program, sys.path[0]], capture_output=True, text=True).stdout
    assert said == "9\\n"
"""


def changes(source: str, function: str = "") -> list[str]:
    """What mutants of a file change, in one function."""
    return [key.split(": ", 1)[1] for key in keys(source) if f" {function}" in key]


def keys(source: str) -> list[str]:
    return [mutant.key for mutant in mutants(source, "f.py")]


def test_faults_of_a_decorated_function() -> None:
    assert changes(TINY, "clamp:") == [
        "x: int | None, low, high=9 -> x: int | None, low, high=10",
        "x: int | None, low, high=9 -> x: int | None, low, high=8",
        "x < low -> x <= low",
        "x < low -> x >= low",
        "return low -> return None",
        "return min(x, high) -> return None",
        "return min(x, high) -> return max(x, high)",
    ]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("return f(a, b)", ["return None", "return f(b, a)"]),
        ("return f(a, *b)", ["return None"]),
        ("return -a", ["return None", "return a"]),
        ("return a and 1.5", ["return None", "return a or 1.5", "return a and 2.5"]),
        ("return [c for c in a if c]", ["return None", "return [c for c in a if not c]"]),
        ("a.b = c", ["pass"]),
        ("a = c", []),
        ("f(a)", ["pass"]),
        ("raise ValueError(f'{a + 1}', 2)", ["pass"]),
        ("raise NotImplementedError", []),
        ("return f'{a + 1}'", ["return None"]),
        ("c: 'int' | 1 = f(True)", ["f(False)"]),
    ],
)
def test_faults_of_a_statement(statement: str, expected: list[str]) -> None:
    found = [change.split(" -> ")[1] for change in changes(f"def g(a, b, f):\n    {statement}\n")]
    assert [change.removeprefix("c: 'int' | 1 = ") for change in found] == expected


def test_what_compiles_to_the_same_is_no_mutant() -> None:
    assert changes("def f(a):\n    return a\n    return a + 1\n") == ["return a -> return None"]
    assert changes("def f(a):\n    while True:\n        a = a\n") == ["True -> False"]


def test_equal_changes_are_numbered_and_do_not_depend_on_lines() -> None:
    source = "def f(a):\n    a += 1\n    a += 1\n    return a\n"
    assert "f.py f: a += 1 -> a -= 1" in keys(source) and "f.py f: a += 1 -> a -= 1 #2" in keys(source)
    assert keys(source) == keys("\n# a comment\n\n" + source)


def test_what_numba_compiles_is_left_alone() -> None:
    source = """
BLOCK = 64

def _compile_time(a):
    return a + 1

@loop
def inner(a):
    return _compile_time(a) + BLOCK

@compiled(reference=None)
def public(a):
    return inner(_helper(a))

def _helper(a):
    return a * 2
"""
    assert {key.split(":")[0] for key in keys(source)} == {"f.py public", "f.py _helper"}
    assert "f.py the module: BLOCK = 64 -> BLOCK = 65" in keys(source.replace("@loop", "@other"))


def test_a_modules_own_test_comes_first() -> None:
    chosen = chosen_tests(ROOT / "scratchgpt" / "verify" / "numerals.py")
    assert [test.name for test in chosen] == ["test_numerals.py", "test_quantities.py", "test_readers.py"]
    assert "scratchgpt.stages.policy_gradient" in imports_of(ROOT / "tests/stages/test_policy_gradient.py")
    assert "scratchgpt.kernels.gelu" in imports_of(ROOT / "tests/kernels/test_gelu.py")  # by way of the package
    assert "scratchgpt.evaluation.rollouts" in imports_of(ROOT / "tests/stages/test_rlvf.py")  # by way of a helper


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tests of a module ``tiny`` that can be imported."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(running, "SPARE", 1)
    (tmp_path / "tiny.py").write_text(TINY)
    tests = tmp_path / "test_tiny.py"
    tests.write_text(ITS_TESTS)
    return tests


def test_mutants_are_killed_or_survive(tiny: Path) -> None:
    made = {mutant.key: mutant for mutant in mutants(TINY, "tiny.py")}
    fates = {
        "tiny.py clamp: x < low -> x >= low": Fate.KILLED,
        "tiny.py clamp: x < low -> x <= low": Fate.SURVIVED,
        "tiny.py next_one: return n + 1 -> return n - 1": Fate.KILLED,
        "tiny.py halvings: n //= 2 -> pass": Fate.TIMEOUT,
    }
    assert {key: fate_of(made[key], [tiny])[0] for key in fates} == fates
    assert tiny.with_name("tiny.py").read_text() == TINY


def test_tests_that_fail_anyway_are_said(tiny: Path) -> None:
    tiny.write_text("def test():\n    assert 1 == 2\n")
    with pytest.raises(NotGreenError, match="assert 1 == 2"):
        usual_end(tiny)


def test_explanations_that_fit_nothing_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    text = "# words\n\na/f.py f: 1 -> 2\n    why\n    it is so\na/f.py g: 1 -> 2\na/f.py h: 1 -> 2\n    why\nb/f.py: 1 -> 2\n"
    explained = equivalents(text)
    assert explained["a/f.py f: 1 -> 2"] == "why it is so"
    code = compile("", "f.py", "exec")
    made = [Mutant("a/f.py", f"a/f.py {name}: 1 -> 2", 1, code) for name in "fg"]
    assert tell_stale(explained, ROOT / "a", made) == 2
    said = Counter(line.split()[-4] for line in capsys.readouterr().out.splitlines())
    assert said == {"g:": 1, "h:": 1}


def test_every_explanation_has_a_reason() -> None:
    text = (ROOT / "tests" / "mutants" / "equivalent.txt").read_text(encoding="utf-8")
    assert all(equivalents(text).values())
