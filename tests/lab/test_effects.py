"""Damaged rules in a kernel: packets from inside and outside each class fare as they are said to.

More rulesets than the 32 of the suite: NPTABLES_DAMAGED=400; others: NPTABLES_DAMAGED_SEED=...
"""

from __future__ import annotations

import os
from contextlib import closing
from functools import cache
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from nptables import Cluster, ProxyConfig, Ruleset, compare_effects, translate
from nptables.effects import NodeState, Reached
from nptables.family import Family
from nptables.tracing import Packet, Verdict, trace
from tests.effects.pairs import damaged, reported
from tests.lab.walks.comparing import fits
from tests.lab.walks.network import net
from tests.lab.walks.places import PLACES
from tests.lab.walks.wire import Sent, Wire
from tests.support.clusters import endpoint, endpoint_slice, service
from tests.support.netns import BACKENDS, remove_orphans
from tests.support.requirements import requires

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nptables.effects import Effects
    from nptables.tracing import Trace
    from tests.lab.walks.network import Net
    from tests.lab.walks.wire import Seen

pytestmark = pytest.mark.lab

RULESETS = int(os.environ.get("NPTABLES_DAMAGED", "32")) // 4
SEED = os.environ.get("NPTABLES_DAMAGED_SEED", "1")
_ENDED = {Verdict.DROPPED, Verdict.REFUSED}
_HERE = {Verdict.NODE, Verdict.HOST_ENDPOINT}
_ADDRESSES = {
    Family.IPV4: ("10.96.0.1", "10.96.0.2", "10.96.0.3", "198.51.100.99"),
    Family.IPV6: ("fd00:96::1", "fd00:96::2", "fd00:96::3", "2001:db8:99::1"),
}


@pytest.fixture(scope="module", params=BACKENDS)
def network(request: pytest.FixtureRequest) -> Iterator[Net]:
    requires("root", "netns", request.param, "nft", "ip")
    remove_orphans()
    with net(request.param) as made:
        yield made


def objects(family: Family) -> list[dict[str, Any]]:
    """Services of each policy, one of them behind a load balancer for some clients alone."""
    places, (first, second, third, balancer) = PLACES[family], _ADDRESSES[family]
    families = {"ipFamilies": [family.value]}
    wide = "203.0.113.0/25" if family is Family.IPV4 else "2001:db8:9::/121"
    pods = [endpoint(pod, "node") for pod in places.pods]
    kind = {"addressType": family.value}
    return [
        service("web", clusterIP=first, ports=[{"port": 80, "nodePort": 31080}], **families),
        endpoint_slice(*pods, of="web", **kind),
        service(
            "api", type="LoadBalancer", clusterIP=second, externalTrafficPolicy="Local",
            ports=[{"port": 443, "nodePort": 31443}], loadBalancerSourceRanges=[wide],
            status={"loadBalancer": {"ingress": [{"ip": balancer}]}}, **families,
        ),
        endpoint_slice(pods[0], of="api", **kind),
        service("none", clusterIP=third, ports=[{"port": 80, "nodePort": 31090}], **families),
    ]  # fmt: skip


def state(network: Net, family: Family) -> NodeState:
    """The node with the rules of its Services."""
    cluster = Cluster.from_objects(objects(family))
    node = network.facts()
    config = ProxyConfig.from_kube_proxy(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clusterCIDR": "10.244.0.0/16,fd00:244::/32",
        }
    )
    rules = Ruleset.from_save(translate(cluster, node, config, family).to_save(), family=family)
    return NodeState(rules, node, cluster)


def questions(family: Family) -> list[Sent]:
    """A packet to each frontend, from a sender of each kind."""
    places, (first, second, third, balancer) = PLACES[family], _ADDRESSES[family]
    to = [(first, 80), (second, 443), (third, 80), (balancer, 443)]
    to += [(places.node[0], port) for port in (31080, 31443, 31090)] + [(places.inner, 31080)]
    senders = [("eth0", a) for a in places.outside] + [("eth1", a) for a in places.pods]
    senders += [("", places.node[0]), ("", places.bridge)]
    return [
        Sent(family, device, source, address, "tcp", 0, port, frozenset({"SYN"}))
        for address, port in to
        for device, source in senders
    ]


@pytest.mark.parametrize("family", Family)
def test_packets_from_inside_and_outside_each_class_fare_as_said(
    network: Net, family: Family
) -> None:
    before = state(network, family)
    (rules,) = before.rulesets
    rng = Random(f"{SEED} {family.value} {network.backend}")

    @cache
    def told(packet: Packet) -> Trace:
        return trace(before.rules, packet, before.node)

    inside = outside = done = 0
    with closing(Wire(network)) as wire:
        sender = _Sender(network, wire, family)
        at_first = sender.answers(rules)
        while done < RULESETS:
            text = damaged(rules.to_save(), family, rng)
            if text == rules.to_save() or not sender.takes(text):
                continue
            done += 1
            after = NodeState(Ruleset.from_save(text, family=family), before.node, before.cluster)
            effects = compare_effects(before, after)
            then = sender.answers(after.rulesets[0])
            for sent in questions(family):
                packet = Packet(sent.destination, sent.port, "tcp", source=sent.source)
                said = wrong(effects, told, packet, at_first[sent], then[sent])
                assert said == "", f"{SEED} {family.value} {done}: {packet}: {said}"
                classes = reported(effects, packet)
                inside += bool(classes)
                outside += not classes
    print(f"{inside} packets inside a class, {outside} outside")  # noqa: T201
    assert inside > 20
    assert outside > 100


def wrong(
    effects: Effects,
    told: Callable[[Packet], Trace],
    packet: Packet,
    first: list[Seen],
    then: list[Seen],
) -> str:
    """What the kernel did otherwise than it is said to; empty where it did as said.

    `told` traces a packet in the rules that were there at first.
    """
    classes = reported(effects, packet)
    if not classes:
        outcomes = [o for found in told(packet).distributions for o in found.outcomes]
        for seen in (first, then):
            if not any(fits(outcome, seen) for outcome in outcomes):
                return f"nothing is to change, and there was {first}, then {then}"
        return ""
    ((_, cases),) = classes
    if not any(_fits(each, first, packet) for case in cases for each, _ in case.before.reached):
        return f"not {[case.before for case in cases]}, but {first}"
    if not any(_fits(each, then, packet) for case in cases for each, _ in case.after.reached):
        return f"now not {[case.after for case in cases]}, but {then}"
    return ""


def _fits(each: Reached, seen: list[Seen], packet: Packet) -> bool:
    if each.verdict in _ENDED:
        return not seen
    if each.verdict is Verdict.UNKNOWN:
        return True
    if len(seen) != 1:
        return False
    (found,) = seen
    to = (each.destination or packet.destination, each.port or packet.port)
    # Of the node's own packets only the port may be another.
    own = str(packet.source) in PLACES[packet.family].own and found.source == packet.source
    return (
        (found.where == "node") is (each.verdict in _HERE)
        and (found.destination, found.port) == to
        and (own or (found.source != packet.source) is each.rewritten)
    )


class _Sender:
    """Loads rules, and sends every packet; no two are of one connection."""

    def __init__(self, network: Net, wire: Wire, family: Family) -> None:
        self._network = network
        self._wire = wire
        self._family = family
        self._sent = 0

    def takes(self, text: str) -> bool:
        """Whether the kernel takes the rules."""
        try:
            self._network.restore(self._family, text)
        except AssertionError:
            return False
        return True

    def answers(self, rules: Ruleset) -> dict[Sent, list[Seen]]:
        """Where each packet comes out."""
        self._network.restore(self._family, rules.to_save())
        found = {}
        for sent in questions(self._family):
            self._sent += 1
            port = 1024 + self._sent % 60000
            found[sent] = self._wire.send(
                Sent(
                    sent.family, sent.device, sent.source, sent.destination, sent.protocol, port,
                    sent.port, sent.flags,
                )
            )  # fmt: skip
        return found
