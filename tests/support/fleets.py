"""Made fleets: nodes of one cluster with what their kube-proxies would have programmed, some ill.

Healthy nodes have what kube-proxy makes and what stands beside it on real ones: chains and
Services in no order, counters, rules of a network plugin. Every ill one is so in one way, whose
code is known.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs

from nptables import Cluster, Family, ProxyConfig, Ruleset, translate
from nptables.auditing import Movement
from nptables.evidence import Evidence, Form, Process
from nptables.evidence.snapshot import to_document
from nptables.iptables import Table
from nptables.model import Node, NodeFacts
from nptables.sources.fleet.folder import Folder
from nptables.translation import chains
from nptables.translation.owned import ownership

Object = dict[str, Any]
NOW = datetime(2026, 5, 20, 12, 0, 0, tzinfo=UTC)
VERSIONS = ("1.28", "1.30", "1.36")
CONFIG: Object = {
    "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
    "kind": "KubeProxyConfiguration",
    "mode": "iptables",
    "clusterCIDR": "10.0.0.0/8,fd00:10::/32",
}
ZONES = 3
_PLUGIN = {
    "filter": {
        "CNI-FORWARD": ("-A CNI-FORWARD -s 10.0.0.0/8 -j ACCEPT",),
        "FORWARD": ('-A FORWARD -m comment --comment "CNI firewall plugin rules" -j CNI-FORWARD',),
    },
    "nat": {
        "CNI-HOSTPORT-MASQ": ("-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE",),
        "POSTROUTING": ("-A POSTROUTING -j CNI-HOSTPORT-MASQ",),
        "KUBE-KUBELET-CANARY": (),
    },
}


def stamp(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


@attrs.frozen(slots=False)
class Fleet:
    """A cluster of `services` with so many `endpoints` each, on so many `nodes`.

    Every `dual`-th Service has both families. `recent` Services were changed in the last two days.
    Endpoints are on the first `homes` nodes, or on all of them.
    """

    nodes: int = 6
    services: int = 12
    endpoints: int = 4
    dual: int = 4
    recent: int = 4
    seed: int = 1
    homes: int = 0

    def name(self, number: int) -> str:
        return f"node{number}"

    def version(self, number: int) -> str:
        return VERSIONS[number % len(VERSIONS)]

    @cached_property
    def objects(self) -> list[Object]:
        """The objects as an API server has them."""
        found = [self._node(number) for number in range(self.nodes)]
        for number in range(self.services):
            found.append(self.service(number))
            found += [self.slice(number, family) for family in self.families(number)]
        return found

    @cached_property
    def cluster(self) -> Cluster:
        return Cluster.from_objects(self.objects, lenient=True)

    def at(self, cluster: Cluster) -> Fleet:
        """The same nodes with the cluster as it was at some time."""
        found = attrs.evolve(self)
        found.__dict__["cluster"] = cluster
        return found

    @cached_property
    def old(self) -> Cluster:
        """The cluster before the recent changes: one Service fewer, others with other endpoints."""
        found = [self._node(number) for number in range(self.nodes)]
        for number in range(self.services):
            if number == self.services - 1:
                continue
            found.append(self.service(number))
            shift = 1 if number >= self.services - self.recent else 0
            found += [self.slice(number, f, first=shift) for f in self.families(number)]
        return Cluster.from_objects(found, lenient=True)

    def families(self, number: int) -> tuple[Family, ...]:
        return tuple(Family) if number % self.dual == self.dual - 1 else (Family.IPV4,)

    def changed(self, number: int) -> datetime:
        """When a Service's endpoints were changed last."""
        if number < self.services - self.recent:
            return NOW - timedelta(days=30, minutes=number)
        return NOW - timedelta(days=2) + timedelta(minutes=10 * (number - self.services))

    def key(self, number: int) -> tuple[str, str]:
        return f"team-{number % 10}", f"web-{number:05}"

    def service(self, number: int) -> Object:
        namespace, name = self.key(number)
        ips = [f"172.{16 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"]
        if len(self.families(number)) > 1:
            ips.append(f"fd00:20::{number + 1:x}")
        spec: Object = {
            "type": "NodePort",
            "clusterIP": ips[0],
            "clusterIPs": ips,
            "ipFamilies": [family.value for family in self.families(number)],
            "ports": [{"name": "http", "protocol": "TCP", "port": 80, "nodePort": 20000 + number}],
        }
        kind = number % 10
        if kind == 1:
            spec["externalTrafficPolicy"] = "Local"
        elif kind == 2:
            spec["sessionAffinity"] = "ClientIP"
        elif kind == 3:
            spec["ports"][0]["protocol"] = "UDP"
        elif kind == 4:
            spec["type"] = "LoadBalancer"
            spec["loadBalancerSourceRanges"] = ["192.168.0.0/16"]
        elif kind == 5:
            spec["internalTrafficPolicy"] = "Local"
        status: Object = {"loadBalancer": {}}
        if kind == 4:
            status = {"loadBalancer": {"ingress": [{"ip": f"100.64.{number >> 8}.{number & 255}"}]}}
        created = NOW - timedelta(days=60)
        if number == self.services - 1:
            created = self.changed(number)
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": namespace, "creationTimestamp": stamp(created)},
            "spec": spec,
            "status": status,
        }

    def slice(self, number: int, family: Family, *, first: int = 0, count: int = 0) -> Object:
        """The slice of a family, with so many endpoints from the one of a number on."""
        namespace, name = self.key(number)
        service = self.service(number)
        v4 = family is Family.IPV4
        endpoints = [
            self._endpoint(number, place, v4=v4)
            for place in range(first, first + (count or self.endpoints))
        ]
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{name}-{'v4' if v4 else 'v6'}",
                "namespace": namespace,
                "labels": {"kubernetes.io/service-name": name},
                "creationTimestamp": stamp(NOW - timedelta(days=60)),
                "annotations": {
                    "endpoints.kubernetes.io/last-change-trigger-time": stamp(self.changed(number))
                },
            },
            "addressType": family.value,
            "ports": [
                {"name": "http", "protocol": service["spec"]["ports"][0]["protocol"], "port": 8080}
            ],
            "endpoints": endpoints,
        }

    def _endpoint(self, number: int, place: int, *, v4: bool) -> Object:
        running = number * 64 + place
        # The endpoints of a Service are on nodes that follow one another, and so in all zones.
        nodes = self.homes or self.nodes
        node = running % nodes if nodes > 64 else (number + place) % nodes
        address = f"10.{running >> 16}.{running >> 8 & 255}.{running & 255}"
        found: Object = {
            "addresses": [address if v4 else f"fd00:10::{running + 1:x}"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "nodeName": self.name(node),
            "zone": f"zone-{node % ZONES}",
        }
        if number % 10 == 6:
            found["hints"] = {"forZones": [{"name": f"zone-{node % ZONES}"}]}
        return found

    def _node(self, number: int) -> Object:
        name = self.name(number)
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": name,
                "labels": {
                    "kubernetes.io/hostname": name,
                    "topology.kubernetes.io/zone": f"zone-{number % ZONES}",
                },
            },
            "spec": {"podCIDRs": [f"10.{number >> 8}.{number & 255}.0/24"]},
            "status": {
                "addresses": [
                    {"type": "InternalIP", "address": self.address(number)},
                    {"type": "InternalIP", "address": f"2001:db8::{number + 1:x}"},
                ],
                "nodeInfo": {"kubeletVersion": f"v{self.version(number)}.3"},
            },
        }

    def address(self, number: int) -> str:
        return f"192.168.{number >> 8}.{(number & 255) or 250}"

    # Nodes.

    def facts(self, number: int, **interfaces: list[str]) -> NodeFacts:
        return NodeFacts.from_mapping(
            {
                "interfaces": {
                    "lo": ["127.0.0.1/8", "::1/128"],
                    "eth0": [f"{self.address(number)}/16", f"2001:db8::{number + 1:x}/64"],
                    **interfaces,
                },
                "nfacct": True,
                "tcpBeLiberal": False,
                "randomFully": True,
            }
        )

    def node(self, number: int) -> Node:
        return self.cluster.node(self.name(number), facts=self.facts(number))

    def process(self, number: int, version: str | None = None) -> Process:
        told = f"v{self.version(number)}.3" if version is None else version
        return Process(
            "kube-proxy", 7, ("--config=/var/lib/kube-proxy/config.conf",), CONFIG, "iptables", told
        )

    def rules(
        self,
        number: int,
        cluster: Cluster | None = None,
        *,
        version: str = "",
        node: Node | None = None,
        families: tuple[Family, ...] = tuple(Family),
        **settings: Any,
    ) -> list[Ruleset]:
        """What kube-proxy programs on a node, as real ones have it."""
        config = ProxyConfig.from_kube_proxy(
            {**CONFIG, **settings}, version=version or self.version(number)
        )
        order = random.Random(f"{self.seed} {number}")
        return [
            lived(
                translate(cluster or self.cluster, node or self.node(number), config, family), order
            )
            for family in families
        ]

    def evidence(self, number: int, rules: list[Ruleset] | None = None, **more: Any) -> Evidence:
        """A snapshot of a healthy node, with what is given instead of it."""
        given: dict[str, Any] = {
            "node": self.name(number),
            "taken": stamp(NOW),
            "facts": self.facts(number),
            "native": (),
            "processes": (self.process(number),),
            **more,
        }
        return Evidence(
            Form.SNAPSHOT, tuple(self.rules(number) if rules is None else rules), **given
        )


def lived(rules: Ruleset, order: random.Random) -> Ruleset:
    """The rules as iptables-save prints them: chains by name, counted, beside those of a plugin.

    In the chains that Services share, they stand in no order.
    """
    owner = ownership()
    tables = {}
    for name, table in rules.tables.items():
        held = dict(table.chains)
        for chain in owner.unordered[name] & held.keys():
            held[chain] = _shuffled(held[chain], order)
        built_in = [chain for chain in held if chain in table.policies]
        own = [chain for chain in held if chain not in table.policies]
        own.sort()
        of_plugin = _PLUGIN[name] if rules.family is Family.IPV4 else {}
        content = {chain: held[chain] for chain in (*built_in, *own)}
        for chain, lines in of_plugin.items():
            content[chain] = (*content.get(chain, ()), *lines)
        counters = {
            chain: tuple(f"[{order.randrange(9999)}:{order.randrange(999999)}]" for _ in lines)
            for chain, lines in content.items()
            if lines
        }
        tables[name] = Table(name, content, table.policies, {}, counters)
    return attrs.evolve(rules, tables=tables, backend="nft")


def _shuffled(lines: tuple[str, ...], order: random.Random) -> tuple[str, ...]:
    """The lines with those of each service port together, and the last jump last."""
    last = [line for line in lines if line.endswith(f" -j {chains.NODEPORTS}")]
    groups: dict[str, list[str]] = {}
    for line in lines:
        if line not in last:
            comment = line.partition('--comment "')[2]
            groups.setdefault(comment.partition(" ")[0].rstrip('"'), []).append(line)
    names = list(groups)
    order.shuffle(names)
    return tuple([line for name in names for line in groups[name]] + last)


def edited(
    rules: list[Ruleset], table: str, edit: Callable[[dict[str, tuple[str, ...]]], None]
) -> list[Ruleset]:
    """The rules with one table of the first family changed by hand."""
    first, *others = rules
    content = dict(first.tables[table].chains)
    edit(content)
    changed = attrs.evolve(first.tables[table], chains=content, line_counters={})
    return [attrs.evolve(first, tables={**first.tables, table: changed}), *others]


# Each way to be ill: the code that is right, and the evidence of a node that is so.
Illness = Callable[[Fleet, int], Evidence]


def _behind(fleet: Fleet, number: int) -> Evidence:
    return fleet.evidence(number, fleet.rules(number, fleet.old))


def _stopped(fleet: Fleet, number: int) -> Evidence:
    return fleet.evidence(number, fleet.rules(number, fleet.old), processes=())


def _other_name(fleet: Fleet, number: int) -> Evidence:
    node = fleet.node(number)
    metadata = attrs.evolve(node.metadata, name=f"{node.name}.example.com")
    rules = fleet.rules(number, node=attrs.evolve(node, metadata=metadata))
    return fleet.evidence(number, rules, node=f"{node.name}.example.com")


def _masquerade_all(fleet: Fleet, number: int) -> Evidence:
    return fleet.evidence(number, fleet.rules(number, iptables={"masqueradeAll": True}))


def _other_cluster_cidr(fleet: Fleet, number: int) -> Evidence:
    return fleet.evidence(number, fleet.rules(number, clusterCIDR="10.244.0.0/16"))


def _foreign(fleet: Fleet, number: int) -> Evidence:
    def edit(content: dict[str, tuple[str, ...]]) -> None:
        content["FORWARD"] = ("-A FORWARD -p tcp -m tcp --dport 8080 -j DROP", *content["FORWARD"])

    return fleet.evidence(number, edited(fleet.rules(number), "filter", edit))


def _flushed(table: str) -> Illness:
    def ill(fleet: Fleet, number: int) -> Evidence:
        def edit(content: dict[str, tuple[str, ...]]) -> None:
            for chain in list(content):
                if chain.startswith("KUBE-"):
                    del content[chain]
                else:
                    content[chain] = ()

        return fleet.evidence(number, edited(fleet.rules(number), table, edit))

    return ill


def _left_ipvs(fleet: Fleet, number: int) -> Evidence:
    facts = fleet.facts(number, **{"kube-ipvs0": ["172.16.0.1/32"]})
    return fleet.evidence(number, facts=facts)


def _left_nftables(fleet: Fleet, number: int) -> Evidence:
    chain = {"family": "ip", "table": "kube-proxy", "name": "nat-prerouting", "hook": "prerouting"}
    return fleet.evidence(number, native=({"chain": chain},))


def _other_version(fleet: Fleet, number: int) -> Evidence:
    other = "1.36" if fleet.version(number) != "1.36" else "1.28"
    rules = fleet.rules(number, version=other)
    return fleet.evidence(number, rules, processes=(fleet.process(number, ""),))


def _damaged(fleet: Fleet, number: int) -> Evidence:
    def edit(content: dict[str, tuple[str, ...]]) -> None:
        chain = next(c for c, lines in content.items() if c.startswith("KUBE-SVC-") and lines)
        content[chain] = content[chain][:-1]

    return fleet.evidence(number, edited(fleet.rules(number), "nat", edit))


def _no_jump_to_local(fleet: Fleet, number: int) -> Evidence:
    def edit(content: dict[str, tuple[str, ...]]) -> None:
        chain = next(
            c for c, lines in content.items()
            if c.startswith("KUBE-EXT-") and "KUBE-SVL-" in lines[-1]
        )  # fmt: skip
        content[chain] = content[chain][:-1]

    return fleet.evidence(number, edited(fleet.rules(number), "nat", edit))


def _missed(fleet: Fleet, number: int) -> Evidence:
    """One endpoint of an old Service that was never heard of, whatever came later."""
    old = fleet.slice(0, Family.IPV4, first=1)
    read = Cluster.from_objects([old], lenient=True)
    cluster = attrs.evolve(fleet.cluster, slices={**fleet.cluster.slices, **read.slices})
    return fleet.evidence(number, fleet.rules(number, cluster))


def _family_behind(fleet: Fleet, number: int) -> Evidence:
    new = fleet.rules(number, families=(Family.IPV4,))
    old = fleet.rules(number, fleet.old, families=(Family.IPV6,))
    return fleet.evidence(number, [*new, *old])


ILLNESSES: dict[str, tuple[str, Illness]] = {
    "behind": ("NPT601", _behind),
    "stopped": ("NPT602", _stopped),
    "other name": ("NPT603", _other_name),
    "masqueradeAll": ("NPT604", _masquerade_all),
    "other clusterCIDR": ("NPT604", _other_cluster_cidr),
    "foreign rule": ("NPT605", _foreign),
    "nat flushed": ("NPT606", _flushed("nat")),
    "filter flushed": ("NPT606", _flushed("filter")),
    "left by ipvs": ("NPT607", _left_ipvs),
    "left by nftables": ("NPT607", _left_nftables),
    "other version": ("NPT608", _other_version),
    "damaged chain": ("NPT609", _damaged),
    "no jump to local": ("NPT609", _no_jump_to_local),
    "missed endpoint": ("NPT610", _missed),
    "family behind": ("NPT611", _family_behind),
}


def ill_nodes(fleet: Fleet) -> dict[int, str]:
    """Which nodes of a fleet are ill in which way: one in each, spread over it."""
    step = fleet.nodes // len(ILLNESSES)
    found: dict[int, str] = {}
    for place, illness in enumerate(ILLNESSES):
        number = place * step
        if illness == "no jump to local":
            number = _with_local_endpoint(fleet, number, found)
        found[number] = illness
    return found


def _with_local_endpoint(fleet: Fleet, first: int, taken: dict[int, str]) -> int:
    """A node on which there is an endpoint of a Service whose external policy is Local."""
    on = {
        endpoint["nodeName"]
        for number in range(1, fleet.services, 10)
        for endpoint in fleet.slice(number, Family.IPV4)["endpoints"]
    }
    return next(
        n for n in (*range(first, fleet.nodes), *range(first))
        if fleet.name(n) in on and n not in taken
    )  # fmt: skip


def written(path: Path, fleet: Fleet, ill: dict[int, str]) -> Folder:
    """A folder as `collect` leaves it, with the objects and a snapshot of each node."""
    made = Folder(path)
    made.make()
    made.write_objects(fleet.objects)
    for name, evidence in snapshots(fleet, ill):
        made.write_node(name, to_document(evidence))
    return made


def snapshots(fleet: Fleet, ill: dict[int, str]) -> Iterator[tuple[str, Evidence]]:
    """What every node has."""
    for number in range(fleet.nodes):
        illness = ill.get(number)
        evidence = (
            fleet.evidence(number) if illness is None else ILLNESSES[illness][1](fleet, number)
        )
        yield fleet.name(number), evidence


__all__ = ["ILLNESSES", "NOW", "Fleet", "Movement", "ill_nodes", "snapshots"]
