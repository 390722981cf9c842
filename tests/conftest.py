"""How the tests run."""

from __future__ import annotations

import gc
import os
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

# Examples of each property: fewer where Python is slow.
EXAMPLES = int(os.environ.get("NPTABLES_EXAMPLES", "50"))

# No example is judged by the clock: the machine may be busy with other tests.
settings.register_profile(
    "nptables", deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("nptables")


def pytest_configure() -> None:
    """A shell starts `make test &` deaf to SIGINT, and all programs that a test starts with it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Twice as many as there are cores: a part of the tests waits most of its time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (cores or 1) * 2


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Ten thousand tests are no garbage: it is not looked for among them, now or later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Start first what takes long, so that at the end nobody waits for the one that has it.

    `--dist worksteal` cuts the list into a part for each worker: each begins with its share.
    """
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    long = [item for item in items if item.get_closest_marker("long")]
    others = [item for item in items if not item.get_closest_marker("long")]
    dealt: list[pytest.Item] = []
    for number in range(workers):
        share = long[number::workers]
        part = max((len(items) - len(dealt)) // (workers - number) - len(share), 0)
        dealt += share + others[:part]
        del others[:part]
    items[:] = dealt + others
