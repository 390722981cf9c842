"""The save text with the reasons for each Service's rules above them."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from nptables.errors import printable
from nptables.iptables import Ruleset, Table
from nptables.translation import Decision, ServicePortName, Translation


def explained(ruleset: Ruleset, translation: Translation, *keys: tuple[str, str]) -> Ruleset:
    """`ruleset` (all of a translation, or the part of the Services `keys`) with reasons.

    Reasons are comment lines. The chains of each service port stand together, and above the
    first of its rules in each table stand the reasons. Services without rules come first.
    """
    decisions = {d.name: d for d in translation.decisions if d.name is not None}
    owners = _owners(translation)
    comments: list[tuple[int, str]] = []
    for decision in translation.decisions:
        if decision.skipped and (not keys or decision.service.key in keys):
            comments.extend(_comment(len(comments), decision))
    tables = {name: _grouped(table, translation) for name, table in ruleset.tables.items()}
    index = len(comments)
    for name, table in tables.items():
        said: set[ServicePortName] = set()
        for line in table.save_lines():
            owner = owners.get((name, line))
            if owner is not None and owner not in said:
                said.add(owner)
                for comment in _comment(index, decisions[owner]):
                    comments.append(comment)
                    index += 1
            index += 1
    return attrs.evolve(Ruleset(ruleset.family, tables), comments=tuple(comments))


def _owners(translation: Translation) -> dict[tuple[str, str], ServicePortName]:
    owners: dict[tuple[str, str], ServicePortName] = {}
    for name, rules in translation.ports.items():
        for (table, _), lines in rules.shared.items():
            for line in lines:
                owners.setdefault((table, line), name)
        for lines in rules.chains.values():
            for line in lines:
                owners["nat", line] = name
    return owners


def _grouped(table: Table, translation: Translation) -> Table:
    """The table with the chains of each service port together, after all others."""
    ours: dict[str, ServicePortName] = {}
    if table.name == "nat":
        ours = {chain: name for name, r in translation.ports.items() for chain in r.chains}
    fixed = [chain for chain in table.chains if chain not in ours]
    grouped = sorted((c for c in table.chains if c in ours), key=lambda c: (ours[c], _kind(c), c))
    return attrs.evolve(table, chains={chain: table.chains[chain] for chain in fixed + grouped})


def _kind(chain: str) -> int:
    """Sorts the chains of a service port in the order in which packets walk them."""
    return ("KUBE-FW-", "KUBE-EXT-", "KUBE-SVC-", "KUBE-SVL-", "KUBE-SEP-").index(
        chain.rpartition("-")[0] + "-"
    )


def _comment(index: int, decision: Decision) -> Iterable[tuple[int, str]]:
    port = decision.port
    title = f"{decision.subject} ({port.protocol})" if port is not None else decision.subject
    for offset, text in enumerate((title, *(f"  {reason}" for reason in decision.reasons))):
        yield index + offset, f"# {printable(text, 1000)}"
