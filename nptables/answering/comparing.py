"""Two inputs compared on one node, a node with its cluster, and the documents of what changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Generic

import attrs

from nptables.answering.effects import of_inputs, of_plan
from nptables.answering.evidence import (
    Given,
    NodeHas,
    explained,
    known_part,
    say_missing_tables,
    with_shown_facts,
)
from nptables.answering.inputs import Inputs
from nptables.answering.saying import Say, say_all, silent
from nptables.answering.unknown import say_unknown
from nptables.checks import wrong_in_shared_chains
from nptables.effects import Effects
from nptables.evidence import Evidence
from nptables.evidence.handlers import handlers
from nptables.evidence.native import native_rules
from nptables.family import Family
from nptables.iptables.changes import Plan, diff
from nptables.translation import Translation
from nptables.translation.explanation.versions import HabitChange, changes_by_habit


@attrs.frozen
class Against(Generic[Given]):
    """How what a node has differs from what its cluster asks for, family by family.

    `inputs` are what it was compared with, `whole` is all that it has, and `evidence` the same
    without the rules of Services of which the objects know nothing.
    """

    inputs: Given
    whole: Evidence
    evidence: Evidence
    desired: tuple[Translation, ...]
    plans: tuple[Plan, ...]

    @property
    def elsewhere(self) -> str:
        """Who handles Services there instead of rules, of which a difference would say nothing."""
        return handlers(self.whole).instead(self.inputs.node.name)

    def noticed(self) -> list[Effects]:
        """What packets notice of each difference."""
        return [of_plan(plan, self.inputs, self.evidence) for plan in self.plans]


def against(
    node_has: NodeHas,
    inputs: Given,
    families: Sequence[Family],
    *,
    strict: bool = True,
    say: Say = silent,
) -> Against[Given]:
    """Compare what a node has with what the inputs ask for.

    `strict` is that of `NodeHas.serving`. Raises what that raises.
    """
    inputs = inputs.comparable
    evidence = node_has.evidence.with_facts(inputs.node.facts)
    whole = [node_has.serving(family, strict=strict, say=say) for family in families]
    inputs = with_shown_facts(inputs, whole, evidence.form.value, say)
    # All of them: the whole of one that was compared in part would look like another backend's.
    known = {id(each): known_part(each, inputs.cluster, say) for each in evidence.rulesets}
    desired = tuple(inputs.translate(family) for family in families)
    return Against(
        inputs,
        evidence,
        attrs.evolve(evidence, rulesets=tuple(known.values())),
        desired,
        tuple(diff(known[id(each)], made) for each, made in zip(whole, desired, strict=True)),
    )


def say_beside(found: Against[Given], say: Say, *, each: bool = False) -> None:
    """Say what a reader of a comparison has to know: what it cannot show, and why it may differ.

    `each` is that of `say_unknown`.
    """
    for plan in found.plans:
        say_missing_tables(plan.tables, plan.before, found.whole, "comparison is", say)
        say_all(say, native_rules(found.whole.native or (), plan.family), kind="warning")
        # Chains that others keep too: those rules are never in a plan.
        wrong = wrong_in_shared_chains(plan.before, found.inputs.config.masquerade_mark)
        say_all(say, wrong, kind="warning")
    if found.elsewhere:
        return
    say_unknown([found.inputs.cluster], say, each=each)
    why = explained(found.plans, found.inputs)
    say_all(say, filter(None, [why.version]), kind="note")
    say_all(say, filter(None, [why.configuration]), kind="warning")


def changed(
    before: Inputs, after: Inputs, families: Sequence[Family]
) -> tuple[list[Plan], list[Effects]]:
    """How the rules of a node differ between two inputs, and what packets notice, by family."""
    plans = [diff(before.translate(family), after.translate(family)) for family in families]
    return plans, [of_inputs(before, after, plan) for plan in plans]


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
