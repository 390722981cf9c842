"""Runs tests in children of a process that has everything loaded, with one module changed."""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import signal
import time
from importlib.machinery import SourceFileLoader
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from tests.mutants.changes import ROOT, code_of, source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.mutants.changes import Mutant

_MEMORY = 6 << 30
OPTIONS = (
    "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov",
    "--capture=sys", "--hypothesis-seed=1", "--rootdir", str(ROOT),
    "-W", "ignore::pytest.PytestAssertRewriteWarning",
)  # fmt: skip

Tell = "Callable[[object], None]"


class Ended(Exception):
    """A child was stopped, for its time or its memory."""


def in_child(work: Callable[[Tell], object], *, seconds: float) -> Any:
    """What a child of this process tells, or None where it tells nothing.

    Args:
        work: What the child does, with a function that tells the answer and ends it.
        seconds: Time of a processor, at most. The clock may go on ten times as long: others
            work on the machine as well.

    Raises:
        Ended: The child did not end by itself.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        _work(work, writing, seconds)
    os.close(writing)
    deadline = time.monotonic() + 10 * seconds
    text = b""
    while select.select([reading], [], [], max(0.0, deadline - time.monotonic()))[0]:
        piece = os.read(reading, 1 << 20)
        text += piece
        if not piece:
            break
    else:
        os.kill(child, signal.SIGKILL)
    os.close(reading)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        raise Ended(signal.Signals(os.WTERMSIG(status)).name)
    return json.loads(text) if text else None


def _work(work: Callable[[Tell], object], writing: int, seconds: float) -> None:
    def tell(answer: object) -> None:
        text = json.dumps(answer).encode()
        while text:
            text = text[os.write(writing, text) :]
        os._exit(0)

    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1) if os.environ.get("NPTABLES_MUTANTS_DEBUG") else (0, 1, 2):
            os.dup2(nothing, stream)
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        used = sum(os.times()[:2])
        limit = int(used + seconds) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        work(tell)
    finally:
        os._exit(1)


# Examples of a property: few, always the same, and none made smaller or kept.
_EXAMPLES = 10


class Quick:
    """A plugin: few examples of each property."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        """Before any test is loaded, and after conftest.py."""
        hypothesis.settings.register_profile(
            "mutants", hypothesis.settings(), database=None, max_examples=_EXAMPLES,
            print_blob=False, report_multiple_bugs=False,
            phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        )  # fmt: skip
        hypothesis.settings.load_profile("mutants")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """What asks for more gets no more."""
        name = "_hypothesis_internal_use_settings"
        for item in items:
            test = getattr(item, "function", None)
            asked = getattr(test, name, None)
            if asked is not None and asked.max_examples > _EXAMPLES:
                setattr(test, name, hypothesis.settings(asked, max_examples=_EXAMPLES))


class FirstFailure(Quick):
    """A plugin that tells the first test that fails, and runs the tests in an order given."""

    def __init__(self, tests: list[str], tell: Tell) -> None:
        self._order = {name: number for number, name in enumerate(tests)}
        self._tell = tell

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave those that are asked for."""
        super().pytest_collection_modifyitems(items)
        items[:] = sorted(
            (item for item in items if item.nodeid in self._order),
            key=lambda item: self._order[item.nodeid],
        )

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module that cannot be loaded is a failure too."""
        if report.failed:
            self._tell(report.nodeid or "collection")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Tell the first that fails."""
        if report.failed:
            self._tell(report.nodeid)

    def pytest_internalerror(self) -> None:
        """Nothing runs: that is noticed."""
        self._tell("collection")


def freshly(mutant: Mutant, tests: list[str], *, seconds: float) -> str | None:
    """The test that fails when the changed module is loaded, or None.

    This process must not have loaded nptables.
    """
    found = (_freshly(mutant, some, seconds) for some in _rounds(tests))
    return next(filter(None, found), None)


def _rounds(tests: list[str]) -> Iterator[list[str]]:
    """The tests of the file of the first one, those of the file with most, and all others.

    Most changes are noticed at once, and to load every file takes longer than that.
    """
    files: dict[str, list[str]] = {}
    for test in tests:
        files.setdefault(test.partition("::")[0], []).append(test)
    yield files.pop(tests[0].partition("::")[0])
    if files:
        yield files.pop(max(files, key=lambda name: len(files[name])))
    if files:
        yield [test for found in files.values() for test in found]


def _freshly(mutant: Mutant, tests: list[str], seconds: float) -> str | None:
    code = code_of(mutant)
    path = str(ROOT / mutant.path)
    ordinary = SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, name: str) -> CodeType | None:
        return code if self.path == path else ordinary(self, name)

    def work(tell: Tell) -> None:
        SourceFileLoader.get_code = get_code  # type: ignore[method-assign]
        files = sorted({test.partition("::")[0] for test in tests})
        status = pytest.main([*OPTIONS, *files], plugins=[FirstFailure(tests, tell)])
        tell(None if status == 0 else "collection")

    return in_child(work, seconds=seconds)  # type: ignore[no-any-return]


class Loaded(Quick):
    """A plugin that tries changes in children of a session that has loaded every test."""

    def __init__(self, work: Callable[[Loaded], None]) -> None:
        self._work = work
        self._items: dict[str, pytest.Item] = {}
        self._functions: dict[str, list[FunctionType]] = {}
        self._tell: Tell | None = None

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Do the work in place of the tests."""
        self._items = {item.nodeid: item for item in session.items}
        inside = str(ROOT / "nptables")
        # What conftest.py has frozen is not among the objects that the collector names.
        gc.unfreeze()
        for item in gc.get_objects():
            if type(item) is FunctionType and item.__code__.co_filename.startswith(inside):
                self._functions.setdefault(item.__code__.co_filename, []).append(item)
        gc.freeze()
        self._work(self)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Tell the first that fails, in a child."""
        if report.failed and self._tell is not None:
            self._tell(report.nodeid)

    def noticing(self, mutant: Mutant, tests: list[str], *, seconds: float) -> str | None:
        """The test that fails when functions have the changed code, or None.

        Raises LookupError where no function of that module is loaded: nothing would be changed.
        """
        functions = self._functions.get(str(ROOT / mutant.path))
        if not functions:
            raise LookupError(f"no function of {mutant.path} is loaded")
        codes = _pairs(mutant)
        items = [self._items[name] for name in tests if name in self._items]

        def work(tell: Tell) -> None:
            self._tell = tell
            for function in functions:
                function.__code__ = codes.get(function.__code__, function.__code__)
            for item, following in zip(items, [*items[1:], None], strict=True):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            tell(None)

        return in_child(work, seconds=seconds)  # type: ignore[no-any-return]


def _pairs(mutant: Mutant) -> dict[CodeType, CodeType]:
    """Every code of the module, with the code in its place in the changed one."""
    before = compile(source(mutant.path), str(ROOT / mutant.path), "exec", dont_inherit=True)
    return dict(_beside(before, code_of(mutant)))


def _beside(before: CodeType, after: CodeType) -> Iterable[tuple[CodeType, CodeType]]:
    yield before, after
    inner = [[c for c in code.co_consts if isinstance(c, CodeType)] for code in (before, after)]
    if [code.co_qualname for code in inner[0]] == [code.co_qualname for code in inner[1]]:
        for pair in zip(*inner, strict=True):
            yield from _beside(*pair)
