"""The mutants of a file: its syntax tree with one small fault, compiled.

The faults are those of mutation testing since Mothra (King and Offutt 1991, "A Fortran language system for
mutation-based software testing"): another operator or bound of a comparison, a condition the other way round, a number
one off, two arguments exchanged, a statement or a returned value left out.

What Numba compiles is left alone, since a fault in it costs minutes of compiling; with it go the constants of such a
file, of which compiled code holds copies, and the helpers that only it uses. Also left alone: annotations, decorators,
and the words of messages.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any

COMPILERS = {"loop", "parallel_loop", "njit", "register_jitable", "overload", "intrinsic"}
"""Decorators under which a function is code for Numba, not for Python."""
OTHERS: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,), ast.And: (ast.Or,), ast.Or: (ast.And,),
    ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.Div,), ast.Div: (ast.Mult,), ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.FloorDiv,), ast.Pow: (ast.Mult,), ast.LShift: (ast.RShift,), ast.RShift: (ast.LShift,),
    ast.BitAnd: (ast.BitOr,), ast.BitOr: (ast.BitAnd,), ast.BitXor: (ast.BitAnd,),
}  # fmt: skip
"""What an operator may be mistaken for."""
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum"}
"""What a function may be mistaken for."""
PLAIN_TYPES = {"int", "float", "str", "tuple", "list", "ndarray", "type"}
LEGIBLE = 70
"""Characters; a fault is shown, and named, with as much around it as fits."""


@dataclass(frozen=True)
class Mutant:
    """A file with one fault.

    Attributes:
        path: the file's.
        key: what is changed in which function, the same however the lines move.
        line: where that stands at present.
        code: the whole file, compiled.
    """

    path: str
    key: str
    line: int
    code: CodeType


@dataclass(frozen=True)
class _Fault:
    """``node.field``, or a member of that list, is to be ``new``; ``around`` leads from the function to the node."""

    function: str
    around: tuple[ast.AST, ...]
    field: str
    index: int | None
    new: Any

    def put(self) -> Any:
        """Make the change; returns what undoes it if it is put in turn."""
        node = self.around[-1]
        place, key = (vars(node), self.field) if self.index is None else (getattr(node, self.field), self.index)
        old, place[key] = place[key], self.new
        return _Fault(self.function, self.around, self.field, self.index, old)

    def shown(self) -> ast.AST:
        """The largest part of a statement around the change that is still legible."""
        best = self.around[-1]
        for node in reversed(self.around):
            if hasattr(node, "body") and not isinstance(node, ast.Lambda | ast.IfExp):
                break
            if isinstance(best, ast.expr | ast.stmt) and len(ast.unparse(node)) > LEGIBLE:
                break
            best = node
        return best


def mutants(source: str, path: str) -> list[Mutant]:
    """All mutants of a file that differ in bytecode from it and from each other."""
    tree = ast.parse(source)
    seen = {essence(compile(tree, path, "exec", dont_inherit=True))}
    found, counts = [], Counter[str]()
    for fault in list(_faults(tree)):
        shown = fault.shown()
        before, line = _text(fault, shown), getattr(shown, "lineno", getattr(fault.around[-1], "lineno", 1))
        undo = fault.put()
        try:
            code = compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)
            key = f"{path} {fault.function}: {before} -> {_text(fault, shown)}"
        except (SyntaxError, ValueError):
            continue
        finally:
            undo.put()
        if essence(code) not in seen:
            seen.add(essence(code))
            counts[key] += 1
            found.append(Mutant(path, key if counts[key] == 1 else f"{key} #{counts[key]}", line, code))
    return found


def essence(code: CodeType) -> tuple:
    """What of compiled code decides what it does: all but where it stood in the file."""
    constants = tuple(
        essence(constant) if isinstance(constant, CodeType) else (type(constant).__name__, repr(constant))
        for constant in code.co_consts
    )
    return (code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars, code.co_exceptiontable)


def _text(fault: _Fault, shown: ast.AST) -> str:
    """The part as it is at present, in one line; of what has a body, only the piece that changes."""
    if not hasattr(shown, "body") or isinstance(shown, ast.Lambda | ast.IfExp):
        return " ".join(ast.unparse(shown).split())
    value = getattr(shown, fault.field)
    value = value if fault.index is None else value[fault.index]
    return " ".join(ast.unparse(value).split())


def _faults(tree: ast.Module) -> Iterator[_Fault]:
    parts = list(_parts(tree, ""))
    if any(_is_compiled(node) for node in ast.walk(tree)):
        parts = _run_by_python(parts)
    for name, node in parts:
        yield from _faults_below((node,), name or "the module")


def _parts(tree: ast.AST, name: str) -> Iterator[tuple[str, ast.AST]]:
    """Every function that is not compiled, under its name, and every other statement, under the name of its class."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from _parts(node, f"{name}{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            if not any(_is_compiled(inner) for inner in ast.walk(node)):
                yield f"{name}{node.name}", node
        elif isinstance(node, ast.stmt):
            yield name.rstrip("."), node


def _run_by_python(parts: list[tuple[str, ast.AST]]) -> list[tuple[str, ast.AST]]:
    """In a file that holds compiled code: what runs after that was compiled, and is not a private part of it."""
    functions = [(name, node) for name, node in parts if name]
    used = {id(node): {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} for _, node in functions}
    found = [(name, node) for name, node in functions if not name.startswith("_")]
    for _, node in found:  # the list grows while it is walked
        found.extend([other for other in functions if other[0] in used[id(node)] and other not in found])
    return found


def _is_compiled(node: ast.AST) -> bool:
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef) else []
    names = [decorator.func if isinstance(decorator, ast.Call) else decorator for decorator in decorators]
    return any(getattr(name, "attr", getattr(name, "id", "")) in COMPILERS for name in names)


def _faults_below(around: tuple[ast.AST, ...], function: str) -> Iterator[_Fault]:
    node = around[-1]
    for field, index, new in _changes(node):
        yield _Fault(function, around, field, index, new)
    if isinstance(node, ast.Raise | ast.JoinedStr):
        return
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list"):
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(child, ast.AST) or _is_type(child) or _is_docstring(child):
                continue
            if (new := _instead_of(child, field)) is not None:
                yield _Fault(function, around, field, index, new)
            yield from _faults_below((*around, child), function)


def _changes(node: ast.AST) -> Iterator[tuple[str, int | None, Any]]:
    """What may be mistaken inside a node: the field, the place in it, what it becomes."""
    if isinstance(node, ast.Compare):
        for index, operator in enumerate(node.ops):
            yield from (("ops", index, other()) for other in OTHERS[type(operator)])
    elif isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp):
        yield from (("op", None, other()) for other in OTHERS.get(type(node.op), ()))
    elif isinstance(node, ast.Constant):
        yield from (("value", None, other) for other in _other_values(node.value))
    elif isinstance(node, ast.Name) and node.id in NAMES:
        yield "id", None, NAMES[node.id]
    elif isinstance(node, ast.Attribute) and node.attr in NAMES:
        yield "attr", None, NAMES[node.attr]
    elif isinstance(node, ast.Return) and not (node.value is None or _is_none(node.value)):
        yield "value", None, ast.Constant(None)
    elif isinstance(node, ast.Call) and len(node.args) > 1:
        first, second, *rest = node.args
        symmetric = getattr(node.func, "attr", getattr(node.func, "id", "")) in NAMES
        if not symmetric and not isinstance(first, ast.Starred) and not isinstance(second, ast.Starred):
            yield "args", None, [second, first, *rest]


def _other_values(value: object) -> tuple:
    if isinstance(value, bool):
        return (not value,)
    if isinstance(value, int):
        return value + 1, value - 1
    return (value + 1,) if isinstance(value, float) else ()


def _instead_of(child: ast.AST, field: str) -> ast.AST | None:
    """What a part of a node may be mistaken for as a whole: its negation, its positive, or nothing."""
    if isinstance(child, ast.UnaryOp):
        return None if isinstance(child.op, ast.UAdd) else child.operand
    if field in ("test", "ifs"):
        return None if isinstance(child, ast.Compare | ast.BoolOp | ast.Constant) else ast.UnaryOp(ast.Not(), child)
    if isinstance(child, ast.Assign):  # a name that is not assigned is missed at once
        left_out = all(isinstance(target, ast.Attribute | ast.Subscript) for target in child.targets)
    elif isinstance(child, ast.Expr):
        left_out = not isinstance(child.value, ast.Yield | ast.YieldFrom)
    elif isinstance(child, ast.Raise):  # a function that is there to be overloaded has nothing else
        left_out = "NotImplementedError" not in ast.unparse(child)
    else:
        left_out = isinstance(child, ast.AugAssign | ast.Continue | ast.Break | ast.Delete)
    return ast.Pass() if left_out else None


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_type(node: ast.AST) -> bool:
    """Whether it is a union of types: no value depends on its operators."""
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr)):
        return False
    sides = (node.left, node.right)
    return any(_is_none(side) or _is_type(side) or _names_type(side) for side in sides)


def _names_type(node: ast.AST) -> bool:
    node = node.value if isinstance(node, ast.Subscript) else node
    name = getattr(node, "attr", getattr(node, "id", ""))
    return (name[:1].isupper() and not name.isupper()) or name in PLAIN_TYPES
