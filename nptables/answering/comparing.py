"""Two inputs compared on one node, and the documents of what changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from nptables.answering.inputs import Inputs
from nptables.answering.noticing import of_inputs
from nptables.effects import Effects
from nptables.family import Family
from nptables.iptables.changes import Plan, diff
from nptables.translation.explanation.versions import HabitChange, changes_by_habit


def changed(
    before: Inputs, after: Inputs, families: Sequence[Family]
) -> tuple[list[Plan], Effects]:
    """How the rules of a node differ between two inputs, and what packets notice of it."""
    plans = [diff(before.translate(family), after.translate(family)) for family in families]
    return plans, Effects.joined(tuple(of_inputs(before, after, plan) for plan in plans))


def habits_document(changes: Iterable[HabitChange]) -> dict[str, Any]:
    """What another version of kube-proxy changes, habit by habit, as plain data."""
    return {"habits": [_habit(change) for change in changes]}


def habit_changes(before: Inputs, after: Inputs, families: Sequence[Family]) -> list[HabitChange]:
    """What the version of kube-proxy in `after` does differently on the node of both."""
    return [
        change
        for family in families
        for change in changes_by_habit(
            before.cluster, before.node, before.config, after.config, family
        )
    ]


def plans_document(parts: Iterable[tuple[Plan, dict[str, Any]]]) -> dict[str, Any]:
    """Plans as plain data, each with what is said of it beside, such as its set or its nodes."""
    return {"plans": [{**about, **plan.to_json()} for plan, about in parts]}


def _habit(change: HabitChange) -> dict[str, Any]:
    habit = change.habit
    return {
        "name": habit.name,
        "since": None if habit.since is None else str(habit.since),
        "until": None if habit.until is None else str(habit.until),
        "comes": change.gained,
        "means": habit.means,
        "plan": change.plan.to_json(),
    }
