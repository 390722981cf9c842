"""Rules of others that take packets to Services before they come to kube-proxy's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import attrs

from nptables.auditing.effects import Ground, Noticed, effects_between
from nptables.auditing.sharing import Expected
from nptables.auditing.table_lines import TableLines
from nptables.auditing.tables import NodeTables
from nptables.auditing.verdicts import NodeCause
from nptables.checks import codes
from nptables.iptables import Ruleset
from nptables.iptables.ruleset import BUILT_IN_CHAINS, chain_of, target_of
from nptables.translation.fixed import JUMPS, TABLES_BEFORE_OURS

_STOPS = frozenset({"DROP", "REJECT", "DNAT", "REDIRECT"})
_PASSES = frozenset({"ACCEPT", "RETURN"})
_WORD = re.compile(r"[0-9a-f.:]*[0-9a-f]")


def foreign_rules(
    tables: NodeTables,
    index: int,
    rest: Mapping[str, TableLines] | None,
    expected: Expected,
    ground: Ground,
) -> Iterator[NodeCause]:
    """The rules in front without which packets to Services fare otherwise.

    `rest` are the tables without the chains of service ports, where these are as expected.
    """
    family = expected.shared.family
    for table, line in _in_front(tables, index, rest):
        current = tables.ruleset(index)
        noticed = _noticed(current, table, line, _likeliest_first(line, expected), ground)
        if noticed:
            text = f"{family.value} {table}: {line}"
            yield NodeCause(codes.FOREIGN_RULE, text, text, noticed.services, noticed.example)


def _in_front(
    tables: NodeTables, index: int, rest: Mapping[str, TableLines] | None
) -> list[tuple[str, str]]:
    """Lines of built-in chains that end a packet's way before the last jump of ours."""
    found = []
    for table in (*TABLES_BEFORE_OURS, *JUMPS):
        jumps = JUMPS.get(table, ())
        # In nat a packet that is accepted is translated no more; elsewhere it is only let through.
        stops = _STOPS | _PASSES if table == "nat" else _STOPS
        for chain in BUILT_IN_CHAINS[table]:
            if rest is not None:
                lines = rest[table].by_chain.get(chain, []) if table in rest else []
            else:
                lines = list(tables.ruleset(index).lines(table, chain))
            ours = [i for i, line in enumerate(lines) if line in jumps]
            # Where the jumps are gone, it is not a rule that stands before nothing.
            end = len(lines) if table in TABLES_BEFORE_OURS else ours[-1] if ours else 0
            found += [
                (table, line)
                for line in lines[:end]
                if line not in jumps and target_of(line) in stops
            ]
    return found


def _noticed(
    current: Ruleset, table: str, line: str, services: Sequence[str], ground: Ground
) -> Noticed:
    content = current.tables[table]
    lines = list(content.chains[chain_of(line)])
    # The first of equal lines: with another one left, packets notice nothing, which is true.
    lines.remove(line)
    without = attrs.evolve(
        content,
        chains={**content.chains, chain_of(line): tuple(lines)},
        line_counters={},
        order=(),
    )
    after = attrs.evolve(current, tables={**current.tables, table: without}, comments=())
    return effects_between(current, after, services, ground)


def _likeliest_first(line: str, expected: Expected) -> list[str]:
    """The Services, those first whose addresses or ports a rule names."""
    words = set(_WORD.findall(line))
    named: list[str] = []
    others: list[str] = []
    for key, service in expected.shared.cluster.services.items():
        ports = {str(n) for port in service.ports for n in (port.port, port.node_port)}
        addresses = {*service.cluster_ips.values(), *service.external_ips}
        mine = not words.isdisjoint(ports | addresses)
        (named if mine else others).append("/".join(key))
    return [*named, *others]
