"""Findings about a node: what its tables and settings do to the rules for Services."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from nptables.checks import codes
from nptables.checks.finding import Code, Finding
from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.iptables.changes import Plan
from nptables.iptables.ruleset import BUILT_IN_CHAINS
from nptables.model import ProxyConfig
from nptables.translation.context import Context

_STOPS = (" -j DROP", " -j REJECT")
_MOST_LISTED = 3


@attrs.frozen
class NodeState:
    """What was seen on a node, for one family.

    `plan` is the difference to what the cluster says. `settings` are sysctls by their path
    below /proc/sys, such as `net/ipv4/ip_forward`, as text; one that could not be read is not
    there. `beside` are the tables of the node's other backend, which a packet passes as well.
    `other_rules` are sentences about rules besides the tables that the plan is about,
    `leftovers` what another mode of kube-proxy left, `kube_proxy` describes a running one.
    """

    node: str
    plan: Plan
    beside: Ruleset | None = None
    settings: Mapping[str, str] = attrs.field(factory=dict)
    other_rules: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()
    kube_proxy: str = ""


def check_node(state: NodeState, config: ProxyConfig, context: Context) -> list[Finding]:
    """Every finding about a node; `context` is that of the rules which the plan desires."""
    found = [
        *_tables(state.plan.before),
        *_foreign_stops(state.plan),
        *_beside(state.beside),
        *_differences(state.plan),
        *((codes.TWO_BACKENDS, text) for text in state.other_rules),
        *((codes.OTHER_MODE, text) for text in state.leftovers),
        *_settings(state.settings, context, config),
    ]
    if state.kube_proxy:
        found.append((codes.KUBE_PROXY_RUNS, state.kube_proxy))
    return [Finding(code, text, "Node", "", state.node) for code, text in dict.fromkeys(found)]


Found = tuple[Code, str]


def _tables(rules: Ruleset) -> Iterator[Found]:
    table = rules.tables.get("filter")
    if table is not None and table.policies.get("FORWARD") == "DROP":
        yield codes.FORWARD_DROPS, f"the {rules.family.value} policy of filter FORWARD is DROP"


def _foreign_stops(plan: Plan) -> Iterator[Found]:
    """Rules of others that drop or refuse, before the first of our jumps in their chain."""
    for table in plan.desired.tables.values():
        current = plan.before.tables.get(table.name)
        for chain in BUILT_IN_CHAINS.get(table.name, ()):
            ours = set(table.chains.get(chain, ()))
            lines = current.chains.get(chain, ()) if current is not None else ()
            first = next((i for i, line in enumerate(lines) if line in ours), len(lines))
            for line in lines[:first]:
                if line not in ours and any(stop in line for stop in _STOPS):
                    yield codes.FOREIGN_STOP, f"{table.name}: {line}"


def _beside(rules: Ruleset | None) -> Iterator[Found]:
    """What the tables of the other backend drop or refuse: nothing of ours can accept it."""
    if rules is None:
        return
    whose = f" in the {rules.backend} tables"
    yield from ((code, f"{text}{whose}") for code, text in _tables(rules))
    for table in rules.tables.values():
        for chain in BUILT_IN_CHAINS.get(table.name, ()):
            for line in table.chains.get(chain, ()):
                if any(stop in line for stop in _STOPS):
                    yield codes.FOREIGN_STOP, f"{table.name}: {line}{whose}"


def _differences(plan: Plan) -> Iterator[Found]:
    family = plan.family.value
    for name, table in plan.tables.items():
        for insertion in table.insert:
            yield codes.MISSING_JUMP, f"{family} {name} lacks: {insertion.line}"
        stale = [c.chain for c in table.changes.values() if c.kind == "delete"]
        if stale:
            yield codes.STALE_CHAIN, f"{family} {name} holds {_list(stale)}"
        other = [c.chain for c in table.changes.values() if c.kind != "delete"]
        if other:
            yield codes.DRIFT, f"{family} {name} differs in {_list(other)}"


def _settings(
    settings: Mapping[str, str], context: Context, config: ProxyConfig
) -> Iterator[Found]:
    ipv4 = context.family is Family.IPV4
    forwarding = "net/ipv4/ip_forward" if ipv4 else "net/ipv6/conf/all/forwarding"
    if settings.get(forwarding) == "0":
        yield codes.NOT_FORWARDING, f"{forwarding.replace('/', '.')} is 0"
    local = "net/ipv4/conf/all/route_localnet"
    if ipv4 and context.localhost_node_ports and settings.get(local) == "0":
        yield codes.NO_ROUTE_LOCALNET, "net.ipv4.conf.all.route_localnet is 0"
    if ipv4:
        yield from _strict_filters(settings)
    liberal = settings.get("net/netfilter/nf_conntrack_tcp_be_liberal")
    if liberal == "0" and not config.conntrack.tcp_be_liberal:
        yield codes.NOT_LIBERAL, "net.netfilter.nf_conntrack_tcp_be_liberal is 0"


def _strict_filters(settings: Mapping[str, str]) -> Iterator[Found]:
    """The stricter of `all` and the interface's own holds (Documentation/networking/ip-sysctl)."""
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
        yield codes.STRICT_RP_FILTER, f"rp_filter is 1 (strict) on {_list(strict)}"


def _list(names: list[str]) -> str:
    listed = ", ".join(names[:_MOST_LISTED])
    more = len(names) - _MOST_LISTED
    return f"{listed} and {more} more" if more > 0 else listed
