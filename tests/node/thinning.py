"""Of each parametrised test some cases, spread evenly: `-p tests.node.thinning --cases 4`.

In WebAssembly what pytest does around a test takes longer than most of these tests do.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import pytest

T = TypeVar("T")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cases", type=int, required=True, help="at most so many cases of each test")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    tests: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        tests[item.nodeid.partition("[")[0]].append(item)
    most: int = config.getoption("--cases")
    kept = [item for cases in tests.values() for item in spread(cases, most)]
    config.hook.pytest_deselected(items=list(set(items) - set(kept)))
    items[:] = kept


def spread(cases: list[T], most: int) -> list[T]:
    """So many of them at most, from the first to the last."""
    if len(cases) <= most:
        return cases
    steps = max(most - 1, 1)
    return [cases[step * (len(cases) - 1) // steps] for step in range(most)]
