"""In which order the tests run."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import pytest_collection_modifyitems


@dataclass
class _Item:
    name: str
    long: bool

    def get_closest_marker(self, name: str) -> bool | None:
        assert name == "long"
        return self.long or None


def _ordered(names: list[str], workers: int) -> list[str]:
    """What becomes of tests of these names, of which capitals take long."""
    items: list[Any] = [_Item(name, name.isupper()) for name in names]
    config: Any = SimpleNamespace(workerinput={"workercount": workers})
    pytest_collection_modifyitems(config, items)
    return [item.name for item in items]


def test_each_worker_begins_with_its_share_of_what_takes_long() -> None:
    assert "".join(_ordered(list("aBcdEFgh"), workers=2)) == "BFac" + "Edgh"


def test_more_that_takes_long_than_anything_else_is_no_problem() -> None:
    assert "".join(_ordered(list("AB"), workers=4)) == "AB"


@given(st.lists(st.sampled_from("aBcDe")), st.integers(1, 9))
def test_each_test_runs_once_and_what_is_not_long_keeps_its_order(
    names: list[str], workers: int
) -> None:
    found = _ordered(names, workers)

    assert sorted(found) == sorted(names)
    assert [n for n in found if n.islower()] == [n for n in names if n.islower()]
