"""A plan: every change that turns the owned part of a ruleset into the desired one.

A plan is a value. It says what changes, not how: `steps` in the module of that name puts the
changes into commits in the order in which packets see no worse state than before or after.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from nptables.family import Family
from nptables.iptables.changes.parts import TablePlan
from nptables.iptables.changes.steps import steps_of
from nptables.iptables.ownership import Ownership
from nptables.iptables.ruleset import Ruleset


@attrs.frozen(slots=False)
class Plan:
    """The changes that turn the owned part of `before` into that of `desired`, and nothing else.

    A plan is falsy if there is nothing to do, that is, no drift. Differences in spelling do not
    count. Chains that differ only in comments are in `cosmetic`, and chains that have to stay
    because others use them are in `kept`.
    """

    family: Family
    tables: Mapping[str, TablePlan]
    ownership: Ownership = attrs.field(repr=False)
    before: Ruleset = attrs.field(repr=False)
    desired: Ruleset = attrs.field(repr=False)

    def __bool__(self) -> bool:
        return any(self.tables.values())

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self

    @property
    def cosmetic(self) -> dict[tuple[str, str], tuple[tuple[str, ...], tuple[str, ...]]]:
        """By table and chain: the lines before and after of chains whose comments differ."""
        return {
            (table, chain): pair
            for table, plan in self.tables.items()
            for chain, pair in plan.cosmetic.items()
        }

    @property
    def kept(self) -> dict[tuple[str, str], str]:
        """By table and chain: the foreign rule because of which a chain is not deleted."""
        return {
            (table, chain): line
            for table, plan in self.tables.items()
            for chain, line in plan.kept.items()
        }

    def in_common(self, other: Plan) -> Plan:
        """The changes of this plan to those chains and jumps that the other plan changes too."""
        return attrs.evolve(
            self,
            tables={
                name: _in_common(table, other.tables.get(name, TablePlan(name)))
                for name, table in self.tables.items()
            },
        )

    def to_restore(self) -> str:
        """The text that carries the plan out when fed to `iptables-restore --noflush`.

        Several commits, each atomic for its table. Empty for an empty plan.
        """
        return "".join(step.to_restore() for step in steps_of(self))

    def to_json(self) -> dict[str, Any]:
        """The plan as data for `json.dumps`: by table what is created, changed and deleted."""
        return {
            "family": self.family.value,
            "drift": bool(self),
            "tables": {name: _table_json(plan) for name, plan in self.tables.items()},
        }


def _in_common(table: TablePlan, other: TablePlan) -> TablePlan:
    jumps = {insertion.line for insertion in other.insert}
    return attrs.evolve(
        table,
        changes={c: change for c, change in table.changes.items() if c in other.changes},
        ensure=tuple(chain for chain in table.ensure if chain in other.ensure),
        discard=tuple(chain for chain in table.discard if chain in other.discard),
        insert=tuple(insertion for insertion in table.insert if insertion.line in jumps),
        remove=tuple(line for line in table.remove if line in other.remove),
        reinsert=tuple(jump for jump in table.reinsert if jump.line in other.remove),
    )


def _table_json(plan: TablePlan) -> dict[str, Any]:
    return {
        "create": {
            **{change.chain: list(change.after or ()) for change in plan.of_kind("create")},
            **{chain: [] for chain in plan.ensure},
        },
        "change": {
            change.chain: {
                "removed": list(change.removed),
                "added": list(change.added),
                "rewritten": change.kind == "rewrite",
            }
            for change in plan.changes.values()
            if change.kind in ("rewrite", "edit")
        },
        "delete": {
            **{change.chain: list(change.before or ()) for change in plan.of_kind("delete")},
            **{chain: [] for chain in plan.discard},
        },
        "insertJumps": [insertion.line for insertion in plan.insert],
        "removeJumps": list(plan.remove),
        "kept": dict(plan.kept),
        "cosmetic": {
            chain: {"before": list(before), "after": list(after)}
            for chain, (before, after) in plan.cosmetic.items()
        },
    }
