"""One cluster under two kube-proxies: what an upgrade changes, habit by habit."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables.changes import Plan, diff
from nptables.model import Cluster, Node, ProxyConfig
from nptables.model.kubeproxy import HABITS, Habit
from nptables.translation.assembly import translate


@frozen
class HabitChange:
    """What one habit changes in the rules, when those before it in the table are changed already.

    `gained` tells whether the version that is gone to has the habit, rather than lost it.
    """

    habit: Habit
    gained: bool
    plan: Plan

    @property
    def title(self) -> str:
        """The habit's name and from or up to when kube-proxy has it."""
        habit = self.habit
        said = []
        if habit.since is not None:
            said.append(f"from {habit.since} on")
        if habit.until is not None:
            said.append(f"up to {habit.until}")
        if habit.gate is not None:
            said.append(f"gate {habit.gate.name}")
        comes = "comes" if self.gained else "goes"
        return f"{habit.name} {comes} ({', '.join(said)})"


def changes_by_habit(
    cluster: Cluster, node: Node, before: ProxyConfig, after: ProxyConfig, family: Family
) -> Iterator[HabitChange]:
    """What changes on a node when `after` takes the place of `before`, habit by habit.

    Both are one configuration as two versions of kube-proxy read it. The changes stand in the order
    of the table, each against the rules that the ones before it left: together they are the
    whole change. Habits that change nothing here are left out.
    """
    habits = before.habits
    rules = translate(cluster, node, attrs.evolve(after, habits=habits), family)
    for habit in HABITS:
        if (habit.name in habits) == after.has(habit):
            continue
        # Upon those before it, since some habits matter only where another one is there.
        habits ^= {habit.name}
        changed = translate(cluster, node, attrs.evolve(after, habits=habits), family)
        plan = diff(rules, changed, ownership=changed.ownership)
        rules = changed
        if plan:
            yield HabitChange(habit, after.has(habit), plan)
