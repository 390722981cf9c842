"""Whether the text of a node's tables holds the expected rules, without parsing a rule.

"Yes" is exact: nothing of kube-proxy's is missing, too much, or in an order that counts. "No" only
says that somebody has to look closer: another spelling is enough for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import attrs

from nptables.auditing.sharing import Expected, Shared
from nptables.iptables.changes.likeness import in_order
from nptables.iptables.ownership import Ownership
from nptables.translation import chains
from nptables.translation.fixed import filter_chains, nat_chains
from nptables.translation.owned import ownership
from nptables.translation.service_port import PortRules

_OURS = "-A KUBE-"
_HASHED = tuple(
    f"-A {prefix}"
    for prefix in (
        chains.ENDPOINT_PREFIX,
        chains.SERVICE_PREFIX,
        chains.LOCAL_PREFIX,
        chains.EXTERNAL_PREFIX,
        chains.SOURCE_RANGES_PREFIX,
    )
)


@attrs.frozen(slots=False)
class TableLines:
    """The lines of one table: its rules without counters, and the names of its chains."""

    rules: list[str]
    names: frozenset[str]

    @cached_property
    def places(self) -> dict[str, int]:
        """Where each rule stands; of equal ones the last."""
        return dict(zip(self.rules, range(len(self.rules)), strict=True))

    @cached_property
    def following(self) -> list[str]:
        """For each rule the one behind it."""
        return [*self.rules[1:], ""]

    def holds(self, lines: Sequence[str]) -> bool:
        """Whether some lines stand here one behind the other."""
        if len(lines) == 1:
            return lines[0] in self.places
        if not lines:
            return True
        place = self.places.get(lines[0], -1)
        return place >= 0 and self.rules[place : place + len(lines)] == list(lines)

    def of_chain(self, chain: str) -> list[str]:
        """The rules of a chain that is not named after a hash."""
        start = f"-A {chain} "
        return [rule for rule in self.unhashed if rule.startswith(start)]

    @cached_property
    def others(self) -> list[str]:
        """The rules in chains that are not named as those of Kubernetes are."""
        return [rule for rule in self.unhashed if not rule.startswith(_OURS)]

    @cached_property
    def unhashed(self) -> list[str]:
        """The rules of chains that are not of one service port: a small part of all."""
        return [rule for rule in self.rules if not rule.startswith(_HASHED)]


def tables_in(text: str) -> dict[str, TableLines] | None:
    """The tables in what iptables-save printed; None where it is not as usual."""
    found: dict[str, TableLines] = {}
    if "\r" in text:
        return None
    rest = text
    while (start := _start(rest)) >= 0:
        end = rest.find("\nCOMMIT", start)
        if end < 0:
            return None
        first, _, body = rest[start:end].partition("\n")
        table = _table(body)
        if table is None or first[1:] in found:
            return None
        found[first[1:]] = table
        rest = rest[end + len("\nCOMMIT") :]
    return found


def _start(text: str) -> int:
    if text.startswith("*"):
        return 0
    place = text.find("\n*")
    return place + 1 if place >= 0 else -1


def _table(body: str) -> TableLines | None:
    lines = body.split("\n") if body else []
    declared = next((i for i, line in enumerate(lines) if line[:1] != ":"), len(lines))
    try:
        names = frozenset([line[1 : line.index(" ")] for line in lines[:declared]])
        rules = lines[declared:]
        if rules and rules[0].startswith("["):
            rules = [rule[rule.index("] ") + 2 :] for rule in rules]
    except ValueError:
        return None
    table = TableLines(rules, names)
    # A rule with a line break in its comment looks like several.
    return None if any(rule.count('"') & 1 for rule in table.unhashed) else table


def fits(tables: Mapping[str, TableLines], expected: Expected) -> bool:
    """Whether tables hold exactly the expected rules, as far as these are kube-proxy's."""
    owner = ownership(expected.context)
    if not {"nat", "filter"} <= tables.keys():
        return False
    fixed = {"nat": nat_chains(expected.context), "filter": filter_chains(expected.context)}
    for (table, chain), lines in expected.shared_lines.items():
        fixed[table][chain] = lines
    return all(
        _fits(tables[name], name, fixed[name], expected, owner) for name in ("nat", "filter")
    )


def _fits(
    table: TableLines,
    name: str,
    fixed: Mapping[str, tuple[str, ...]],
    expected: Expected,
    owner: Ownership,
) -> bool:
    joint = owner.joint.get(name, frozenset())
    count = sum(len(lines) for chain, lines in fixed.items() if chain not in joint)
    names = {*fixed}
    if name == "nat":
        shared, replaced = expected.shared, set(expected.replaced_chains())
        own = {chain: lines for r in expected.own.values() for chain, lines in r.chains.items()}
        if not _holds_chains(table, shared, replaced):
            return False
        if not all(map(table.holds, own.values())):
            return False
        count += shared.nat_lines + sum(map(len, own.values()))
        count -= sum(len(shared.nat_chains[chain]) for chain in replaced)
        names |= (shared.nat_chains.keys() - replaced) | own.keys()
    if names - table.names or any(owner.owns_chain(name, c) for c in table.names - names):
        return False
    if not all(
        _fixed_chain_fits(table, (name, chain), lines, expected, owner)
        for chain, lines in fixed.items()
    ):
        return False
    if _count(table, names, joint) != count:
        return False
    return all(table.others.count(jump) == 1 for jump in owner.jumps[name])


def _count(table: TableLines, names: set[str], joint: frozenset[str]) -> int:
    """How many rules stand in chains that are kube-proxy's alone."""
    strange = {n for n in table.names if n.startswith("KUBE-") and (n in joint or n not in names)}
    ours = len(table.rules) - len(table.others)
    return ours - sum(len(table.of_chain(chain)) for chain in strange)


def _holds_chains(table: TableLines, shared: Shared, but: set[str]) -> bool:
    """Whether the chains of the shared service ports are there, but for those of some names.

    Nearly all are chains of endpoints: they are looked at in one go.
    """
    places, following = table.places, table.following
    firsts, seconds, names = shared.endpoint_chains
    found = map(places.get, firsts)
    for place, second, name in zip(found, seconds, names, strict=True):
        if (place is None or following[place] != second) and name not in but:
            return False
    return all(table.holds(lines) for name, lines in shared.other_chains.items() if name not in but)


def _fixed_chain_fits(
    table: TableLines,
    place: tuple[str, str],
    lines: tuple[str, ...],
    expected: Expected,
    owner: Ownership,
) -> bool:
    name, chain = place
    if chain in owner.joint.get(name, ()):
        return all(line in table.places for line in lines)
    if chain not in owner.unordered.get(name, ()):
        return table.holds(lines)
    if table.holds(lines):
        return True
    found = table.of_chain(chain)
    if len(found) != len(lines) or set(found) != set(lines):
        return False
    if expected.shared.collisions:
        return in_order(found, lines, expected.context.family)
    last = _last(lines)
    if set(found[len(found) - last :]) != set(lines[len(lines) - last :]):
        return False
    return _ports_in_order(table.places, place, expected.ports.values())


def _last(lines: Sequence[str]) -> int:
    """How many lines at the end are the jumps to the node ports."""
    target = f"-j {chains.NODEPORTS}"
    return sum(line.endswith(target) for line in lines)


def _ports_in_order(
    places: Mapping[str, int], chain: tuple[str, str], ports: Iterable[PortRules]
) -> bool:
    """Whether the lines of each service port stand in their order; others may stand between."""
    for rules in ports:
        lines = rules.shared.get(chain, ())
        if len(lines) > 1:
            found = [places[line] for line in lines]
            if found != sorted(found):
                return False
    return True
