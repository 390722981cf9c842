"""Change single expressions of the pure packages at random, and see whether a test notices.

    python scripts/mutants.py [--sample 100] [--seed 1] [--only tracing]

prints every change that no test noticed, and exits 1 if there is one that harmless.txt (in
tests/mutants) does not explain. The tests that reach the changed line run, the quickest first, up
to the first that fails, in a child of a process that has loaded everything; mutmut and cosmic-ray
start Python and run the whole suite for each change, which takes hours here.

What is found is kept in build/mutants: a second run tries again what has changed, and only that.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
# What is random in tests beside properties is made shorter by this.
os.environ["NPTABLES_EXAMPLES"] = "5"

from tests.mutants.changes import Mutant, harmless, mutants  # noqa: E402
from tests.mutants.forking import OPTIONS, Ended, Loaded, freshly  # noqa: E402
from tests.mutants.reach import CHOSEN, Reach, digest, test_files  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    Noticing = Callable[..., str | None]

KEPT = ROOT / "build" / "mutants"
# Time of a processor for the tests of one change, as they take it while lines are counted: the
# rest are slow ones of the same kind.
ENOUGH = 30.0
# What runs tests in vain: a loop without end.
SLOWER = 5.0
LOADING_TIME = 30.0


class Verdicts:
    """What was found, in a file."""

    def __init__(self, path: Path, reach: Reach) -> None:
        self._path = path
        self._reach = reach
        self._known: dict[str, dict[str, Any]] = {}
        self.read()

    def read(self) -> None:
        """Take what the file says."""
        if self._path.exists():
            lines = map(json.loads, self._path.read_text().splitlines())
            self._known = {known["mutant"]: known for known in lines}

    def by(self, mutant: Mutant) -> str | None:
        """What noticed the change when it was tried last."""
        return self._known[str(mutant)]["by"]  # type: ignore[no-any-return]

    def was_noticed(self, mutant: Mutant) -> bool:
        """Whether anything noticed the change when it was tried last, if ever."""
        return self.is_known(mutant) and self.by(mutant) is not None

    def is_known(self, mutant: Mutant) -> bool:
        """Whether it was ever tried."""
        return str(mutant) in self._known

    def untried(self, mutant: Mutant) -> list[str] | None:
        """The tests to run, or None where nothing has changed since they ran."""
        tests = self._affordable(mutant)
        known = self._known.get(str(mutant))
        if known is None:
            return tests
        same = known["module"] == digest(mutant.path)
        if by := known["by"]:
            if same and known["tests"] == _digests([by]):
                return None
            return sorted(tests, key=lambda test: test != by)
        if not same:
            return tests
        now = _digests(tests)
        return [t for t in tests if known["tests"].get(_file(t)) != now[_file(t)]] or None

    def _affordable(self, mutant: Mutant) -> list[str]:
        tests = self._reach.tests(mutant)
        times = accumulate(self._reach.times[test] for test in tests)
        return [test for test, total in zip(tests, times, strict=True) if total < ENOUGH]

    def note(self, mutant: Mutant, by: str | None) -> None:
        """Keep what was found."""
        known = {
            "mutant": str(mutant), "by": by, "module": digest(mutant.path),
            "tests": _digests([by] if by else self._affordable(mutant)),
        }  # fmt: skip
        self._known[str(mutant)] = known
        with self._path.open("a") as file:
            file.write(json.dumps(known) + "\n")


def _file(test: str) -> str:
    return test.partition("::")[0]


def _digests(tests: list[str]) -> dict[str, str]:
    return {_file(test): digest(_file(test)) for test in tests if (ROOT / _file(test)).is_file()}


class Trial:
    """Tries changes that have to be tried, until a time."""

    def __init__(self, chosen: list[Mutant], reach: Reach, until: float) -> None:
        self._reach = reach
        self._until = until
        self._verdicts = Verdicts(KEPT / "verdicts.jsonl", reach)
        self._chosen = chosen
        self._again = False

    def run(self) -> Verdicts:
        """Try them, and give what is known of all."""
        # What was noticed before the last change to a module or a test will be noticed again.
        for self._again in (False, True):
            self._run()
        return self._verdicts

    def _run(self) -> None:
        if any(not mutant.loads for mutant, _ in self._pending()):
            # In a child: this process stays without nptables, for those that are tried afresh.
            child = os.fork()
            if not child:
                options = [*OPTIONS, "-k", CHOSEN, *test_files()]
                os._exit(pytest.main(options, plugins=[Loaded(self._in_functions)]))
            os.waitpid(child, 0)
            self._verdicts.read()
        for mutant, tests in self._pending():
            self._try(mutant, tests, LOADING_TIME, freshly)

    def _pending(self) -> list[tuple[Mutant, list[str]]]:
        chosen = [m for m in self._chosen if self._verdicts.was_noticed(m) is self._again]
        found = [(mutant, self._verdicts.untried(mutant)) for mutant in chosen]
        return [(mutant, tests) for mutant, tests in found if tests is not None]

    def _in_functions(self, loaded: Loaded) -> None:
        pending = [(mutant, tests) for mutant, tests in self._pending() if not mutant.loads]
        print(f"{len(pending)} changes to try in functions", flush=True)
        for mutant, tests in pending:
            self._try(mutant, tests, 10, loaded.noticing)

    def _try(self, mutant: Mutant, tests: list[str], base: float, noticing: Noticing) -> None:
        if time.monotonic() > self._until:
            return
        seconds = base + SLOWER * sum(self._reach.times[test] for test in tests)
        try:
            by = noticing(mutant, tests, seconds=seconds) if tests else None
        except Ended as ended:
            by = str(ended)
        # What was loaded with the line as it was may hide the change: it is tried afresh.
        if by is None and noticing is not freshly and self._reach.loads(mutant):
            return
        self._verdicts.note(mutant, by)
        if by is None and str(mutant) not in harmless():
            print(f"alive: {mutant} (line {mutant.line}, {len(tests)} tests)", flush=True)


def main() -> int:
    """Try a sample."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--sample", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2 * 3600)
    parser.add_argument("--only", default="", help="a package, or the beginning of a module's name")
    options = parser.parse_args()
    started = time.monotonic()
    every = [m for m in mutants() if m.path.startswith(f"nptables/{options.only}")]
    chosen = sorted(every, key=lambda mutant: mutant.rank(options.seed))[: options.sample]
    verdicts = Trial(
        chosen, Reach(KEPT, partial(print, flush=True)), started + options.seconds
    ).run()
    known = [mutant for mutant in chosen if verdicts.is_known(mutant)]
    alive = [mutant for mutant in known if not verdicts.by(mutant)]
    explained = [mutant for mutant in alive if str(mutant) in harmless()]
    left = sorted(set(alive) - set(explained))
    print(*(f"alive: {mutant} (line {mutant.line})" for mutant in left), sep="\n")
    for package, count in sorted(Counter(m.path.split("/")[1] for m in known).items()):
        those = [sum(m.path.split("/")[1] == package for m in found) for found in (explained, left)]
        print(f"{package}: {count} tried, {those[0]} change nothing, {those[1]} alive")
    print(
        f"seed {options.seed}, {len(known)} of {len(every)} changes in "
        f"{time.monotonic() - started:.0f} s: {len(known) - len(alive)} noticed, "
        f"{len(explained)} change nothing, {len(left)} alive"
    )
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
