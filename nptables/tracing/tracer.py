"""Following a packet from where it starts, through as many nodes as it takes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fractions import Fraction

import attrs

from nptables.errors import InvalidInput, Problem
from nptables.family import Family
from nptables.iptables.ruleset import Ruleset
from nptables.model import Cluster, Node, ProxyConfig
from nptables.tracing.asked import Asked, asked_for
from nptables.tracing.packet import Origin, Packet
from nptables.tracing.sets import Sets
from nptables.tracing.state import ONE, Flow, Questions, State, Weights, World, merged, split
from nptables.tracing.stops import Stop, Stops
from nptables.tracing.surroundings.addressing import Address, Somewhere, net
from nptables.tracing.surroundings.network import Place, Site
from nptables.tracing.telling.case import Case
from nptables.tracing.telling.explaining import explain
from nptables.tracing.telling.result import Outcome, Trace, Verdict, distributions
from nptables.tracing.telling.way import comment_of
from nptables.tracing.verdicts import deciding_step, delivered, needs_hairpin, sent, way_back
from nptables.tracing.walking.leg import Exit, Left, Leg, Terrain
from nptables.tracing.walking.rulebook import Rules
from nptables.tracing.walking.steps import End, Ended, Step
from nptables.tracing.walking.walker import Budget
from nptables.translation import Translation
from nptables.translation.explanation.decision import unknown_reason

# A node has the tables of legacy and those of nft.
MOST_RULESETS = 2
# A packet that passes more nodes than this goes round in circles.
MOST_NODES = 6


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
) -> Trace:
    """What happens to the first packet of a connection, and why.

    `ruleset` is what `node` has: translated, a parsed dump, or the live kernel's; or two of them,
    as `read_dumps` gives them, where the node has the tables of two backends. `unread` names a
    backend whose tables hold rules too and were not read: every answer then depends on them, as
    it does where a dump says that it leaves the legacy tables out. `unknown_tables` names, by
    node, the tables of which nobody knows what is in them, such as `missing_tables` finds of a
    dump: what they do with the packet is left open, as it is where a dump says of a table that
    it cannot be printed. The node's facts say which addresses and routes it has. With `cluster`
    (and the kube-proxy `config` of its nodes) the reasons are given in its words, and where the
    packet goes on to another node, or comes from one, that node is followed too: with the
    ruleset that `others` has for it by name, else with what the cluster says. `sets` says by
    name whether an ipset holds a packet, such as `read_sets` makes of what `ipset save` prints.

    Raises InvalidInput where the packet is not of the ruleset's family, and for rulesets that are
    neither one nor two of one family.

    >>> trace(ruleset, Packet("192.168.0.12", 30080), node).arrives  # doctest: +SKIP
    True
    """
    rulesets = _checked(ruleset, packet)
    config = config or ProxyConfig()
    if cluster is not None:
        cluster = cluster.seen_by(config.habits)
    stops = Stops(rulesets, node, cluster, config, others or {}, unread, unknown_tables)
    return _Tracer(stops, cluster, config, sets or {}, Questions()).trace(packet)


def follow(
    stops: Stops, packet: Packet, questions: Questions, *, sets: Sets | None = None
) -> tuple[tuple[Outcome, Weights], ...]:
    """Everything that can happen to a packet, with its weight for each set of answers.

    It is what `trace` tells of a packet where no cluster is known. `questions` may have been asked
    before: of several packets, or of one in several rulesets, so that an answer is the same for
    all. The shares of the outcomes are not filled in.
    """
    return _Tracer(stops, None, ProxyConfig(), sets or {}, questions).possibilities(packet)


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


@attrs.frozen
class _Arrival:
    """A packet on its way into a node, with what happened to it before.

    `must_return` names the nodes that translated the destination and left a source that is not
    theirs: an answer that does not pass them again is not recognised by the sender.
    """

    stop: Stop
    state: State
    flow: Flow
    from_node: bool
    visited: tuple[str, ...]
    translated: bool = False
    rewritten: bool = False
    must_return: tuple[str, ...] = ()


class _Tracer:
    """One question, and everything that is found on the way to its answer."""

    def __init__(
        self,
        stops: Stops,
        cluster: Cluster | None,
        config: ProxyConfig,
        sets: Sets,
        questions: Questions,
    ) -> None:
        self._cluster = cluster
        self._config = config
        self._sets = sets
        self._stops = stops
        self._home = stops.home
        self._node: Node = stops.home.network.node
        self._family: Family = stops.home.network.family
        self._services = stops.services
        self._asked = Asked()
        self._questions = questions
        self._budget = Budget()
        self._found: dict[tuple[object, ...], tuple[Outcome, Weights]] = {}
        self._notes: dict[str, None] = {}
        self._assumptions: dict[str, None] = {}

    def trace(self, packet: Packet) -> Trace:
        """The answer."""
        self._asked = asked_for(packet, self._services, self._home.network, self._family)
        found, exhaustive = distributions(self.possibilities(packet), self._questions)
        frontend = self._asked.frontend
        answer = Trace(
            packet,
            self._node.name,
            found,
            notes=tuple(self._notes),
            assumptions=tuple(self._assumptions),
            subject="" if frontend is None else str(frontend.name),
            exhaustive=exhaustive,
        )
        rulesets = tuple(book.ruleset for book in self._home.books)
        case = Case(
            self._asked, self._services, self._home.network, rulesets, self._config, self._family
        )
        reasons = explain(answer, case)
        return attrs.evolve(answer, reasons=reasons)

    def possibilities(self, packet: Packet) -> tuple[tuple[Outcome, Weights], ...]:
        """Everything that can happen, each with its weights."""
        self._begin(packet)
        return tuple(self._found.values())

    def _begin(self, packet: Packet) -> None:
        network = self._home.network
        origin = packet.origin or self._origin_of(packet)
        flow = Flow({World(): ONE}, None)
        if network.is_loopback(packet.destination) and origin is not Origin.NODE:
            self._stay(packet, flow)
            return
        stop = self._home
        if packet.source_node and packet.source_node != self._node.name:
            stop = self._stop(packet.source_node, packet) or self._home
        elif isinstance(packet.source, str):
            place = network.place(packet.source)
            if place.site in (Site.POD_ELSEWHERE, Site.OTHER_NODE):
                stop = self._stop(place.node, packet) or self._home
        from_node = origin is Origin.NODE
        if stop is not self._home and packet.origin is None and isinstance(packet.source, str):
            from_node = stop.network.is_local(packet.source) is True
        source = self._source_of(packet, stop, from_node=from_node)
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
            state = state._replace(in_interface=stop.network.route(source).interface)
        self._note_assumptions(stop)
        self._follow(
            _Arrival(stop, state, flow, from_node, visited=(stop.network.node.name,)), packet
        )

    def _stop(self, name: str, packet: Packet) -> Stop | None:
        return self._stops.named(name, packet.destination, packet.port, packet.protocol)

    def _origin_of(self, packet: Packet) -> Origin:
        if packet.source is None:
            return Origin.OUTSIDE
        site = self._home.network.place(packet.source).site
        if site is Site.HERE:
            return Origin.NODE
        return Origin.POD if site is Site.POD_HERE else Origin.OUTSIDE

    def _source_of(self, packet: Packet, stop: Stop, *, from_node: bool) -> Address:
        if packet.source is not None:
            return packet.source
        if from_node:
            return stop.network.source_for(packet.destination)
        return stop.network.outside(self._pod_networks())

    def _pod_networks(self) -> tuple[str, ...]:
        """The networks of pods that the configuration names, or that the rules were made with."""
        ruleset = self._home.books[0].ruleset
        if isinstance(ruleset, Translation):
            made_with = ruleset.context.detector.source.removeprefix("-s ")
            return (*self._config.cluster_cidrs, *((made_with,) if made_with else ()))
        return self._config.cluster_cidrs

    def _note_assumptions(self, stop: Stop) -> None:
        network = stop.network
        name = network.node.name
        if network.has_interfaces:
            return
        if any(Family.of(address) is self._family for _, address in network.node.addresses):
            note = (
                f"the interfaces of {name} are not known: its addresses are those of its Node "
                f"object (give --facts to know)"
            )
        else:
            note = (
                f"nothing says which addresses {name} has: none is taken for its own but loopback "
                f"(give --facts, or FILEs with its Node object)"
            )
        self._notes[note] = None

    def _stay(self, packet: Packet, flow: Flow) -> None:
        source = packet.source or "its sender"
        state = State(
            packet.source or self._home.network.outside(), None, packet.destination, packet.port,
            None, None,
        )  # fmt: skip
        text = f"{packet.destination} is {source} itself: the packet never reaches a node"
        self._record(Verdict.STAYS, state, flow, None, node="", rewritten=False, text=text)

    def _follow(self, arrival: _Arrival, packet: Packet) -> None:
        if arrival.stop.supposed:
            name = arrival.stop.network.node.name
            self._assumptions[
                f"{name} has the rules that the cluster makes for it, and nothing else there stops "
                f"the packet or its answer"
            ] = None
        terrain = Terrain(
            network=arrival.stop.network,
            books=arrival.stop.books,
            packet=packet,
            original=arrival.state,
            from_node=arrival.from_node,
            sets=self._sets,
            unknown_tables=arrival.stop.unknown_tables,
        )
        leg = Leg(terrain, self._questions, self._budget)
        flow = self._unless_unread(arrival)
        if arrival.from_node:
            leg.leave(flow)
        else:
            leg.arrive(flow)
        for ended in leg.ended:
            self._record_end(ended, arrival)
        for left in leg.left:
            self._go_on(left, arrival, packet)

    def _unless_unread(self, arrival: _Arrival) -> Flow:
        """The possibilities in which tables that nobody read leave the packet as it is."""
        unread, node = arrival.stop.unread, arrival.stop.network.node.name
        if not unread:
            return arrival.flow
        program = "iptables" if self._family is Family.IPV4 else "ip6tables"
        whose = f"the {unread} tables of {node}, which are not followed"
        self._notes[
            f"{node} has {unread} tables too, and they were not read: {program}-{unread}-save "
            f"prints them, and both dumps, one behind the other, are read as what they are"
        ] = None
        question, fresh = self._questions.number(
            ("unread", node), f"{whose}, change or stop the packet", f"{whose}, do nothing to it"
        )
        changed, same = split(arrival.flow.weights, question, fresh=fresh)
        if changed:
            self._record(
                Verdict.UNKNOWN, arrival.state, Flow(changed, arrival.flow.trail), None,
                node=node, rewritten=arrival.rewritten,
                text=f"{whose}, may stop it or send it elsewhere",
            )  # fmt: skip
        return Flow(same, arrival.flow.trail)

    def _record_end(self, ended: Ended, arrival: _Arrival) -> None:
        verdict = {
            End.DROPPED: Verdict.DROPPED, End.REFUSED: Verdict.REFUSED,
            End.UNKNOWN: Verdict.UNKNOWN,
        }[ended.end]  # fmt: skip
        text = ended.text
        if unknown := self._made_for_want_of_endpoints(ended.step):
            verdict, text = Verdict.UNKNOWN, unknown
        self._record(
            verdict, ended.state, ended.flow, ended.step, node=arrival.stop.network.node.name,
            rewritten=arrival.rewritten or ended.state.snat is not False, text=text,
        )  # fmt: skip

    def _made_for_want_of_endpoints(self, step: Step | None) -> str:
        """What is not known, where a rule was made only because endpoints are not known.

        Rules that a node really has are what they are.
        """
        frontend = self._asked.frontend
        if step is None or frontend is None or self._cluster is None:
            return ""
        comment = comment_of(step.line)
        of_node = step.node == self._node.name and not self._stops.made
        local = comment.endswith("has no local endpoints")
        if of_node or not (local or comment.endswith("has no endpoints")):
            return ""
        reason = unknown_reason(frontend.service, self._cluster, local=local)
        return "" if reason is None else reason.text

    def _go_on(self, left: Left, arrival: _Arrival, packet: Packet) -> None:
        """Where a packet is that came through a node, and what follows."""
        state, network = left.state, arrival.stop.network
        translated = arrival.translated or state.dnat is not False
        rewritten = arrival.rewritten or state.snat is not False
        arrival = attrs.evolve(arrival, must_return=self._must_return(state, arrival))
        rule = deciding_step(left.flow)
        if left.exit is Exit.DELIVERED:
            known = self._services is not None and self._services.is_endpoint(
                str(state.destination), state.port, packet.protocol
            )
            verdict = delivered(
                state, rule, self._asked, known_endpoint=known, translated=translated
            )
            verdict, text = way_back(verdict, "", network.node.name, arrival.must_return)
            self._record(
                verdict, state, left.flow, rule, node=network.node.name,
                rewritten=rewritten, text=text,
            )  # fmt: skip
            return
        if translated and state.destination == packet.source:
            self._notes[needs_hairpin(state.destination)] = None
        place = network.place(state.destination)
        if place.site in (Site.OTHER_NODE, Site.POD_ELSEWHERE) and place.node:
            if self._cross(left, arrival, place, packet):
                return
            text = f"the rules of {place.node} are not known"
            self._assumptions[f"{place.node} lets the packet pass: its rules are not known"] = None
            verdict = Verdict.SENT_TO_NODE
            if translated and self._asked.misses(state.destination, state.port):
                verdict = Verdict.WRONG_ENDPOINT
        else:
            verdict, text = sent(state, place, self._asked, translated=translated)
        verdict, text = way_back(verdict, text, place.node, arrival.must_return)
        self._record(
            verdict, state, left.flow, rule, node=place.node,
            rewritten=rewritten, text=text,
        )  # fmt: skip

    def _must_return(self, state: State, arrival: _Arrival) -> tuple[str, ...]:
        """The nodes that an answer has to pass, this one included."""
        network = arrival.stop.network
        if state.dnat is False or state.snat is not False or arrival.from_node:
            return arrival.must_return
        source = arrival.state.source
        if isinstance(source, Somewhere):
            elsewhere = source.outside
        else:
            elsewhere = network.place(source).site in (
                Site.OTHER_NODE, Site.POD_ELSEWHERE, Site.OUTSIDE,
            )  # fmt: skip
        return (*arrival.must_return, network.node.name) if elsewhere else arrival.must_return

    def _cross(self, left: Left, arrival: _Arrival, place: Place, packet: Packet) -> bool:
        """Follow a packet to another node; False where that node cannot be followed."""
        state = left.state
        if len(arrival.visited) >= MOST_NODES:
            self._record(
                Verdict.UNKNOWN, state, left.flow, None, node=place.node,
                rewritten=state.snat is not False,
                text=f"it goes round: {' -> '.join((*arrival.visited, place.node))}",
            )  # fmt: skip
            return True
        stop = self._stops.named(place.node, state.destination, state.port, packet.protocol)
        if stop is None:
            return False
        source = state.source
        if isinstance(source, Somewhere):
            own = tuple(net(address) for address in sorted(stop.network.own))
            source = attrs.evolve(source, without=(*source.without, *own))
        interface = stop.network.route(source).interface
        fresh = State(source, state.source_port, state.destination, state.port, interface, "")
        self._follow(
            _Arrival(
                stop,
                fresh,
                left.flow,
                from_node=False,
                translated=arrival.translated or state.dnat is not False,
                rewritten=arrival.rewritten or state.snat is not False,
                must_return=arrival.must_return,
                visited=(*arrival.visited, place.node),
            ),
            packet,
        )
        return True

    def _record(
        self,
        verdict: Verdict,
        state: State,
        flow: Flow,
        step: Step | None,
        *,
        node: str,
        rewritten: bool,
        text: str = "",
    ) -> None:
        rule = (step.node, step.place, step.line) if step is not None else None
        key = (
            verdict, node, str(state.destination), state.port, str(state.source), rewritten, rule,
            text,
        )  # fmt: skip
        before = self._found.get(key)
        if before is not None:
            self._found[key] = (before[0], merged(before[1], flow.weights))
            return
        path = flow.trail.steps() if flow.trail is not None else ()
        outcome = Outcome(
            share=Fraction(0),
            verdict=verdict,
            destination=state.destination,
            port=state.port,
            source=state.source,
            source_rewritten=rewritten,
            node=node,
            rule=step,
            path=tuple(step for step in path if isinstance(step, Step)),
            text=text,
        )
        self._found[key] = (outcome, flow.weights)
