"""A node's rules as they would be with kube-proxy's put right, and rules cut down to Services."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import attrs

from nptables.iptables import Ruleset, Table
from nptables.iptables.changes import Plan
from nptables.iptables.changes.parts import TablePlan
from nptables.iptables.ruleset import chain_of
from nptables.translation import chains
from nptables.translation.explanation.grouping import service_of

_SHARED = (
    chains.SERVICES,
    chains.NODEPORTS,
    chains.EXTERNAL_SERVICES,
    chains.PROXY_FIREWALL,
)


def carried_out(plan: Plan) -> Ruleset:
    """The rules that a node has once a plan is carried out; those of others stay as they are."""
    tables = dict(plan.before.tables)
    for name, changes in plan.tables.items():
        tables[name] = _changed(tables.get(name, Table(name, {})), changes)
    return attrs.evolve(plan.before, tables=tables, comments=())


def _changed(table: Table, plan: TablePlan) -> Table:
    lines = dict(table.chains)
    for change in plan.changes.values():
        if change.after is None:
            lines.pop(change.chain, None)
        else:
            lines[change.chain] = change.after
    for chain, (_, after) in plan.cosmetic.items():
        lines[chain] = after
    for chain in plan.ensure:
        lines.setdefault(chain, ())
    for removed in plan.remove:
        chain = chain_of(removed)
        kept = list(lines[chain])
        kept.reverse()
        kept.remove(removed)
        kept.reverse()
        lines[chain] = tuple(kept)
    for insertion in plan.insert:
        chain = chain_of(insertion.line)
        there = list(lines.get(chain, ()))
        there.insert(insertion.position - 1, insertion.line)
        lines[chain] = tuple(there)
    return attrs.evolve(table, chains=lines, line_counters={}, order=())


def cut_down(ruleset: Ruleset, services: Collection[str]) -> Ruleset:
    """The rules without those in the shared chains that lead to other Services."""
    tables = {
        name: attrs.evolve(
            table, chains=_cut_down(table.chains, services), line_counters={}, order=()
        )
        for name, table in ruleset.tables.items()
    }
    return attrs.evolve(ruleset, tables=tables)


def _cut_down(
    lines: Mapping[str, tuple[str, ...]], services: Collection[str]
) -> dict[str, tuple[str, ...]]:
    found = dict(lines)
    for chain in _SHARED:
        if chain in found:
            found[chain] = tuple(_kept(found[chain], services))
    return found


def _kept(lines: tuple[str, ...], services: Collection[str]) -> Iterator[str]:
    for line in lines:
        service = service_of(line)
        if not service or service in services:
            yield line
