"""The ruleset that results from a plan."""

from __future__ import annotations

import attrs

from nptables.iptables.changes.parts import Insertion
from nptables.iptables.changes.plan import Plan
from nptables.iptables.changes.steps import Step, steps_of
from nptables.iptables.ruleset import Ruleset, Table


def carried_out(plan: Plan) -> Ruleset:
    """The ruleset after the plan: foreign rules keep their text and their place.

    Counters and comment lines of the dump are left out.
    """
    tables = dict(plan.before.tables)
    for step in steps_of(plan):
        tables[step.table] = _after(step, tables.get(step.table))
    return attrs.evolve(plan.before, tables=tables, ownership=plan.ownership)


def _after(step: Step, table: Table | None) -> Table:
    chains = {} if table is None else dict(table.chains)
    policies = {} if table is None else dict(table.policies)
    chains |= step.fill
    for insertion in step.insert:
        # A table that iptables touches has all of its built-in chains.
        chain = insertion.line.split(" ", 2)[1]
        if chain not in chains:
            policies[chain] = "ACCEPT"
        _insert(chains, insertion)
    for line in step.remove:
        chain = line.split(" ", 2)[1]
        lines = list(chains.get(chain, ()))
        if line in lines:
            lines.remove(line)
        chains[chain] = tuple(lines)
    for insertion in step.reinsert:
        _insert(chains, insertion)
    for chain in step.delete:
        chains.pop(chain, None)
    return Table(step.table, chains, policies)


def _insert(chains: dict[str, tuple[str, ...]], insertion: Insertion) -> None:
    chain = insertion.line.split(" ", 2)[1]
    lines = list(chains.get(chain, ()))
    lines.insert(insertion.position - 1, insertion.line)
    chains[chain] = tuple(lines)
