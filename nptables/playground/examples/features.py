"""One Service for each feature that decides which endpoints are used, or who may use them."""

from __future__ import annotations

from nptables.playground.examples.example import Given, Shown, Statement

_ANSWER = "answers.0.answer"
_OUTCOMES = "document.distributions.0.outcomes"

FEATURES: tuple[Given, ...] = (
    Given(
        id="affinity",
        title="Session affinity",
        question="For how long does a client stay with its Pod here?",
        answer=(
            Statement(
                "For ten minutes (600 s) after its last new connection to this node.",
                Shown("trace", "answers.0.cases.1.condition", has="in the last 600 s"),
            ),
            Statement(
                "A new client gets either of the two Pods.",
                Shown("trace", "answers.0.cases.0.rows.*.0", equals=["1/2", "1/2"]),
            ),
        ),
        manifests="affinity.yaml",
        view="trace",
        node="worker-1",
        source="outside",
        destination="nodeport:30081",
    ),
    Given(
        id="local",
        title="externalTrafficPolicy: Local",
        question="worker-1 has one Pod and worker-2 two. Which of them see the client's address?",
        answer=(
            Statement(
                "All three: with Local the source is kept, and each node uses its own Pods only.",
                Shown(
                    "reach",
                    "rows.0.cells.*.text",
                    equals=[
                        "answers: 1 endpoint, 1 local, source kept",
                        "answers: 2 endpoints, 2 local, source kept",
                    ],
                ),
            ),
        ),
        manifests="local-policy.yaml",
        view="reach",
    ),
    Given(
        id="terminating",
        title="Pods that are terminating",
        question="During a rollout worker-1 has an old Pod that is terminating, and a new one that "
        "is not ready yet. Does the node answer?",
        answer=(
            Statement(
                "Yes: the old Pod still serves, and it is used as long as no ready one is there.",
                Shown("trace", "answers.0.reasons", has="terminating ones that still serve are"),
            ),
            Statement(
                "So the packet arrives.",
                Shown("trace", "document.arrives", equals=True),
            ),
        ),
        manifests="terminating.yaml",
        view="trace",
        node="worker-1",
        source="outside",
        destination="nodeport:30083",
    ),
    Given(
        id="hints",
        title="Topology hints",
        question="Each endpoint says for which zone it is. Which Pod do packets to worker-2 reach?",
        answer=(
            Statement(
                "Only the one in the zone of worker-2:",
                Shown("trace", f"{_OUTCOMES}.*.destination", equals=["10.244.2.6"]),
            ),
            Statement(
                "the hints keep traffic in the zone.",
                Shown("trace", "answers.0.reasons", has="hints: 1 endpoint for zone zone-b"),
            ),
        ),
        manifests="hints.yaml",
        view="trace",
        node="worker-2",
        source="outside",
        destination="nodeport:30084",
    ),
    Given(
        id="dual-stack",
        title="IPv4 and IPv6",
        question="The Service has an address of each family. Are the same Pods behind both?",
        answer=(
            Statement(
                "No. Each family has slices of its own: two Pods answer by IPv4,",
                Shown("reach", "rows.0.cells.0.text", has="2 endpoints"),
            ),
            Statement(
                "and one by IPv6.",
                Shown(
                    "reach",
                    "rows.1.cells.*.text",
                    equals=[
                        "answers: 1 endpoint, 1 local, source rewritten",
                        "answers: 1 endpoint, 0 local, source rewritten",
                    ],
                ),
            ),
        ),
        manifests="dual-stack.yaml",
        view="reach",
    ),
    Given(
        id="source-ranges",
        title="loadBalancerSourceRanges",
        question="A client at 192.0.2.77 is in none of the ranges. Is it kept out?",
        answer=(
            Statement(
                "At the load balancer's address, yes.",
                Shown("trace", _ANSWER, has="192.0.2.77 is in none of them"),
            ),
            Statement(
                "But at the node port it gets in:",
                Shown("trace", "document.arrives", equals=True, state={"to": "nodeport:30086"}),
            ),
            Statement(
                "source ranges do not guard node ports, and the check says so.",
                Shown("findings", "document.findings.0.code", equals="NPT204"),
            ),
        ),
        manifests="source-ranges.yaml",
        view="trace",
        node="worker-1",
        source="192.0.2.77",
        destination="192.0.2.200:80",
    ),
)
