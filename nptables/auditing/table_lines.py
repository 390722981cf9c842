"""Whether the text of a node's tables holds the expected rules, without parsing a rule.

"Yes" is exact: nothing of kube-proxy's is missing, too much, or in an order that counts. "No" only
says that somebody has to look closer: another spelling is enough for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain, pairwise

import attrs

from nptables.auditing.sharing import Expected
from nptables.iptables.changes.equality import in_order
from nptables.iptables.ownership import Ownership
from nptables.iptables.ruleset import chain_of
from nptables.translation import chains
from nptables.translation.fixed import filter_chains, nat_chains
from nptables.translation.owned import ownership
from nptables.translation.service_port import SharedChain

_POLICIES = frozenset({"-", "ACCEPT", "DROP", "QUEUE", "RETURN"})


@attrs.frozen(slots=False)
class TableLines:
    """The lines of one table as they stand there, and its chains as they are declared.

    `counted` tells that counters stand before the rules.
    """

    lines: list[str]
    chains: list[str]
    counted: bool = False

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of the chains."""
        return frozenset(self.chains)

    @cached_property
    def rules(self) -> list[str]:
        """The rules without counters."""
        if not self.counted:
            return self.lines
        return [line[line.find("] ") + 2 :] for line in self.lines]

    @cached_property
    def following(self) -> dict[str, str]:
        """For each rule the one behind it; of equal ones for the last."""
        return dict(pairwise([*self.rules, ""]))

    @cached_property
    def usual(self) -> bool:
        """Whether each line is a rule: one with a line break in its comment looks like several."""
        return all(rule.startswith("-A ") and not rule.count('"') & 1 for rule in self.rules)

    def holds(self, lines: Sequence[str]) -> bool:
        """Whether some lines stand here one behind the other."""
        following = self.following
        if not lines or lines[-1] not in following:
            return not lines
        return all(following.get(one) == other for one, other in pairwise(lines))

    @cached_property
    def by_chain(self) -> dict[str, list[str]]:
        """The rules of each chain that has some."""
        found: dict[str, list[str]] = {}
        for rule in self.rules:
            found.setdefault(chain_of(rule), []).append(rule)
        return found

    def without(self, held: Mapping[str, Sequence[str]]) -> TableLines | None:
        """The rest of the table, where these chains are in it exactly so; None where they are not.

        iptables-save prints the rules chain by chain, in the order in which it declares the chains:
        so whole runs of lines are compared, and none of them is looked at by itself.
        """
        others = [place for place, name in enumerate(self.chains) if name not in held]
        # One chain too few is enough: its rules cannot be there.
        if len(self.chains) - len(others) != len(held):
            return None
        rest: list[str] = []
        here = 0
        for before, behind in pairwise((-1, *others, len(self.chains))):
            run = self.chains[before + 1 : behind]
            wanted = list(chain.from_iterable(map(held.__getitem__, run)))
            if not wanted:
                continue
            start = self._place_of(wanted[0], here)
            end = start + len(wanted)
            if not self._are(start, end, wanted):
                return None
            rest += self.lines[here:start]
            here = end
        rest += self.lines[here:]
        return TableLines(rest, [self.chains[place] for place in others], self.counted)

    def _place_of(self, rule: str, first: int) -> int:
        for place in range(first, len(self.lines)):
            if self.lines[place].endswith(rule):
                return place
        return len(self.lines)

    def _are(self, start: int, end: int, wanted: list[str]) -> bool:
        found = self.lines[start:end]
        if not self.counted:
            return found == wanted
        # Whatever else ends like a whole rule would have it in a comment, and end in a quote.
        return len(found) == len(wanted) and all(map(str.endswith, found, wanted))


def tables_in(text: str) -> dict[str, TableLines] | None:
    """The tables in what iptables-save printed; None where it is not as usual."""
    found: dict[str, TableLines] = {}
    # A terminal has been in between: the parser copes with that, this does not.
    if "\r" in text:
        return None
    end = 0
    while (start := _start(text, end)) >= 0:
        between = end
        end = text.find("\nCOMMIT", start)
        first = text.find("\n", start)
        table = _table(text, first, end) if end >= 0 else None
        name = text[start + 1 : first]
        if table is None or name in found or not _means_nothing(text[between:start]):
            return None
        found[name] = table
        end += len("\nCOMMIT")
    return found if _means_nothing(text[end:]) else None


def _start(text: str, end: int) -> int:
    if end == 0 and text.startswith("*"):
        return 0
    place = text.find("\n*", end)
    return place + 1 if place >= 0 else -1


def _means_nothing(text: str) -> bool:
    """Whether what stands outside tables is comments alone."""
    return all(not line or line.startswith("#") for line in text.split("\n"))


def _table(text: str, start: int, end: int) -> TableLines | None:
    """The table between two line breaks; the chains come first, as in `:NAME POLICY [0:0]`."""
    # What is behind the last line break of a table begins as its first rule does.
    last = text.rfind("\n", start, end)
    rules = end if text.startswith(":", last + 1) else text.find(text[last : last + 2], start, end)
    words = text[start + 2 : rules].replace("\n:", " ").split(" ") if rules > start else []
    chains_here = words[::3]
    if (
        text[start + 1 : start + 2] != ":" * bool(words)
        or len(words) != 3 * text.count("\n", start, rules)
        or not _POLICIES.issuperset(words[1::3])
        or len(set(chains_here)) != len(chains_here)
    ):
        return None
    lines = text[rules + 1 : end].split("\n") if rules < end else []
    return TableLines(lines, chains_here, text[rules + 1 : rules + 2] == "[")


def rest_of(
    tables: Mapping[str, TableLines], expected: Expected
) -> Mapping[str, TableLines] | None:
    """The tables without the chains of service ports; None where these are not as expected."""
    nat = tables["nat"].without(expected.chains) if "nat" in tables else None
    if nat is None:
        return None
    rest = {**tables, "nat": nat}
    return rest if all(table.usual for table in rest.values()) else None


def fits(tables: Mapping[str, TableLines], expected: Expected) -> bool:
    """Whether tables hold exactly the expected rules, as far as these are kube-proxy's."""
    rest = rest_of(tables, expected)
    return rest is not None and rest_fits(rest, expected)


def rest_fits(rest: Mapping[str, TableLines], expected: Expected) -> bool:
    """Whether what `rest_of` left is as expected too."""
    owner = ownership(expected.context)
    if not {"nat", "filter"} <= rest.keys():
        return False
    fixed = {"nat": nat_chains(expected.context), "filter": filter_chains(expected.context)}
    for (table, chain_name), lines in expected.shared_lines.items():
        fixed[table][chain_name] = lines
    return all(_fits(rest[name], name, fixed[name], expected, owner) for name in ("nat", "filter"))


def _fits(
    table: TableLines,
    name: str,
    fixed: Mapping[str, tuple[str, ...]],
    expected: Expected,
    owner: Ownership,
) -> bool:
    joint = owner.joint.get(name, frozenset())
    strange = table.names - fixed.keys()
    if not fixed.keys() <= table.names:
        return False
    if any(owner.owns_chain(name, chain_name) for chain_name in strange):
        return False
    if not all(
        _fixed_chain_fits(table, (name, chain_name), lines, expected, owner)
        for chain_name, lines in fixed.items()
    ):
        return False
    # No rule too many is in a chain that is kube-proxy's alone, and none in one that is not there.
    here = table.by_chain
    if here.keys() - table.names or any(
        len(here.get(name, ())) != len(fixed[name]) for name in fixed.keys() - joint
    ):
        return False
    # Twice does no harm to packets, but is nothing that kube-proxy writes.
    return all(here.get(chain_of(jump), []).count(jump) == 1 for jump in owner.jumps[name])


def _fixed_chain_fits(
    table: TableLines,
    place: SharedChain,
    lines: tuple[str, ...],
    expected: Expected,
    owner: Ownership,
) -> bool:
    name, chain_name = place
    found = table.by_chain.get(chain_name, [])
    # The kubelet may have rules there too.
    if chain_name in owner.joint.get(name, ()):
        return set(found).issuperset(lines)
    if chain_name not in owner.unordered.get(name, ()):
        return found == list(lines)
    if len(found) != len(lines) or set(found) != set(lines):
        return False
    # Then the order among service ports decides who gets the packets.
    if expected.shared.collisions:
        return in_order(found, lines, expected.context.family)
    last = _last(lines)
    if set(found[len(found) - last :]) != set(lines[len(lines) - last :]):
        return False
    return _in_order(found, expected.several.get(place, ()))


def _last(lines: Sequence[str]) -> int:
    """How many lines at the end are the jumps to the node ports."""
    target = f"-j {chains.NODEPORTS}"
    return sum(line.endswith(target) for line in lines)


def _in_order(here: Sequence[str], several: Iterable[tuple[str, ...]]) -> bool:
    """Whether lines stand in their order; others may stand between."""
    places = {line: place for place, line in enumerate(here)}
    for lines in several:
        found = [places[line] for line in lines]
        if found != sorted(found):
            return False
    return True
