"""Findings about a node: what its tables and settings do to the rules for Services."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs

from nptables.checks import codes
from nptables.checks.connections import check_connections, has_unknown_endpoints
from nptables.checks.finding import Code, Finding, arranged
from nptables.checks.shared import wrong_in_shared_chains
from nptables.effects import Effects
from nptables.effects.words import summary
from nptables.evidence import Bridge, RecentList
from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.iptables.changes import Plan
from nptables.iptables.ruleset import BUILT_IN_CHAINS, target_of
from nptables.model import ProxyConfig
from nptables.model.addresses import network_contains
from nptables.translation import Translation
from nptables.translation.context import Context
from nptables.translation.fixed import TABLES_BEFORE_OURS
from nptables.translation.flows import Flow
from nptables.words import listed

_STOPS = ("DROP", "REJECT")
_MOST_LISTED = 3


@attrs.frozen
class NodeState:
    """What was seen on a node, for one family.

    `plan` is the difference to what the cluster says. `settings` are sysctls by their path
    below /proc/sys, such as `net/ipv4/ip_forward`, as text; one that could not be read is not
    there. `beside` are the tables of the node's other backend, which a packet passes as well.
    `other_rules` are sentences about rules besides the tables that the plan is about,
    `leftovers` what another mode of kube-proxy left, `kube_proxy` describes a running one.
    `flows` are UDP connections that the kernel remembers. `recent` are the lists of the `recent`
    match, each of which holds at most `recent_limit` addresses. `explanation` says what the
    difference comes from, where that is known, `behind` where and why the rules send packets
    elsewhere than the cluster says, and `noticed` what packets notice of the difference.
    `handled_elsewhere` says who handles Services instead of the rules of iptables, if somebody
    does: then those are not compared.
    """

    node: str
    plan: Plan
    beside: Ruleset | None = None
    settings: Mapping[str, str] = attrs.field(factory=dict)
    other_rules: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()
    kube_proxy: str = ""
    flows: tuple[Flow, ...] = ()
    explanation: str = ""
    noticed: Effects | None = None
    handled_elsewhere: str = ""
    behind: str = ""
    bridges: tuple[Bridge, ...] = ()
    recent: tuple[RecentList, ...] = ()
    recent_limit: int | None = None


def check_node(state: NodeState, config: ProxyConfig, context: Context) -> list[Finding]:
    """Every finding about a node; `context` is that of the rules which the plan desires."""
    plan = state.plan
    found = [
        *((codes.SHARED_CHAIN, text) for text in _wrong_in_shared_chains(plan, config)),
        *((codes.TWO_BACKENDS, text) for text in state.other_rules),
        *_settings(state.settings, context, config),
    ]
    if _serves(plan):
        found += [
            *_tables(plan.before),
            *_foreign_stops(plan),
            *_beside(state.beside),
            *_forwarding(state.settings, context.family),
            *_bridges(state.bridges, plan.desired),
            *_full_lists(state.recent, state.recent_limit, plan),
        ]
    if state.handled_elsewhere:
        found.append((codes.ANOTHER_PROXY, state.handled_elsewhere))
    else:
        found += [(codes.OTHER_MODE, text) for text in state.leftovers]
        found += _missing_jumps(plan)
        found += [] if _is_open(plan.desired) else _differences(state)
        found += [(codes.RULES_BEHIND, state.behind)] * bool(state.behind)
    if state.kube_proxy:
        found.append((codes.KUBE_PROXY_RUNS, state.kube_proxy))
    findings = [Finding(code, text, "Node", "", state.node) for code, text in found]
    if isinstance(plan.desired, Translation):
        findings += check_connections(state.flows, [plan.desired], state.node)
    return arranged(findings)


def _wrong_in_shared_chains(plan: Plan, config: ProxyConfig) -> list[str]:
    return wrong_in_shared_chains(plan.before, config.masquerade_mark)


def _serves(plan: Plan) -> bool:
    """Whether the cluster has Services of the family: without, forwarding it is nobody's need."""
    desired = plan.desired
    return not isinstance(desired, Translation) or bool(desired.ports)


def _is_open(desired: Ruleset) -> bool:
    """Whether not all endpoints are known, and so not what the rules should be."""
    return isinstance(desired, Translation) and has_unknown_endpoints(desired)


Found = tuple[Code, str]


def _tables(rules: Ruleset) -> Iterator[Found]:
    table = rules.tables.get("filter")
    if table is not None and table.policies.get("FORWARD") == "DROP":
        yield codes.FORWARD_DROPS, f"the {rules.family.value} policy of filter FORWARD is DROP"


def _foreign_stops(plan: Plan) -> Iterator[Found]:
    """Rules of others that drop or refuse, before the last of our jumps in their chain."""
    for table in dict.fromkeys((*plan.desired.tables, *TABLES_BEFORE_OURS)):
        for chain in BUILT_IN_CHAINS.get(table, ()):
            ours = set(plan.desired.lines(table, chain))
            lines = plan.before.lines(table, chain)
            # Behind the jumps it does not matter: the packet has been through our chains.
            jumps = [position for position, line in enumerate(lines) if line in ours]
            for line in lines[: jumps[-1] if jumps else len(lines)]:
                if line not in ours and target_of(line) in _STOPS:
                    yield codes.FOREIGN_STOP, f"{table}: {line}"


def _beside(rules: Ruleset | None) -> Iterator[Found]:
    """What the tables of the other backend drop or refuse: nothing of ours can accept it."""
    if rules is None:
        return
    whose = f" in the {rules.backend} tables"
    yield from ((code, f"{text}{whose}") for code, text in _tables(rules))
    for table in rules.tables.values():
        for chain in BUILT_IN_CHAINS.get(table.name, ()):
            for line in table.chains.get(chain, ()):
                if target_of(line) in _STOPS:
                    yield codes.FOREIGN_STOP, f"{table.name}: {line}{whose}"


def _missing_jumps(plan: Plan) -> Iterator[Found]:
    """Jumps that are not there while their chain is.

    A chain that is not there either was never made, such as by a kube-proxy that is older than
    those whose rules are known.
    """
    for name, table in plan.tables.items():
        there = plan.before.tables.get(name)
        for insertion in table.insert:
            if there is not None and target_of(insertion.line) in {*there.chains, *there.unread}:
                yield codes.MISSING_JUMP, f"{plan.family.value} {name} lacks: {insertion.line}"


def _differences(state: NodeState) -> Iterator[Found]:
    plan = state.plan
    family = plan.family.value
    noticed = "" if state.noticed is None else f": {summary(state.noticed)}"
    why = f"{noticed} ({state.explanation})" if state.explanation else noticed
    for name, table in plan.tables.items():
        stale = [c.chain for c in table.changes.values() if c.kind == "delete"]
        if stale:
            yield codes.STALE_CHAIN, f"{family} {name} holds {listed(stale, _MOST_LISTED)}{why}"
        other = [c.chain for c in table.changes.values() if c.kind != "delete"]
        other += [chain for chain in table.ensure if chain not in other]
        if other:
            yield codes.DRIFT, f"{family} {name} differs in {listed(other, _MOST_LISTED)}{why}"


def _forwarding(settings: Mapping[str, str], family: Family) -> Iterator[Found]:
    ipv4 = family is Family.IPV4
    forwarding = "net/ipv4/ip_forward" if ipv4 else "net/ipv6/conf/all/forwarding"
    if settings.get(forwarding) == "0":
        yield codes.NOT_FORWARDING, f"{forwarding.replace('/', '.')} is 0"


def _bridges(bridges: Sequence[Bridge], desired: Ruleset) -> Iterator[Found]:
    if not bridges or not isinstance(desired, Translation):
        return
    endpoints = {e.address for rules in desired.ports.values() for _, e in rules.selection.known}
    for bridge in bridges:
        pods = any(network_contains(n, address) for n in bridge.networks for address in endpoints)
        if pods and bridge.without_hairpin:
            ports = listed(bridge.without_hairpin, _MOST_LISTED)
            yield codes.NO_HAIRPIN, f"hairpin mode is off on {ports} of the bridge {bridge.name}"


def _full_lists(lists: Sequence[RecentList], limit: int | None, plan: Plan) -> Iterator[Found]:
    """Lists of our rules that can take no further client without forgetting another."""
    nat = plan.before.tables.get("nat")
    full = [found for found in lists if limit and found.size >= limit]
    # Chains of endpoints have the names of their lists; both families' lists stand together.
    ours = [found.name for found in full if nat is not None and found.name in nat.chains]
    if ours:
        holds = f"hold {limit} addresses and can hold no more"
        yield codes.AFFINITY_LIST_FULL, f"the lists {listed(ours, _MOST_LISTED)} {holds}"


def _settings(
    settings: Mapping[str, str], context: Context, config: ProxyConfig
) -> Iterator[Found]:
    ipv4 = context.family is Family.IPV4
    local = "net/ipv4/conf/all/route_localnet"
    if ipv4 and context.localhost_node_ports and settings.get(local) == "0":
        yield codes.NO_ROUTE_LOCALNET, "net.ipv4.conf.all.route_localnet is 0"
    if ipv4:
        yield from _strict_filters(settings)
    liberal = settings.get("net/netfilter/nf_conntrack_tcp_be_liberal")
    # With the setting in its configuration kube-proxy turns the sysctl on when it starts.
    if liberal == "0" and not config.conntrack.tcp_be_liberal:
        yield codes.NOT_LIBERAL, "net.netfilter.nf_conntrack_tcp_be_liberal is 0"


def _strict_filters(settings: Mapping[str, str]) -> Iterator[Found]:
    """The greater of `all` and the interface's own holds (Documentation/networking/ip-sysctl)."""
    prefix, suffix = "net/ipv4/conf/", "/rp_filter"
    every = settings.get(f"{prefix}all{suffix}", "0")
    strict = []
    for path, value in sorted(settings.items()):
        if not (path.startswith(prefix) and path.endswith(suffix)):
            continue
        interface = path[len(prefix) : -len(suffix)]
        if interface not in ("all", "default", "lo") and max(value, every) == "1":
            strict.append(interface)
    if strict:
        yield codes.STRICT_RP_FILTER, f"rp_filter is 1 (strict) on {listed(strict, _MOST_LISTED)}"
