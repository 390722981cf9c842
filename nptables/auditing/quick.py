"""Whether the text of a node's tables holds the expected rules, without parsing a rule.

"Yes" is exact: nothing of kube-proxy's is missing, too much, or in an order that counts. "No" only
says that somebody has to look closer: another spelling is enough for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import pairwise

import attrs

from nptables.auditing.sharing import Chains, Expected
from nptables.iptables.changes.likeness import in_order
from nptables.iptables.ownership import Ownership
from nptables.translation import chains
from nptables.translation.fixed import filter_chains, nat_chains
from nptables.translation.owned import ownership
from nptables.translation.service_port import PortRules

_OURS = "-A KUBE-"
_HASHED = (
    chains.ENDPOINT_PREFIX,
    chains.SERVICE_PREFIX,
    chains.LOCAL_PREFIX,
    chains.EXTERNAL_PREFIX,
    chains.SOURCE_RANGES_PREFIX,
)


@attrs.frozen(slots=False)
class TableLines:
    """The lines of one table: its rules without counters, and the names of its chains."""

    rules: list[str]
    names: frozenset[str]

    @cached_property
    def following(self) -> dict[str, str]:
        """For each rule the one behind it; of equal ones for the last."""
        return dict(zip(self.rules, [*self.rules[1:], ""], strict=True))

    def holds(self, lines: Sequence[str]) -> bool:
        """Whether some lines stand here one behind the other."""
        following = self.following
        if not lines or lines[-1] not in following:
            return not lines
        return all(following.get(one) == other for one, other in pairwise(lines))

    def holds_all(self, wanted: Chains) -> bool:
        """Whether chains are here, each in its order; more may be in them."""
        following = self.following
        return (
            list(map(following.get, wanted.before)) == wanted.behind
            and wanted.single <= following.keys()
            and wanted.names <= self.names
        )

    def of_chain(self, chain: str) -> list[str]:
        """The rules of a chain that is not named after a hash."""
        start = f"-A {chain} "
        return [rule for rule in self.unhashed if rule.startswith(start)]

    @cached_property
    def unhashed(self) -> list[str]:
        """The rules of chains that are not of one service port: a small part of all."""
        hashed = tuple(f"-A {prefix}" for prefix in _HASHED)
        return [rule for rule in self.rules if not rule.startswith(hashed)]

    @cached_property
    def others(self) -> list[str]:
        """The rules in chains that are not named as those of Kubernetes are."""
        return [rule for rule in self.unhashed if not rule.startswith(_OURS)]


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
    return None if any(rule.count('"') & 1 for rule in table.others) else table


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
    strange = table.names - fixed.keys()
    if not fixed.keys() <= table.names:
        return False
    if name == "nat":
        own = Chains.of(expected.own.values())
        common = expected.shared.common
        if not (table.holds_all(common) and table.holds_all(own)):
            return False
        count += common.count + own.count
        strange = strange - common.names - own.names
    if any(owner.owns_chain(name, chain) for chain in strange):
        return False
    if not all(
        _fixed_chain_fits(table, (name, chain), lines, expected, owner)
        for chain, lines in fixed.items()
    ):
        return False
    # No rule too many is in any chain that is kube-proxy's alone.
    of_others = {n for n in strange if n.startswith("KUBE-")} | (joint & table.names)
    ours = len(table.rules) - len(table.others)
    if ours - sum(len(table.of_chain(chain)) for chain in of_others) != count:
        return False
    return all(table.others.count(jump) == 1 for jump in owner.jumps[name])


def _fixed_chain_fits(
    table: TableLines,
    place: tuple[str, str],
    lines: tuple[str, ...],
    expected: Expected,
    owner: Ownership,
) -> bool:
    name, chain = place
    if chain in owner.joint.get(name, ()):
        return all(line in table.following for line in lines)
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
    return _ports_in_order(found, place, expected.ports.values())


def _last(lines: Sequence[str]) -> int:
    """How many lines at the end are the jumps to the node ports."""
    target = f"-j {chains.NODEPORTS}"
    return sum(line.endswith(target) for line in lines)


def _ports_in_order(
    lines_here: Sequence[str], chain: tuple[str, str], ports: Iterable[PortRules]
) -> bool:
    """Whether the lines of each service port stand in their order; others may stand between."""
    places = {line: place for place, line in enumerate(lines_here)}
    for rules in ports:
        lines = rules.shared.get(chain, ())
        if len(lines) > 1:
            found = [places[line] for line in lines]
            if found != sorted(found):
                return False
    return True
