"""Noticing flushed tables and missing jumps without reading the tables.

kube-proxy puts an empty chain into nat, filter and mangle and looks whether it is still there.
`iptables -F` leaves such a chain standing, so ours holds a rule, and the rule is what counts.
Source: Monitor in kubernetes/pkg/util/iptables/iptables.go.
Beside it the jumps in the built-in chains are looked at, since one line can be deleted alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from nptables.iptables import Ownership
from nptables.iptables.changes import Step
from nptables.iptables.ruleset import Ruleset, chain_of
from nptables.iptables.spelling import normal_form
from nptables.kernel.tables.backend import Backend
from nptables.kernel.tables.parts import listed_chain
from nptables.kernel.tables.restoring import RestoreBackend
from nptables.translation.chains import CANARY

# Those that kube-proxy watches (NewProxier in kubernetes/pkg/proxy/iptables/proxier.go): each table
# is flushed by itself.
TABLES = ("mangle", "nat", "filter")
CANARY_LINE = f'-A {CANARY} -m comment --comment "removed together with the rules of this table"'
# By table: the canary chain, which nothing leads to.
CANARIES = {table: {CANARY: (CANARY_LINE,)} for table in TABLES}


def plant_canaries(backend: Backend) -> None:
    """Put the canary chain with its rule into every table. Raises KernelRefused or KernelBusy."""
    backend.commit([Step(table, "canaries", chains) for table, chains in CANARIES.items()])


def missing_rules(backend: Backend, ownership: Ownership) -> tuple[str, ...]:
    """What is gone of the canaries and the jumps, as `nat: -A ...`; empty while all are there.

    Raises BackendUnavailable or KernelBusy.
    """
    wanted = _wanted(ownership)
    found = _listed(backend, wanted, ownership)
    family = backend.family
    missing = []
    for (table, chain), lines in wanted.items():
        there = {normal_form(line, family) for line in found[table, chain]}
        missing += [f"{table}: {line}" for line in lines if normal_form(line, family) not in there]
    return tuple(missing)


def _wanted(ownership: Ownership) -> dict[tuple[str, str], list[str]]:
    wanted: dict[tuple[str, str], list[str]] = {(table, CANARY): [CANARY_LINE] for table in TABLES}
    for table, lines in ownership.jumps.items():
        for line in lines:
            wanted.setdefault((table, chain_of(line)), []).append(line)
    return wanted


def _listed(
    backend: Backend, wanted: Mapping[tuple[str, str], list[str]], ownership: Ownership
) -> dict[tuple[str, str], tuple[str, ...]]:
    if isinstance(backend, RestoreBackend):
        return {place: listed_chain(backend, *place, ownership) for place in wanted}
    ruleset: Ruleset = backend.read()
    return {(table, chain): ruleset.lines(table, chain) for table, chain in wanted}


def has_canaries(ruleset: Ruleset) -> bool:
    """Whether every canary of ours was there when the tables were read."""
    return all(ruleset.lines(table, CANARY) == (CANARY_LINE,) for table in TABLES)
