"""In which of its states each Service was that moved while a node was read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nptables.auditing import table_lines
from nptables.auditing.sharing import Expected
from nptables.translation.chains import ServicePortName
from nptables.translation.collisions import Claim
from nptables.translation.service_port import PortRules


def settled(
    expected: Expected, tables: Mapping[str, table_lines.TableLines]
) -> tuple[Expected, frozenset[str]]:
    """What is expected with each Service in a state that the node has, or else in its last one.

    Also the Services that are in one of several states, as `namespace/name`.
    """
    rules: dict[ServicePortName, PortRules] = {}
    claims: list[Claim] = []
    in_flight: set[str] = set()
    for key, states in expected.shared.moving.items():
        made = [
            {n: expected.shared.rules_of(s, expected.context) for n, s in ports.items()}
            for ports in states
        ]
        chosen = _chosen(made, tables)
        if chosen is None:
            chosen = len(states) - 1
        elif len(states) > 1:
            in_flight.add("/".join(key))
        rules |= made[chosen]
        claims += [state.claim for state in states[chosen].values()]
    return expected.with_states(rules, claims), frozenset(in_flight)


def _chosen(
    made: Sequence[Mapping[ServicePortName, PortRules]],
    tables: Mapping[str, table_lines.TableLines],
) -> int | None:
    """The state of a Service that the node has: the one with the most lines that all are there.

    A Service that is in none of its states there is not chosen for one without any rule.
    """
    sizes: dict[int, int] = {}
    every = {name for one in made for name in one}
    for place, rules in enumerate(made):
        size = 0
        fits = True
        for each in rules.values():
            for (table, _), lines in each.shared.items():
                size += len(lines)
                fits = fits and table in tables and all(x in tables[table].following for x in lines)
            size += sum(map(len, each.chains.values()))
            fits = fits and "nat" in tables and all(map(tables["nat"].holds, each.chains.values()))
        absent = every - rules.keys()
        if fits and not any(_mentions(tables, made, name) for name in absent):
            sizes[place] = size
    # The lines of a smaller state may all be among those of a larger one.
    return max(sizes, key=sizes.__getitem__, default=None)


def _mentions(
    tables: Mapping[str, table_lines.TableLines],
    made: Sequence[Mapping[ServicePortName, PortRules]],
    name: ServicePortName,
) -> bool:
    """Whether the node has chains of a service port in any of its states."""
    wanted = {chain for one in made if name in one for chain in one[name].chains}
    return "nat" in tables and bool(wanted & tables["nat"].names)
