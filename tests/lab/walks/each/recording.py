"""What the kernel did with the packets of the table, as it is kept in fixtures/matches.

    python -m tests.lab.walks.each.recording

records it anew (as root). A rule's row ends with the positions of the packets that met it.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from contextlib import closing
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nptables import Cluster, Ruleset
from nptables.family import Family
from nptables.iptables.rule import Rule
from nptables.tracing import read_sets
from nptables.tracing.traversal.actions import Kind, compile_action
from tests.lab.walks import comparing
from tests.lab.walks.each.case import Case, Row
from tests.lab.walks.each.match_cases import match_cases
from tests.lab.walks.each.target_cases import target_cases
from tests.lab.walks.network import fill_sets, net
from tests.lab.walks.wire import Seen, Sent, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nptables.model import Node
    from nptables.tracing.sets import Sets
    from tests.lab.walks.network import Net

FOLDER = Path(__file__).parents[4] / "fixtures" / "matches"
TABLES = ("raw", "mangle", "nat", "filter")


class Recording:
    """What is recorded of a family: the node, its sets, and cases with what became of packets."""

    def __init__(self, family: Family) -> None:
        data = json.loads((FOLDER / f"{family.value.lower()}.json").read_text())
        self.node: Node = Cluster().node("node", data["facts"])
        self.sets: Sets = read_sets(data["sets"])
        self.cases = [_case(raw, family) for raw in data["cases"]]


def _case(raw: dict[str, Any], family: Family) -> Case:
    return Case(
        raw["name"],
        [Row(t, c, words, [int(n) for n in met.split()]) for t, c, words, met in raw["rows"]],
        [(_sent(packet, family), tracking) for packet, tracking in raw["packets"]],
        [_sent(packet, family) for packet in raw["before"]],
        raw["open"],
        raw["seen"],
    )


def _sent(raw: dict[str, Any], family: Family) -> Sent:
    return Sent(family, **{**raw, "flags": frozenset(raw["flags"]), "icmp": tuple(raw["icmp"])})


def _plain(packet: Sent) -> dict[str, Any]:
    raw = {**asdict(packet), "flags": sorted(packet.flags)}
    del raw["family"]
    return raw


def played(network: Net, wire: Wire, case: Case) -> Case:
    """The case with what the kernel does with it now."""
    family = case.packets[0][0].family
    text = case.text()
    empty = {name: f"*{name}\nCOMMIT\n" for name in TABLES}
    # What rules remember and count is kept as long as a rule names it.
    network.restore(family, "".join(empty.values()))
    rest = (words for name, words in empty.items() if f"*{name}\n" not in text)
    network.restore(family, "".join([text, *rest]))
    network.forget_connections()
    rows = [Row(row.table, row.chain, row.words) for row in case.rows]
    for packet in case.before:
        wire.send(packet)
    before, seen = counters(network, family), []
    for position, (packet, _) in enumerate(case.packets):
        seen.append([_listed(found) for found in wire.send(packet)])
        after = counters(network, family)
        for name, count in (after - before).items():
            rows[name].met += [position] * count
        before = after
    return Case(case.name, rows, case.packets, case.before, case.open, seen)


def _listed(seen: Seen) -> list[str | int]:
    return [seen.where, seen.source, seen.source_port, seen.destination, seen.port]


def counters(network: Net, family: Family) -> Counter[int]:
    """How many packets each rule of the table has met."""
    found: Counter[int] = Counter()
    for text in network.save(family).splitlines():
        if text.startswith("["):
            counted, _, line = text.partition(" ")
            found[position(line, family)] += int(counted.strip("[]").partition(":")[0])
    return found


@cache
def position(line: str, family: Family) -> int:
    """The position in the table of a rule, from its comment."""
    matches = Rule.parse(line, family).matches
    names = [o.value for m in matches if m.name == "comment" for o in m.options]
    return int(names[-1].removeprefix("r"))


def difference(case: Case, rules: Ruleset, node: Node, sets: Sets) -> list[str]:
    """Where the tracer foretells of a case's packets what the kernel did not do, in words."""
    family = rules.family
    followed = {position(line, family) for line in _lines(rules) if _has_step(line, rules)}
    wrong = []
    for number, (packet, tracking) in enumerate(case.packets):
        told = comparing.foretold(rules, packet, tracking, node, sets)
        met = {n: row.met.count(number) for n, row in enumerate(case.rows) if n in followed}
        met = {n: count for n, count in met.items() if count}
        seen = [Seen(*found) for found in case.seen[number]]  # type: ignore[arg-type]
        ways = [(_named(comparing.hits(o), family), comparing.fits(o, seen)) for o in told.outcomes]
        if case.open is told.sure or (met, True) not in ways:
            missed = [
                [
                    f"{case.rows[n].words}: {way.get(n, 0)}, not {met.get(n, 0)}"
                    for n in way | met
                    if way.get(n, 0) != met.get(n, 0)
                ]
                for way, _ in ways
            ]
            wrong.append(f"{packet} {tracking}, sure: {told.sure}, seen: {seen}, met: {missed}")
    return wrong


def _lines(rules: Ruleset) -> Iterator[str]:
    for table in rules.tables.values():
        for lines in table.chains.values():
            yield from lines


def _has_step(line: str, rules: Ruleset) -> bool:
    """Whether the tracer has a step for a rule: not where it only counts."""
    chains = {chain for table in rules.tables.values() for chain in table.chains}
    action = compile_action(Rule.parse(line, rules.family), is_chain=chains.__contains__)
    return action.kind is not Kind.NEXT


def _named(hits: comparing.Hits, family: Family) -> dict[int, int]:
    found: Counter[int] = Counter()
    for (_, _, line), count in hits.items():
        found[position(line, family)] += count
    return dict(found)


def _written(network: Net, found: list[Case]) -> str:
    """One line for each rule and packet, for those who read differences."""
    facts = json.dumps(network.raw_facts())
    sets = network.node.run("ipset", "save")
    parts = []
    for case in found:
        rows = ",\n  ".join(
            json.dumps([r.table, r.chain, r.words, " ".join(map(str, r.met))]) for r in case.rows
        )
        packets = ",\n  ".join(json.dumps([_plain(p), tracking]) for p, tracking in case.packets)
        before = json.dumps([_plain(packet) for packet in case.before])
        parts.append(
            f' {{"name": {json.dumps(case.name)}, "open": {json.dumps(case.open)},\n'
            f' "before": {before},\n "packets": [\n  {packets}\n ],\n "rows": [\n  {rows}\n ],\n'
            f' "seen": {json.dumps(case.seen)}}}'
        )
    listed = ",\n".join(parts)
    return f'{{"facts": {facts},\n"sets": {json.dumps(sets)},\n"cases": [\n{listed}\n]}}\n'


def main() -> None:
    """Record both families."""
    with net("legacy") as network:
        for family in Family:
            fill_sets(network, family)
            with closing(Wire(network)) as wire:
                made = [*match_cases(family), *target_cases(family)]
                found = [played(network, wire, case) for case in made]
            text = _written(network, found)
            (FOLDER / f"{family.value.lower()}.json").write_text(text)
            sys.stderr.write(f"{family.value}: {sum(len(case.rows) for case in found)} rules\n")


if __name__ == "__main__":
    main()
