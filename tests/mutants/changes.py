"""Every change of a single expression of the pure packages."""

from __future__ import annotations

import ast
import copy
import hashlib
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from types import CodeType

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "auditing", "checks", "effects", "evidence", "graphs", "incremental", "iptables", "model",
    "reachability", "rendering", "tracing", "translation",
)  # fmt: skip
MODULES = ("inet.py", "family.py")
GENERATED = {"nptables/model/schema/types.py"}
HARMLESS = ROOT / "tests" / "mutants" / "harmless.txt"

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
# What is read by a type checker alone, or says what a function is.
UNEVALUATED = {"annotation", "returns", "decorator_list", "type_params"}


class Mutant(NamedTuple):
    """A change: the module, what holds it, the expression before and after, and where it stands."""

    path: str
    holder: str
    before: str
    after: str
    nth: int
    number: int
    line: int
    lines: tuple[int, int]
    outermost: tuple[int, int] | None

    def __str__(self) -> str:
        nth = f" (number {self.nth})" if self.nth > 1 else ""
        return f"{self.path} {self.holder}: {self.before} -> {self.after}{nth}"

    @property
    def loads(self) -> bool:
        """Whether it is evaluated when the module is loaded."""
        return self.outermost is None

    def rank(self, seed: int) -> bytes:
        """What a sample is taken by: no other change has a say in whether this one is in it."""
        return hashlib.sha256(f"{seed} {self}".encode()).digest()


class Place(NamedTuple):
    """An expression, with the node that holds it and the definition and statement it is in."""

    parent: ast.AST
    field: str
    index: int | None
    node: ast.expr
    holder: str
    lines: tuple[int, int]
    outermost: tuple[int, int] | None


def places(tree: ast.Module) -> Iterator[Place]:
    """Every expression that is evaluated when a program runs, in the order of the text."""
    yield from _places(tree, "", (1, 1), None)


def _places(
    node: ast.AST, holder: str, lines: tuple[int, int], outermost: tuple[int, int] | None
) -> Iterator[Place]:
    for name, value in ast.iter_fields(node):
        if name in UNEVALUATED:
            continue
        for index, item in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if _is_no_program(item):
                continue
            inner, within, outer = holder, lines, outermost
            if isinstance(item, ast.stmt):
                within = _own_lines(item)
            if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inner = f"{holder}.{item.name}" if holder else item.name
            if isinstance(item, ast.FunctionDef) and outermost is None:
                outer = (item.lineno, item.end_lineno or item.lineno)
            if isinstance(item, ast.expr):
                # A default is evaluated where the function is defined.
                yield Place(node, name, index, item, holder or "module", within, outermost)
            if isinstance(item, ast.AST) and not isinstance(item, ast.JoinedStr):
                # Defaults are evaluated where the function is defined, its body where it runs.
                if isinstance(node, ast.FunctionDef) and name == "args":
                    outer = outermost
                yield from _places(item, inner, within, outer)


def _is_no_program(node: object) -> bool:
    """Whether a part is for type checkers, or `strict` of zip, which nothing ever fails."""
    match node:
        case ast.If(test=test):
            return "TYPE_CHECKING" in ast.unparse(test)
        case ast.keyword(arg="strict"):
            return True
    return False


def _own_lines(statement: ast.stmt) -> tuple[int, int]:
    """The lines of a statement, without those of the statements in it."""
    end = statement.end_lineno or statement.lineno
    body = getattr(statement, "body", None)
    if isinstance(body, list) and body and body[0].lineno > statement.lineno:
        end = body[0].lineno - 1
    return statement.lineno, end


def changed(node: ast.expr) -> ast.expr | None:
    """The expression with one thing the other way round, or None where there is none."""
    new = copy.deepcopy(node)
    match new:
        case ast.Compare(ops=[op]) if type(op) in COMPARISONS:
            new.ops = [COMPARISONS[type(op)]()]
        case ast.BoolOp(op=op):
            new.op = ast.Or() if isinstance(op, ast.And) else ast.And()
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return operand
        case ast.BinOp(op=op) if type(op) in OPERATORS:
            new.op = OPERATORS[type(op)]()
        case ast.Constant(value=bool() as value):
            new.value = not value
        case ast.Constant(value=int() as value):
            new.value = value + 1
        case ast.IfExp(body=body, orelse=other):
            new.body, new.orelse = other, body
        case _:
            return None
    return new


def mutants(paths: Collection[str] | None = None) -> list[Mutant]:
    """Every change there is, or those of some modules."""
    folders = [ROOT / "nptables" / name for name in PACKAGES]
    files = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    found = []
    for path in (*files, *(ROOT / "nptables" / name for name in MODULES)):
        name = path.relative_to(ROOT).as_posix()
        if name not in GENERATED and (paths is None or name in paths):
            found += list(_of_file(name, path.read_text()))
    return found


def _of_file(name: str, source: str) -> Iterator[Mutant]:
    seen: Counter[tuple[str, str]] = Counter()
    for number, place in enumerate(places(ast.parse(source))):
        new = changed(place.node)
        if new is None:
            continue
        before, after = ast.unparse(place.node), ast.unparse(new)
        seen[place.holder, before] += 1
        yield Mutant(
            name, place.holder, before, after, seen[place.holder, before], number,
            place.node.lineno, place.lines, place.outermost,
        )  # fmt: skip


@cache
def source(path: str) -> str:
    """The text of a module."""
    return (ROOT / path).read_text()


def code_of(mutant: Mutant) -> CodeType:
    """The module with the change, with the lines that it has without it."""
    tree = ast.parse(source(mutant.path))
    place = list(places(tree))[mutant.number]
    new = ast.copy_location(changed(place.node) or place.node, place.node)
    if place.index is None:
        setattr(place.parent, place.field, new)
    else:
        getattr(place.parent, place.field)[place.index] = new
    tree = ast.fix_missing_locations(tree)
    return compile(tree, str(ROOT / mutant.path), "exec", dont_inherit=True)


def harmless() -> dict[str, str]:
    """The changes that change nothing, each with its reason."""
    found = {}
    for line in HARMLESS.read_text().splitlines():
        if line and not line.startswith("#"):
            change, _, reason = line.partition(" # ")
            found[change.strip()] = reason
    return found
