"""Tables that take longer to read than a program is given, with programs that are none."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from nptables.agent.process import Log, choose_backend
from nptables.errors import KernelBusy, KernelRefused
from nptables.family import Family
from nptables.kernel import RestoreBackend, choose
from nptables.kernel.programs import Completed
from tests.support.requirements import requires

if TYPE_CHECKING:
    from collections.abc import Sequence

SAVED = "*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n"


class Slow:
    """A Runner whose save program takes so many seconds; it remembers how many it was given."""

    def __init__(self, takes: float) -> None:
        self.takes = takes
        self.given: list[float] = []

    def __call__(self, argv: Sequence[str], _text: str, seconds: float) -> Completed:
        self.given.append(seconds)
        if self.takes > seconds:
            raise KernelBusy(f"{argv[0]} was stopped after {seconds:g} s")
        return Completed(0, SAVED, "")


@pytest.fixture(autouse=True)
def programs() -> None:
    requires("nft")


def test_reading_gets_twice_the_time_after_each_time_that_was_too_short() -> None:
    slow = Slow(takes=700)
    backend = RestoreBackend("nft", Family.IPV4, run=slow)
    for _ in range(2):
        with pytest.raises(KernelBusy):
            backend.read()
    assert "PREROUTING" in backend.read().tables["nat"].chains
    assert slow.given == [180, 360, 720]


def test_the_time_does_not_grow_beyond_half_an_hour() -> None:
    slow = Slow(takes=10**6)
    backend = RestoreBackend("nft", Family.IPV4, run=slow)
    for _ in range(7):
        with pytest.raises(KernelBusy):
            backend.read()
    assert slow.given == [180, 360, 720, 1440, 1800, 1800, 1800]


def test_what_was_enough_once_is_kept_and_backends_do_not_share_it() -> None:
    slow = Slow(takes=200)
    backend = RestoreBackend("nft", Family.IPV4, run=slow)
    with pytest.raises(KernelBusy):
        backend.read()
    backend.read()
    backend.read()
    assert slow.given == [180, 360, 360]
    assert RestoreBackend("nft", Family.IPV4).read_timeout.seconds == 180


def test_other_refusals_give_no_more_time() -> None:
    backend = RestoreBackend("nft", Family.IPV4, run=lambda *_: Completed(1, "", "no"))
    with pytest.raises(KernelRefused):
        backend.read()
    assert backend.read_timeout.seconds == 180


def test_a_backend_that_cannot_be_read_now_is_not_passed_over_for_the_other() -> None:
    with pytest.raises(KernelBusy):
        choose(Family.IPV4, "auto", run=Slow(takes=10**6))


def test_an_agent_starts_on_a_node_whose_tables_take_200_seconds_to_read() -> None:
    slow, said = Slow(takes=200), io.StringIO()
    log = Log(said, level="info", as_json=False, wall=lambda: 0.0)
    choice = choose_backend(Family.IPV4, "nft", log, slow)
    # The first sync reads again, with what the start has learnt.
    choice.backend.read()
    assert slow.given == [180, 360, 360]
    assert said.getvalue().count("trying again with more time") == 1


def test_an_agent_that_cannot_read_in_half_an_hour_says_so_and_ends() -> None:
    slow = Slow(takes=10**6)
    log = Log(io.StringIO(), level="info", as_json=False, wall=lambda: 0.0)
    with pytest.raises(KernelBusy, match="1800 s"):
        choose_backend(Family.IPV4, "nft", log, slow)
    assert slow.given == [180, 360, 720, 1440, 1800]
