"""Traces over everything that kube-proxy was recorded to do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from nptables import Cluster, Family, ProxyConfig, Ruleset, Trace, trace, translate
from nptables.tracing import Origin, Packet, Verdict
from tests.support.scenarios import NAMED, named_scenario, random_scenarios

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nptables.model import Node
    from nptables.translation.assembly import Translation
    from tests.support.scenarios import Scenario

# Of a Service with a thousand endpoints one packet says as much as all.
MANY_ENDPOINTS = 100


def packets(rules: Translation, node: Node) -> Iterator[Packet]:
    """Packets to everything that stands for a service port, from outside, the node and a pod."""
    family = rules.family
    for name, port_rules in list(rules.ports.items()):
        service = rules.cluster.services[name.namespace, name.name]
        port = next(p for p in service.ports if (p.name, p.protocol) == (name.port, name.protocol))
        targets = [(service.cluster_ips[family], port.port)]
        targets += [(ip, port.port) for ip in service.external_ips if Family.of(ip) is family]
        targets += [
            (i.ip, port.port) for i in service.ingress if i.ip and Family.of(i.ip) is family
        ]
        if port.node_port:
            targets.append((node.address(family), port.node_port))
        for address, number in targets:
            yield Packet(address, number, name.protocol)
            yield Packet(address, number, name.protocol, origin=Origin.NODE)
            for _, endpoint in port_rules.selection.reachable[:1]:
                if not endpoint.address.startswith("127."):
                    yield Packet(address, number, name.protocol, source=endpoint.address)


def shares(answer: Trace) -> list[object]:
    """What a trace says, without the rules that say it."""
    return [
        (
            distribution.hypotheses,
            sorted(
                (hash(o.share), o.verdict.value, o.where, o.whence) for o in distribution.outcomes
            ),
        )
        for distribution in answer.distributions
    ]


def check(scenario: Scenario) -> int:
    cluster = Cluster.from_objects(scenario.objects, lenient=True)
    node = cluster.node(scenario.node, facts=scenario.facts)
    config = ProxyConfig.from_kube_proxy(scenario.config)
    count = 0
    for family in Family:
        rules = translate(cluster, node, config, family)
        dump = Ruleset.from_save(scenario.dumps[family.name], family=family)
        # Who wins a collision is a matter of luck for kube-proxy; no recording has one.
        assert not rules.collisions
        large = any(len(p.selection.reachable) > MANY_ENDPOINTS for p in rules.ports.values())
        for packet in list(packets(rules, node))[: 1 if large else None]:
            answer = trace(rules, packet, node, cluster, config=config)
            count += 1
            name = f"{scenario.name}: {packet}"
            check_shares(answer, name)
            check_equal_shares(answer, name)
            recorded = trace(dump, packet, node, cluster, config=config)
            assert shares(recorded) == shares(answer), name
            check_reasons_agree(recorded, name)
    return count


def check_reasons_agree(answer: Trace, name: str) -> None:
    """kube-proxy made these rules from this cluster: nobody may say that the two differ."""
    codes = {reason.code for reason in answer.reasons}
    assert not codes & {"rules-differ", "stale-rule", "wrong-endpoint"}, f"{name}: {answer.reasons}"


def check_shares(answer: Trace, name: str) -> None:
    for distribution in answer.distributions:
        # Over one denominator: adding a thousand fractions of thousands of digits takes a minute.
        common = math.lcm(*(o.share.denominator for o in distribution.outcomes))
        parts = [o.share.numerator * (common // o.share.denominator) for o in distribution.outcomes]
        assert sum(parts) == common, name
        assert all(o.share > 0 for o in distribution.outcomes)


def check_equal_shares(answer: Trace, name: str) -> None:
    """Without affinity at work, the endpoints of a service port take the same share."""
    first = answer.distributions[0]
    if any("seen at" in condition for ways in first.hypotheses for condition in ways):
        return
    found: dict[str, float] = {}
    for outcome in first.outcomes:
        if outcome.verdict in (Verdict.ENDPOINT, Verdict.SENT_TO_NODE, Verdict.HOST_ENDPOINT):
            found[outcome.where] = found.get(outcome.where, 0) + float(outcome.share)
    fair = sum(found.values()) / max(len(found), 1)
    for share in found.values():
        assert abs(share - fair) < 1e-8, name


@pytest.mark.parametrize("name", NAMED)
def test_shares_of_a_named_scenario_add_up_and_its_dump_says_the_same(name: str) -> None:
    check(named_scenario(name))


@pytest.mark.long
def test_shares_of_random_scenarios_add_up_and_their_dumps_say_the_same() -> None:
    found = [check(scenario) for scenario in random_scenarios().values()]

    assert len(found) == 191
    assert sum(found) > 5000
