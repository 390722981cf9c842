"""The commits that apply a plan, in an order in which no packet meets a worse state.

Each table commits by itself. A Service that gains its first endpoint wants nat first (or its
packets would be refused no longer and not yet be translated), one that gains source ranges or
loses its endpoints wants filter first. So: filter with old and new rules, then nat, then filter
in its final state, then the deletions, since a refused deletion takes its whole table back. Empty
steps fall away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Protocol

import attrs

from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables.changes.equality import can_be_restored, compare_multisets
from nptables.iptables.changes.parts import ChainChange, Insertion, TablePlan
from nptables.iptables.ruleset import target_of

# A commit with more chains than this is split where a backend wants it: on nft the time for one
# commit grows far faster than its number of chains, while each commit makes the kernel look through
# all chains of the table. At 1,000 x 10 and 3,000 x 10 pieces of 100, 200 and 300 chains took 0.69,
# 0.64 and 0.69, and 4.5, 3.5 and 4.0 s of processor time.
PIECE = 200
# The same for chains that are in use already, where each commit costs more: rewriting all 36,000
# chains of 3,000 Services took 67, 17, 21 and 38 s with 100, 500, 1,000 and 2,000 of them a commit.
PIECE_IN_USE = 500


@frozen
class Step:
    """One commit of one table.

    In this order: the chains of `fill` are created or emptied and get their lines, `insert` are
    lines to insert, `remove` lines to delete, `reinsert` some of these again, each in a chain that
    is there, and `delete` chains to empty and delete. `purpose` says in words what the step is for.
    """

    table: str
    purpose: str
    fill: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    insert: tuple[Insertion, ...] = ()
    remove: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()
    reinsert: tuple[Insertion, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.fill or self.remove or self.insert or self.delete)

    def to_restore(self) -> str:
        """The step for `iptables-restore --noflush`: no built-in chain is ever declared."""
        return "\n".join((*self.restore_lines(), ""))

    def restore_lines(self) -> Iterator[str]:
        """The lines of the text, from `*table` to `COMMIT`."""
        yield f"*{self.table}"
        chains = sorted(self.fill)
        # With --noflush a declaration empties the chain, or makes it: -X takes an empty one only.
        # For a built-in chain the same line would set its policy.
        # From Z to A, since both backends search their chains from A on to find out whether the
        # chain is there, and legacy goes through up to 355 of them from the last that it has an
        # index for (iptc_insert_chain in libiptc/libiptc.c). Loading 1,000 x 10 takes legacy
        # 0.21 s of processor time so, and 0.25 s from A to Z.
        for chain in sorted({*chains, *self.delete}, reverse=True):
            yield f":{chain} - [0:0]"
        for chain in chains:
            yield from self.fill[chain]
        # Before the deletions: positions are counted with the lines that are to go.
        for insertion in self.insert:
            yield insertion_command(insertion)
        for line in self.remove:
            yield f"-D{line[2:]}"
        for insertion in self.reinsert:
            yield insertion_command(insertion)
        for chain in sorted(self.delete):
            yield f"-X {chain}"
        yield "COMMIT"


def insertion_command(insertion: Insertion) -> str:
    """The `-I` command of an insertion."""
    chain, blank, rest = insertion.line[3:].partition(" ")
    place = "" if insertion.position == 1 else f" {insertion.position}"
    return f"-I {chain}{place}{blank}{rest}"


class Planned(Protocol):
    """What is needed of a plan to put it into commits."""

    @property
    def family(self) -> Family:
        """The address family of the rules."""
        ...

    @property
    def tables(self) -> Mapping[str, TablePlan]:
        """The changes of each table."""
        ...


def steps_of(plan: Planned, *, piece: int | None = None) -> list[Step]:
    """The steps of a plan. With `piece`, new chains and deletions come so many a commit."""
    tables = plan.tables
    found: list[Step] = []
    in_filter = tables.get("filter")
    if in_filter is not None:
        found.append(_old_and_new(in_filter, plan))
    for name, table in tables.items():
        if name != "filter":
            found += _as_it_shall_be(table, piece)
    if in_filter is not None:
        found.append(_only_new(in_filter))
    for table in tables.values():
        found += _deletions(table, piece)
    return [step for step in found if step]


def with_deletions(steps: Sequence[Step]) -> list[Step]:
    """The same steps with one commit less for each table that has deletions.

    They go into the last step before them that changes their table, unless they come in pieces.
    On legacy a commit costs what the whole table does: the kernel takes a table as one block and
    gives it as one (do_replace and get_entries in net/ipv4/netfilter/ip_tables.c). A refused
    deletion takes the whole step back, so whoever uses this has to fall back on the steps as they
    were.
    """
    found = list(steps)
    for deletions in [step for step in steps if step.delete]:
        table = [index for index, step in enumerate(found) if step.table == deletions.table]
        *_, last, own = (-1, *table)
        if last >= 0 and not found[last].delete:
            found[last] = attrs.evolve(found[last], delete=found[own].delete)
            del found[own]
    return found


def with_chains(
    steps: Sequence[Step], chains: Mapping[str, Mapping[str, tuple[str, ...]]], purpose: str
) -> list[Step]:
    """The same steps, which also write some chains (lines by table and chain) to no rule's notice.

    They go into the last step that writes their table, and where there is none into one of their
    own, named `purpose`, behind all others.
    """
    found = list(steps)
    for table, fill in chains.items():
        writing = [i for i, step in enumerate(found) if step.table == table and not step.delete]
        if writing:
            step = found[writing[-1]]
            found[writing[-1]] = attrs.evolve(step, fill={**step.fill, **fill})
        else:
            found.append(Step(table, purpose, fill))
    return found


def _old_and_new(table: TablePlan, plan: Planned) -> Step:
    """The filter table before nat changes: nothing that it refuses or lets pass is lost yet."""
    fill: dict[str, tuple[str, ...]] = dict.fromkeys(table.ensure, ())
    insert: list[Insertion] = []
    for change in table.changes.values():
        if change.after is None or (change.before is not None and not _gains(change)):
            continue
        if change.kind == "edit":
            insert += _at_the_top(change.added)
        else:
            fill[change.chain] = _union(change, plan)
    insert += _jumps(table)
    return Step(table.table, "filter with old and new rules", fill, tuple(insert))


def _gains(change: ChainChange) -> bool:
    """Whether a chain must change before nat does: it gets lines, or another order."""
    return bool(change.added) or not change.removed


def _union(change: ChainChange, plan: Planned) -> tuple[str, ...]:
    after = change.after or ()
    if not change.removed or change.before is None:
        return after
    removed = compare_multisets(change.before, after, plan.family).removed
    # New lines first: where both match a packet, the new one decides already.
    return (*after, *(line for line in removed if can_be_restored(line)))


def _only_new(table: TablePlan) -> Step:
    """The filter table after nat: unwanted rules are removed."""
    fill: dict[str, tuple[str, ...]] = {}
    remove: list[str] = []
    for change in table.changes.values():
        if change.after is None or not change.removed:
            continue
        if change.kind == "edit":
            remove += change.removed
        else:
            fill[change.chain] = change.after
    return Step(
        table.table,
        "filter in its final state",
        fill,
        (),
        (*remove, *_removed(table)),
        reinsert=table.reinsert,
    )


def _as_it_shall_be(table: TablePlan, piece: int | None) -> Iterator[Step]:
    """A table other than filter: new chains that nothing leads to yet first, if in pieces.

    Those that are there and were not read come behind them, for they may lead to them.
    """
    created = {c.chain: c.after or () for c in table.of_kind("create")}
    fill: dict[str, tuple[str, ...]] = dict.fromkeys(table.ensure, ())
    if piece is not None and len(created) > piece:
        in_order = _leaves_first(created)
        new = [chain for chain in in_order if chain not in table.unread]
        there = [chain for chain in in_order if chain in table.unread]
        for chains in (*_pieces(new, piece), *_pieces(there, PIECE_IN_USE)):
            filled = {chain: created[chain] for chain in chains}
            yield Step(table.table, f"new chains of {table.table}", filled)
    else:
        fill |= created
    remove: list[str] = []
    insert: list[Insertion] = []
    for change in table.changes.values():
        if change.kind == "edit":
            remove += change.removed
            insert += _at_the_top(change.added)
        elif change.kind == "rewrite":
            fill[change.chain] = change.after or ()
    insert += _jumps(table)
    yield Step(
        table.table,
        f"{table.table} in its final state",
        fill,
        tuple(insert),
        (*remove, *_removed(table)),
        reinsert=table.reinsert,
    )


def _removed(table: TablePlan) -> Iterator[str]:
    """The jumps to delete, with those that are inserted again in the same commit."""
    yield from table.remove
    for insertion in table.reinsert:
        yield insertion.line


def _at_the_top(lines: tuple[str, ...]) -> list[Insertion]:
    """Insertions at the top, last line first, so that the lines end up in their order."""
    return [Insertion(line) for line in reversed(lines)]


def _jumps(table: TablePlan) -> list[Insertion]:
    """The jumps to insert: those at the top last-to-first, then each behind its neighbour.

    A position counts what the step itself has put before it.
    """
    at_top = [insertion for insertion in table.insert if not insertion.after]
    found = [Insertion(insertion.line) for insertion in reversed(at_top)]
    placed: dict[str, int] = {}
    for insertion in at_top:
        chain = insertion.line[3:].partition(" ")[0]
        placed[chain] = placed.get(chain, 0) + 1
    for insertion in table.insert:
        if insertion.after:
            chain = insertion.line[3:].partition(" ")[0]
            moved = placed.get(chain, 0)
            found.append(attrs.evolve(insertion, position=insertion.position + moved))
            placed[chain] = moved + 1
    return found


def _deletions(table: TablePlan, piece: int | None) -> Iterator[Step]:
    gone = {change.chain: change.before or () for change in table.of_kind("delete")}
    gone |= dict.fromkeys(table.discard, ())
    if piece is None or len(gone) <= piece:
        yield Step(table.table, f"deletions in {table.table}", delete=tuple(gone))
        return
    # It is unknown which of these lead to which, and the kernel deletes none that is led to.
    yield from emptied(table.table, [chain for chain in gone if chain in table.unread], piece)
    for chains in _pieces(list(reversed(_leaves_first(gone))), piece):
        yield Step(table.table, f"deletions in {table.table}", delete=tuple(chains))


def emptied(table: str, chains: list[str], piece: int | None) -> Iterator[Step]:
    """The steps that empty chains which are no longer used."""
    for some in _pieces(chains, piece or max(1, len(chains))):
        yield Step(table, "chains that are no longer used", dict.fromkeys(some, ()))


def _leaves_first(chains: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The chains, each after those that it jumps to, and not long after them.

    iptables-nft-restore asks the kernel for every chain that a commit names (nft_cache_level_set in
    iptables/nft-cache.c). Where a Service's chains come together it asks for them once: at
    1,000 x 10 that makes 15,000 questions and not 26,000.

    Otherwise they are not sorted by name: iptables-nft-save sorts what it finds with a quicksort
    that takes the first chain as its pivot (__nft_chain_list_sort in the same file), so chains
    created from A to Z cost it the square of their number and a level of its stack each. The last
    characters of a name come first here, since the ends of our names are hashes.
    """
    by_end = itemgetter(slice(None, None, -1))
    leads: dict[str, list[str]] = {}
    for chain, lines in chains.items():
        targets = {target for line in lines if (target := target_of(line)) in chains}
        leads[chain] = sorted(targets, key=by_end, reverse=True)
    led_to = {target for targets in leads.values() for target in targets}
    found: dict[str, None] = {}
    opened: set[str] = set()
    # What is left after those that nothing leads to are loops.
    for start in (*sorted(leads.keys() - led_to, key=by_end), *leads):
        # Not by recursion: chains may lead to one another deeper than Python recurses.
        stack = [start]
        while stack:
            chain = stack.pop()
            if chain in opened:
                found.setdefault(chain)
                continue
            opened.add(chain)
            stack.append(chain)
            # One that is open already leads here itself: a loop, which ends here.
            stack += [target for target in leads[chain] if target not in opened]
    return list(found)


def _pieces(chains: list[str], size: int) -> Iterable[list[str]]:
    return (chains[start : start + size] for start in range(0, len(chains), size))
