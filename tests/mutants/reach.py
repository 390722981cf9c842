"""Which tests reach which line, and how long they take; kept from run to run."""

from __future__ import annotations

import difflib
import hashlib
import json
import time
from collections import defaultdict
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.mutants.changes import ROOT, source
from tests.mutants.forking import OPTIONS, Quick, in_child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.mutants.changes import Mutant
    from tests.mutants.forking import Tell

TESTS = (
    "auditing", "checks", "conformance", "effects", "evidence", "graphs", "incremental",
    "iptables", "model", "reachability", "rendering", "testing", "tracing", "translation",
)  # fmt: skip
# They go through the pure packages as well.
ALSO = ("sources",)
# Left out: what says how long something takes, which every change may do otherwise, and the slowest
# of what quicker ones do as well.
CHOSEN = (
    "not moment and not shares_of_random and not large-cluster "
    "and not half_a_megabyte and not TestFollowing"
)
LOADING = "loading"
_FINE = (
    pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED,
)  # fmt: skip


@cache
def digest(path: str) -> str:
    """What a file of the project says, in short."""
    return hashlib.sha256((ROOT / path).read_bytes()).hexdigest()[:16]


def test_files() -> list[str]:
    """Every file with tests of the pure packages, or of what stands on them alone."""
    found = [path for name in TESTS for path in (ROOT / "tests" / name).rglob("test_*.py")]
    found += [path for name in ALSO for path in (ROOT / "tests" / name).glob("test_*.py")]
    found.append(ROOT / "tests" / "test_inet.py")
    names = (path.relative_to(ROOT).as_posix() for path in found)
    return sorted(name for name in names if "apiserver" not in name and "fuzz" not in name)


class Reach:
    """What is known of the tests: made where it is missing, by running them."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        # As they are now, whatever somebody writes while this runs.
        for path in (ROOT / "nptables").rglob("*.py"):
            source(path.relative_to(ROOT).as_posix())
            digest(path.relative_to(ROOT).as_posix())
        for name in test_files():
            digest(name)
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._of_file: dict[str, dict[str, Any]] = {}
        for name in test_files():
            kept = self._path(name)
            if not kept.exists():
                say(f"looking which lines {name} reaches")
                found = in_child(partial(_look, name), seconds=1800)
                if not found or found["status"] not in _FINE:
                    raise RuntimeError(f"the tests of {name} do not run")
                if found["failed"]:
                    say(f"left out, for they fail without any change: {found['failed']}")
                kept.write_text(json.dumps(found))
            self._of_file[name] = json.loads(kept.read_text())
        self.times: dict[str, float] = {}
        for found in self._of_file.values():
            self.times |= found["times"]
        self._lines = cache(self._lines_of)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name.removeprefix('tests/').replace('/', '-')}-{digest(name)}.json"

    def _lines_of(self, path: str) -> dict[int, set[str]]:
        lines: dict[int, set[str]] = defaultdict(set)
        for found in self._of_file.values():
            if path not in found["lines"]:
                continue
            moved = _moved(found["sources"][path], path)
            names = list(found["times"])
            for line, numbers in found["lines"][path].items():
                tests = {LOADING if n < 0 else names[n] for n in numbers}
                lines[moved.get(int(line), 0)] |= tests
        lines.pop(0, None)
        return lines

    def loads(self, mutant: Mutant) -> bool:
        """Whether the line runs while modules of the project or tests are loaded."""
        if mutant.outermost is None:
            return True
        first, last = mutant.outermost
        lines = self._lines(mutant.path)
        return any(LOADING in lines.get(line, ()) for line in range(first + 1, last + 1))

    def tests(self, mutant: Mutant) -> list[str]:
        """The tests that reach the change, the quickest first.

        Of what runs while a module is loaded, those that reach anything in the module, or all
        there are where that is nothing; of a line that is new, those that reach its function.
        """
        lines = self._lines(mutant.path)
        whole = (1, len(source(mutant.path).splitlines()))
        spans = [whole]
        if mutant.outermost is not None:
            spans = [(mutant.line, mutant.line), mutant.lines, mutant.outermost]
            spans += [whole] * self.loads(mutant)
        for first, last in spans:
            found = {test for line in range(first, last + 1) for test in lines.get(line, ())}
            found.discard(LOADING)
            if found:
                break
        else:
            found = set(self.times) if self.loads(mutant) else set()
        return sorted(found, key=lambda name: (self.times[name], name))


def _moved(before: str, path: str) -> dict[int, int]:
    """Where the lines of a module as it was stand now."""
    old, new = before.splitlines(), source(path).splitlines()
    if old == new:
        return {line: line for line in range(1, len(old) + 1)}
    blocks = difflib.SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
    return {b.a + n + 1: b.b + n + 1 for b in blocks for n in range(b.size)}


class _Looking(Quick):
    """A plugin that tells coverage which test runs, and the time of each."""

    def __init__(self, coverage: Any) -> None:
        self.times: dict[str, float] = {}
        self.failed: list[str] = []
        self._coverage = coverage

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._coverage.switch_context(item.nodeid)
        begun = time.process_time()
        try:
            return (yield)
        finally:
            self.times[item.nodeid] = round(time.process_time() - begun, 4)
            self._coverage.switch_context(LOADING)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)


def _look(name: str, tell: Tell) -> None:
    from coverage import Coverage

    coverage = Coverage(data_file=None, source=[str(ROOT / "nptables")], config_file=False)
    coverage.start()
    coverage.switch_context(LOADING)
    looking = _Looking(coverage)
    status = int(pytest.main([*OPTIONS, "-k", CHOSEN, name], plugins=[looking]))
    coverage.stop()
    for test in looking.failed:
        looking.times.pop(test, None)
    numbers = {test: n for n, test in enumerate(looking.times)} | {LOADING: -1}
    lines: dict[str, dict[int, list[int]]] = {}
    sources: dict[str, str] = {}
    data = coverage.get_data()
    for full in data.measured_files():
        path = Path(full).relative_to(ROOT).as_posix()
        found = data.contexts_by_lineno(full)
        if found:
            sources[path] = source(path)
            lines[path] = {n: [numbers[c] for c in by if c in numbers] for n, by in found.items()}
    tell({
        "status": status, "failed": looking.failed, "times": looking.times, "lines": lines,
        "sources": sources,
    })  # fmt: skip
