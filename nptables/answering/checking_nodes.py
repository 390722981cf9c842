"""Findings about what a node has: its rules, its settings, its connections."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from nptables.answering.checking import Nodes
from nptables.answering.comparing import against
from nptables.answering.effects import of_plan
from nptables.answering.evidence import NodeHas, explained, is_part
from nptables.answering.inputs import Inputs
from nptables.answering.saying import Say, silent
from nptables.checks import Finding, check_connections, check_node
from nptables.checks.observed import observed
from nptables.evidence import Form
from nptables.family import Family
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
    found = against(node_has, inputs, node_has.families(asked, say), strict=False, say=say)
    inputs, evidence, plans = found.inputs, found.evidence, found.plans
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
    for plan, made in zip(plans, found.desired, strict=True):
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
