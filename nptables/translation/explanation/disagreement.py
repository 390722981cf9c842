"""Where the rules of a node and the cluster disagree about endpoints, and the likeliest cause.

One service port alone seldom tells why: a rule to an old endpoint may come from a kube-proxy that
stopped, or from another cluster. All service ports together tell. Service ports are found in the
rules by their addresses and ports, whatever the chains are called.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import Enum
from typing import Any

from nptables.immutable import frozen
from nptables.iptables import Ruleset
from nptables.model import Cluster, Node, ProxyConfig, Service, ServicePort
from nptables.model.addresses import parse_ip
from nptables.translation import chains
from nptables.translation.backing import backed
from nptables.translation.chains import ServicePortName
from nptables.translation.context import Context, make_context
from nptables.translation.selection import (
    PortEndpoint,
    Selection,
    balancer_ips,
    choose,
    external_ips,
    has_rules,
    known_endpoints,
)
from nptables.words import listed

Place = tuple[str, int]

_NAMED = 3
_PORTAL = re.compile(r"-A \S+ -d (\S+)/\d+ -p (\S+) .*--dport (\d+) .*-[jg] (\S+)")
_NODE_PORT = re.compile(r"-A \S+ (?:-d \S+ )?-p (\S+) .*--dport (\d+) .*-[jg] (\S+)")
_JUMP = re.compile(r" -[jg] (KUBE-\S+)$")
_DNAT = re.compile(r" -j DNAT --to-destination (\S+):(\d+)(?: |$)")
# KUBE-XLB- stood in older kube-proxies for what is KUBE-EXT- and KUBE-SVL- today: where one was
# replaced without a reboot, such chains may be left.
_CHOOSING = (
    chains.SERVICE_PREFIX, chains.LOCAL_PREFIX, chains.EXTERNAL_PREFIX,
    chains.SOURCE_RANGES_PREFIX, "KUBE-XLB-",
)  # fmt: skip


class Cause(Enum):
    """Why rules and cluster most likely differ; the value is a stable code."""

    OTHER_NAME = "other-node-name"
    BEHIND = "behind"
    OTHER_CLUSTER = "other-cluster"
    NO_RULES = "no-rules"

    def words(self, node: str) -> str:
        """The cause in words."""
        return _WORDS[self].format(node)


_WORDS = {
    Cause.OTHER_NAME: "most likely kube-proxy knows the node by another name (its "
    "--hostname-override), or it is out of date",
    Cause.BEHIND: "kube-proxy on {} is behind or was stopped",
    Cause.OTHER_CLUSTER: "the rules of {} look like those of another cluster or of another "
    "configuration, or kube-proxy there was stopped long ago",
    Cause.NO_RULES: "there is no rule for any Service: kube-proxy on {} does not run, or runs in "
    "another mode, or its rules were flushed",
}


@frozen
class PortDifference:
    """A service port that leads elsewhere by the rules than by the cluster.

    `missing` tells that the rules know none of its addresses and ports. `local` tells that only
    those endpoints differ that are taken for endpoints on the node.
    """

    name: ServicePortName
    by_rules: frozenset[Place]
    by_cluster: frozenset[Place]
    missing: bool = False
    local: bool = False


@frozen
class Disagreement:
    """What differs, of how many service ports that were compared, and the likeliest cause.

    `fits` is another node for which the rules would be right, where there is one.
    """

    node: str
    cause: Cause
    ports: tuple[PortDifference, ...]
    compared: int
    fits: str = ""

    @property
    def words(self) -> str:
        """The likeliest cause in words."""
        fits = f" (the rules would be right for {self.fits})" if self.fits else ""
        return self.cause.words(self.node) + fits

    def __str__(self) -> str:
        missing = sum(port.missing for port in self.ports)
        some = listed((str(port.name) for port in self.ports), _NAMED)
        kinds = [f"{missing} without any rule"] * bool(missing)
        kinds += ["only in which endpoints are on the node"] * all(p.local for p in self.ports)
        how = f" ({', '.join(kinds)})" if kinds else ""
        where = f"in {len(self.ports)} of {self.compared} service ports{how}"
        return f"the rules of {self.node} and the cluster differ {where}: {some}; {self.words}"

    def to_json(self) -> dict[str, Any]:
        """The disagreement as plain data."""
        return {
            "cause": self.cause.value,
            "text": str(self),
            "compared": self.compared,
            "fits": self.fits or None,
            "servicePorts": [str(port.name) for port in self.ports],
        }


def disagreement(
    cluster: Cluster, node: Node, config: ProxyConfig, rulesets: Iterable[Ruleset]
) -> Disagreement | None:
    """Where the rules of a node lead to other endpoints than the cluster; None if nowhere.

    `rulesets` are all that the node has in one family, one for each backend: without table nat
    nothing can be compared. Service ports whose endpoints the cluster does not tell are left out,
    and so are those that get no rules.
    """
    some = tuple(rulesets)
    if not any("nat" in each.tables for each in some):
        return None
    rules = _Rules(some)
    cluster = cluster.seen_by(config.habits)
    context = make_context(node, config, some[0].family)
    compared = [
        claim
        for service in cluster.services.values()
        if has_rules(service, context.family) and backed(cluster, service).known
        for port in service.ports
        for claim in [_Claim.of(service, port, cluster, context, rules)]
    ]
    differing = tuple(found for claim in compared if (found := claim.difference) is not None)
    if not differing:
        return None
    cause = _cause(compared, differing) if rules else Cause.NO_RULES
    fits = _fits(compared, node.name) if cause is Cause.OTHER_NAME else ""
    return Disagreement(node.name, cause, differing, len(compared), fits)


def _cause(compared: Collection[_Claim], differing: Collection[PortDifference]) -> Cause:
    """The likeliest cause.

    A kube-proxy that knows the endpoints but finds none local uses a wrong node name. One that
    knows none of them serves another cluster.
    """
    bound = [claim for claim in compared if claim.bound and not claim.nothing_here]
    if all(port.local for port in differing) and all(claim.here_differs for claim in bound):
        return Cause.OTHER_NAME
    nothing_fits = len(differing) == len(compared)
    if nothing_fits and (len(compared) > 1 or all(port.missing for port in differing)):
        return Cause.OTHER_CLUSTER
    return Cause.BEHIND


def _fits(compared: Iterable[_Claim], node: str) -> str:
    """The only node for which the rules of all Local service ports would be right."""
    bound = [claim for claim in compared if claim.bound]
    names = {e.node_name for claim in bound for _, e in claim.selection.known if e.node_name}
    fitting = [
        name
        for name in sorted(names - {node})
        if all(claim.here == claim.ready_on(name) for claim in bound)
        and any(claim.here for claim in bound)
    ]
    return fitting[0] if len(fitting) == 1 else ""


@frozen
class _Claim:
    """The endpoints of one service port: by the rules, and by the cluster.

    `here` and `everywhere` are the endpoints that the rules use where the policy is Local and
    where it is Cluster, None where it is nowhere so; `reached` are all that they use.
    """

    name: ServicePortName
    selection: Selection
    known: bool
    here: frozenset[Place] | None
    everywhere: frozenset[Place] | None
    reached: frozenset[Place]

    @staticmethod
    def of(
        service: Service, port: ServicePort, cluster: Cluster, context: Context, rules: _Rules
    ) -> _Claim:
        family = context.family
        endpoints = known_endpoints(cluster.slices_of(service), port, context)
        protocol = port.protocol.lower()
        inside = rules.portals.get((service.cluster_ips[family], protocol, port.port))
        outside = rules.node_ports.get((protocol, port.node_port)) if port.node_port else None
        for address in (*external_ips(service, family), *balancer_ips(service, family)):
            # All ways from outside lead to the same endpoints, so the first that the rules know
            # will do.
            outside = outside or rules.portals.get((address, protocol, port.port))
        ways = [(inside, service.internal_policy_local)]
        if outside is not None or port.node_port:
            ways.append((outside, service.external_policy_local))
        here = [rules.endpoints(chain, local=True) for chain, local in ways if local]
        everywhere = [rules.endpoints(chain) for chain, local in ways if not local]
        return _Claim(
            name=ServicePortName(*service.key, port.name, port.protocol),
            selection=choose(service, port, endpoints, context),
            known=inside is not None or outside is not None or rules.unread(endpoints),
            here=_together(here),
            everywhere=_together(everywhere),
            reached=_together([rules.endpoints(chain) for chain, _ in ways]) or frozenset(),
        )

    def ready_on(self, node: str) -> frozenset[Place]:
        """The endpoints that a policy of Local would use on a node."""
        return _places(p for p in self.selection.known if p[1].ready and p[1].node_name == node)

    @property
    def bound(self) -> bool:
        """Whether some policy is Local."""
        return self.here is not None

    @property
    def nothing_here(self) -> bool:
        """Whether neither knows an endpoint on the node."""
        return not self.here and not self.selection.local

    @property
    def here_differs(self) -> bool:
        """Whether they differ in the endpoints on the node."""
        return self.here is not None and self.here != _places(self.selection.local)

    @property
    def difference(self) -> PortDifference | None:
        """How they differ, None where they agree."""
        expected, here = _places(self.selection.cluster), _places(self.selection.local)
        if not self.known:
            return PortDifference(self.name, frozenset(), expected | here, missing=True)
        if self.everywhere is not None and self.everywhere != expected:
            return PortDifference(self.name, self.everywhere, expected)
        if self.here is not None and self.here_differs:
            # Who uses an endpoint for others knows all of it but which node it is on.
            return PortDifference(self.name, self.here, here, local=here <= self.reached)
        return None


class _Rules:
    """The endpoints that the rules of a node lead to, by the addresses and ports of Services."""

    def __init__(self, rulesets: Collection[Ruleset]) -> None:
        self._chains: dict[str, tuple[str, ...]] = {}
        self.portals: dict[tuple[str, str, int], str] = {}
        self.node_ports: dict[tuple[str, int], str] = {}
        self._refusals = all("filter" in ruleset.tables for ruleset in rulesets)
        for ruleset in rulesets:
            nat = ruleset.tables.get("nat")
            self._chains.update({} if nat is None else nat.chains)
        for ruleset in rulesets:
            for table in ("filter", "nat"):
                for chain in (chains.SERVICES, chains.EXTERNAL_SERVICES):
                    self._read(ruleset.lines(table, chain))
                for line in ruleset.lines(table, chains.NODEPORTS):
                    found = _NODE_PORT.match(line)
                    if found is not None and found[3].startswith(_CHOOSING):
                        self.node_ports[found[1], int(found[2])] = found[3]

    def __bool__(self) -> bool:
        """Whether any of them is for a Service."""
        return bool(self.portals or self.node_ports)

    def _read(self, lines: Iterable[str]) -> None:
        for line in lines:
            found = _PORTAL.match(line)
            if found is None:
                continue
            key = found[1], found[2], int(found[3])
            if found[4].startswith(_CHOOSING):
                self.portals[key] = found[4]
            elif found[4] in ("REJECT", "DROP"):
                # Refused for want of endpoints: the service port is known, and leads nowhere.
                self.portals.setdefault(key, "")

    def unread(self, endpoints: Iterable[PortEndpoint]) -> bool:
        """Whether a service port may have rules that were not read: what refuses is in filter."""
        return not self._refusals and not any(e.ready or e.serving for _, e in endpoints)

    def endpoints(self, chain: str | None, *, local: bool = False) -> frozenset[Place]:
        """The endpoints that a chain leads to; with `local` without what is for local senders."""
        return frozenset(_endpoints(chain or "", self._chains, local=local))


def _endpoints(
    chain: str, known: Mapping[str, tuple[str, ...]], *, local: bool, depth: int = 0
) -> Iterator[Place]:
    for line in known.get(chain, ()):
        if (found := _DNAT.search(line)) is not None:
            address = parse_ip(found[1].strip("[]"))
            if address is not None:
                yield address, int(found[2])
        # As many steps as there are kinds of chains; more would be a loop.
        elif (jump := _JUMP.search(line)) is not None and depth < len(_CHOOSING):
            name = jump[1]
            # For the node itself and its pods: they get endpoints on any node, whatever the policy.
            if local and name.startswith(chains.SERVICE_PREFIX):
                continue
            if name.startswith((*_CHOOSING, chains.ENDPOINT_PREFIX)):
                yield from _endpoints(name, known, local=local, depth=depth + 1)


def _together(found: Collection[frozenset[Place]]) -> frozenset[Place] | None:
    """All endpoints of some ways; None where there is no way."""
    return frozenset().union(*found) if found else None


def _places(pairs: Iterable[PortEndpoint]) -> frozenset[Place]:
    return frozenset((e.address, int(text.rpartition(":")[2])) for text, e in pairs)
