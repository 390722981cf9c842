"""The rules of some Services and what leads to them."""

from __future__ import annotations

import attrs

from nptables.iptables import Ruleset, Table
from nptables.translation import Translation


def narrowed_to(translation: Translation, *keys: tuple[str, str]) -> Ruleset:
    """The rules of the Services of those namespaces and names, and the rules around them.

    Kept are the lines that the Services made, the lines that lead packets to them, and the
    chains that they jump to: so that every jump still finds its target.
    """
    tables, wanted = {}, frozenset(keys)
    for name, table in translation.tables.items():
        own: set[str] = set()
        others: set[str] = set()
        for port, rules in translation.ports.items():
            lines = own if (port.namespace, port.name) in wanted else others
            for (shared_table, _), found in rules.shared.items():
                if shared_table == name:
                    lines.update(found)
            if name == "nat":
                for found in rules.chains.values():
                    lines.update(found)
        tables[name] = _narrowed(table, own, others - own)
    return Ruleset(translation.family, tables, ownership=translation.ownership)


def _narrowed(table: Table, own: set[str], others: set[str]) -> Table:
    fixed = {
        chain: [line for line in lines if line not in own and line not in others]
        for chain, lines in table.chains.items()
    }
    reached = {c for c, lines in table.chains.items() if any(line in own for line in lines)}
    chosen = own | _leading(fixed, reached)
    for target in {_target(line) for line in chosen} - reached:
        chosen.update(fixed.get(target, ()))
        reached.add(target)
    return attrs.evolve(
        table,
        chains={
            chain: tuple(line for line in lines if line in chosen)
            for chain, lines in table.chains.items()
            if chain in table.policies or chain in reached
        },
    )


def _leading(fixed: dict[str, list[str]], reached: set[str]) -> set[str]:
    """The fixed lines through which packets come to the chains in `reached`, which grows."""
    leading: set[str] = set()
    while True:
        found = {
            (chain, line)
            for chain, lines in fixed.items()
            for line in lines
            if line not in leading and _target(line) in reached
        }
        if not found:
            return leading
        leading.update(line for _, line in found)
        reached.update(chain for chain, _ in found)


def _target(line: str) -> str:
    """The word after the last `-j`, or an empty string."""
    return line.rpartition(" -j ")[2].partition(" ")[0] if " -j " in line else ""
