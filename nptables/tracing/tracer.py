"""The answer to a trace: where a packet starts, what becomes of it, and why."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import attrs

from nptables.errors import InvalidInput, Problem
from nptables.family import Family
from nptables.iptables.ruleset import Ruleset
from nptables.model import Cluster, Node, ProxyConfig
from nptables.tracing.addressing import Address
from nptables.tracing.explanation.case import Case
from nptables.tracing.explanation.reasons import OF_RULES_THAT_DIFFER, explain
from nptables.tracing.explanation.result import Outcome, Trace, Verdict, distributions
from nptables.tracing.forwarding import Arrival, Forwarding
from nptables.tracing.hops import Hop, Hops
from nptables.tracing.local_addresses import LocalAddresses
from nptables.tracing.network import Site
from nptables.tracing.packet import Origin, Packet
from nptables.tracing.services import Asked, asked_for
from nptables.tracing.sets import Sets
from nptables.tracing.state import Flow, Questions, State, Weights
from nptables.tracing.traversal.rulebook import Rules
from nptables.translation import Reason, Translation

if TYPE_CHECKING:
    from nptables.evidence import Evidence
    from nptables.translation.explanation.disagreement import Disagreement

# A node has the tables of legacy and those of nft.
MOST_RULESETS = 2


def trace(
    ruleset: Rules,
    packet: Packet,
    node: Node,
    cluster: Cluster | None = None,
    *,
    config: ProxyConfig | None = None,
    others: Mapping[str, tuple[Node, Rules]] | None = None,
    sets: Sets | None = None,
    unread: str = "",
    unknown_tables: Mapping[str, Collection[str]] | None = None,
    kept: dict[str, object] | None = None,
    evidence: Evidence | None = None,
) -> Trace:
    """What happens to the first packet of a connection, and why.

    Args:
        ruleset: The rules of `node`: translated, a parsed dump, or those of the live kernel. Two
            of them, as `read_dumps` returns them, if the node has the tables of two backends.
        packet: The packet, for example from `packet_between`.
        node: The node where it arrives. Its facts say which addresses and routes it has.
        cluster: Used to explain the answer. If the packet goes on to another node, or comes from
            one, it is followed there too.
        config: The kube-proxy configuration of the cluster's nodes.
        others: The node and the rules of other nodes, by name. For nodes that are not in it the
            cluster's rules are used.
        sets: By name, whether an ipset contains a packet; `read_sets` makes it from the output of
            `ipset save`.
        unread: A backend that has rules which were not read. Every answer then depends on them, as
            it does if a dump says that it leaves out the legacy tables.
        unknown_tables: By node, tables whose contents are unknown, such as those that
            `missing_tables` finds. What they do with the packet is a hypothesis.
        kept: A mapping to share between traces of one family, cluster and `config`: what is made
            for other nodes is cached there.
        evidence: Everything known of `node`. It shows what handles Services there; without it only
            the rules and the facts do. If that is not kube-proxy in mode iptables, the outcome of
            a packet for a Service is unknown.

    Returns:
        The answer, with a distribution of outcomes for each hypothesis.

    Raises:
        InvalidInput: If the packet is not of the ruleset's family, or there are more than two
            rulesets or none, or rulesets of two families.

    >>> trace(ruleset, Packet("192.168.0.12", 30080), node).arrives  # doctest: +SKIP
    True
    """
    rulesets = _checked(ruleset, packet)
    config = config or _usual_config()
    if cluster is not None:
        cluster = cluster.seen_by(config.habits)
    # Rules made for a node show only what was put into them.
    if not isinstance(rulesets[0], Translation):
        from nptables.translation.facts_from_rules import with_shown_addresses  # noqa: PLC0415

        node = with_shown_addresses(node, rulesets)
    hops = Hops(
        rulesets, node, cluster, config, others or {}, unread, unknown_tables, evidence, kept
    )
    return _Tracer(hops, cluster, config, sets or {}, Questions()).trace(packet)


def follow(
    hops: Hops, packet: Packet, questions: Questions, *, sets: Sets | None = None
) -> tuple[tuple[Outcome, Weights], ...]:
    """Everything that can happen to a packet, with its weight for each set of answers.

    It is what `trace` tells of a packet where no cluster is known. `questions` may have been asked
    before: of several packets, or of one in several rulesets, so that an answer is the same for
    all. The shares of the outcomes are not filled in.
    """
    return _Tracer(hops, None, _usual_config(), sets or {}, questions).possibilities(packet)


@functools.cache
def _usual_config() -> ProxyConfig:
    return ProxyConfig()


def _checked(ruleset: Rules, packet: Packet) -> tuple[Ruleset, ...]:
    rulesets = (ruleset,) if isinstance(ruleset, Ruleset) else tuple(ruleset)
    families = {each.family for each in rulesets}
    if len(families) != 1 or len(rulesets) > MOST_RULESETS:
        raise InvalidInput(
            [Problem("these are not the rules of one node", hint="one ruleset for each backend")]
        )
    (family,) = families
    if packet.family is not family:
        raise InvalidInput(
            [
                Problem(
                    f"{packet.destination} is not an {family.value} address",
                    hint=f"the rules are those of {family.value}",
                )
            ]
        )
    return rulesets


class _Tracer:
    """One question, and everything that is found on the way to its answer."""

    def __init__(
        self,
        hops: Hops,
        cluster: Cluster | None,
        config: ProxyConfig,
        sets: Sets,
        questions: Questions,
    ) -> None:
        self._cluster = cluster
        self._config = config
        self._hops = hops
        self._home = hops.home
        self._node: Node = hops.home.network.node
        self._family: Family = hops.home.network.family
        self._services = hops.services
        self._asked = Asked()
        self._questions = questions
        self._local = LocalAddresses(hops.home, self._questions)
        self._forwarding = Forwarding(hops, cluster, sets, questions)

    def trace(self, packet: Packet) -> Trace:
        """The answer."""
        found, exhaustive = distributions(self.possibilities(packet), self._questions)
        frontend = self._asked.frontend
        answer = Trace(
            packet,
            self._node.name,
            found,
            notes=(*self._local.notes, *self._forwarding.notes),
            assumptions=tuple(self._forwarding.assumptions),
            subject="" if frontend is None else str(frontend.name),
            exhaustive=exhaustive,
            handling=self._home.handling,
        )
        rulesets = tuple(book.ruleset for book in self._home.books)
        case = Case(
            self._asked, self._services, self._home.network, rulesets, self._config, self._family,
            self._home.handling, tuple(self._local.conditions), functools.cache(self._compare),
        )  # fmt: skip
        reasons = explain(answer, case)
        differ = any(reason.code in OF_RULES_THAT_DIFFER for reason in reasons)
        by_all = case.compare() if differ else None
        if by_all is not None and by_all.compared > 1:
            reasons = (*reasons, Reason("rules-behind", str(by_all)))
        return attrs.evolve(answer, reasons=reasons, disagreement=by_all)

    def _compare(self) -> Disagreement | None:
        """Where the rules of the node and the cluster differ, over all service ports."""
        if self._cluster is None or self._hops.made or self._hops.in_part:
            return None
        from nptables.translation.explanation.disagreement import disagreement  # noqa: PLC0415

        rulesets = (book.ruleset for book in self._home.books)
        return disagreement(self._cluster, self._node, self._config, rulesets)

    def possibilities(self, packet: Packet) -> tuple[tuple[Outcome, Weights], ...]:
        """Everything that can happen, each with its weights."""
        self._begin(packet)
        return self._forwarding.findings.all

    def _begin(self, packet: Packet) -> None:
        """Follow a packet under each answer to whose its addresses are."""
        home = self._home
        asked: list[Asked] = []
        packet = attrs.evolve(packet, destination=self._local.standing_in(packet.destination))
        for network, flow in self._local.possible(packet):
            self._home = self._hops.home = attrs.evolve(home, network=network)
            self._asked = asked_for(packet, self._services, network, self._family)
            asked.append(self._asked)
            self._start(packet, flow)
        self._home = self._hops.home = home
        self._asked = next((each for each in asked if each.frontends), asked[0])

    def _start(self, packet: Packet, flow: Flow) -> None:
        network = self._home.network
        origin = packet.origin or self._origin_of(packet)
        # Each host and each pod has a loopback interface of its own.
        if network.is_loopback(packet.destination) and origin is not Origin.NODE:
            self._stay(packet, flow)
            return
        hop = self._home
        if packet.source_node and packet.source_node != self._node.name:
            hop = self._hop(packet.source_node, packet) or self._home
        elif isinstance(packet.source, str):
            place = network.place(packet.source)
            if place.site in (Site.POD_ELSEWHERE, Site.OTHER_NODE):
                hop = self._hop(place.node, packet) or self._home
        from_node = origin is Origin.NODE
        # The node of the packet's source may tell better than this one whether the address is its
        # own.
        if hop is not self._home and packet.origin is None and isinstance(packet.source, str):
            from_node = hop.network.is_local(packet.source) is True
        source = self._local.standing_in(self._source_of(packet, hop, from_node=from_node))
        state = State(
            source=source,
            source_port=packet.source_port,
            destination=packet.destination,
            port=packet.port,
            in_interface="" if from_node else packet.in_interface,
            out_interface="",
            mark=packet.mark,
        )
        if not from_node and packet.in_interface is None:
            state = state._replace(in_interface=hop.network.route(source).interface)
        self._note_assumptions(hop)
        arrival = Arrival(
            hop, state, flow, self._asked, from_node, visited=(hop.network.node.name,)
        )
        self._forwarding.follow(arrival, packet)

    def _hop(self, name: str, packet: Packet) -> Hop | None:
        return self._hops.named(name, packet.destination, packet.port, packet.protocol)

    def _origin_of(self, packet: Packet) -> Origin:
        if packet.source is None:
            return Origin.OUTSIDE
        site = self._home.network.place(packet.source).site
        if site is Site.HERE:
            return Origin.NODE
        return Origin.POD if site is Site.POD_HERE else Origin.OUTSIDE

    def _source_of(self, packet: Packet, hop: Hop, *, from_node: bool) -> Address:
        if packet.source is not None:
            return packet.source
        if from_node:
            return hop.network.source_for(packet.destination)
        return hop.network.outside(self._pod_networks())

    def _pod_networks(self) -> tuple[str, ...]:
        """The networks of pods that the configuration names, or that the rules were made with."""
        ruleset = self._home.books[0].ruleset
        if isinstance(ruleset, Translation):
            made_with = ruleset.context.detector.source.removeprefix("-s ")
            return (*self._config.cluster_cidrs, *((made_with,) if made_with else ()))
        return self._config.cluster_cidrs

    def _note_assumptions(self, hop: Hop) -> None:
        network = hop.network
        name = network.node.name
        if network.has_interfaces:
            return
        if network.node.knows_addresses(self._family):
            note = (
                f"the interfaces of {name} are not known: its addresses are taken from its Node "
                "object (--facts gives the real ones)"
            )
        else:
            addresses = network.node.unknown_addresses(self._family)
            note = (
                f"the {addresses} of {name} are unknown: where its rules send a packet is assumed "
                "to be another host or a Pod (--node-address names some; --facts, and FILEs with "
                "its Node object, name all)"
            )
        self._forwarding.notes[note] = None

    def _stay(self, packet: Packet, flow: Flow) -> None:
        source = packet.source or "its sender"
        state = State(
            packet.source or self._home.network.outside(), None, packet.destination, packet.port,
            None, None,
        )  # fmt: skip
        text = f"{packet.destination} is {source} itself: the packet never reaches a node"
        self._forwarding.findings.record(
            Verdict.STAYS, state, flow, None, node="", rewritten=False, text=text
        )
