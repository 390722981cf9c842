"""Snapshots of the laboratory's nodes answer as what their kernels have.

The answers to every combination of the matrix that packets were held against, from rules and
facts that were read directly, are what a snapshot by the command and one by the shell script have
to give too. A few policies are enough for every run; NPTABLES_SNAPSHOTS=all asks all of them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from nptables import Family as NpFamily
from nptables.evidence.backends import active_rulesets
from nptables.sources.evidence import evidence_in
from tests.lab.laboratory.addresses import NODES
from tests.lab.test_trace_matrix import POLICIES, Foretelling, cases, prepared

if TYPE_CHECKING:
    from nptables.evidence import Evidence
    from tests.lab.laboratory.lab import Laboratory

pytestmark = pytest.mark.lab

SCRIPT = Path(__file__).parents[2] / "deploy/snapshot.sh"
WAYS = {
    "command": [sys.executable, "-m", "nptables", "snapshot"],
    "script": ["sh", str(SCRIPT)],
}
IN_EVERY_RUN = ("Local, an endpoint on node1 only", "affinity", "FORWARD drops")
ASKED = POLICIES if os.environ.get("NPTABLES_SNAPSHOTS") == "all" else IN_EVERY_RUN


class FromSnapshots(Foretelling):
    """Traces in what snapshots of the nodes hold."""

    def __init__(self, base: Foretelling, evidence: dict[str, Evidence]) -> None:
        self._evidence = evidence
        self._cluster, self._config = base._cluster, base._config
        self._nodes = {
            name: attrs.evolve(node, facts=evidence[name].facts)
            for name, node in base._nodes.items()
        }
        self._rules = {
            (name, family.name): active_rulesets(evidence[name], family)
            for name in evidence
            for family in NpFamily
        }


def said(answer: Any) -> Any:
    """What matters of an answer: not how the rules are spelled."""
    return [
        (
            d.hypotheses,
            [(o.share, o.verdict, str(o.destination), o.port, str(o.source)) for o in d.outcomes],
        )
        for d in answer.distributions
    ]


@pytest.mark.parametrize("name", ASKED)
def test_a_snapshot_answers_as_the_node_does(lab: Laboratory, name: str) -> None:
    policy = POLICIES[name]
    base = prepared(lab, policy)
    asked = list(cases(policy))
    expected = [said(base.answer(case)) for case in asked]

    for way, argv in WAYS.items():
        taken = {
            node.name: evidence_in(lab.namespaces[node.name].run(argv).stdout) for node in NODES
        }
        asking = FromSnapshots(base, taken)
        wrong = [
            f"{case}: {was} instead of {right}"
            for case, right in zip(asked, expected, strict=True)
            if (was := said(asking.answer(case))) != right
        ]
        assert not wrong, f"{way}: {len(wrong)} of {len(asked)}\n" + "\n".join(wrong[:5])
