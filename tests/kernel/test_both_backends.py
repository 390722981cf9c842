"""Packets through a node whose legacy and nft tables both hold rules, against what is foretold.

The kernel asks the chain that was hooked in last before the other: both ways are tried.
"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nptables import Cluster, Family, Packet, ProxyConfig, trace, translate
from nptables.iptables import read_dumps
from nptables.tracing import Verdict
from tests.support.forwarding import ADDRESSES, GATEWAYS, PORTS, Forwarding, forwarding
from tests.support.netns import BACKENDS
from tests.support.requirements import requires

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nptables import Ruleset, Trace
    from nptables.tracing import Outcome

pytestmark = pytest.mark.kernel

CASE = Path("fixtures/cases/two-backends").resolve()
OTHER = {"legacy": "nft", "nft": "legacy"}
Rules = dict[str, list[str]]


@pytest.fixture(params=BACKENDS, scope="module")
def net(request: pytest.FixtureRequest) -> Iterator[Forwarding]:
    """The node, once with the legacy tables made last and once with those of nft."""
    requires("root", "netns", *BACKENDS)
    with forwarding(request.param) as made:
        yield made


def fitting(answer: Trace, last: str) -> Outcome:
    """The only outcome under those hypotheses that hold where one backend was hooked in last."""
    wrong = f"the {OTHER[last]} rules come first"
    (found,) = [
        distribution
        for distribution in answer.distributions
        if any(not any(wrong in c for c in conditions) for conditions in distribution.hypotheses)
    ]
    (outcome,) = found.outcomes
    return outcome


def foretold(outcome: Outcome) -> str:
    """What the client hears."""
    if outcome.verdict in (Verdict.ENDPOINT, Verdict.POD):
        return f"{outcome.destination} {outcome.source}"
    # Nobody listens on the node's own ports.
    return {
        Verdict.REFUSED: "refused", Verdict.NODE: "refused", Verdict.DROPPED: "silence",
    }[outcome.verdict]  # fmt: skip


def compare(
    net: Forwarding, family: Family, rules: Rules, drops: Sequence[str] = ()
) -> dict[tuple[str, int], str]:
    """Send a packet to each address and port; what came of it, which was foretold."""
    net.load(family, rules, drops)
    rulesets = read_dumps(net.save(family), family)
    client, node, _, pod, _ = ADDRESSES[family]
    packets = [(address, port) for address in (node, pod) for port in PORTS]
    answers = [
        trace(rulesets, Packet(to, port, "udp", source=client), net.facts) for to, port in packets
    ]

    expected = [foretold(fitting(answer, net.last)) for answer in answers]

    happened = net.ask(packets, family, [n for n, told in enumerate(expected) if told != "silence"])

    wrong = [
        (packet, was, told)
        for packet, was, told in zip(packets, happened, expected, strict=True)
        if was != told
    ]
    assert wrong == [], rules
    return dict(zip(packets, happened, strict=True))


def at(port: int) -> str:
    return f"-p udp -m udp --dport {port}"


@pytest.mark.parametrize("family", Family)
def test_what_either_drops_is_gone_whatever_the_other_accepts(
    net: Forwarding, family: Family
) -> None:
    """A policy of the one drops what the other accepts, too."""
    rules: Rules = {
        "legacy": [
            f"filter -A FORWARD {at(1000)} -j DROP",
            f"filter -A FORWARD {at(1001)} -j ACCEPT",
            f"filter -A FORWARD {at(1002)} -j REJECT",
            f"filter -A FORWARD {at(1004)} -j ACCEPT",
        ],
        "nft": [
            f"filter -A FORWARD {at(1000)} -j ACCEPT",
            f"filter -A FORWARD {at(1001)} -j DROP",
            f"filter -A FORWARD {at(1002)} -j ACCEPT",
            f"filter -A FORWARD {at(1003)} -j ACCEPT",
            "filter -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT",
        ],
    }
    client, _, _, pod, _ = ADDRESSES[family]

    found = compare(net, family, rules, drops=["nft"])

    expected = ("silence", "silence", "refused", f"{pod} {client}", "silence")
    assert expected == tuple(found[pod, port] for port in range(1000, 1005))


@pytest.mark.parametrize("family", Family)
def test_the_first_that_translates_has_the_packet(net: Forwarding, family: Family) -> None:
    """ACCEPT in one nat does not keep the other from translating, and a translation does."""
    client, node, second, pod, other_pod = ADDRESSES[family]
    rules: Rules = {
        "legacy": [
            f"nat -A PREROUTING {at(1000)} -j DNAT --to-destination {pod}",
            f"nat -A PREROUTING {at(1001)} -j ACCEPT",
            f"nat -A PREROUTING {at(1002)} -j DNAT --to-destination {pod}",
            f"nat -A PREROUTING {at(1003)} -j DNAT --to-destination {pod}",
            f"nat -A POSTROUTING {at(1002)} -j SNAT --to-source {node}",
        ],
        "nft": [
            f"nat -A PREROUTING {at(1000)} -j DNAT --to-destination {other_pod}",
            f"nat -A PREROUTING {at(1001)} -j DNAT --to-destination {other_pod}",
            f"nat -A PREROUTING {at(1002)} -j ACCEPT",
            f"nat -A PREROUTING {at(1003)} -j MARK --set-xmark 0x7",
            "mangle -A FORWARD -m mark --mark 0x7 -j DROP",
            f"nat -A POSTROUTING {at(1002)} -j SNAT --to-source {second}",
        ],
    }

    found = compare(net, family, rules)

    legacy_is_first = net.last == "legacy"
    assert {
        1000: f"{pod if legacy_is_first else other_pod} {client}",
        1001: f"{other_pod} {client}",
        1002: f"{pod} {node if legacy_is_first else second}",
        1003: f"{pod} {client}" if legacy_is_first else "silence",
    } == {port: found[node, port] for port in range(1000, 1004)}


@pytest.mark.parametrize("family", Family)
def test_a_mark_of_one_is_seen_by_the_other(net: Forwarding, family: Family) -> None:
    """At a later hook surely, at the same hook by the one that comes second."""
    client, _, _, pod, _ = ADDRESSES[family]
    rules: Rules = {
        "legacy": [
            f"mangle -A PREROUTING {at(1000)} -j MARK --set-xmark 0x1",
            f"mangle -A PREROUTING {at(1001)} -j MARK --set-xmark 0x2",
            "filter -A FORWARD -m mark --mark 0x3 -j DROP",
        ],
        "nft": [
            "filter -A FORWARD -m mark --mark 0x1 -j DROP",
            "mangle -A PREROUTING -m mark --mark 0x2 -j DROP",
            f"mangle -A PREROUTING {at(1002)} -j MARK --set-xmark 0x3",
        ],
    }

    found = compare(net, family, rules)

    last = "silence" if net.last == "legacy" else f"{pod} {client}"
    assert ("silence", last, "silence") == tuple(found[pod, port] for port in (1000, 1001, 1002))


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("ours", BACKENDS)
def test_the_rules_for_services_share_the_node_with_somebody_elses(
    net: Forwarding, family: Family, ours: str
) -> None:
    """What kube-proxy's FORWARD rules accept, the other backend may drop, or translate before."""
    client, node, _, pod, other_pod = ADDRESSES[family]
    services = [
        f"{table.name} {line}"
        for table in rules_of_service(family).tables.values()
        for lines in table.chains.values()
        for line in lines
    ]
    local = f"{at(31080)} -m addrtype --dst-type LOCAL"
    hostport = f"nat -A PREROUTING {local} -j DNAT --to-destination {other_pod}"

    served = compare(net, family, {ours: services})
    dropped = compare(net, family, {ours: services}, drops=[OTHER[ours]])
    taken = compare(net, family, {ours: services, OTHER[ours]: [hostport]})

    # Masqueraded: the pod sees the node's address on its own link.
    masqueraded = f"{pod} {GATEWAYS[family]}"
    assert (masqueraded, "silence") == (served[node, 31080], dropped[node, 31080])
    expected = masqueraded if net.last == ours else f"{other_pod} {client}"
    assert expected == taken[node, 31080]


def rules_of_service(family: Family) -> Ruleset:
    """The rules for a Service with the first pod behind node port 31080."""
    _, node, _, pod, _ = ADDRESSES[family]
    cluster_ip = "10.96.0.7" if family is Family.IPV4 else "fd00:10:96::7"
    objects = [
        {
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": "node"},
            "status": {"addresses": [{"type": "InternalIP", "address": node}]},
        },
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "ns"},
            "spec": {
                "type": "NodePort", "clusterIP": cluster_ip, "clusterIPs": [cluster_ip],
                "ipFamilies": [family.value],
                "ports": [{"port": 80, "protocol": "UDP", "targetPort": 1000, "nodePort": 31080}],
            },
        },
        {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": "web-1", "namespace": "ns", "labels": {"kubernetes.io/service-name": "web"},
            },
            "addressType": family.value, "endpoints": [{"addresses": [pod]}],
            "ports": [{"name": "", "port": 1000, "protocol": "UDP"}],
        },
    ]  # fmt: skip
    cluster = Cluster.from_objects(objects)
    return translate(cluster, cluster.node("node"), ProxyConfig(), family)


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("seed", range(4))
def test_random_rules_of_both_do_what_is_foretold(
    net: Forwarding, family: Family, seed: int
) -> None:
    """Marks, translations and stops at every hook on the way, at random."""
    drawn = random.Random(seed)
    rules: Rules = {backend: [rule(drawn, family) for _ in range(14)] for backend in BACKENDS}
    established = "filter -I FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT"
    for lines in rules.values():
        lines.append(established)

    compare(net, family, rules, drops=drawn.choice([[], [], [], ["nft"], ["legacy"]]))


def rule(drawn: random.Random, family: Family) -> str:
    """A rule at one of the hooks, for one of the ports; replies go to other ports."""
    _, node, second, pod, other_pod = ADDRESSES[family]
    place, targets = drawn.choice([
        ("raw -A PREROUTING", ("MARK", "MARK", "ACCEPT")),
        ("mangle -A PREROUTING", ("MARK", "ACCEPT", "DROP", "RETURN")),
        ("nat -A PREROUTING", ("DNAT", "DNAT", "ACCEPT", "MARK", "RETURN")),
        ("nat -A PREROUTING", ("DNAT", "DNAT", "ACCEPT", "MARK", "RETURN")),
        ("mangle -A FORWARD", ("MARK", "ACCEPT", "DROP")),
        ("filter -A FORWARD", ("ACCEPT", "DROP", "REJECT", "RETURN")),
        ("filter -A INPUT", ("ACCEPT", "DROP", "REJECT")),
        ("mangle -A POSTROUTING", ("MARK", "ACCEPT", "DROP")),
        ("nat -A POSTROUTING", ("SNAT", "SNAT", "ACCEPT", "RETURN")),
    ])  # fmt: skip
    values = {
        "MARK": f"MARK --set-xmark {drawn.randrange(4):#x}/{drawn.choice([1, 2, 3]):#x}",
        "DNAT": f"DNAT --to-destination {drawn.choice([pod, other_pod])}",
        "SNAT": f"SNAT --to-source {drawn.choice([node, second])}",
    }
    low = drawn.choice(PORTS[:8])
    ports = f"-p udp -m udp --dport {low}:{min(low + drawn.randrange(4), 1007)}"
    mark = drawn.choice(["", "", f" -m mark --mark {drawn.randrange(4):#x}/0x3"])
    target = drawn.choice(targets)
    return f"{place} {ports}{mark} -j {values.get(target, target)}"


def test_the_commands_follow_both_on_a_node() -> None:
    """The case as reported: Services in legacy, a FORWARD policy of DROP in nft."""
    requires("root", "netns", "unshare", *BACKENDS)
    command = f'nptables() {{ {sys.executable} -m nptables "$@"; }}; . ./live.sh'

    done = subprocess.run(
        ["unshare", "-n", "bash", "-c", command],
        cwd=CASE, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    assert done.returncode == 1, done.stderr
    assert (
        "NPT501: Node node-a: the IPv4 policy of filter FORWARD is DROP in the nft tables"
        in done.stdout
    )
    assert "NPT503: Node node-a: the nft tables hold rules too: filter FORWARD" in done.stdout
    assert (
        "\ndoes not arrive: DROP: no rule of nft filter FORWARD on node-a accepts the packet, and "
        "the chain's policy is DROP (Docker sets it: "
    ) in done.stdout
    assert "not followed" not in done.stderr
