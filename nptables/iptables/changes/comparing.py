"""Comparing two rulesets by what one owner has in them; see `diff`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from nptables.errors import IncompleteRuleset
from nptables.family import Family
from nptables.iptables.changes.equality import (
    can_be_restored,
    compare_multisets,
    in_order,
    same_rules,
    surplus,
)
from nptables.iptables.changes.parts import ChainChange, Insertion, TablePlan
from nptables.iptables.changes.plan import Plan
from nptables.iptables.changes.shown import with_what_is_not_shown
from nptables.iptables.ownership import Ownership
from nptables.iptables.ruleset import BUILT_IN_CHAINS, Ruleset, Table, chain_of, target_of
from nptables.iptables.spelling import normal_form

# On nft, 20 lines deleted and inserted one by one cost more than rewriting a chain of 5,000
MOST_EDITS = 16


def diff(current: Ruleset, desired: Ruleset, *, ownership: Ownership | None = None) -> Plan:
    """What has to change in `current` so that the owner's part of it equals that of `desired`.

    `ownership` says whose chains and rules are compared; without it, that of `desired` counts,
    which a translation has. What the form of one of them does not show (`Unshown.comments`) counts
    as in the other, where everything that it shows is equal. Rules and policies of others are never
    in the plan. An empty (falsy) plan means no drift. A chain of the owner's whose rules are
    unknown is rewritten.

    Raises IncompleteRuleset where `current` lacks a table that is there and could not be printed,
    and ValueError if it is not given whose rules are meant, or the families differ.
    """
    owner = desired.ownership if ownership is None else ownership
    if not owner.tables:
        # A ruleset that nobody owns would compare as equal to anything.
        raise ValueError("diff needs an Ownership: desired has none, so pass ownership=")
    if current.family is not desired.family:
        raise ValueError(f"cannot compare {current.family.value} with {desired.family.value} rules")
    # A table that is not desired at all may still have chains of the owner's to delete.
    names = dict.fromkeys((*desired.tables, *owner.tables))
    found, wanted = current, desired
    if current.unshown.comments:
        found = with_what_is_not_shown(current, desired)
    elif desired.unshown.comments:
        wanted = with_what_is_not_shown(desired, current)
    missing = [t for t in current.remarks.unreadable if t in names and t not in current.tables]
    if missing:
        raise IncompleteRuleset(missing)
    tables = {}
    for name in names:
        plan = _compare_table(
            found.tables.get(name), wanted.tables.get(name), name, owner, current.family
        )
        if plan or plan.kept or plan.cosmetic:
            tables[name] = plan
    return Plan(current.family, tables, owner, current, desired)


def undo(plan: Plan, current: Ruleset) -> Plan:
    """The plan that rolls back a plan from a ruleset to which it was applied, wholly or in part.

    The owned part becomes what it was in `plan.before`; chains of others that the plan created
    because they had to exist go too, unless they hold rules or others lead to them by now.
    """
    back = diff(current, _restorable(plan.before), ownership=plan.ownership)
    tables = dict(back.tables)
    for name, table in plan.tables.items():
        now = current.tables.get(name)
        created = [c for c in table.ensure if now is not None and now.chains.get(c) == ()]
        if now is None or not created:
            continue
        taken_back = tables.get(name, TablePlan(name))
        used = _used_by_others(now, set(created), plan.ownership, name, taken_back.remove)
        unused = tuple(chain for chain in created if chain not in used)
        tables[name] = attrs.evolve(taken_back, discard=unused)
    return attrs.evolve(back, tables=tables)


def _restorable(ruleset: Ruleset) -> Ruleset:
    """The ruleset without the lines that no restore text can hold."""
    tables = {
        name: attrs.evolve(
            table,
            chains={
                chain: tuple(line for line in lines if can_be_restored(line))
                for chain, lines in table.chains.items()
            },
            # Neither fits once lines are left out: both have an entry for each.
            line_counters={},
            order=(),
        )
        for name, table in ruleset.tables.items()
        if any("\n" in line for lines in table.chains.values() for line in lines)
    }
    return attrs.evolve(ruleset, tables={**ruleset.tables, **tables}) if tables else ruleset


def _compare_table(
    current: Table | None, desired: Table | None, name: str, owner: Ownership, family: Family
) -> TablePlan:
    have: Mapping[str, tuple[str, ...]] = current.chains if current is not None else {}
    unread = current.unread if current is not None else frozenset()
    want: Mapping[str, tuple[str, ...]] = desired.chains if desired is not None else {}
    changes: dict[str, ChainChange] = {}
    cosmetic: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
    unordered = owner.unordered.get(name, frozenset())
    for chain, lines in want.items():
        before = have.get(chain)
        if before == lines or not owner.owns_chain(name, chain):
            continue
        if before is not None and chain in owner.joint.get(name, ()):
            change = _compare_joint_chain(chain, before, lines, family)
        else:
            change = _compare_chain(chain, before, lines, family, shared=chain in unordered)
        if change is None:
            continue
        if change.removed or change.added or before is None or change.kind == "rewrite":
            changes[chain] = change
        else:
            cosmetic[chain] = (before, lines)
    insert, remove, reinsert = _compare_jumps(have, want, name, owner, family)
    unwanted = [c for c in (*have, *sorted(unread)) if c not in want and owner.owns_chain(name, c)]
    kept: dict[str, str] = {}
    if unwanted and current is not None:
        kept = _used_by_others(current, set(unwanted), owner, name, remove)
        changes |= _deletions(unwanted, have, kept, owner.lent.get(name, frozenset()))
    ensure = tuple(
        c for c in want if c not in have and c not in unread and owner.ensures_chain(name, c)
    )
    return TablePlan(name, changes, ensure, (), insert, remove, kept, cosmetic, unread, reinsert)


def _compare_chain(
    chain: str,
    before: tuple[str, ...] | None,
    after: tuple[str, ...],
    family: Family,
    *,
    shared: bool,
) -> ChainChange | None:
    """The change of a chain whose texts differ; None where the rules are the same.

    A change that neither adds nor removes a line, and needs no other order, is cosmetic: it
    comes as an edit.
    """
    if before is None:
        return ChainChange(chain, None, after, (), after)
    if shared:
        return _compare_shared_chain(chain, before, after, family)
    if same_rules(before, after, family, ignoring_comments=False):
        return None
    if same_rules(before, after, family, ignoring_comments=True):
        return ChainChange(chain, before, after, in_place=True)
    found = compare_multisets(before, after, family)
    return ChainChange(chain, before, after, found.removed, found.added)


def _compare_joint_chain(
    chain: str, before: tuple[str, ...], after: tuple[str, ...], family: Family
) -> ChainChange | None:
    """What is missing goes to the top; nothing is removed."""
    added = compare_multisets(before, after, family).added
    if not added:
        return None
    return ChainChange(chain, before, (*added, *before), (), added, in_place=True)


def _compare_shared_chain(
    chain: str, before: tuple[str, ...], after: tuple[str, ...], family: Family
) -> ChainChange | None:
    found = compare_multisets(before, after, family)
    removed, added = found.removed, found.added
    edits = len(removed) + len(added)
    # Where most lines change anyway, to rewrite the chain is as short, and sure to leave it in
    # order.
    in_place = edits <= MOST_EDITS and edits <= max(len(before), len(after)) // 2
    # What cannot be written down cannot be deleted by a line either.
    in_place = in_place and all(map(can_be_restored, removed))
    if in_place:
        in_place = in_order((*added, *surplus(before, removed)), after, family)
    if in_place and not edits and not found.cosmetic:
        return None
    return ChainChange(chain, before, after, removed, added, in_place)


def _compare_jumps(
    have: Mapping[str, tuple[str, ...]],
    want: Mapping[str, tuple[str, ...]],
    table: str,
    owner: Ownership,
    family: Family,
) -> tuple[tuple[Insertion, ...], tuple[str, ...], tuple[Insertion, ...]]:
    """The owner's jumps that are missing from built-in chains, too many, and to be put back."""
    insert: list[Insertion] = []
    remove: list[str] = []
    reinsert: list[Insertion] = []
    jumps = owner.jumps.get(table, ())
    for chain in dict.fromkeys(map(chain_of, jumps)):
        lines = have.get(chain, ())
        if lines and lines == want.get(chain):
            continue
        forms = [normal_form(line, family) for line in lines]
        wanted = {normal_form(line, family) for line in want.get(chain, ())}
        previous, place = "", 0
        gone: set[int] = set()
        scattered: set[int] = set()
        missing: list[Insertion] = []
        for jump in (jump for jump in jumps if chain_of(jump) == chain):
            form = normal_form(jump, family)
            places = [index for index, found in enumerate(forms) if found == form]
            if form not in wanted:
                gone.update(places)
            elif places:
                gone.update(places[1:])
                # -D deletes the first of equal lines (delete_entry in libiptc/libiptc.c), so each
                # of them goes, and where others stand in between the first is missing then.
                if places[-1] - places[0] >= len(places):
                    scattered.add(places[0])
                previous, place = jump, places[0] + 1
            else:
                missing.append(Insertion(jump, previous, place + 1))
        for index in sorted(scattered):
            above = index - sum(other < index for other in gone)
            above += sum(insertion.position <= index + 1 for insertion in missing)
            reinsert.append(Insertion(lines[index], position=above + 1))
        remove.extend(lines[index] for index in sorted(gone))
        insert += missing
    return tuple(insert), tuple(remove), tuple(reinsert)


def _used_by_others(
    table: Table, chains: set[str], owner: Ownership, name: str, removed: Iterable[str]
) -> dict[str, str]:
    """The chains that foreign rules lead to, each with one such rule.

    `removed` are jumps that go away. Whoever keeps a rule in a built-in chain or a chain of his
    own is another.
    """
    found: dict[str, str] = {}
    going = list(removed)
    for chain, lines in table.chains.items():
        if owner.owns_chain(name, chain):
            continue
        for line in lines:
            target = target_of(line)
            if target in chains:
                # As often as it is removed: of two equal jumps one may stay, and it still leads to
                # the chain.
                if chain in BUILT_IN_CHAINS.get(name, ()) and line in going:
                    going.remove(line)
                else:
                    found.setdefault(target, line)
    return found


def _deletions(
    unwanted: Iterable[str],
    have: Mapping[str, tuple[str, ...]],
    kept: Mapping[str, str],
    lent: frozenset[str],
) -> dict[str, ChainChange]:
    """Chains to delete; those that others use are emptied, if they are not lent or empty."""
    changes = {}
    for chain in unwanted:
        lines = have.get(chain, ())
        # No backend deletes a chain that a rule leads to: EMLINK of TC_DELETE_CHAIN in
        # libiptc/libiptc.c, EBUSY of nf_tables_delchain in net/netfilter/nf_tables_api.c.
        if chain not in kept:
            changes[chain] = ChainChange(chain, lines, None, lines)
        elif lines and chain not in lent:
            changes[chain] = ChainChange(chain, lines, (), lines)
    return changes
