"""A trace in the rules that a packet can meet says what a trace in all rules of the node says."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nptables import Cluster, Family, ProxyConfig, trace, translate
from nptables.tracing import Origin, Packet
from nptables.tracing.explanation.words import answer_line, outcome_rows, tree_lines
from nptables.tracing.services import Services
from tests.support.scenarios import NAMED, named_scenario, random_scenarios

if TYPE_CHECKING:
    from nptables.model import Node
    from nptables.tracing import Trace
    from nptables.translation import Translation
    from tests.support.scenarios import Scenario

# Of a Service with a thousand endpoints one packet says as much as all.
MANY_RULES = 1000


def told(answer: Trace) -> tuple[Any, ...]:
    """All that the command `trace --path` prints."""
    return (
        answer.to_json(),
        answer_line(answer),
        [outcome_rows(distribution) for distribution in answer.distributions],
        [list(tree_lines(distribution.outcomes)) for distribution in answer.distributions],
    )


class Both:
    """The cluster of a scenario in one family, with all rules of its node."""

    def __init__(self, scenario: Scenario, family: Family) -> None:
        config = ProxyConfig.from_kube_proxy(scenario.config)
        self.config = config
        self.cluster = Cluster.from_objects(scenario.objects, lenient=True)
        self.node: Node = self.cluster.node(scenario.node, facts=scenario.facts)
        self.all: Translation = translate(self.cluster, self.node, config, family)
        self.services = Services(self.cluster, family)

    def check(self, packet: Packet) -> None:
        """Both traces say the same."""
        part = self.services.rules_for(packet, self.node, self.config)
        cluster, config = self.cluster, self.config
        expected = trace(self.all, packet, self.node, cluster, config=config)
        assert told(expected) == told(trace(part, packet, self.node, cluster, config=config)), (
            f"{packet}"
        )

    def destinations(self) -> list[tuple[str, int, str]]:
        """Every frontend, the ports of health checks, an endpoint of each, and what is nothing."""
        node, family = self.node, self.services.family
        addresses = [node.address(family), *node.interface_addresses(family)]
        found = []
        for (address, protocol, port), frontend in self.services.frontends():
            found += [(each, port, protocol) for each in ([address] if address else addresses)]
            if frontend.service.health_check_port:
                found.append((addresses[0], frontend.service.health_check_port, "TCP"))
        for each in self.cluster.slices.values():
            if each.family is family:
                found += [
                    (endpoint.address, port.port, port.protocol)
                    for endpoint in each.endpoints[:1]
                    for port in each.ports
                ]
        return [*dict.fromkeys(found), (addresses[0], 9, "TCP"), (addresses[0], 9, "SCTP")]


def senders(destination: tuple[str, int, str], family: Family) -> list[Packet]:
    address, port, protocol = destination
    outside = {Family.IPV4: "203.0.113.9", Family.IPV6: "2001:db8:99::9"}[family]
    return [
        Packet(address, port, protocol),
        Packet(address, port, protocol, origin=Origin.NODE),
        Packet(address, port, protocol, source=outside),
    ]


@pytest.mark.parametrize("name", NAMED)
def test_all_packets_of_a_named_scenario(name: str) -> None:
    """Every frontend, health check port and endpoint, from outside and from the node."""
    for family in Family:
        both = Both(named_scenario(name), family)
        found = [p for place in both.destinations() for p in senders(place, family)]
        many = both.all.rule_count() > MANY_RULES
        for packet in found[: 1 if many else None]:
            both.check(packet)


@functools.cache
def _random(name: str, family: Family) -> Both:
    return Both(random_scenarios()[name], family)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_random_packets_in_random_scenarios(data: st.DataObject) -> None:
    """Whatever meets whatever: an address of one Service with the port of another, too."""
    family = data.draw(st.sampled_from(list(Family)))
    both = _random(data.draw(st.sampled_from(sorted(random_scenarios()))), family)
    places = both.destinations()
    draw = functools.partial(data.draw, st.sampled_from(places))
    address, port, protocol = draw()[0], draw()[1], draw()[2]
    source = data.draw(st.sampled_from([None, *(place[0] for place in places)]))
    origin = data.draw(st.sampled_from([None, Origin.NODE, Origin.OUTSIDE]))
    both.check(Packet(address, port, protocol, source=source, origin=origin))
