"""Change single expressions of the pure packages at random, and see whether a test notices.

    python scripts/mutants.py [--sample 100] [--seed 1] [--only tracing]

prints every change that no test noticed, and exits 1 if there is one that harmless.txt (in
tests/mutants) does not explain. The tests that reach the changed line run, the quickest first, up
to the first that fails; mutmut and cosmic-ray run the whole suite for each change, which takes
hours here.
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGES = (
    "model", "iptables", "translation", "tracing", "checks", "rendering", "incremental", "evidence",
)  # fmt: skip
MODULES = ("inet.py", "family.py")
GENERATED = {"nptables/model/schema/types.py"}
TESTS = (
    "tests/checks", "tests/conformance/test_named.py", "tests/conformance/test_habits.py",
    "tests/incremental", "tests/iptables", "tests/model", "tests/rendering", "tests/tracing",
    "tests/translation", "tests/test_inet.py",
)  # fmt: skip
HARMLESS = ROOT / "tests" / "mutants" / "harmless.txt"
# Tests of one changed line, at most: the rest are of the same kind.
MOST_TESTS = 1000

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip


class Mutant(NamedTuple):
    """A change: the module, the line, and the expression before and after."""

    path: str
    line: int
    before: str
    after: str
    number: int

    def __str__(self) -> str:
        return f"{self.path}: {self.before} -> {self.after}"


def expressions(tree: ast.Module) -> Iterator[tuple[ast.AST, str, int | None, ast.expr]]:
    """Every expression that is evaluated when a program runs, with the place that holds it."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "type_params"):
                continue
            for index, item in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(item, ast.If) and "TYPE_CHECKING" in ast.unparse(item.test):
                    continue
                if isinstance(item, ast.AST) and not isinstance(item, ast.JoinedStr):
                    pending.append(item)
                if isinstance(item, ast.expr):
                    yield node, name, index, item


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


def mutants() -> list[Mutant]:
    """Every change there is."""
    found = []
    folders = [ROOT / "nptables" / name for name in PACKAGES]
    files = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    for path in (*files, *(ROOT / "nptables" / name for name in MODULES)):
        name = path.relative_to(ROOT).as_posix()
        if name not in GENERATED:
            found += list(_of_file(name, path.read_text()))
    return found


def _of_file(name: str, source: str) -> Iterator[Mutant]:
    for number, (_, _, _, node) in enumerate(expressions(ast.parse(source))):
        new = changed(node)
        if new is not None:
            yield Mutant(name, node.lineno, ast.unparse(node), ast.unparse(new), number)


def source_of(mutant: Mutant) -> str:
    """The module with the change."""
    tree = ast.parse((ROOT / mutant.path).read_text())
    parent, field, index, node = list(expressions(tree))[mutant.number]
    new = changed(node) or node
    _put(parent, field, index, ast.copy_location(new, node))
    return ast.unparse(ast.fix_missing_locations(tree))


def _put(parent: ast.AST, field: str, index: int | None, node: ast.expr) -> None:
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


class Reach:
    """Which tests reach which line, quickest first."""

    def __init__(self, folder: Path, tests: tuple[str, ...]) -> None:
        report = folder / "times.json"
        data = folder / "coverage"
        plugin = "tests.mutants.times"
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", plugin, "--cov=nptables",
             "--cov-context=test", "--cov-report=", "--cov-fail-under=0",
             "-o", "pythonpath=.", "-k", "not moment", *tests],
            cwd=ROOT, check=True,
            env={**_environment(), "COVERAGE_FILE": str(data), "NPTABLES_TIMES": str(report)},
        )  # fmt: skip
        self._times: dict[str, float] = json.loads(report.read_text())
        self._data = data

    def tests(self, mutant: Mutant) -> list[str]:
        """The tests to run, or all there are where the line runs at import alone."""
        from coverage import CoverageData  # noqa: PLC0415

        data = CoverageData(basename=str(self._data))
        data.read()
        reached = data.contexts_by_lineno(str(ROOT / mutant.path))
        # A part of an expression may have no line event of its own: its statement has.
        lines = range(mutant.line, max(0, mutant.line - 20), -1)
        contexts = next((reached[line] for line in lines if any(reached.get(line, ()))), ())
        names = {context.partition("|")[0] for context in contexts} & self._times.keys()
        chosen = sorted(names or self._times, key=lambda name: self._times[name])
        return chosen[:MOST_TESTS]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "NPTABLES_EXAMPLES": "20"}


def survives(mutant: Mutant, tests: list[str], overlay: Path) -> bool:
    """Whether no test fails with the change."""
    path = overlay / mutant.path
    before = path.read_bytes()
    path.unlink()
    path.write_text(source_of(mutant))
    words = overlay / "tests.txt"
    words.write_text("\n".join(tests))
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider",
             "-o", f"pythonpath={overlay} {ROOT}", f"@{words}"],
            cwd=ROOT, check=False, capture_output=True, timeout=300, env=_environment(),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False
    finally:
        path.write_bytes(before)
    return done.returncode == 0


def main() -> int:
    """Try a sample."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--sample", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--only", choices=PACKAGES, help="one package, and its own tests")
    options = parser.parse_args()
    started = time.monotonic()
    inside = f"nptables/{options.only or ''}"
    tests = (f"tests/{options.only}",) if options.only else TESTS
    every = [mutant for mutant in mutants() if mutant.path.startswith(inside)]
    chosen = random.Random(options.seed).sample(every, min(options.sample, len(every)))
    harmless = {
        line.partition(" # ")[0].strip()
        for line in HARMLESS.read_text().splitlines()
        if line and not line.startswith("#")
    }
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reach = Reach(folder, tests)
        overlay = folder / "overlay"
        shutil.copytree(ROOT / "nptables", overlay / "nptables")
        begun = time.monotonic()
        for mutant in chosen:
            if time.monotonic() - begun > options.seconds:
                break
            reaching = reach.tests(mutant)
            alive = survives(mutant, reaching, overlay)
            explained = str(mutant) in harmless
            found["harmless" if alive and explained else "alive" if alive else "noticed"] += 1
            if alive and not explained:
                print(f"alive: {mutant} (line {mutant.line}, {len(reaching)} tests)", flush=True)
    print(
        f"seed {options.seed}, {found.total()} of {len(every)} changes in "
        f"{time.monotonic() - started:.0f} s: {found['noticed']} noticed, {found['harmless']} "
        f"change nothing, {found['alive']} alive"
    )
    return 1 if found["alive"] else 0


if __name__ == "__main__":
    sys.exit(main())
