"""Why a packet fares as it does, in the words of the cluster."""

from __future__ import annotations

from collections.abc import Iterator

from nptables.family import Family
from nptables.model import Cluster, ProxyConfig
from nptables.model.addresses import is_loopback, network_contains
from nptables.tracing.packet import Packet
from nptables.tracing.services import NODE_PORT, Frontend, Services
from nptables.tracing.surroundings.network import Network, Site
from nptables.tracing.telling.comments import comment_of
from nptables.tracing.telling.result import Outcome, Trace, Verdict
from nptables.tracing.walking.walker import UNKNOWN_TABLE, Step
from nptables.translation import Decision, Reason, chains
from nptables.translation.context import Context, make_context
from nptables.translation.explanation.decision import elsewhere, skip_reason
from nptables.translation.selection import balancer_ips

# Reasons of a decision that say why no endpoint can take traffic.
_WHY_NONE = (
    "no-slices", "no-slices-of-family", "port-mismatch", "no-addresses", "not-ready",
    "terminating-ignored",
)  # fmt: skip


def frontend_of(packet: Packet, services: Services | None, network: Network) -> Frontend | None:
    """The frontend that a packet is for, where the cluster has one."""
    if services is None:
        return None
    for frontend in services.at(packet.destination, packet.port, packet.protocol):
        if frontend.address:
            return frontend
        site = network.place(packet.destination).site
        if site in (Site.HERE, Site.OTHER_NODE) or network.is_loopback(packet.destination):
            return frontend
    return None


def subject_of(packet: Packet, services: Services | None, network: Network) -> str:
    """The service port that a packet is for, as text, or an empty string."""
    frontend = frontend_of(packet, services, network)
    return "" if frontend is None else str(frontend.name)


def explain(
    answer: Trace,
    cluster: Cluster | None,
    services: Services | None,
    network: Network,
    config: ProxyConfig,
    family: Family,
) -> tuple[Reason, ...]:
    """The reasons for an answer, the most telling first, none of them twice."""
    frontend = frontend_of(answer.packet, services, network)
    found: dict[str, Reason] = {}
    outcomes = [outcome for d in answer.distributions for outcome in d.outcomes]
    for outcome in outcomes:
        if not outcome.arrives:
            decision = None
            if frontend is not None and cluster is not None:
                decision = _decision(frontend, cluster, outcome.node, network, config, family)
            for reason in _headline(outcome, frontend, decision, network):
                if reason.code != "one-way" or "one-way" not in {r.code for r in found.values()}:
                    found.setdefault(reason.text, reason)
    if frontend is not None and cluster is not None:
        decision = _decision(frontend, cluster, network.node.name, network, config, family)
        said = {reason.code for reason in found.values()}
        reasons = (r for r in decision.reasons if _is_news(r, frontend, said))
        for reason in (*reasons, *_left_out(frontend, cluster), *_unknown_nodes(decision)):
            found.setdefault(reason.text, reason)
    return tuple(found.values())


def _is_news(reason: Reason, frontend: Frontend, said: set[str]) -> bool:
    """Whether a reason is about this frontend, and not what a headline has said already."""
    other = "external-" if frontend.kind == "clusterIP" else "internal-"
    if reason.code.startswith(other):
        return reason.code == "external-ips-off"
    if reason.code.endswith("-local-none"):
        return "no-local-endpoint" not in said
    return reason.code not in (*_WHY_NONE, "no-endpoints") or "no-endpoint" not in said


def _decision(
    frontend: Frontend,
    cluster: Cluster,
    node_name: str,
    network: Network,
    config: ProxyConfig,
    family: Family,
) -> Decision:
    node = network.node
    if node_name and node_name != node.name and node_name in cluster.nodes:
        node = cluster.nodes[node_name]
    return frontend.decision(cluster, make_context(node, config, family))


def _headline(
    outcome: Outcome,
    frontend: Frontend | None,
    decision: Decision | None,
    network: Network,
) -> Iterator[Reason]:
    """Why one outcome is not what the sender wants."""
    if outcome.verdict in (Verdict.DROPPED, Verdict.REFUSED) and outcome.rule is not None:
        yield _ended_by_rule(outcome, outcome.rule, decision)
    elif outcome.verdict in (Verdict.DROPPED, Verdict.REFUSED):
        yield Reason("no-route", outcome.text)
    elif outcome.verdict in (Verdict.NODE, Verdict.LEAVES) and _nat_is_unknown(outcome):
        text = f"whether a rule translates {outcome.where} is open without table nat"
        yield Reason("nat-unknown", text)
    elif outcome.verdict is Verdict.NODE:
        yield from _stays_on_node(outcome, frontend, decision)
    elif outcome.verdict is Verdict.LEAVES:
        yield from _leaves(outcome, frontend, decision, network)
    elif outcome.verdict is Verdict.ONE_WAY:
        yield Reason(
            "one-way",
            f"ONE-WAY: {outcome.where} is reached, but {outcome.text}, which alone could "
            f"translate the answer back: the source should be masqueraded there",
        )
    elif outcome.text:
        yield Reason(outcome.verdict.value, outcome.text)


def _nat_is_unknown(outcome: Outcome) -> bool:
    return any(step.table == "nat" and step.note == UNKNOWN_TABLE for step in outcome.path)


def _ended_by_rule(outcome: Outcome, rule: Step, decision: Decision | None) -> Reason:
    word = "DROP" if outcome.verdict is Verdict.DROPPED else "REJECT"
    comment = comment_of(rule.line)
    where = f"{rule.table} {rule.chain} on {rule.node}"
    if rule.note == "policy":
        return Reason(
            "policy-drop",
            f"{word}: no rule of {where} accepts the packet, and the chain's policy is DROP",
        )
    if rule.chain == chains.FORWARD and "--ctstate INVALID" in rule.line:
        return Reason(
            "invalid-dropped",
            f"{word}: connection tracking finds the packet invalid (conntrack.tcpBeLiberal is off)",
        )
    if rule.chain == chains.FIREWALL:
        return Reason("localnet-blocked", f"{word}: {comment or 'KUBE-FIREWALL blocks it'}")
    if decision is not None and decision.port is not None:
        reason = _ended_by_service(word, rule, comment, outcome, decision)
        if reason is not None:
            return reason
    if rule.chain.startswith("KUBE-") and comment:
        return Reason("rule", f"{word}: {comment} ({where})")
    said = f' ("{comment}")' if comment else ""
    return Reason("foreign-rule", f"{word}: a rule of {where}{said}: {rule.line}")


def _ended_by_service(
    word: str, rule: Step, comment: str, outcome: Outcome, decision: Decision
) -> Reason | None:
    service, context = decision.service, decision.context
    name = f"{service.namespace}/{service.name}"
    if rule.chain == chains.PROXY_FIREWALL:
        ranges = ", ".join(service.load_balancer_source_ranges)
        return Reason(
            "source-range",
            f"{word}: {name} has loadBalancerSourceRanges {ranges}, and {outcome.source} is in "
            f"none of them",
        )
    if "has no local endpoints" in comment:
        internal = rule.chain == chains.SERVICES
        field = "internalTrafficPolicy" if internal else "externalTrafficPolicy"
        return Reason(
            "no-local-endpoint",
            f"{word}: {name} has {field} Local and "
            f"{elsewhere(decision.selection, context.node_name)}",
        )
    if "has no endpoints" in comment:
        whys = [reason.text for reason in decision.reasons if reason.code in _WHY_NONE]
        why = f": {'; '.join(whys)}" if whys else ""
        return Reason("no-endpoint", f"{word}: {name} has no endpoint that can take traffic{why}")
    return None


def _stays_on_node(
    outcome: Outcome, frontend: Frontend | None, decision: Decision | None
) -> Iterator[Reason]:
    where = f"{outcome.where} on {outcome.node}"
    if frontend is None or decision is None:
        yield Reason("no-listener", f"no rule translates {where}: the node itself gets the packet")
        return
    context, name = decision.context, frontend.name
    if decision.skipped:
        yield skip_reason(decision.service, context.family)
    elif frontend.kind == NODE_PORT and (reason := _not_for_node_ports(outcome, context)):
        yield Reason("node-port-address", f"{where} is no node port of {name} here: {reason}")
    elif frontend.kind == "externalIP" and not context.allow_external_ips:
        yield Reason("external-ips-off", f"{where}: external IPs are off (AllowServiceExternalIPs)")
    else:
        yield Reason("rules-missing", f"{where} is for {name}, but no rule there translates it")


def _not_for_node_ports(outcome: Outcome, context: Context) -> str:
    address = str(outcome.destination)
    if is_loopback(address) and not context.localhost_node_ports:
        if context.family is Family.IPV6:
            return "the kernel cannot serve node ports on ::1"
        return "node ports on 127.0.0.0/8 are off (iptables.localhostNodePorts, nodePortAddresses)"
    networks = context.node_port_networks
    if not context.all_addresses and not any(network_contains(n, address) for n in networks):
        return f"nodePortAddresses has only {', '.join(networks)}"
    return ""


def _leaves(
    outcome: Outcome, frontend: Frontend | None, decision: Decision | None, network: Network
) -> Iterator[Reason]:
    node = network.node
    if any(address == outcome.destination for _, address in node.addresses):
        yield Reason(
            "address-not-here",
            f"{outcome.destination} is an address of Node {node.name}, but no interface of "
            f"{node.name} has it: the node does not take it for its own",
        )
        return
    if frontend is None or decision is None:
        yield Reason(
            "untranslated",
            f"no rule on {outcome.rule.node if outcome.rule else 'the node'} translates "
            f"{outcome.where}: it leaves as it is",
        )
        return
    context, name = decision.context, frontend.name
    proxied = frontend.kind == "load-balancer IP" and frontend.address not in balancer_ips(
        decision.service, context.family
    )
    if decision.skipped:
        yield skip_reason(decision.service, context.family)
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


def _left_out(frontend: Frontend, cluster: Cluster) -> Iterator[Reason]:
    """Problems of a lenient reading with the Service or one of its slices."""
    service = frontend.service
    slices = {s.metadata.name for s in cluster.slices_of(service)}
    for problem in cluster.problems:
        if problem.namespace != service.namespace:
            continue
        if problem.name == service.name or problem.name in slices:
            yield Reason("left-out", f"left out: {problem}")


def _unknown_nodes(decision: Decision) -> Iterator[Reason]:
    """Node names that endpoints carry and no Node has."""
    nodes = decision.cluster.nodes
    carried = {e.node_name for _, e in decision.selection.known if e.node_name}
    unknown = sorted(carried - set(nodes)) if nodes else []
    if unknown:
        listed = ", ".join(unknown[:8])
        yield Reason(
            "node-name-unknown",
            f"its endpoints name nodes that are not there: {listed} "
            f"(there are {', '.join(sorted(nodes)[:8])})",
        )
