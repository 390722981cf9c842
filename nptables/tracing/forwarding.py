"""A packet on its way from node to node: from where it enters the first to where it ends."""

from __future__ import annotations

import attrs

from nptables.family import Family
from nptables.immutable import frozen
from nptables.model import Cluster
from nptables.tracing.addressing import Address, Somewhere, net
from nptables.tracing.explanation.path import comment_of
from nptables.tracing.explanation.result import Verdict
from nptables.tracing.hops import Hop, Hops
from nptables.tracing.network import Place, Site
from nptables.tracing.outcomes import (
    Findings,
    deciding_step,
    delivered,
    needs_hairpin,
    sent,
    way_back,
)
from nptables.tracing.packet import Packet
from nptables.tracing.services import Asked
from nptables.tracing.sets import Sets
from nptables.tracing.state import End, Ended, Flow, Questions, State, Step, split
from nptables.tracing.traversal.netfilter import Exit, Left, NodeTraversal, PacketView
from nptables.tracing.traversal.walker import Budget
from nptables.translation.explanation.decision import unknown_reason

# A packet that passes more nodes than this goes round in circles.
MOST_NODES = 6


@frozen
class Arrival:
    """A packet on its way into a node, with what happened to it before.

    `asked` is what it asks for. `must_return` names the nodes that translated the destination and
    left a source that is not theirs: an answer that does not pass them again is not recognised by
    the sender.
    """

    hop: Hop
    state: State
    flow: Flow
    asked: Asked
    from_node: bool
    visited: tuple[str, ...]
    translated: bool = False
    rewritten: bool = False
    must_return: tuple[str, ...] = ()


class Forwarding:
    """Follows a packet through as many nodes as it takes.

    `findings` collects where it ended, `notes` and `assumptions` what has to be said about that.
    """

    def __init__(
        self, hops: Hops, cluster: Cluster | None, sets: Sets, questions: Questions
    ) -> None:
        self._hops = hops
        self._cluster = cluster
        self._sets = sets
        self._questions = questions
        self._budget = Budget()
        self.findings = Findings()
        self._record = self.findings.record
        self.notes: dict[str, None] = {}
        self.assumptions: dict[str, None] = {}

    def follow(self, arrival: Arrival, packet: Packet) -> None:
        """Record everything that can happen to a packet from where it enters a node on."""
        if arrival.hop.supposed:
            name = arrival.hop.network.node.name
            self.assumptions[
                f"{name} has the rules that the cluster makes for it, and nothing else there stops "
                f"the packet or its answer"
            ] = None
        view = PacketView(
            network=arrival.hop.network,
            books=arrival.hop.books,
            packet=packet,
            original=arrival.state,
            from_node=arrival.from_node,
            sets=self._sets,
            unknown_tables=arrival.hop.unknown_tables,
        )
        traversal = NodeTraversal(view, self._questions, self._budget)
        flow = self._unless_unread(arrival)
        if arrival.from_node:
            traversal.leave(flow)
        else:
            traversal.arrive(flow)
        self.notes.update(dict.fromkeys(arrival.hop.other_proxies.notes))
        for ended in traversal.ended:
            if not self._left_to_others(ended.state, ended.flow, arrival, end=ended.end):
                self._record_end(ended, arrival)
        for left in traversal.left:
            if not self._left_to_others(left.state, left.flow, arrival):
                self._go_on(left, arrival, packet)

    def _left_to_others(
        self, state: State, flow: Flow, arrival: Arrival, *, end: End | None = None
    ) -> bool:
        """Whether others than the rules of this node decide about a packet; then it is recorded."""
        of_service = arrival.asked.frontend is not None
        if arrival.translated or not (of_service or self._may_be_a_service(arrival)):
            return False
        text = arrival.hop.other_proxies.text(
            translated=state.dnat is not False,
            ended=end in (End.DROPPED, End.REFUSED),
            of_service=of_service,
        )
        if text:
            self._record(
                Verdict.UNKNOWN, arrival.state, flow, None, node=arrival.hop.network.node.name,
                rewritten=arrival.rewritten, text=text, code="handled-elsewhere",
            )  # fmt: skip
        return bool(text)

    def _may_be_a_service(self, arrival: Arrival) -> bool:
        """Whether there may be a Service at the destination of a packet."""
        if self._cluster is not None:
            return False
        site = arrival.hop.network.place(arrival.state.destination).site
        return site not in (Site.POD_HERE, Site.POD_ELSEWHERE, Site.OTHER_NODE)

    def _unless_unread(self, arrival: Arrival) -> Flow:
        """The possibilities in which unread tables leave the packet as it is."""
        unread, node = arrival.hop.unread, arrival.hop.network.node.name
        if not unread:
            return arrival.flow
        program = "iptables" if self._hops.home.network.family is Family.IPV4 else "ip6tables"
        whose = f"the {unread} tables of {node}, which are not followed"
        self.notes[
            f"{node} has {unread} tables too, and they were not read: {program}-{unread}-save "
            "prints them; put that dump after this one"
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

    def _record_end(self, ended: Ended, arrival: Arrival) -> None:
        verdict = {
            End.DROPPED: Verdict.DROPPED, End.REFUSED: Verdict.REFUSED,
            End.UNKNOWN: Verdict.UNKNOWN,
        }[ended.end]  # fmt: skip
        text = ended.text
        if unknown := self._made_for_want_of_endpoints(ended.step, arrival.asked):
            verdict, text = Verdict.UNKNOWN, unknown
        self._record(
            verdict, ended.state, ended.flow, ended.step, node=arrival.hop.network.node.name,
            rewritten=arrival.rewritten or ended.state.snat is not False, text=text,
        )  # fmt: skip

    def _made_for_want_of_endpoints(self, step: Step | None, asked: Asked) -> str:
        """What is not known, where a rule was made only because endpoints are not known.

        Rules that a node really has are what they are.
        """
        frontend = asked.frontend
        if step is None or frontend is None or self._cluster is None:
            return ""
        comment = comment_of(step.line)
        of_node = step.node == self._hops.home.network.node.name and not self._hops.made
        local = comment.endswith("has no local endpoints")
        if of_node or not (local or comment.endswith("has no endpoints")):
            return ""
        reason = unknown_reason(frontend.service, self._cluster, local=local)
        return "" if reason is None else reason.text

    def _go_on(self, left: Left, arrival: Arrival, packet: Packet) -> None:
        """Where a packet is that came through a node, and what follows."""
        state, network = left.state, arrival.hop.network
        translated = arrival.translated or state.dnat is not False
        rewritten = arrival.rewritten or state.snat is not False
        arrival = attrs.evolve(arrival, must_return=self._must_return(state, arrival))
        rule = deciding_step(left.flow)
        if left.exit is Exit.DELIVERED:
            known = self._hops.services is not None and (
                self._hops.services.is_endpoint(str(state.destination), state.port, packet.protocol)
                or self._hops.answers_health_checks(
                    network.node, state.destination, state.port, packet.protocol
                )
            )
            verdict = delivered(
                state, rule, arrival.asked, known_endpoint=known, translated=translated
            )
            verdict, text = way_back(verdict, "", network.node.name, arrival.must_return)
            self._record(
                verdict, state, left.flow, rule, node=network.node.name,
                rewritten=rewritten, text=text,
            )  # fmt: skip
            return
        if translated and state.destination == packet.source:
            self.notes[needs_hairpin(state.destination)] = None
        place = network.place(state.destination)
        if place.site in (Site.OTHER_NODE, Site.POD_ELSEWHERE) and place.node:
            if self._cross(left, arrival, place, packet):
                return
            text = f"the rules of {place.node} are not known"
            self.assumptions[f"{place.node} lets the packet pass: its rules are not known"] = None
            verdict = Verdict.SENT_TO_NODE
            if translated and arrival.asked.misses(state.destination, state.port):
                verdict = Verdict.WRONG_ENDPOINT
        else:
            verdict, text = sent(state, place, arrival.asked, translated=translated)
            if verdict is Verdict.POD and not self._is_known(state.destination):
                self.notes[
                    f"no Pod and no endpoint in the input has the address {state.destination}: "
                    f"that one on {place.node} has it is assumed"
                ] = None
        verdict, text = way_back(verdict, text, place.node, arrival.must_return)
        self._record(
            verdict, state, left.flow, rule, node=place.node,
            rewritten=rewritten, text=text,
        )  # fmt: skip

    def _is_known(self, address: Address) -> bool:
        """Whether the cluster has somebody at an address; where none is given, nobody can tell."""
        if self._cluster is None:
            return True
        slices, pods = self._cluster.slices.values(), self._cluster.pods.values()
        return any(address == e.address for s in slices for e in s.endpoints) or any(
            address in pod.addresses for pod in pods
        )

    def _must_return(self, state: State, arrival: Arrival) -> tuple[str, ...]:
        """The nodes that an answer has to pass, this one included."""
        network = arrival.hop.network
        # An answer finds the way back by itself if nothing was translated, if it goes to the node's
        # own address after masquerading, or if the node itself asked.
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

    def _cross(self, left: Left, arrival: Arrival, place: Place, packet: Packet) -> bool:
        """Follow a packet to another node; False where that node cannot be followed."""
        state = left.state
        if len(arrival.visited) >= MOST_NODES:
            self._record(
                Verdict.UNKNOWN, state, left.flow, None, node=place.node,
                rewritten=state.snat is not False,
                text=f"it goes in a loop: {' -> '.join((*arrival.visited, place.node))}",
            )  # fmt: skip
            return True
        hop = self._hops.named(place.node, state.destination, state.port, packet.protocol)
        if hop is None:
            return False
        source = state.source
        if isinstance(source, Somewhere):
            own = tuple(net(address) for address in sorted(hop.network.own))
            source = attrs.evolve(source, without=(*source.without, *own))
        # By the reverse of the route, as rp_filter wants it. The mark, what was tracked and what
        # nat did stay on the node before: only addresses and ports cross the wire.
        interface = hop.network.route(source).interface
        fresh = State(source, state.source_port, state.destination, state.port, interface, "")
        self.follow(
            Arrival(
                hop,
                fresh,
                left.flow,
                arrival.asked,
                from_node=False,
                translated=arrival.translated or state.dnat is not False,
                rewritten=arrival.rewritten or state.snat is not False,
                must_return=arrival.must_return,
                visited=(*arrival.visited, place.node),
            ),
            packet,
        )
        return True
