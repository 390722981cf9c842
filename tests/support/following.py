"""A hypothesis machine that changes a cluster at random, and a kernel that follows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from nptables import Cluster, Family, Ownership, ProxyConfig, Ruleset, diff, translate
from nptables.errors import KernelBusy, KernelError, KernelRefused
from nptables.incremental import IncrementalTranslator
from nptables.iptables.changes import Step
from nptables.iptables.changes.equality import without_comments
from nptables.kernel import Applier, Backend
from nptables.kernel.reconciler import Reconciler
from nptables.model import Endpoint, EndpointSlice, Node, NodeFacts, Service, SlicePort
from nptables.model.metadata import Metadata
from nptables.translation import Translation
from tests.support import clusters
from tests.support.clusters import ZONES, configs

# Chains and rules of others, which no update may touch.
FOREIGN = """\
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:OTHERS - [0:0]
-A INPUT -i lo -j ACCEPT
-A FORWARD -j OTHERS
-A OTHERS -i eth8 -j DROP
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:KUBE-ROUTER-X - [0:0]
-A POSTROUTING -o eth9 -j MASQUERADE
-A POSTROUTING -j KUBE-ROUTER-X
COMMIT
"""


# One of them may also be an external IP of the same Service.
_BALANCERS = ("203.0.113.10", "198.51.100.1")


def _read(raw: dict[str, Any]) -> Cluster:
    return Cluster.from_objects([raw], lenient=True)


@st.composite
def matching(draw: st.DrawFn) -> tuple[Service, EndpointSlice]:
    """A Service and a slice that fits it, few enough of each for them to collide."""
    name = draw(clusters.names)
    port = {"name": "http", "port": draw(st.sampled_from([80, 443])), "protocol": "TCP"}
    raw = clusters.service(
        name,
        type=draw(st.sampled_from(["NodePort", "LoadBalancer"])),
        clusterIP=f"10.96.0.{draw(st.integers(1, 3))}",
        clusterIPs=["10.96.0.9", f"fd00:10:96::{draw(st.integers(1, 3))}"],
        ipFamilies=["IPv4", "IPv6"],
        ports=[{**port, "nodePort": draw(st.integers(30000, 30003))}],
        externalIPs=draw(st.sampled_from([[], ["198.51.100.1"], ["198.51.100.1"] * 2])),
        externalTrafficPolicy=draw(clusters.policies),
        sessionAffinity=draw(st.sampled_from(["None", "ClientIP"])),
        creationTimestamp=f"2026-01-0{draw(st.integers(1, 3))}T00:00:00Z",
        status={"loadBalancer": {"ingress": [{"ip": draw(st.sampled_from(_BALANCERS))}]}},
        loadBalancerSourceRanges=draw(st.sampled_from([[], ["203.0.113.0/24"]])),
    )
    raw["spec"]["clusterIPs"][0] = raw["spec"]["clusterIP"]
    family = draw(st.sampled_from(list(Family)))
    addresses = draw(
        st.lists(clusters.ipv4 if family is Family.IPV4 else clusters.ipv6, max_size=4)
    )
    slice_ = clusters.endpoint_slice(
        *(
            clusters.endpoint(address, draw(st.sampled_from(clusters.NODES)))
            for address in addresses
        ),
        of=name,
        name=f"{name}-{draw(st.integers(0, 1))}",
        addressType=family.value,
        ports=[{**port, "port": 8080}],
    )
    (service,) = _read(raw).services.values()
    (endpoint_slice,) = _read(slice_).slices.values()
    return service, endpoint_slice


def many_endpoints(name: str, count: int, family: Family) -> EndpointSlice:
    """A slice that brings a cluster close to, or over, the border of a large one."""
    start = "10.9" if family is Family.IPV4 else "fd00:9:"
    separator = "." if family is Family.IPV4 else ":"
    return EndpointSlice(
        Metadata(f"{name}-many", "default", {"kubernetes.io/service-name": name}),
        family,
        (SlicePort("http", "TCP", 8080), SlicePort("", "TCP", 8080)),
        tuple(
            Endpoint(
                separator.join((start, str(n // 250 + 1), str(n % 250 + 1))), node_name="node2"
            )
            for n in range(count)
        ),
    )


@attrs.define
class Failing:
    """Lets so many commits through, then makes one fail."""

    after: int = -1
    error: type[KernelError] = KernelRefused

    def __call__(self, _: Step) -> None:
        """Called before each commit."""
        self.after -= 1
        if self.after == -1:
            raise self.error("made to fail")


def rules_by_chain(ruleset: Ruleset, owner: Ownership, table: str) -> dict[str, Any]:
    """The owned chains of a table; those with an order as tuples, the others as multisets.

    Without comments: where a cluster grows past the border just when the kernel has to be read,
    its endpoint rules differ in nothing else, and that is no drift.
    """
    unordered = owner.unordered.get(table, frozenset())
    return {
        chain: (Counter if chain in unordered else tuple)(map(without_comments, lines))
        for chain, lines in ruleset.tables[table].chains.items()
        if owner.owns_chain(table, chain)
    }


class FollowingMachine(RuleBasedStateMachine):
    """Random changes in random order, with syncs between them that may fail.

    After every sync that succeeded the translator's ruleset equals a translation from scratch,
    byte for byte, and the kernel holds it: no stale chain, no line twice, nothing to change.
    """

    foreign = FOREIGN
    most_endpoints = 1001
    can_count_packets = True

    def make_backend(self, family: Family) -> Backend:
        """The kernel that follows."""
        raise NotImplementedError

    @initialize(
        family=st.sampled_from(list(Family)),
        config=configs,
        found=st.lists(matching(), min_size=2, max_size=5),
    )
    def start(
        self,
        family: Family,
        config: dict[str, Any],
        found: list[tuple[Service, EndpointSlice]],
    ) -> None:
        self.family = family
        self.failing = Failing()
        self.backend = self.make_backend(family)
        self.services: dict[tuple[str, str], Service] = {}
        self.slices: dict[tuple[str, str], EndpointSlice] = {}
        self.node = _read(clusters.node()).node("node1")
        self.config = configuration(config)
        self.reconciler = Reconciler(
            self.backend,
            IncrementalTranslator(self.node, self.config, family),
            applier=lambda backend, verify: Applier(backend, verify=verify, wait=0),
        )
        for service, endpoint_slice in found:
            self._put_service(service)
            self._put_slice(endpoint_slice)
        self.reconciler.sync()
        self.check()

    @rule(raw=st.one_of(clusters.services(), clusters.slices()))
    def put_anything(self, raw: dict[str, Any]) -> None:
        found = _read(raw)
        for service in found.services.values():
            self._put_service(service)
        for endpoint_slice in found.slices.values():
            self._put_slice(endpoint_slice)

    @rule(found=matching())
    def put_a_service(self, found: tuple[Service, EndpointSlice]) -> None:
        self._put_service(found[0])

    @rule(found=matching())
    def put_a_slice(self, found: tuple[Service, EndpointSlice]) -> None:
        self._put_slice(found[1])

    @rule(data=st.data())
    @precondition(lambda self: self.services)
    def remove_a_service(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.services)))
        del self.services[key]
        self.reconciler.pending.service_gone(key)

    @rule(data=st.data())
    @precondition(lambda self: self.slices)
    def remove_a_slice(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.slices)))
        del self.slices[key]
        self.reconciler.pending.endpoint_slice_gone(key)

    @rule(data=st.data())
    @precondition(lambda self: len(self.slices) > 1)
    def move_an_endpoint(self, data: st.DataObject) -> None:
        one, other = (self.slices[k] for k in data.draw(st.permutations(sorted(self.slices)))[:2])
        if one.endpoints and one.family is other.family:
            moved, *rest = one.endpoints
            self._put_slice(attrs.evolve(one, endpoints=tuple(rest)))
            self._put_slice(attrs.evolve(other, endpoints=(*other.endpoints, moved)))

    @rule(data=st.data(), terminating=st.booleans())
    @precondition(lambda self: self.slices)
    def change_readiness(self, data: st.DataObject, *, terminating: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.slices)))
        found = self.slices[key]
        if found.endpoints:
            first, *rest = found.endpoints
            first = attrs.evolve(first, ready=not first.ready, terminating=terminating)
            self._put_slice(attrs.evolve(found, endpoints=(first, *rest)))

    @rule(data=st.data(), day=st.integers(1, 9))
    @precondition(lambda self: self.services)
    def recreate_a_service(self, data: st.DataObject, day: int) -> None:
        service = self.services[data.draw(st.sampled_from(sorted(self.services)))]
        metadata = attrs.evolve(service.metadata, creation_timestamp=f"2026-01-0{day}T00:00:00Z")
        self.reconciler.pending.service_gone(service.key)
        self._put_service(attrs.evolve(service, metadata=metadata))

    @rule(name=clusters.names, fewer=st.integers(0, 30))
    def bring_many_endpoints(self, name: str, fewer: int) -> None:
        if self.most_endpoints:
            self._put_slice(many_endpoints(name, self.most_endpoints - fewer, self.family))

    @rule(zone=st.sampled_from(ZONES), number=st.integers(1, 3), nfacct=st.booleans())
    def change_the_node(self, zone: str, number: int, *, nfacct: bool) -> None:
        raw = clusters.node(**{"topology.kubernetes.io/zone": zone})
        raw["spec"]["podCIDRs"][0] = f"10.244.{number}.0/24"
        facts = NodeFacts(
            interfaces={"eth0": (f"192.168.0.{number}/24", f"2001:db8::{number}/64")},
            nfacct=nfacct and self.can_count_packets,
        )
        self.node: Node = _read(raw).node("node1", facts)
        self.reconciler.pending.node(self.node)

    @rule(config=configs)
    def change_the_configuration(self, config: dict[str, Any]) -> None:
        self.config = configuration(config)
        self.reconciler.pending.config(self.config)

    @rule()
    def sync(self) -> None:
        self.reconciler.sync()
        again = self.reconciler.sync()
        assert not again.read
        assert not again.update
        assert again.applied.commits == 0
        self.check()

    @rule(after=st.integers(0, 3), error=st.sampled_from([KernelRefused, KernelBusy]))
    def sync_and_fail(self, after: int, error: type[KernelError]) -> None:
        self.failing.after, self.failing.error = after, error
        waiting = len(self.reconciler.pending)
        try:
            self.reconciler.sync()
        except KernelError:
            assert not self.reconciler.certain
            assert len(self.reconciler.pending) == waiting
        else:
            self.check()
        finally:
            self.failing.after = -1

    def check(self) -> None:
        """What holds whenever the kernel has accepted everything."""
        assert self.reconciler.certain
        assert not len(self.reconciler.pending)
        cluster = Cluster(dict(self.services), dict(self.slices), {"node1": self.node})
        wanted = translate(cluster, self.node, self.config, self.family)
        assert self.reconciler.translator.translation().to_save() == wanted.to_save()
        self.check_kernel(wanted)

    def check_kernel(self, wanted: Translation) -> None:
        """Read the kernel and compare."""
        held = self.backend.read()
        plan = diff(held, wanted)
        assert not plan, plan.to_restore()
        for table in ("nat", "filter"):
            assert rules_by_chain(held, wanted.ownership, table) == rules_by_chain(
                wanted, wanted.ownership, table
            )

    def check_foreign(self) -> None:
        """Nothing of what others have was touched."""
        held = self.backend.read()
        for table, chain, line in _rules(self.foreign):
            assert line in held.lines(table, chain)
        assert held.tables["filter"].policies["FORWARD"] == "DROP"

    def _put_service(self, service: Service) -> None:
        self.services[service.key] = service
        self.reconciler.pending.service(service)

    def _put_slice(self, endpoint_slice: EndpointSlice) -> None:
        metadata = endpoint_slice.metadata
        self.slices[metadata.namespace, metadata.name] = endpoint_slice
        self.reconciler.pending.endpoint_slice(endpoint_slice)


def _rules(save: str) -> Iterator[tuple[str, str, str]]:
    table = ""
    for line in save.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith("-A"):
            yield table, line.split(" ")[1], line


def configuration(document: dict[str, Any]) -> ProxyConfig:
    """A configuration with some fields."""
    return ProxyConfig.from_kube_proxy(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            **document,
        }
    )
