"""The hole that node ports on localhost need, and the rule that closes it to others.

For node ports on 127.0.0.1 the kernel must route packets of 127.0.0.0/8 (`route_localnet`). It
then takes such packets from a neighbour on the network too, to what listens on localhost only.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.lab.laboratory.addresses import LOCALHOST, NODE1, NODE_GATEWAY, SERVED
from tests.lab.laboratory.lab import SILENCE, Question, answered
from tests.lab.laboratory.manifests import service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.laboratory.lab import Laboratory

pytestmark = pytest.mark.lab

IPV4_ONLY = ("IPV4",)
FROM_THE_NODE = Question("node1", LOCALHOST, SERVED)
FROM_A_NEIGHBOUR = Question("router", LOCALHOST, SERVED, NODE_GATEWAY)


def test_a_neighbour_reaches_no_localhost_of_a_node_that_serves_node_ports_there(
    lab: Laboratory,
) -> None:
    with a_neighbour_who_tries(lab):
        lab.namespaces["node1"].run(["sysctl", "-q", "-w", "net.ipv4.conf.all.route_localnet=1"])
        lab.check({FROM_A_NEIGHBOUR: answered("node1", seeing=NODE_GATEWAY)}, families=IPV4_ONLY)

        lab.apply(service([NODE1.pods[0]], type="NodePort"))

        lab.check(
            {FROM_A_NEIGHBOUR: SILENCE, FROM_THE_NODE: answered("node1", seeing=LOCALHOST)},
            families=IPV4_ONLY,
        )


def test_without_node_ports_on_localhost_the_kernel_keeps_neighbours_out(lab: Laboratory) -> None:
    with a_neighbour_who_tries(lab):
        objects = service([NODE1.pods[0]], type="NodePort")
        lab.apply(objects, {"iptables": {"localhostNodePorts": False}})

        lab.check(
            {FROM_A_NEIGHBOUR: SILENCE, FROM_THE_NODE: answered("node1", seeing=LOCALHOST)},
            families=IPV4_ONLY,
        )


@contextlib.contextmanager
def a_neighbour_who_tries(lab: Laboratory) -> Iterator[None]:
    """Have the router send what is for 127.0.0.1 to node1."""
    router = lab.namespaces["router"]
    router.run(["sysctl", "-q", "-w", "net.ipv4.conf.all.route_localnet=1"])
    router.run(["ip", "address", "del", "127.0.0.1/8", "dev", "lo"])
    router.run(["ip", "route", "add", "127.0.0.1/32", "via", NODE1.address.ipv4])
    try:
        yield
    finally:
        router.run(["ip", "route", "del", "127.0.0.1/32"])
        router.run(["ip", "address", "add", "127.0.0.1/8", "dev", "lo"])
        router.run(["sysctl", "-q", "-w", "net.ipv4.conf.all.route_localnet=0"])
