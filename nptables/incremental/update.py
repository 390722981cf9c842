"""What some changes change in the rules: the difference between a state and a draft.

`IncrementalTranslator` holds the state, and an `Update` is its answer to changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import attrs

from nptables.family import Family
from nptables.immutable import frozen
from nptables.incremental.changes import Changes
from nptables.incremental.state import Draft, State, draft
from nptables.iptables.changes import ChainChange, Plan, TablePlan
from nptables.iptables.changes.equality import in_order, surplus
from nptables.iptables.unshown import EVERYTHING_SHOWN
from nptables.model import Cluster, Node, ProxyConfig
from nptables.translation.assembly import Translation
from nptables.translation.chains import ServicePortName
from nptables.translation.context import Context
from nptables.translation.fixed import filter_chains, nat_chains, node_port_jumps
from nptables.translation.owned import ownership
from nptables.translation.service_port import (
    FILTER_EXTERNAL,
    FILTER_FIREWALL,
    FILTER_NODEPORTS,
    FILTER_SERVICES,
    NAT_NODEPORTS,
    NAT_SERVICES,
    PortRules,
    SharedChain,
)


class LazyTranslation(Translation):
    """A Translation of which only family, context and ownership are there from the start.

    A plan for a small change names the whole ruleset before and after it, which costs what the
    cluster does; nobody looks into either unless something went wrong.
    """

    def __init__(self, family: Family, context: Context, make: Callable[[], Translation]) -> None:
        for name, value in (
            ("family", family),
            ("context", context),
            ("ownership", ownership(context)),
            ("comments", ()),
            ("unshown", EVERYTHING_SHOWN),
            ("_make", make),
        ):
            # The class is frozen. What is not set here is missing, so that __getattr__ is asked for
            # it.
            object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        return self._made.__eq__(other._made if isinstance(other, LazyTranslation) else other)

    __hash__ = None  # type: ignore[assignment] # like every Ruleset: it holds mappings

    def __repr__(self) -> str:
        return f"LazyTranslation({self.family})"

    @cached_property
    def _made(self) -> Translation:
        make: Callable[[], Translation] = self.__dict__["_make"]
        return make()

    def __getattr__(self, name: str) -> Any:
        """The parts that are not there from the start."""
        if name in _LATER:
            return getattr(self._made, name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name}")


_LATER = frozenset({"tables", "cluster", "ports", "collisions"})


SHARED_CHAINS = (
    NAT_SERVICES,
    NAT_NODEPORTS,
    FILTER_SERVICES,
    FILTER_EXTERNAL,
    FILTER_NODEPORTS,
    FILTER_FIREWALL,
)

# Lines to delete from one shared chain above which it is rewritten: what nft needs, where each
# deletion looks through the chain (measured, see docs/performance.md).
MOST_REMOVED = 32


@frozen
class LineChange:
    """Lines to add to and to remove from a shared chain.

    Where `in_place` is set, the chain is right when the added lines stand at its top in their
    order and the first of each removed line is gone. Otherwise the order would be wrong: service
    ports collide in it, equal lines are among those that change, or its last lines are others.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    in_place: bool


@attrs.frozen(slots=False)
class Update:
    """What a node's ruleset becomes by some changes.

    It is the answer of an IncrementalTranslator. What it says of the change is good for ever; its
    plan and the whole rulesets can be had until the translator accepts it or another one.
    """

    draft: Draft = attrs.field(repr=False)
    is_current: Callable[[], bool] = attrs.field(repr=False)

    @property
    def family(self) -> Family:
        """The address family of the rules."""
        return self.draft.state.family

    @property
    def everything(self) -> bool:
        """Whether every service port was translated again.

        So it is when the node or the configuration changed in what rules depend on, or when the
        cluster got more than 1,000 endpoints, or no longer has them.
        """
        return self.draft.everything

    @property
    def before(self) -> Mapping[ServicePortName, PortRules]:
        """The rules of the service ports in question as they were."""
        return self.draft.old_ports

    @property
    def after(self) -> Mapping[ServicePortName, PortRules]:
        """The rules of the same service ports, and of new ones, as they shall be."""
        return self.draft.ports

    @cached_property
    def write(self) -> dict[str, tuple[str, ...]]:
        """The service ports' own chains (table nat) that are new or have other lines."""
        old = self._chains_before
        return {
            chain: lines
            for rules in self.after.values()
            for chain, lines in rules.chains.items()
            if old.get(chain) != lines
        }

    @cached_property
    def delete(self) -> dict[str, tuple[str, ...]]:
        """The service ports' own chains (table nat) to delete, with the lines they had."""
        kept = {chain for rules in self.after.values() for chain in rules.chains}
        return {chain: lines for chain, lines in self._chains_before.items() if chain not in kept}

    @cached_property
    def fixed(self) -> dict[str, dict[str, tuple[tuple[str, ...], tuple[str, ...]]]]:
        """By table: the fixed chains that change, with their lines before and after."""
        old, new = self.draft.old_context, self.draft.context
        # By identity: `draft` makes a new context only where node or configuration are others.
        if old is new:
            return {}
        owner = ownership(new)
        return {
            table: {
                chain: (before.get(chain, ()), lines)
                for chain, lines in after.items()
                if before.get(chain, ()) != lines and owner.owns_chain(table, chain)
            }
            for table, before, after in (
                ("nat", nat_chains(old), nat_chains(new)),
                ("filter", filter_chains(old), filter_chains(new)),
            )
        }

    @cached_property
    def shared(self) -> dict[SharedChain, LineChange]:
        """The chains shared by service ports in which lines change, or their order."""
        names = [*self.after, *(name for name in self.before if name not in self.after)]
        found = {}
        for chain in SHARED_CHAINS:
            change = self._lines_of(chain, names)
            if change is not None:
                found[chain] = change
        return found

    def __bool__(self) -> bool:
        """Whether any rule changes."""
        return bool(self.write or self.delete or self.shared or any(self.fixed.values()))

    @property
    def desired(self) -> Translation:
        """The whole ruleset after the changes, put together when it is first looked at."""
        return LazyTranslation(
            self.family, self.draft.context, self._while_current(self.draft.translation)
        )

    @property
    def previous(self) -> Translation:
        """The whole ruleset before the changes, put together when it is first looked at."""
        draft = self.draft
        return LazyTranslation(
            self.family, draft.old_context, self._while_current(draft.state.translation)
        )

    def plan(self, *, most_removed: int = MOST_REMOVED) -> Plan:
        """The update for the kernel, which must hold what the last accepted update made.

        With more than `most_removed` lines to delete, a shared chain is rewritten.
        """
        nat = {change.chain: change for change in self._own_changes()}
        tables = {"nat": nat, "filter": dict[str, ChainChange]()}
        for table, chains in self.fixed.items():
            for chain, (before, after) in chains.items():
                tables[table][chain] = _rewritten(chain, before, after)
        for (table, chain), change in self.shared.items():
            # An edit knows its own lines only, and the chain, which may have a line for each
            # Service, is not put together.
            if change.in_place and len(change.removed) <= most_removed:
                tables[table][chain] = ChainChange(
                    chain, change.removed, change.added, change.removed, change.added, in_place=True
                )
            else:
                self._refuse_if_past()
                draft, whole = self.draft, (table, chain)
                tables[table][chain] = _rewritten(
                    chain, draft.state.shared_lines(whole), draft.shared_lines(whole)
                )
        return Plan(
            self.family,
            {table: TablePlan(table, found) for table, found in tables.items() if found},
            ownership(self.draft.context),
            self.previous,
            self.desired,
        )

    def _own_changes(self) -> Iterator[ChainChange]:
        old = self._chains_before
        for chain, lines in self.write.items():
            before = old.get(chain)
            if before is None:
                yield ChainChange(chain, None, lines, (), lines)
            else:
                yield _rewritten(chain, before, lines)
        for chain, lines in self.delete.items():
            yield ChainChange(chain, lines, None, lines)

    @cached_property
    def _chains_before(self) -> dict[str, tuple[str, ...]]:
        return {
            chain: lines for rules in self.before.values() for chain, lines in rules.chains.items()
        }

    def _lines_of(self, chain: SharedChain, names: Iterable[ServicePortName]) -> LineChange | None:
        """What changes in one shared chain."""
        added: list[str] = []
        removed: list[str] = []
        in_place = self._last_lines_stay(chain)
        changed = not in_place
        for name in names:
            before = self.before[name].shared.get(chain, ()) if name in self.before else ()
            after = self.after[name].shared.get(chain, ()) if name in self.after else ()
            if before != after:
                # As multisets: equal lines occur, and -D takes away one of them.
                gone, new = list(surplus(before, after)), list(surplus(after, before))
                changed = True
                in_place = (
                    in_place
                    # So the lines stand after an edit: new ones at the top, and what stays in its
                    # old order.
                    and in_order([*new, *surplus(before, gone)], after, self.family)
                    and not (after and self._moves(name, gains=bool(new)))
                )
                removed += gone
                added += new
            elif after and self._moves(name, gains=False):
                changed, in_place = True, False
        return LineChange(tuple(added), tuple(removed), in_place) if changed else None

    def _last_lines_stay(self, chain: SharedChain) -> bool:
        old, new = self.draft.old_context, self.draft.context
        if chain != NAT_SERVICES or old is new:
            return True
        return node_port_jumps(old) == node_port_jumps(new)

    def _moves(self, name: ServicePortName, *, gains: bool) -> bool:
        """Whether a service port with rivals gets new lines among theirs, or stands elsewhere."""
        if name not in self.draft.colliding:
            return False
        return gains or (
            self.draft.old_claims[name].precedence != self.draft.claims[name].precedence
        )

    def _while_current(self, make: Callable[[], Translation]) -> Callable[[], Translation]:
        """Refuses once the state has moved on: what would be made is then something else."""

        def checked() -> Translation:
            self._refuse_if_past()
            return make()

        return checked

    def _refuse_if_past(self) -> None:
        if not self.is_current():
            raise RuntimeError(
                "this update is outdated: the translator has accepted another one since, and no "
                "longer has the rulesets of this one"
            )


def _rewritten(chain: str, before: tuple[str, ...], after: tuple[str, ...]) -> ChainChange:
    return ChainChange(
        chain, before, after, tuple(surplus(before, after)), tuple(surplus(after, before))
    )


class IncrementalTranslator:
    """Holds a cluster as one node sees it, and says what changes in its rules.

    `prepare` gives the update that some changes make, and keeps the translator as it is;
    `accept` makes it part of the translator. So an update that the kernel refused is simply not
    accepted, and the next one is prepared from its changes and the later ones together.

    After any sequence of changes `translation()` equals, byte for byte, what `translate` makes of
    the same objects. A change costs what the Services cost that it concerns, whatever the size of
    the cluster, with two exceptions: a change of everything (see `Update.everything`), and a
    shared chain that has to be rewritten.

    It starts without Services. It belongs to one thread at a time.

    >>> from nptables import Cluster, Family, ProxyConfig
    >>> from nptables.incremental import Changes, IncrementalTranslator
    >>> cluster = Cluster()
    >>> translator = IncrementalTranslator(cluster.node("node1"), ProxyConfig(), Family.IPV4)
    >>> update = translator.prepare(Changes.between(Cluster(), cluster))
    >>> bool(update)
    False
    """

    def __init__(self, node: Node, config: ProxyConfig, family: Family) -> None:
        self._state = State(node, config, family)
        self._generation = 0

    @classmethod
    def of(
        cls, cluster: Cluster, node: Node, config: ProxyConfig, family: Family
    ) -> IncrementalTranslator:
        """A translator that holds a cluster from the start."""
        translator = cls(node, config, family)
        translator.accept(translator.prepare(Changes.everything(cluster, node, config)))
        return translator

    @property
    def family(self) -> Family:
        """The address family of the rules."""
        return self._state.family

    def prepare(self, changes: Changes) -> Update:
        """What the changes change in the rules. The translator stays as it is."""
        # The number and not the translator decides: after an accept() there is another one, and
        # older updates are past.
        generation = self._generation
        return Update(draft(self._state, changes), lambda: self._generation == generation)

    def accept(self, update: Update) -> None:
        """Make an update part of the translator: the kernel has it.

        Raises ValueError for one that was prepared before another was accepted, or elsewhere.
        """
        if update.draft.state is not self._state or not update.is_current():
            raise ValueError("only an update of the translator's current state can be accepted")
        update.draft.settle()
        self._generation += 1

    def translation(self) -> Translation:
        """The whole ruleset as of the last accepted update. Costs what the cluster does."""
        return self._state.translation()
