"""What a plan is made of: the change of a chain, a jump to insert, all changes of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from nptables.immutable import frozen


@frozen
class ChainChange:
    """One owned chain before and after.

    `before` is None for a chain that is not there, `after` for one to be deleted. `removed` and
    `added` are the lines that only one of them has, as a multiset. Where `in_place` is set, the
    two can be carried out line by line: added lines go to the top of the chain in their order.
    Whoever plans such an edit without knowing the whole chain gives `removed` and `added` as
    `before` and `after` too.
    """

    chain: str
    before: tuple[str, ...] | None
    after: tuple[str, ...] | None
    removed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    in_place: bool = False

    @property
    def kind(self) -> str:
        """`create`, `rewrite`, `edit` or `delete`."""
        if self.before is None:
            return "create"
        if self.after is None:
            return "delete"
        return "edit" if self.in_place else "rewrite"


@frozen
class Insertion:
    """A jump to insert into a built-in chain: at the top, or directly behind another line.

    `after` is the line it goes behind, and `position` (from 1) the place that it then has; both
    are empty at the top.
    """

    line: str
    after: str = ""
    position: int = 1


@frozen
class TablePlan:
    """The changes of one table.

    `changes` has the owned chains. `ensure` are chains of others to be created where they are
    missing. `insert` and `remove` are jumps in built-in chains. `reinsert` are jumps that stand
    more than once with other rules in between: `-D` deletes the first of equal lines, so that one
    goes as well and is inserted again at the place that it has when all else is done. `kept` are
    chains that would be deleted if it were not for the foreign rule that stands beside their name.
    `cosmetic` are chains that differ in comments only, with the lines before and after. `unread`
    are chains that are there already although the plan creates them, because nobody knows what
    they hold.
    """

    table: str
    changes: Mapping[str, ChainChange] = attrs.field(factory=dict)
    ensure: tuple[str, ...] = ()
    discard: tuple[str, ...] = ()
    insert: tuple[Insertion, ...] = ()
    remove: tuple[str, ...] = ()
    kept: Mapping[str, str] = attrs.field(factory=dict)
    cosmetic: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = attrs.field(factory=dict)
    unread: frozenset[str] = frozenset()
    reinsert: tuple[Insertion, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes or self.ensure or self.discard or self.insert or self.remove)

    def of_kind(self, kind: str) -> Iterator[ChainChange]:
        """The changes of a kind (see ChainChange.kind), by chain."""
        return (change for change in self.changes.values() if change.kind == kind)

    @property
    def create(self) -> tuple[str, ...]:
        """The chains to create."""
        return (*(change.chain for change in self.of_kind("create")), *self.ensure)

    @property
    def rewrite(self) -> tuple[str, ...]:
        """The chains to change, whole or line by line."""
        return tuple(c.chain for c in self.changes.values() if c.kind in ("rewrite", "edit"))

    @property
    def delete(self) -> tuple[str, ...]:
        """The chains to delete."""
        return (*(change.chain for change in self.of_kind("delete")), *self.discard)
