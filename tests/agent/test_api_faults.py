"""What faults of the API server do to a running agent, and to the rules that it keeps."""

from __future__ import annotations

import math
import statistics
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.agents import AgentProcess, descriptors, lasting, resident, wait_for, watched
from tests.support.apiserver import Fault
from tests.support.objects import endpoint_slice, service
from tests.support.pace import too_soon

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.apiserver import Request

pytestmark = pytest.mark.kernel

SLICES = "endpointslices"
GONE = Fault(watch=True, resource=SLICES, expired=True)
FAULTS = {
    "cut in mid-event": [Fault(watch=True, resource=SLICES, cut_after=0)],
    "half a line": [Fault(watch=True, resource=SLICES, cut_after=0, half_line=True)],
    "a line that is no JSON": [Fault(watch=True, resource=SLICES, cut_after=0, garbage=True)],
    "a watch that ends at once": [Fault(watch=True, resource=SLICES, over=True, times=6)],
    "a watch that says nothing": [Fault(watch=True, resource=SLICES, silent=True)],
    "410 for a watch": [GONE],
    "410 in the middle of a list": [
        GONE,
        Fault(watch=False, resource=SLICES, status=410, continued=True, times=2),
    ],
    "429 for a watch": [Fault(watch=True, resource=SLICES, status=429, retry_after=1)],
    "429 for a list": [
        GONE,
        Fault(watch=False, resource=SLICES, status=429, retry_after=1),
    ],
    "500 for a watch": [Fault(watch=True, resource=SLICES, status=500, times=6)],
    "500 for a list": [
        GONE,
        Fault(watch=False, resource=SLICES, status=500, times=3),
        Fault(watch=False, resource=SLICES, status=500, continued=True, times=3),
    ],
}


def of_other_services(number: int) -> tuple[dict[str, object], dict[str, object]]:
    return (
        service("extra", cluster_ip=f"10.96.0.{20 + number}"),
        endpoint_slice("extra", f"10.244.1.{number}"),
    )


@pytest.fixture
def agent(standing: AgentProcess) -> Iterator[AgentProcess]:
    """The standing agent, whose Service `extra` is not there before and after."""
    standing.settles()
    yield standing
    for kind, name in (("Service", "extra"), ("EndpointSlice", "extra-a")):
        if any(o["metadata"]["name"] == name for o in standing.server.objects()):
            standing.server.delete(kind, name)


def since(agent: AgentProcess, moment: float) -> list[Request]:
    return [request for request in agent.server.requests if request.at >= moment]


@pytest.mark.parametrize("name", FAULTS)
def test_no_rule_is_lost_and_no_request_comes_too_soon(agent: AgentProcess, name: str) -> None:
    server = agent.server
    wait_for(lambda: len(server.standing) == 3)
    # The watches that are open now end with what follows; their requests came before it.
    broken = list(server.standing)
    server.faults.clear()
    with watched(agent.namespace, lasting(agent.namespace)) as lacking:
        moment = time.monotonic()
        faults = [server.fail(Fault(**vars(fault))) for fault in FAULTS[name]]
        server.disconnect()
        wait_for(lambda: len(server.standing) == 3)
        # What is cut in mid-event needs one, and others may miss one.
        for number in (1, 2):
            server.put(*of_other_services(number))
            agent.settles()
        assert [fault.times for fault in faults] == [0] * len(faults)
    assert lacking == []
    assert too_soon([*broken, *since(agent, moment)], agent.pace) == []


def test_a_restart_of_the_server_with_its_history_gone_loses_no_rule(agent: AgentProcess) -> None:
    server = agent.server
    wait_for(lambda: len(server.standing) == 3)

    def while_down() -> None:
        server.put(*of_other_services(1))
        server.compact()

    with watched(agent.namespace, lasting(agent.namespace)) as lacking:
        moment, broken = time.monotonic(), list(server.standing)
        server.restart(while_down)
        agent.settles()
    assert lacking == []
    assert too_soon([*broken, *since(agent, moment)], agent.pace) == []


# Large enough to be seen in the memory of a process, were it kept.
PADDING = "x" * 200_000
ROUNDS = 8


@pytest.mark.long
def test_memory_and_descriptors_stay_flat_while_watches_break(agent: AgentProcess) -> None:
    assert agent.process is not None
    pid = agent.process.pid

    def rounds() -> None:
        for number in range(ROUNDS):
            _break_every_watch(agent, number)

    # What is there once, such as caches, is there after the first rounds.
    rounds()
    figures = [_figures(agent, pid)]
    for _ in range(2):
        rounds()
        figures.append(_figures(agent, pid, most=figures[-1][1]))
    start, middle, end = figures
    print(f"{agent.namespace.backend}: memory and descriptors {figures}")  # noqa: T201
    assert start[1] >= middle[1] >= end[1]
    # In each round five watches break, one of them in the middle of a line of 200 kB, and the
    # whole line comes later. Were only the half of it kept, it would be 8 x 100 kB = 0.8 MB.
    assert end[0] - middle[0] < ROUNDS * len(PADDING) / 2


def _break_every_watch(agent: AgentProcess, number: int) -> None:
    server = agent.server
    wait_for(lambda: len(server.standing) == 3)
    before = {id(request) for request in server.watches}
    # One that the server ends, and one that the agent itself has to end.
    server.fail(Fault(watch=True, resource=SLICES, cut_after=0, half_line=True))
    server.fail(Fault(watch=True, resource="services", cut_after=0, garbage=True))
    server.disconnect()
    wait_for(lambda: len({id(r) for r in server.standing} - before) == 3)
    made, slices = of_other_services(number % 5)
    server.put(made, {**slices, "metadata": {**slices["metadata"], "annotations": {"x": PADDING}}})  # type: ignore[dict-item]
    agent.converges()
    # Those two have been asked for again.
    wait_for(lambda: len({id(r) for r in server.watches} - before) >= 5)


def _figures(agent: AgentProcess, pid: int, most: float = math.inf) -> tuple[float, int]:
    """Memory and descriptors while every watch stands and no program runs.

    A program that runs has pipes, for as long as a busy machine takes. So they are awaited to be
    no more than `most`: what was left open would stay open.
    """
    readings: list[tuple[int, int]] = []

    def enough() -> bool:
        wait_for(lambda: len(agent.server.standing) == 3)
        reading = resident(pid), descriptors(pid)
        if len(agent.server.standing) == 3:
            readings.append(reading)
        return len(readings) >= 20 and min(r[1] for r in readings) <= most

    wait_for(enough)
    return statistics.median(r[0] for r in readings), min(r[1] for r in readings)
