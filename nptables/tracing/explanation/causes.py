"""Why one outcome is not what the sender wants: what the rules on the way do.

A comment is what somebody wrote into a rule: it is quoted, and never stands for what the rule does.
"""

from __future__ import annotations

from collections.abc import Iterator

from nptables.errors import RuleSyntaxError
from nptables.family import Family
from nptables.iptables.rule import Rule
from nptables.model.addresses import is_loopback
from nptables.tracing.addressing import Address
from nptables.tracing.explanation.against_cluster import claimed
from nptables.tracing.explanation.case import Case, listed
from nptables.tracing.explanation.path import (
    comment_of,
    dropped_nowhere,
    is_redirect,
    marked_for,
    place_of,
)
from nptables.tracing.explanation.result import Outcome, Verdict
from nptables.tracing.packet import Packet
from nptables.tracing.services import NODE_PORT, Services
from nptables.tracing.state import Step
from nptables.tracing.traversal.unshown import NOT_ALL_SHOWN, UNKNOWN_TABLE
from nptables.translation import Decision, Reason, ServicePortName, chains
from nptables.translation.context import NO_NETWORKS, Context
from nptables.translation.explanation.decision import skip_reason
from nptables.translation.selection import balancer_ips

# The ports that Kubernetes gives out unless it is told otherwise (--service-node-port-range).
_USUAL = range(30000, 32768)
_CLOSE = 100
_NAMED = 3


def cause_of(outcome: Outcome, packet: Packet, case: Case) -> Iterator[Reason]:
    """Why an outcome does not arrive."""
    verdict = outcome.verdict
    if verdict in (Verdict.DROPPED, Verdict.REFUSED) and outcome.rule is not None:
        word = "DROP" if verdict is Verdict.DROPPED else "REJECT"
        yield _after(word, _ended_by_rule(outcome, outcome.rule, case))
    elif verdict in (Verdict.DROPPED, Verdict.REFUSED):
        yield Reason("no-route", outcome.text)
    elif verdict is Verdict.WRONG_ENDPOINT:
        yield _wrong_endpoint(outcome, case)
    elif verdict in (Verdict.NODE, Verdict.LEAVES):
        yield from _untranslated(outcome, packet, case)
    elif verdict is Verdict.ONE_WAY:
        reason = Reason(
            "one-way",
            f"{outcome.where} is reached, but {outcome.text}, which alone could "
            f"translate the answer back: the source should be masqueraded there",
        )
        yield _after("ONE-WAY", reason)
    elif outcome.text:
        yield Reason(outcome.code or verdict.value, outcome.text)


def _after(word: str, reason: Reason) -> Reason:
    """A reason behind the word for the verdict."""
    return Reason(reason.code, f"{word}: {reason.text}", reason.text)


def _ended_by_rule(outcome: Outcome, rule: Step, case: Case) -> Reason:
    if rule.note == "policy":
        return _policy(rule, case)
    # The rule that drops what is marked stands far from the one that knows why: see `marked_for`.
    marked = marked_for(outcome.path, rule, case.family)
    cause, mark = marked if marked is not None else (rule, "")
    reason = claimed(cause, outcome.path, outcome.source, case)
    if reason is not None:
        return reason
    if rule.chain == chains.FORWARD and "--ctstate INVALID" in rule.line:
        return Reason(
            "invalid-dropped",
            "connection tracking finds the packet invalid (conntrack.tcpBeLiberal is off)",
        )
    comment = comment_of(cause.line)
    if mark:
        said = f' (its comment: "{comment}")' if comment else ""
        return Reason(
            "rule",
            f"{place_of(cause)} gives the packet the mark {mark}{said}, and "
            f"{place_of(rule)} drops what has it",
        )
    if _asks_for_nothing(rule, case.family):
        return _every_packet(rule, comment)
    if rule.chain == chains.FIREWALL and " -d 127.0.0.0/8 " in rule.line:
        return Reason(
            "localnet-blocked",
            f"the packet is for a loopback address and does not come from one, which "
            f"{place_of(rule)} blocks",
        )
    said = f' (its comment: "{comment}")' if comment else ""
    code = "rule" if rule.chain.startswith("KUBE-") else "foreign-rule"
    return Reason(code, f"a rule of {place_of(rule)}{said}: {rule.line}")


def _policy(rule: Step, case: Case) -> Reason:
    text = f"no rule of {place_of(rule)} accepts the packet, and the chain's policy is DROP"
    at_home = rule.node == case.network.node.name
    # Docker sets the policy of FORWARD to DROP when it turns on forwarding.
    if at_home and rule.chain == "FORWARD" and case.has("filter", "DOCKER-USER"):
        text += (
            " (Docker sets it: accept the network of the Pods in chain DOCKER-USER, or "
            "`iptables -P FORWARD ACCEPT`)"
        )
    return Reason("policy-drop", text)


def _asks_for_nothing(rule: Step, family: Family) -> bool:
    """Whether a rule ends every packet that comes to it."""
    try:
        parsed = Rule.parse(rule.line, family)
    except RuleSyntaxError:
        return False
    if parsed.jump is not None:
        return False
    asked = (
        parsed.source, parsed.destination, parsed.in_interface, parsed.out_interface,
        parsed.protocol, parsed.fragment, *parsed.extra,
    )  # fmt: skip
    return not any(asked) and all(match.name == "comment" for match in parsed.matches)


def _every_packet(rule: Step, comment: str) -> Reason:
    text = f"{place_of(rule)} has a rule without conditions: it ends every packet"
    if comment:
        text += f', whatever its comment says ("{comment}")'
    if rule.chain == chains.FIREWALL:
        text += (
            # The kubelet's rule for KUBE-MARK-DROP: iptables 1.8.7 loses its match where 1.8.8 has
            # written it (kubernetes issue #112477).
            "; most likely a rule for packets with the mark 0x8000 that lost `-m mark --mark "
            "0x8000/0x8000`: it cuts the node off, delete it"
        )
    return Reason("every-packet", f"{text}: {rule.line}")


def _wrong_endpoint(outcome: Outcome, case: Case) -> Reason:
    name = case.frontend.name if case.frontend is not None else "the Service"
    has = f"it has {listed(case.asked.endpoints)}" if case.asked.endpoints else "it has none"
    rule, writer = outcome.rule, outcome.writer
    if rule is None:
        whose = "a rule sends it there"
    elif writer == "kube-proxy":
        whose = (
            f"{place_of(rule)} sends it there, which does not match the cluster: "
            f"{case.behind(rule.node)}"
        )
    else:
        who = f"a rule of {writer}" if writer else "a rule of another program"
        port = " for a hostPort" if writer == "CNI portmap" else ""
        whose = f"{who}{port} sends it there ({place_of(rule)})"
    return Reason(
        "wrong-endpoint",
        f"{outcome.where} gets it, which is not an endpoint of {name} ({has}): {whose}",
    )


def _untranslated(outcome: Outcome, packet: Packet, case: Case) -> Iterator[Reason]:
    refusing = dropped_nowhere(outcome.path)
    if _nat_is_unknown(outcome):
        text = f"without table nat it is unknown whether a rule translates {outcome.where}"
        yield Reason("nat-unknown", text)
    elif refusing is not None:
        yield _not_dropped(outcome, packet, refusing, case)
    elif outcome.verdict is Verdict.NODE:
        yield from _stays_on_node(outcome, packet, case)
    else:
        yield from _leaves(outcome, case)


def _nat_is_unknown(outcome: Outcome) -> bool:
    return any(
        step.table == "nat" and step.note in (UNKNOWN_TABLE, NOT_ALL_SHOWN) for step in outcome.path
    )


def _not_dropped(outcome: Outcome, packet: Packet, rule: Step, case: Case) -> Reason:
    """A packet that was marked to be dropped, and met no rule that does."""
    source: Address = outcome.source
    if outcome.source_rewritten:
        source = packet.source or "a client outside the cluster"
    what = "the node itself gets it" if outcome.verdict is Verdict.NODE else "it leaves unchanged"
    but = (
        f"; {place_of(rule)} marks it to be dropped, but no rule on its way drops what is marked: "
        f"{what}"
    )
    reason = claimed(rule, outcome.path, source, case)
    if reason is not None:
        return Reason(reason.code, f"refused: {reason.text}{but}")
    comment = comment_of(rule.line)
    said = f' (its comment: "{comment}")' if comment else ""
    return Reason("rule", f"refused{said}{but}")


def _stays_on_node(outcome: Outcome, packet: Packet, case: Case) -> Iterator[Reason]:
    where = f"{outcome.where} on {outcome.node}"
    frontend, decision = case.frontend, case.decision_on(outcome.node)
    if outcome.rule is not None and is_redirect(outcome.rule):
        who = (
            "no listener is known there"
            if frontend is None
            else f"what listens there is not an endpoint of {frontend.name}"
        )
        port = "" if outcome.port is None else f" to port {outcome.port}"
        whose = f" ({outcome.writer})" if outcome.writer else ""
        text = f"{place_of(outcome.rule)}{whose} redirects it{port} of {outcome.node} itself: {who}"
        yield Reason("redirected", text)
        return
    if frontend is None or decision is None:
        yield Reason("no-listener", f"no rule translates {where}: the node itself gets the packet")
        if case.services is not None and case.services.health_checked(
            outcome.port, packet.protocol
        ):
            text = "kube-proxy answers health checks on the addresses in nodePortAddresses alone"
            yield Reason("node-port-address", text)
        elif case.services is not None:
            yield from _no_node_port(outcome, packet, case.services)
        return
    context, name = decision.context, frontend.name
    if decision.skipped:
        yield _no_rules(name, skip_reason(decision.service, context.family), context.family)
    elif frontend.kind == NODE_PORT and (reason := _not_for_node_ports(outcome, context)):
        yield Reason("node-port-address", f"{where} is not a node port of {name} here: {reason}")
    elif frontend.kind == "externalIP" and not context.allow_external_ips:
        yield Reason("external-ips-off", f"{where}: external IPs are off (AllowServiceExternalIPs)")
    else:
        yield Reason("rules-missing", f"{where} is for {name}, but no rule there translates it")


def _no_node_port(outcome: Outcome, packet: Packet, services: Services) -> Iterator[Reason]:
    """That no Service has a node port, with those that come close, where it looks like one."""
    wanted = outcome.port
    if wanted is None:
        return
    known = sorted(services.node_ports(), key=lambda found: (abs(found[0] - wanted), found))
    if wanted not in _USUAL and not (known and abs(known[0][0] - wanted) <= _CLOSE):
        return
    near = ", ".join(f"{port}/{protocol} ({name})" for port, protocol, name in known[:_NAMED])
    # Somebody may have it in another protocol.
    taken = any(port == wanted for port, _, _ in known)
    said = f"{wanted}/{packet.protocol.upper()}" if taken else wanted
    yield Reason(
        "no-such-node-port",
        f"no Service of the cluster has node port {said}; "
        + (f"the nearest: {near}" if near else "none has a node port"),
    )


def _no_rules(name: ServicePortName, reason: Reason, family: Family) -> Reason:
    return Reason(reason.code, f"{name} has no {family.value} rules: {reason.words}")


def _not_for_node_ports(outcome: Outcome, context: Context) -> str:
    address = str(outcome.destination)
    if is_loopback(address) and not context.localhost_node_ports:
        if context.family is Family.IPV6:
            return "the kernel cannot serve node ports on ::1"
        return "node ports on 127.0.0.0/8 are off (iptables.localhostNodePorts, nodePortAddresses)"
    if not context.all_addresses and not context.names_node_port_address(address):
        networks = ", ".join(context.node_port_networks) or NO_NETWORKS
        return f"nodePortAddresses has only {networks}"
    return ""


def _leaves(outcome: Outcome, case: Case) -> Iterator[Reason]:
    node = case.network.node
    if any(address == outcome.destination for _, address in node.addresses):
        yield Reason(
            "address-not-here",
            f"{outcome.destination} is an address of Node {node.name}, but no interface of "
            f"{node.name} has it, so the node does not accept packets for it",
        )
        return
    frontend = case.frontend
    decision: Decision | None = case.decision_on(outcome.node)
    if frontend is None or decision is None:
        yield Reason(
            "untranslated",
            f"no rule on {outcome.rule.node if outcome.rule else 'the node'} translates "
            f"{outcome.where}: it leaves unchanged",
        )
        return
    context, name = decision.context, frontend.name
    proxied = frontend.kind == "load-balancer IP" and frontend.address not in balancer_ips(
        decision.service, context.family
    )
    if decision.skipped:
        yield _no_rules(name, skip_reason(decision.service, context.family), context.family)
    elif frontend.kind == "externalIP" and not context.allow_external_ips:
        yield Reason(
            "external-ips-off",
            f"external IPs of {name} have no rules: AllowServiceExternalIPs is off",
        )
    elif proxied:
        yield Reason(
            "ip-mode-proxy",
            f"{outcome.where} of {name} has ipMode Proxy: the load balancer itself takes it",
        )
    else:
        yield Reason(
            "rules-missing", f"{outcome.where} is for {name}, but no rule there translates it"
        )
