"""Findings about what a node has: its rules, its settings, its connections."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from nptables.answering.checking import Nodes
from nptables.answering.effects import of_plan
from nptables.answering.evidence import (
    NodeHas,
    explained,
    is_part,
    known_part,
    with_shown_facts,
)
from nptables.answering.inputs import Inputs
from nptables.answering.saying import Say, silent
from nptables.checks import Finding, check_connections, check_node
from nptables.checks.observed import observed
from nptables.evidence import Form
from nptables.family import Family
from nptables.iptables.changes import diff
from nptables.model import Cluster
from nptables.translation import translate
from nptables.translation.explanation.disagreement import disagreement
from nptables.translation.flows import listed_flows


def connection_findings(listing: str, cluster: Cluster, looked_at: Nodes) -> Iterator[Finding]:
    """Connections in a listing that the rules of none of the nodes would make."""
    for family in Family:
        made = [
            translate(cluster, node, config, family)
            for config, nodes in looked_at
            for node in nodes or [cluster.node()]
        ]
        yield from check_connections(listed_flows(listing, family), made)


def node_findings(
    node_has: NodeHas,
    inputs: Inputs,
    asked: Family | None,
    *,
    say: Say = silent,
) -> Iterator[Finding]:
    """What is wrong on a node, family by family."""
    evidence, inputs = node_has.evidence, inputs.comparable
    known = tuple(known_part(each, inputs.cluster, say) for each in evidence.rulesets)
    evidence = attrs.evolve(evidence, rulesets=known)
    node_has = attrs.evolve(node_has, evidence=evidence)
    families = node_has.families(asked, say)
    tables = [node_has.serving(family, strict=False, say=say) for family in families]
    inputs = with_shown_facts(inputs, tables, evidence.form.value, say)
    desired = [inputs.translate(current.family) for current in tables]
    plans = [diff(current, made) for current, made in zip(tables, desired, strict=True)]
    # A reading of the kernel leaves no table out; a dump may.
    absent = dict.fromkeys(
        name
        for plan in plans
        for name in plan.tables
        if name not in plan.before.tables and evidence.form is not Form.SNAPSHOT
    )
    part = is_part(evidence)
    why = "" if absent or part else str(explained(plans, inputs))
    if part:
        say(
            "only a part of the rules is there, so they are not compared with the cluster",
            kind="warning",
        )
    elif absent:
        whose = f"the {evidence.form.value}"
        say(f"{whose} has no table {', '.join(absent)}: it is not checked", kind="warning")
    for plan, made in zip(plans, desired, strict=True):
        rulesets = evidence.of(plan.family)
        behind = None
        compared = {}
        if not part:
            behind = disagreement(inputs.cluster, inputs.node, inputs.config, rulesets)
            compared = {name: table for name, table in plan.tables.items() if name not in absent}
        state = observed(
            inputs.node.name,
            attrs.evolve(plan, tables=compared),
            evidence,
            explanation=why,
            behind="" if behind is None else str(behind),
            noticed=of_plan(plan, inputs, evidence) if compared else None,
            here=node_has.here,
        )
        yield from check_node(state, inputs.config, made.context)
