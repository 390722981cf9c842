"""What differs: a state from the one that was marked, two versions, a node from its cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from nptables.answering import Say
from nptables.answering.comparing import (
    against,
    changed,
    habit_changes,
    habits_document,
    say_beside,
)
from nptables.answering.evidence import NodeHas
from nptables.answering.inputs import Inputs
from nptables.answering.versions import config_for
from nptables.effects import Effects
from nptables.effects.words import sentences, summary
from nptables.errors import InvalidInput, Problem
from nptables.family import Family
from nptables.iptables.changes import Plan
from nptables.iptables.changes.report import report_lines
from nptables.model.kubeproxy import NEWEST
from nptables.playground.reading import Reader, node_of
from nptables.playground.state import State
from nptables.translation.explanation.grouping import service_groups

_FAMILIES = tuple(Family)
# Lines of rules that are shown; the document of effects is always whole.
_MOST_LINES = 2_000


def changes(reader: Reader, state: State, say: Say) -> dict[str, Any]:
    """What packets notice of the edit: the document of `diff --effects -o json`, and words.

    Without a marked state, evidence of a node is compared with what its cluster asks for.
    """
    if state.before is not None:
        before, after = _sides(reader, state.before, state, say)
        return _changed(*changed(before, after, _FAMILIES))
    there = reader.node_has(state, None, say)
    if there.meant is None:
        raise InvalidInput([
            Problem(
                "there is nothing to compare with",
                hint="mark the present state as before, then edit; or add a node's evidence",
            )
        ])  # fmt: skip
    return _against(reader, state, there.meant, say)


def versions(reader: Reader, state: State, to: str, say: Say) -> dict[str, Any]:
    """What another version of kube-proxy changes: the documents of `diff --to-version`."""
    inputs = reader.inputs(state, node=node_of(reader, state, say), say=say)
    config = config_for(inputs.found, [inputs.node], asked=to or str(NEWEST), say=say)
    upgraded = attrs.evolve(inputs, config=config)
    noticed = _changed(*changed(inputs, upgraded, _FAMILIES))
    found = habit_changes(inputs, upgraded, _FAMILIES)
    return {
        **noticed,
        "document": habits_document(found),
        "effects": noticed["document"],
        "from": str(inputs.config.version),
        "to": str(config.version),
        "habits": [
            {"title": change.title, "means": change.habit.means}
            for change in {each.title: each for each in found}.values()
        ],
    }


def _sides(reader: Reader, old: State, new: State, say: Say) -> tuple[Inputs, Inputs]:
    """Both inputs for one node, and for one kube-proxy, whichever of them tells its version."""
    loaded = reader.loaded(old), reader.loaded(new)
    name = new.node or old.node or node_of(reader, new, say)
    nodes = [each.cluster.nodes for each in loaded]
    likes = [nodes[1].get(name or ""), nodes[0].get(name or "")]
    before, after = (
        reader.inputs(state, node=name, family=Family.IPV4, like=like, say=say)
        for state, like in zip((old, new), likes, strict=True)
    )
    return before, after


def _against(reader: Reader, state: State, node_has: NodeHas, say: Say) -> dict[str, Any]:
    """The rules that a node has against those that its cluster asks for."""
    node_has.refuse_part()
    families = node_has.families(None, say)
    node = node_of(reader, state, say, node_has.evidence)
    inputs = reader.inputs(state, node=node, node_has=node_has, say=say)
    found = against(node_has, inputs, families, say=say)
    say_beside(found, say)
    if found.elsewhere:
        say(f"{found.elsewhere}; so nothing is compared", kind="warning")
        nothing = _changed([], [])
        told = {**nothing["document"], "handledElsewhere": found.elsewhere}
        return {**nothing, "document": told}
    return _changed(found.plans, found.noticed())


def _changed(plans: Sequence[Plan], noticed: Sequence[Effects]) -> dict[str, Any]:
    effects = Effects.joined(tuple(noticed))
    lines = [
        {"kind": line.kind, "text": line.text}
        for plan in plans
        if plan or plan.kept or plan.cosmetic
        for line in report_lines(plan, service_groups(plan.desired, plan.before))
    ]
    return {
        "document": effects.to_json(),
        "summary": summary(effects),
        "sentences": list(sentences((*effects.effects, *effects.unknown))),
        "rules": lines[:_MOST_LINES],
        "more": max(0, len(lines) - _MOST_LINES),
    }
