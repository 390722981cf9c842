"""What packets notice of the difference between two inputs, or of a plan for a node."""

from __future__ import annotations

import attrs

from nptables.answering.inputs import Inputs
from nptables.effects import Effects, NodeState, compare_effects
from nptables.evidence import Evidence, Form
from nptables.evidence.backends import active_rulesets
from nptables.iptables.changes import Plan
from nptables.iptables.changes.outcome import carried_out
from nptables.tracing import missing_tables, read_sets


def of_inputs(before: Inputs, after: Inputs, plan: Plan) -> Effects:
    """What packets notice where a node has the rules of one input, then those of another."""
    return compare_effects(
        NodeState(plan.before, before.node, before.cluster, before.config, supposed=True),
        NodeState(plan.desired, after.node, after.cluster, after.config, supposed=True),
    )


def of_plan(plan: Plan, inputs: Inputs, evidence: Evidence) -> Effects:
    """What packets notice where a plan is carried out on a node that has what `evidence` says.

    They meet the tables of both backends, of which the plan changes one.
    """
    family, current = plan.family, plan.before
    beside = tuple(rules for rules in active_rulesets(evidence, family) if rules is not current)
    before = (current, *beside)
    unread = [tables.backend for tables in evidence.unread if tables.family is family]
    state = NodeState(
        before,
        inputs.node,
        inputs.cluster,
        inputs.config,
        sets={} if evidence.ipset is None else read_sets(evidence.ipset),
        unread=unread[0] if unread else "",
        # A reading of the kernel leaves no table out; a dump may.
        unknown_tables=() if evidence.form is Form.SNAPSHOT else missing_tables(before),
    )
    after = attrs.evolve(state, rules=(carried_out(plan), *beside), supposed=True)
    return compare_effects(state, after)
