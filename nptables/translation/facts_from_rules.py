"""What the rules of a node show of the facts and the configuration that they were made with.

A dump is often compared without the node's facts and its configuration, and then every rule that
depends on them differs. Facts that the rules show are taken from the rules. A configuration that
seems to differ is only reported: it may be the drift in question.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

import attrs

from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables import Ruleset, Table
from nptables.iptables.changes.shown import with_what_is_not_shown
from nptables.iptables.unshown import HOLDS_MATCH, UNREAD_MATCH
from nptables.model import Node, NodeFacts, ProxyConfig
from nptables.model.addresses import is_loopback, network_contains, with_host_prefix
from nptables.model.kubeproxy import habits as known
from nptables.model.kubeproxy.habits import Habit
from nptables.translation import chains
from nptables.translation.assembly import Translation
from nptables.translation.context import LOOPBACK_NETWORK

# Facts by their keys in a file: what they are called here, and the habit by which they count.
_SHOWN: dict[str, tuple[str, Habit | None]] = {
    "nfacct": ("nfacct", known.PACKET_COUNTERS),
    "tcpBeLiberal": ("tcp_be_liberal", known.TCP_BE_LIBERAL),
    "randomFully": ("random_fully", None),
}


@frozen
class ShownFacts:
    """The facts that the rules of a node show; None for one that they do not show.

    `addresses` are those that node ports answer on, where they do not answer on all.
    """

    nfacct: bool | None = None
    tcp_be_liberal: bool | None = None
    random_fully: bool | None = None
    addresses: tuple[str, ...] = ()

    def added_to(self, node: Node) -> Node:
        """The node, with the facts that its rules show where none are given."""
        facts = node.facts
        for key, (name, _) in _SHOWN.items():
            value = getattr(self, name)
            if value is not None and key not in facts.told:
                facts = attrs.evolve(facts, **{name: value})
        if self.addresses and facts.interfaces is None:
            listed = dict.fromkeys((*facts.addresses, *self.addresses))
            facts = attrs.evolve(facts, addresses=tuple(listed))
        return attrs.evolve(node, facts=facts)


def changed_facts(before: NodeFacts, after: NodeFacts, config: ProxyConfig) -> list[str]:
    """The facts that differ, as a file of facts would have those of `after`.

    Those that the kube-proxy of `config` does not use are left out.
    """
    return [
        f"{key}: {str(getattr(after, name)).lower()}"
        for key, (name, habit) in _SHOWN.items()
        if getattr(before, name) != getattr(after, name) and (habit is None or config.has(habit))
    ]


# The match, or what stands for it where its values are not shown.
_COUNTED = re.compile(rf" -m (?:nfacct |{HOLDS_MATCH} --words \"xt match \\?\"?nfacct)")


def shown_facts(rules: Ruleset) -> ShownFacts:
    """The facts that the rules of a node show, whatever made them."""
    forward = rules.lines("filter", chains.FORWARD)
    drops = [line for line in forward if "--ctstate INVALID" in line and "-j DROP" in line]
    # Where a match is not shown, the rule may be the one for INVALID packets.
    hidden = any(f" -m {UNREAD_MATCH} " in line and "-j DROP" in line for line in forward)
    counted = any(map(_COUNTED.search, (*drops, *rules.lines("nat", chains.NODEPORTS))))
    masquerades = [
        line
        for line in rules.lines("nat", chains.POSTROUTING)
        if "-j MASQUERADE" in line and f" -m {HOLDS_MATCH} " not in line
    ]
    return ShownFacts(
        # That nothing counts says something only where a rule stands that would.
        nfacct=counted if counted or drops else None,
        # kube-proxy looks at the sysctl when it starts: the rules show what it was then.
        tcp_be_liberal=not drops if forward and not hidden else None,
        random_fully=any("--random-fully" in x for x in masquerades) if masquerades else None,
        addresses=_Answering.of(rules).addresses,
    )


def with_shown_addresses(node: Node, rulesets: Iterable[Ruleset]) -> Node:
    """A node whose addresses are unknown, with those that its rules show."""
    for rules in rulesets:
        shown = _Answering.of(rules).addresses
        if shown and not node.knows_addresses(rules.family):
            node = ShownFacts(addresses=shown).added_to(node)
    return node


_FROM_OUTSIDE_PODS = re.compile(rf"-A KUBE-\S+ ! -s (\S+) .*-j {chains.MARK_MASQ}$")


def shows_as_another(rules: Ruleset, address: str) -> bool:
    """Whether the rules of a node show that an address is not one of its own.

    It is a cluster IP, or in the network of Pods, whose traffic to Services alone is spared. The
    node has an address in that network too, that of its bridge; who asks about a Service asks
    neither it nor from it.
    """
    asked = f" -d {with_host_prefix(address)} "
    for table, ending in (("nat", ' cluster IP"'), ("filter", ' endpoints"')):
        lines = rules.lines(table, chains.SERVICES)
        if any(asked in line and ending in line for line in lines):
            return True
    nat = rules.tables.get("nat")
    return nat is not None and any(
        network_contains(network, address) for network in _networks_of_pods(nat)
    )


def _networks_of_pods(nat: Table) -> set[str]:
    return {
        found[1]
        for chain, lines in nat.chains.items()
        if chain == chains.SERVICES
        or chain.startswith((chains.SERVICE_PREFIX, chains.LOCAL_PREFIX))
        for line in lines
        if (found := _FROM_OUTSIDE_PODS.match(line)) is not None and "/" in found[1]
    }


@frozen
class Suspicion:
    """A field of the KubeProxyConfiguration that a node's rules look made with another value of.

    `value` is that value, as far as the rules show it, in words.
    """

    field: str
    value: str

    def __str__(self) -> str:
        return f"{self.field}: {self.value}"


def suspicions(current: Ruleset, desired: Translation, node: Node) -> list[Suspicion]:
    """The fields in which a node's configuration looks other than the one of `desired`.

    `current` is what the node has, `desired` what it should have by the configuration that was
    named. A field is listed where most of the node's rules that depend on it say otherwise, and
    where the kube-proxy of `desired` uses it.
    """
    # A listing without comments is no sign of another configuration (`nptables.iptables.unshown`).
    if current.unshown.comments:
        current = with_what_is_not_shown(current, desired)
    if chains.SERVICES not in current.tables.get("nat", _NOTHING).chains:
        return []
    return [
        *_masquerade_bit(current, desired),
        *_masquerade_all(current, desired),
        *_detector(current, desired, node),
        *_node_ports(current, desired),
        *_node_address(current, desired),
        *_external_ips(current, desired),
        *_liberal(current, desired),
    ]


_NOTHING = Table("nat", {})
_MARK = re.compile(r" -j MARK --set-xmark (0x[0-9a-f]+)/\1$")


def _masquerade_bit(current: Ruleset, desired: Translation) -> Iterator[Suspicion]:
    for line in current.lines("nat", chains.MARK_MASQ):
        found = _MARK.search(line)
        if found is not None and found[1] != desired.context.masquerade_mark:
            yield Suspicion("iptables.masqueradeBit", str(int(found[1], 16).bit_length() - 1))
            return


_EVERYTHING = "everything"
_OFF_CLUSTER = re.compile(r"-A \S+ (?:! -s (\S+) )?-d \S+ (?:! -i (\S+) )?")
_FROM_PODS = re.compile(r"-A \S+ (?:-s (\S+) )?(?:-i (\S+) )?")


def _masquerade_all(current: Ruleset, desired: Translation) -> Iterator[Suspicion]:
    # The most frequent one counts: a few old rules are drift, and no sign of another configuration.
    usual = _most(Counter(_spared(current)))
    if usual is not None and (usual == _EVERYTHING) is not desired.context.masquerade_all:
        yield Suspicion("iptables.masqueradeAll", str(usual == _EVERYTHING).lower())


def _detector(current: Ruleset, desired: Translation, node: Node) -> Iterator[Suspicion]:
    told = (*_spared(current), *_taken_for_pods(current))
    usual = _most(Counter(match for match in told if match != _EVERYTHING))
    # The detector does not show where everything is masqueraded.
    if usual is not None and usual != desired.context.detector.if_local:
        yield _told_by(usual, node, current.family)


def _spared(rules: Ruleset) -> Iterator[str]:
    """For each cluster IP with endpoints, the match whose traffic is not masqueraded.

    Nothing of it is where that is EVERYTHING, and all of it where the match is empty.
    """
    for line in rules.lines("nat", chains.SERVICES):
        chain = line.rpartition(" -j ")[2]
        if chain.startswith((chains.SERVICE_PREFIX, chains.LOCAL_PREFIX)):
            marked = (x for x in rules.lines("nat", chain) if x.endswith(chains.MARK_MASQ))
            yield next((_match(_OFF_CLUSTER, x) or _EVERYTHING for x in marked), "")


def _taken_for_pods(rules: Ruleset) -> Iterator[str]:
    """For each external chain of a Local policy, the match of what it takes for pods."""
    nat = rules.tables.get("nat")
    for chain, lines in nat.chains.items() if nat is not None else ():
        if chain.startswith(chains.EXTERNAL_PREFIX) and any(" LOCAL traffic " in x for x in lines):
            yield next((_match(_FROM_PODS, x) for x in lines if '"pod traffic for ' in x), "")


def _match(pattern: re.Pattern[str], line: str) -> str:
    """The match as a rule has it: `-s 10.0.0.0/8`, `-i cni0`, or nothing."""
    found = pattern.match(line)
    source, interface = found.groups() if found is not None else (None, None)
    return f"-s {source}" if source else f"-i {interface}" if interface else ""


def _most(counted: Counter[str]) -> str | None:
    return counted.most_common(1)[0][0] if counted else None


def _told_by(match: str, node: Node, family: Family) -> Suspicion:
    """The field that makes rules tell the node's pods by a match."""
    option, _, value = match.partition(" ")
    if option == "-i" and value.endswith("+"):
        return Suspicion("detectLocal.interfaceNamePrefix", value[:-1])
    if option == "-i":
        return Suspicion("detectLocal.bridgeInterface", value)
    if value and value == node.pod_cidr(family):
        return Suspicion("detectLocalMode", f"NodeCIDR (or clusterCIDR: {value})")
    return Suspicion("clusterCIDR", value or "none")


@frozen
class _Answering:
    """Which addresses node ports answer on, by the jumps to their chain.

    `everywhere` is on all, `loopback` whether these include 127.0.0.0/8; `addresses` are those
    that are named, sorted. With neither there is no jump.
    """

    everywhere: bool
    loopback: bool
    addresses: tuple[str, ...]

    @classmethod
    def of(cls, rules: Ruleset) -> _Answering:
        """What the rules of a node say."""
        end = f" -j {chains.NODEPORTS}"
        jumps = [line for line in rules.lines("nat", chains.SERVICES) if line.endswith(end)]
        everywhere = any(" --dst-type LOCAL " in line for line in jumps)
        return cls(
            everywhere,
            not any(f" ! -d {LOOPBACK_NETWORK} " in line for line in jumps),
            () if everywhere else tuple(sorted(filter(None, map(_destination, jumps)))),
        )


_DESTINATION = re.compile(r"-A \S+ -d ([0-9a-fA-F.:]+)/")
_SOURCE = re.compile(r"-A \S+ -s (\S+) ")


def _destination(line: str) -> str:
    found = _DESTINATION.match(line)
    return found[1] if found is not None else ""


def _node_ports(current: Ruleset, desired: Translation) -> Iterator[Suspicion]:
    there, here = _Answering.of(current), _Answering.of(desired)
    if there == here and (there.everywhere or current.family is Family.IPV6):
        return
    # No jump among no rules at all is not a choice that somebody made.
    if not (there.everywhere or there.addresses) and _is_flushed(current, desired):
        return
    if there.everywhere and here.everywhere:
        yield Suspicion("iptables.localhostNodePorts", str(there.loopback).lower())
    elif there.everywhere:
        yield Suspicion("nodePortAddresses", "none")
    elif here.everywhere or _others(there) != _others(here):
        some = ", ".join(there.addresses[:3]) or "no address of the node"
        yield Suspicion("nodePortAddresses", f"networks with {some}")
    else:
        wanted = desired.context.localhost_node_ports
        guarded = any(LOOPBACK_NETWORK in x for x in current.lines("filter", chains.FIREWALL))
        if there != here or guarded is not wanted:
            yield Suspicion("iptables.localhostNodePorts", str(not wanted).lower())


def _is_flushed(current: Ruleset, desired: Ruleset) -> bool:
    """Whether the chain with the jumps to node ports lacks all else that it should have as well."""
    wanted = desired.lines("nat", chains.SERVICES)
    return not current.lines("nat", chains.SERVICES) and any(
        not line.endswith(f" -j {chains.NODEPORTS}") for line in wanted
    )


def _others(answering: _Answering) -> list[str]:
    return [address for address in answering.addresses if not is_loopback(address)]


def _node_address(current: Ruleset, desired: Translation) -> Iterator[Suspicion]:
    """The node itself may use a load balancer where its own address is in the source ranges."""
    balancers: dict[str, set[str]] = {}
    for line in desired.lines("nat", chains.SERVICES):
        chain = line.rpartition(" -j ")[2]
        if chain.startswith(chains.SOURCE_RANGES_PREFIX):
            balancers.setdefault(chain, set()).add(with_host_prefix(_destination(line)))
    for chain, own in balancers.items():
        there, here = _sources(current, chain), _sources(desired, chain)
        # They differ in the load balancer's own addresses and in nothing else, and those stand on
        # one side alone: that is the rule which depends on the node's address (`allowFromNode` in
        # `syncProxyRules`).
        if there ^ here == own and not there & here & own:
            where = "in" if own <= there else "outside"
            ranges = ", ".join(sorted(here - own))
            yield Suspicion("bindAddress", f"an address {where} {ranges}")
            return


def _sources(rules: Ruleset, chain: str) -> set[str]:
    found = (_SOURCE.match(line) for line in rules.lines("nat", chain))
    return {match[1] for match in found if match is not None}


def _external_ips(current: Ruleset, desired: Translation) -> Iterator[Suspicion]:
    if not desired.context.has(known.EXTERNAL_IPS_GATE):
        return
    addresses = _destinations(current)
    # A Service that the node has not heard of yet says nothing about its configuration.
    claimed = {
        address
        for service in desired.cluster.services.values()
        if service.cluster_ips.get(current.family) in addresses
        for address in service.external_ips
    }
    there = bool(claimed & addresses)
    if there is not bool(claimed & _destinations(desired)):
        yield Suspicion("featureGates.AllowServiceExternalIPs", str(there).lower())


def _destinations(rules: Ruleset) -> set[str]:
    """The addresses that rules for Services are about."""
    places = (
        ("nat", chains.SERVICES),
        ("filter", chains.SERVICES),
        ("filter", chains.EXTERNAL_SERVICES),
    )
    return {_destination(line) for at in places for line in rules.lines(*at)}


def _liberal(current: Ruleset, desired: Translation) -> Iterator[Suspicion]:
    """Only the configuration can keep rules from dropping what the node's rules drop."""
    if shown_facts(current).tcp_be_liberal is False and not desired.context.drop_invalid:
        yield Suspicion("conntrack.tcpBeLiberal", "false")
