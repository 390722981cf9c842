"""One cluster under several kube-proxies: what an upgrade changes, and whose rules a node has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import attrs

from nptables.errors import InvalidInput
from nptables.family import Family
from nptables.iptables.changes import Plan, diff
from nptables.iptables.changes.report import changed_lines
from nptables.iptables.ruleset import Ruleset
from nptables.model import Cluster, Node, ProxyConfig
from nptables.model.kubeproxy import HABITS, VERSIONS, Habit, Version
from nptables.translation import chains
from nptables.translation.assembly import translate


@attrs.frozen
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
        habits ^= {habit.name}
        changed = translate(cluster, node, attrs.evolve(after, habits=habits), family)
        plan = diff(rules, changed, ownership=changed.ownership)
        rules = changed
        if plan:
            yield HabitChange(habit, after.has(habit), plan)


@attrs.frozen
class Likeness:
    """Versions that differ from what a node has in so many lines, fewer than the one asked for."""

    versions: tuple[Version, ...]
    lines: int


def looks_like(
    plan: Plan,
    cluster: Cluster,
    node: Node,
    config_for: Callable[[Version], ProxyConfig],
    asked: ProxyConfig,
) -> Likeness | None:
    """The versions whose rules are nearest to what a plan found, where they are nearer than it.

    `config_for` reads the configuration for a version; a version that refuses it is none of them.
    None where no other version is nearer, and where there are no rules of kube-proxy at all.
    """
    if not _has_rules(plan.before):
        return None
    fewest = count_lines(plan)
    nearest: list[Version] = []
    seen: dict[frozenset[str], int] = {asked.habits: fewest}
    for version in VERSIONS:
        try:
            config = config_for(version)
        except InvalidInput:
            continue
        if config.habits not in seen:
            rules = translate(cluster, node, config, plan.family)
            seen[config.habits] = count_lines(diff(plan.before, rules, ownership=rules.ownership))
        lines = seen[config.habits]
        if lines < fewest:
            fewest, nearest = lines, []
        if lines == fewest and config.habits != asked.habits:
            nearest.append(version)
    if not nearest or fewest == seen[asked.habits]:
        return None
    return Likeness(tuple(nearest), fewest)


def _has_rules(ruleset: Ruleset) -> bool:
    table = ruleset.tables.get("nat")
    return table is not None and bool(table.chains.get(chains.SERVICES))


def count_lines(plan: Plan) -> int:
    """How many lines a plan takes away and brings."""
    return sum(1 for _ in changed_lines(plan))


def listed(versions: tuple[Version, ...]) -> str:
    """Versions as people list them: `1.29`, `1.29 or 1.30`, `1.27 to 1.29`."""
    first, last = VERSIONS.index(versions[0]), VERSIONS.index(versions[-1])
    if len(versions) > 2 and versions == VERSIONS[first : last + 1]:
        return f"{versions[0]} to {versions[-1]}"
    *most, end = map(str, versions)
    return f"{', '.join(most)} or {end}" if most else end


def sentence(likeness: Likeness, before: int, preferred: Iterable[Version] = ()) -> str:
    """What to say of a likeness, where the version asked for differs in `before` lines.

    Of several versions it names the first that is preferred, else the newest.
    """
    versions = likeness.versions
    named = next((version for version in preferred if version in versions), versions[-1])
    option = f"with --kube-proxy-version {named}"
    if not likeness.lines:
        return f"this looks like kube-proxy {listed(versions)}; {option} nothing differs"
    what = "1 line differs" if likeness.lines == 1 else f"{likeness.lines} lines differ"
    return (
        f"this looks more like kube-proxy {listed(versions)}; {option} {what} instead of {before}, "
        "and that is drift"
    )
