"""Numbers about the rules of one family that follow changes at their cost.

What monitoring wants to know of all rules, and where UDP clients send to, is kept by service port
here, because asking the whole ruleset after every change would cost what the cluster does.
"""

from __future__ import annotations

from collections.abc import Mapping

from nptables.family import Family
from nptables.immutable import frozen
from nptables.incremental import Update
from nptables.iptables import Ruleset
from nptables.iptables.ruleset import Table
from nptables.model import Service
from nptables.translation.chains import ServicePortName
from nptables.translation.fixed import filter_chains, nat_chains, node_port_jumps
from nptables.translation.frontends import Frontend, udp_frontends
from nptables.translation.service_port import PortRules

Endpoints = frozenset[tuple[str, int]]


@frozen
class _Port:
    """What counts of one service port."""

    nat: int
    filter: int
    no_local_internal: bool
    no_local_external: bool
    udp: Mapping[Frontend, Endpoints]


class RuleCounts:
    """Counts rules by table, Services without local endpoints, and UDP frontends."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._ports: dict[ServicePortName, _Port] = {}
        self._fixed = {"nat": 0, "filter": 0}
        self._rules = {"nat": 0, "filter": 0}
        self._no_local = {"internal": 0, "external": 0}

    @property
    def rules(self) -> dict[str, int]:
        """How many rules our chains hold, by table."""
        return {table: count + self._fixed[table] for table, count in self._rules.items()}

    @property
    def no_local(self) -> dict[str, int]:
        """Service ports with a Local policy and endpoints, but none on this node, by policy."""
        return dict(self._no_local)

    def udp(self) -> dict[Frontend, Endpoints]:
        """All UDP frontends with their endpoints."""
        found: dict[Frontend, Endpoints] = {}
        for port in self._ports.values():
            _join(found, port.udp)
        return found

    def take(self, update: Update) -> tuple[dict[Frontend, Endpoints], dict[Frontend, Endpoints]]:
        """Count an update; returns the UDP frontends of its service ports before and after."""
        before: dict[Frontend, Endpoints] = {}
        after: dict[Frontend, Endpoints] = {}
        draft = update.draft
        # All old ones first: a port that only changes is in both lists, and is counted once.
        for name in draft.names:
            old = self._ports.pop(name, None)
            if old is not None:
                self._add(old, -1)
                _join(before, old.udp)
        for name, rules in draft.ports.items():
            new = self._counted(rules, draft.claims[name].service)
            self._ports[name] = new
            self._add(new, 1)
            _join(after, new.udp)
        self._fixed = {
            "nat": sum(map(len, nat_chains(draft.context).values()))
            + len(node_port_jumps(draft.context)),
            "filter": sum(map(len, filter_chains(draft.context).values())),
        }
        return before, after

    def _add(self, port: _Port, sign: int) -> None:
        self._rules["nat"] += sign * port.nat
        self._rules["filter"] += sign * port.filter
        self._no_local["internal"] += sign * port.no_local_internal
        self._no_local["external"] += sign * port.no_local_external

    def _counted(self, rules: PortRules, service: Service) -> _Port:
        selection = rules.selection
        # As syncProxyRules in kubernetes/pkg/proxy/iptables/proxier.go counts: only where there are
        # endpoints on other nodes.
        lacking = selection.usable_anywhere and not selection.local
        shared = {"nat": 0, "filter": 0}
        for (table, _), lines in rules.shared.items():
            shared[table] += len(lines)
        return _Port(
            shared["nat"] + sum(map(len, rules.chains.values())),
            shared["filter"],
            lacking and service.internal_policy_local,
            lacking and service.external_policy_local,
            self._udp_of(rules) if rules.name.protocol == "UDP" else {},
        )

    def _udp_of(self, rules: PortRules) -> dict[Frontend, Endpoints]:
        chains: dict[str, dict[str, tuple[str, ...]]] = {"nat": dict(rules.chains), "filter": {}}
        for (table, chain), lines in rules.shared.items():
            chains[table][chain] = lines
        tables = {table: Table(table, found) for table, found in chains.items()}
        return udp_frontends(Ruleset(self._family, tables))


def _join(into: dict[Frontend, Endpoints], more: Mapping[Frontend, Endpoints]) -> None:
    for frontend, endpoints in more.items():
        into[frontend] = into.get(frontend, frozenset()) | endpoints
