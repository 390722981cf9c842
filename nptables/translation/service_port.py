"""The rules of one service port: a pure function that knows nothing of the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import islice

from nptables.family import Family
from nptables.immutable import frozen
from nptables.model import Endpoint, Service
from nptables.model.addresses import network_contains, with_host_prefix
from nptables.model.kubeproxy import habits
from nptables.model.service import zero_network
from nptables.translation import chains
from nptables.translation.chains import ENDPOINT_PREFIX, ServicePortName, endpoint_chains
from nptables.translation.collisions import Claim
from nptables.translation.context import LOOPBACK_NETWORK, Context
from nptables.translation.selection import (
    PortEndpoint,
    Selection,
    balancer_ips,
    choose,
    endpoint_text,
    external_ips,
    externally_reachable,
)

ACCEPTED_ON_LOCALHOST = "localhost_nps_accepted_pkts"

# The shared chains: table and chain.
NAT_SERVICES = ("nat", chains.SERVICES)
NAT_NODEPORTS = ("nat", chains.NODEPORTS)
FILTER_SERVICES = ("filter", chains.SERVICES)
FILTER_EXTERNAL = ("filter", chains.EXTERNAL_SERVICES)
FILTER_NODEPORTS = ("filter", chains.NODEPORTS)
FILTER_FIREWALL = ("filter", chains.PROXY_FIREWALL)
SharedChain = tuple[str, str]

# kube-proxy writes neither this nor the kind of refusal below: both are the defaults of iptables,
# which iptables-save prints.
_RECENT_MASK = {
    Family.IPV4: "255.255.255.255",
    Family.IPV6: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
}

_REJECT = {
    Family.IPV4: "REJECT --reject-with icmp-port-unreachable",
    Family.IPV6: "REJECT --reject-with icmp6-port-unreachable",
}


@frozen
class PortRules:
    """The rules of one service port.

    `chains` are its own chains in the nat table. `shared` are its lines in the chains that it
    shares with other service ports, by table and chain, in their order.
    """

    name: ServicePortName
    selection: Selection
    chains: Mapping[str, tuple[str, ...]]
    shared: Mapping[SharedChain, tuple[str, ...]]


def translate_port(
    claim: Claim, known: Sequence[PortEndpoint], context: Context, *, comments: bool
) -> PortRules:
    """The rules of a service port that has a cluster IP in the context's family.

    `known` are its endpoints as `port_endpoints` gives them. Without `comments` (in a large
    cluster) the rules for endpoints carry none.
    """
    (rules,) = translate_ports([(claim, known)], context, comments=comments)
    return rules


# How many service ports have their names hashed at once: more bring nothing, and take memory.
_AT_ONCE = 8


def translate_ports(
    ports: Iterable[tuple[Claim, Sequence[PortEndpoint]]], context: Context, *, comments: bool
) -> Iterator[PortRules]:
    """What `translate_port` gives for each of many service ports, faster than one by one."""
    coming = iter(ports)
    while some := list(islice(coming, _AT_ONCE)):
        chosen = []
        texts: list[str] = []
        for claim, known in some:
            selection = choose(claim.service, claim.port, known, context)
            chosen.append((claim, selection))
            hashed = claim.name.hash_input
            texts.append(hashed)
            texts += [hashed + endpoint for endpoint, _ in selection.reachable]
        names = iter(endpoint_chains(texts))
        for claim, selection in chosen:
            suffix = next(names).removeprefix(ENDPOINT_PREFIX)
            own = list(islice(names, len(selection.reachable)))
            rules = _PortTranslation(claim, selection, suffix, own, context, comments=comments)
            yield PortRules(claim.name, selection, rules.own_chains(), rules.shared_lines())


class _PortTranslation:
    """The names and decisions that the rules of one service port have in common."""

    def __init__(
        self,
        claim: Claim,
        selection: Selection,
        suffix: str,
        targets: Sequence[str],
        context: Context,
        *,
        comments: bool,
    ) -> None:
        """Begin; `suffix` is the hash, `targets` are the chains of the reachable endpoints."""
        service, port, family = claim.service, claim.port, context.family
        self.service, self.port, self.selection, self.context = service, port, selection, context
        self.comments = comments
        self.text = text = str(claim.name)
        self.protocol = protocol = port.protocol.lower()
        self.cluster_ip = service.cluster_ips[family]
        self.suffix = suffix
        self.endpoint_chains = targets
        self.cluster_chain = chains.SERVICE_PREFIX + suffix
        self.external_chain = chains.EXTERNAL_PREFIX + suffix

        self.external_ips = external_ips(service, family) if context.allow_external_ips else []
        self.balancer_ips = balancer_ips(service, family)
        self.usable = selection.usable_anywhere
        self.internal_chain, self.has_internal = self._policy(local=service.internal_policy_local)
        self.policy_chain, self.has_external = self._policy(local=service.external_policy_local)
        # Empty where there is no load balancer, or every source may use it.
        balanced = self.usable and self.balancer_ips
        self.source_ranges = _source_ranges(service, context) if balanced else []
        self.comment = f'-p {protocol} -m comment --comment "{text}'
        self.to_port = f'" -m {protocol} --dport {port.port} -j'

    @property
    def local_chain(self) -> str:
        """The chain of the Local traffic policy."""
        return chains.LOCAL_PREFIX + self.suffix

    @property
    def source_ranges_chain(self) -> str:
        """The chain that checks the sources of packets to the load balancer."""
        return chains.SOURCE_RANGES_PREFIX + self.suffix

    def _policy(self, *, local: bool) -> tuple[str, bool]:
        """The chain that a traffic policy leads to, and whether it has endpoints."""
        # `usable` is about the whole cluster: without it there is nothing to be local.
        if local:
            return self.local_chain, self.usable and bool(self.selection.local)
        return self.cluster_chain, self.usable

    def shared_lines(self) -> dict[SharedChain, tuple[str, ...]]:
        """The lines in chains shared with other service ports; no chain without a line."""
        lines: dict[SharedChain, list[str]] = {}
        self._capture_cluster_ip(lines)
        if self.external_ips:
            self._capture_external_ips(lines)
        if self.balancer_ips:
            self._capture_balancer_ips(lines)
        if self.port.node_port:
            self._capture_node_port(lines)
        if self.service.health_check_port:
            # On every node, with endpoints or without: that there are none is what the load
            # balancer comes to ask for. Accepted, since the policy of INPUT may be DROP.
            comment = f'"{self.text} health check node port"'
            lines.setdefault(FILTER_NODEPORTS, []).append(
                f"-A {chains.NODEPORTS} -p tcp -m comment --comment {comment} "
                f"-m tcp --dport {self.service.health_check_port} -j ACCEPT"
            )
        return {chain: tuple(found) for chain, found in lines.items()}

    def _to(self, chain: str, address: str, comment: str, target: str) -> str:
        """A line for packets to the service port at one address."""
        return (
            f"-A {chain} -d {address}/{self.context.family.host_prefix} "
            f"{self.comment} {comment}{self.to_port} {target}"
        )

    def _refusal(self) -> tuple[str, str]:
        """Comment and target of packets that find no endpoint.

        They are refused where nothing in the cluster could take them, and dropped where only
        this node has nothing for them.
        """
        # A refusal tells the client that nobody is there. After a drop it tries again, perhaps by
        # way of a node that has an endpoint.
        if self.usable:
            return "has no local endpoints", "DROP"
        return "has no endpoints", _REJECT[self.context.family]

    def _capture_cluster_ip(self, lines: dict[SharedChain, list[str]]) -> None:
        if self.has_internal:
            line = self._to(chains.SERVICES, self.cluster_ip, "cluster IP", self.internal_chain)
            lines.setdefault(NAT_SERVICES, []).append(line)
        else:
            line = self._to(chains.SERVICES, self.cluster_ip, *self._refusal())
            lines.setdefault(FILTER_SERVICES, []).append(line)

    def _capture_external_ips(self, lines: dict[SharedChain, list[str]]) -> None:
        for address in self.external_ips:
            # Both lines may stand: the chain takes packets of this node and its pods to endpoints
            # anywhere, and only what comes from outside falls through to the refusal.
            if self.usable:
                lines.setdefault(NAT_SERVICES, []).append(
                    self._to(chains.SERVICES, address, "external IP", self.external_chain)
                )
            self._refuse_external(address, lines)

    def _capture_balancer_ips(self, lines: dict[SharedChain, list[str]]) -> None:
        target = self.source_ranges_chain if self.source_ranges else self.external_chain
        for address in self.balancer_ips:
            if self.usable:
                lines.setdefault(NAT_SERVICES, []).append(
                    self._to(chains.SERVICES, address, "loadbalancer IP", target)
                )
            if self.source_ranges:
                # iptables refuses DROP in table nat. What the chain there does not accept keeps the
                # load balancer's address, and by that this line finds it.
                comment = f"traffic not accepted by {self.source_ranges_chain}"
                lines.setdefault(FILTER_FIREWALL, []).append(
                    self._to(chains.PROXY_FIREWALL, address, comment, "DROP")
                )
            self._refuse_external(address, lines)

    def _refuse_external(self, address: str, lines: dict[SharedChain, list[str]]) -> None:
        if not self.has_external:
            line = self._to(chains.EXTERNAL_SERVICES, address, *self._refusal())
            lines.setdefault(FILTER_EXTERNAL, []).append(line)

    def _capture_node_port(self, lines: dict[SharedChain, list[str]]) -> None:
        number, protocol = self.port.node_port, self.protocol
        match = f'-p {protocol} -m comment --comment "{self.text}" -m {protocol} --dport {number}'
        if self.usable:
            found = lines.setdefault(NAT_NODEPORTS, [])
            if self.context.localhost_node_ports and self.context.count_packets:
                found.append(
                    f"-A {chains.NODEPORTS} -d {LOOPBACK_NETWORK} {match} "
                    f"-m nfacct --nfacct-name  {ACCEPTED_ON_LOCALHOST} -j {self.external_chain}"
                )
            # Node ports are not subject to loadBalancerSourceRanges, for better or for worse, as
            # `syncProxyRules` says.
            found.append(f"-A {chains.NODEPORTS} {match} -j {self.external_chain}")
        if not self.has_external:
            comment, target = self._refusal()
            lines.setdefault(FILTER_EXTERNAL, []).append(
                f'-A {chains.EXTERNAL_SERVICES} -p {protocol} -m comment --comment "{self.text} '
                # Any address of the node, whatever nodePortAddresses say.
                f'{comment}" -m addrtype --dst-type LOCAL -m {protocol} --dport {number} '
                f"-j {target}"
            )

    def own_chains(self) -> dict[str, tuple[str, ...]]:
        """The chains that belong to this service port alone, with their lines."""
        selection = self.selection
        found: dict[str, tuple[str, ...]] = {}
        # Not `has_external`: where no endpoint is local, the node and its pods are still served.
        if self.usable and externally_reachable(self.service, self.port, self.context.family):
            found[self.external_chain] = tuple(self._external_lines())
        if self.source_ranges:
            found[self.source_ranges_chain] = tuple(self._source_range_lines())
        # The jump to KUBE-MARK-MASQ comes back, so it stands before the rules that translate.
        for chain, endpoints in (
            (self.cluster_chain, selection.cluster),
            (self.local_chain, selection.local),
        ):
            if endpoints:
                off_cluster: tuple[str, ...] = ()
                if self.has_internal and chain == self.internal_chain:
                    off_cluster = self._masquerade_off_cluster()
                found[chain] = (*off_cluster, *self._balancing_lines(chain, endpoints))
        self._add_endpoint_chains(found)
        return found

    def _masquerade_off_cluster(self) -> tuple[str, ...]:
        """The line that masquerades packets to the cluster IP from outside the pod network."""
        detector, source, interface = self.context.detector, "", ""
        if not self.context.masquerade_all:
            if not detector.implemented:
                return ()
            source = f"! {detector.source} " if detector.source else ""
            interface = f"! {detector.interface} " if detector.interface else ""
        return (
            (
                f"-A {self.internal_chain} {source}-d {self.cluster_ip}"
                f"/{self.context.family.host_prefix} {interface}"
                f"{self.comment} cluster IP{self.to_port} {chains.MARK_MASQ}"
            ),
        )

    def _external_lines(self) -> list[str]:
        start = f"-A {self.external_chain}"
        what = f'{self.text} external destinations"'
        # The endpoint may be on another node, and its answer has to come back through this one.
        if not self.service.external_policy_local:
            lines = [
                f'{start} -m comment --comment "masquerade traffic for {what} -j {chains.MARK_MASQ}'
            ]
        else:
            from_node = "-m addrtype --src-type LOCAL"
            lines = [
                (
                    f'{start} -m comment --comment "masquerade LOCAL traffic for {what} '
                    f"{from_node} -j {chains.MARK_MASQ}"
                ),
                (
                    f'{start} -m comment --comment "route LOCAL traffic for {what} '
                    f"{from_node} -j {self.cluster_chain}"
                ),
            ]
            detector = self.context.detector
            if detector.implemented:
                pods = (
                    f'{start} {detector.if_local} -m comment --comment "pod traffic for {what} '
                    f"-j {self.cluster_chain}"
                )
                lines.insert(0, pods)
        if self.has_external:
            lines.append(f"{start} -j {self.policy_chain}")
        return lines

    def _source_range_lines(self) -> Iterator[str]:
        """Sources that may use the load balancer; the rest falls through and is dropped.

        A request from this node to an address of the load balancer comes with that address as
        its source, so these may too where the node itself may.
        """
        start = f"-A {self.source_ranges_chain}"
        rest = f'-m comment --comment "{self.text} loadbalancer IP" -j {self.external_chain}'
        for network in self.source_ranges:
            # The kernel has no match on the source where every source will do.
            source = "" if zero_network(network) else f"-s {network} "
            yield f"{start} {source}{rest}"
        compared = self.service.compared_source_ranges
        if compared is None:
            compared = self.service.load_balancer_source_ranges
        if any(network_contains(network, self.context.node_address) for network in compared):
            for address in self.balancer_ips:
                yield f"{start} -s {with_host_prefix(address)} {rest}"
        yield (
            f'{start} -m comment --comment "other traffic to {self.text} will be dropped by '
            f'{chains.PROXY_FIREWALL}"'
        )

    def _balancing_lines(self, chain: str, endpoints: Sequence[PortEndpoint]) -> list[str]:
        targets = self._chains_of(endpoints)
        starts = [f"-A {chain}"] * len(targets)
        if self.comments:
            start = f'-A {chain} -m comment --comment "{self.text} -> '
            starts = [f'{start}{endpoint}"' for endpoint, _ in endpoints]
        lines = []
        # All of these first: a client that is known at any endpoint must not be given away by
        # chance before the list of that endpoint is asked.
        if seconds := self.service.session_affinity_seconds:
            mask = _RECENT_MASK[self.context.family]
            lines = [
                f"{start} -m recent --rcheck --seconds {seconds} --reap "
                f"--name {target} --mask {mask} --rsource -j {target}"
                for start, target in zip(starts, targets, strict=True)
            ]
        chances = _chances(len(targets))
        lines += [f"{x}{y}{z}" for x, y, z in zip(starts, chances, targets, strict=True)]
        return lines

    def _chains_of(self, endpoints: Sequence[PortEndpoint]) -> Sequence[str]:
        """The chains of some of the reachable endpoints, which are most often all of them."""
        reachable = self.selection.reachable
        if endpoints is reachable:
            return self.endpoint_chains
        found = {
            endpoint: chain
            for (endpoint, _), chain in zip(reachable, self.endpoint_chains, strict=True)
        }
        return [found[endpoint] for endpoint, _ in endpoints]

    def _add_endpoint_chains(self, found: dict[str, tuple[str, ...]]) -> None:
        protocol, names = self.protocol, self.endpoint_chains
        comment = f' -m comment --comment "{self.text}"' if self.comments else ""
        masquerade = f"/{self.context.family.host_prefix}{comment} -j {chains.MARK_MASQ}"
        match = f" -p {protocol}{comment}"
        translate = f" -m {protocol} -j DNAT --to-destination "
        words = [match + translate] * len(names)
        if self.service.session_affinity_seconds:
            rest = f"--mask {_RECENT_MASK[self.context.family]} --rsource{translate}"
            # The list is filled by the rule that translates, so only by clients that were really
            # sent to the endpoint. It remembers 100 of them unless xt_recent has a larger
            # ip_list_tot.
            words = [f"{match} -m recent --set --name {name} {rest}" for name in names]
        for chain, word, (endpoint, details) in zip(
            names, words, self.selection.reachable, strict=True
        ):
            to = _destination(endpoint, details) if details.written else endpoint
            found[chain] = (
                # An endpoint that reaches itself through the Service: without a new source its
                # answer would not come back through the node (`syncProxyRules` in proxier.go).
                f"-A {chain} -s {details.address}{masquerade}",
                f"-A {chain}{word}{to}",
            )


def _source_ranges(service: Service, context: Context) -> list[str]:
    """The source ranges of a family; one that contains every address restricts nothing."""
    networks = [n for n in service.load_balancer_source_ranges if Family.of(n) is context.family]
    if context.has(habits.OPEN_RANGES) and any(map(zero_network, networks)):
        return []
    return networks


def _destination(endpoint: str, details: Endpoint) -> str:
    """Address and port as the kernel prints them, whatever spelling the names have."""
    return endpoint_text(details.address, int(endpoint.rpartition(":")[2]))


def probability(left: int) -> str:
    """The match that takes one of `left` packets, as iptables prints it.

    kube-proxy writes the probability with ten digits; the kernel keeps it in steps of 1/2^31.
    """
    steps = round(float(f"{1 / left:.10f}") * (1 << 31))
    return f"-m statistic --mode random --probability {steps / (1 << 31):.11f}"


_probability = cache(probability)


@lru_cache(maxsize=256)
def _chances(endpoints: int) -> tuple[str, ...]:
    """The words before the target of each of so many endpoints; the last takes what is left."""
    chances = [f" {_probability(left)} -j " for left in range(endpoints, 1, -1)]
    return (*chances, " -j ") if endpoints else ()
