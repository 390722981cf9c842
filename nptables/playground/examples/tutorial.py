"""The steps of the tutorial on NodePorts."""

from __future__ import annotations

from nptables.playground.examples.example import Given, Shown, Statement

_PORT = "nodeport:30080"
_OUTSIDE = {"from": "outside", "to": _PORT}
_ANSWER = "answers.0.answer"
_REWRITTEN = "an address of node2 (rewritten)"

TUTORIAL: tuple[Given, ...] = (
    Given(
        id="every-node-answers",
        title="Every node answers",
        question="The only Pod runs on node1. Does node2 answer at port 30080, too?",
        answer=(
            Statement(
                "Yes. A NodePort is open on every node: both answer,",
                Shown("reach", "rows.0.cells.*.fares", equals=["answers", "answers"]),
            ),
            Statement(
                "and node2 sends the packet on to the Pod on node1.",
                Shown("trace", _ANSWER, has="at 10.233.64.5:80 on node1", state={"node": "node2"}),
            ),
        ),
        manifests="one-pod.yaml",
        view="reach",
    ),
    Given(
        id="two-pods",
        title="Who gets the packet",
        question="Each node has one Pod. Does node2 prefer its own?",
        answer=(
            Statement(
                "No. Each Pod gets half of the new connections, whichever node they come to.",
                Shown("trace", "document.distributions.0.outcomes.*.share", equals=["1/2", "1/2"]),
            ),
            Statement(
                "One of the two Pods is on the other node, node1.",
                Shown(
                    "trace", "document.distributions.0.outcomes.*.node", equals=["node1", "node2"]
                ),
            ),
        ),
        manifests="two-pods.yaml",
        view="trace",
        node="node2",
        source="outside",
        destination=_PORT,
    ),
    Given(
        id="source-seen",
        title="What the Pod sees as the source",
        question="A client sends a packet to node2. Which source address does the Pod see?",
        answer=(
            Statement(
                "An address of node2, not that of the client.",
                Shown("trace", "answers.0.cases.0.rows.0.4", equals=_REWRITTEN),
            ),
            Statement(
                "node2 rewrites the source, because the answer has to come back through node2.",
                Shown("trace", "document.distributions.0.outcomes.0.sourceRewritten", equals=True),
            ),
        ),
        manifests="one-pod.yaml",
        view="trace",
        node="node2",
        source="outside",
        destination=_PORT,
    ),
    Given(
        id="cluster-ip",
        title="Inside the cluster",
        question="A Pod on node1 uses the cluster IP instead. Is its source address rewritten?",
        answer=(
            Statement(
                "No. The Pod that answers sees the sender's own address,",
                Shown("trace", _ANSWER, has="which sees the sender's own address (10.233.64.9)"),
            ),
            Statement(
                "because no other node has to translate the answer.",
                Shown("trace", "document.distributions.0.outcomes.0.sourceRewritten", equals=False),
            ),
        ),
        manifests="one-pod.yaml",
        view="trace",
        node="node1",
        source="10.233.64.9",
        destination="svc/default/nodeport-service",
    ),
    Given(
        id="session-affinity",
        title="Session affinity",
        question="With sessionAffinity: ClientIP, where does the second connection of a client go?",
        answer=(
            Statement(
                "To the Pod that it got first: there are three cases, one new client and one known "
                "client for each Pod.",
                Shown(
                    "trace", "answers.0.cases.*.rows.*.0", equals=[["1/2", "1/2"], ["all"], ["all"]]
                ),
            ),
            Statement(
                "The node remembers a client for three hours (10,800 s) after its last new "
                "connection.",
                Shown("trace", "answers.0.cases.1.condition", has="in the last 10,800 s"),
            ),
        ),
        manifests="sticky.yaml",
        view="trace",
        node="node1",
        source="outside",
        destination=_PORT,
    ),
    Given(
        id="affinity-typo",
        title="A value that goes around",
        question="Many manifests on the web say sessionAffinity: ClusterIP. What happens with it?",
        answer=(
            Statement(
                "The API server refuses it: the values are None and ClientIP.",
                Shown(
                    "findings",
                    "problems.0.message",
                    has='"ClusterIP" is not one of None, ClientIP',
                ),
            ),
            Statement(
                "The mark in the text has the fix.",
                Shown("findings", "marks.0.fix.text", equals="ClientIP"),
            ),
        ),
        manifests="affinity-typo.yaml",
        view="findings",
    ),
    Given(
        id="broken-indent",
        title="A line that slipped",
        question="The selector stands a little too far to the right. Does anybody notice?",
        answer=(
            Statement(
                'Yes: "selector:" stands under "type: NodePort", which has its value already.',
                Shown("findings", "problems.0.message", has='is indented under "type: NodePort"'),
            ),
            Statement(
                'Begin it in the column of "type:".',
                Shown("findings", "problems.0.hint", has='in the same column as "type:"'),
            ),
        ),
        manifests="broken-indent.yaml",
        view="findings",
    ),
    Given(
        id="cluster-to-local",
        title="Cluster and Local",
        question="externalTrafficPolicy is changed from Cluster to Local. What do packets to node1 "
        "notice?",
        answer=(
            Statement(
                "The source address is kept now: the Pod sees the client.",
                Shown("changes", "sentences.0", has="source hidden before, now kept"),
            ),
            Statement(
                "Everything else is as before on this node.",
                Shown("changes", "summary", equals="1 effect"),
            ),
        ),
        manifests="local.yaml",
        before="one-pod.yaml",
        view="changes",
        node="node1",
    ),
    Given(
        id="no-local-endpoint",
        title="The price of Local",
        question="The only Pod is on node1, the policy is Local. What becomes of packets to node2?",
        answer=(
            Statement(
                "node2 drops them: Local uses the Pods of the node itself, and node2 has none.",
                Shown("reach", "rows.0.cells.*.fares", equals=["answers", "dropped"]),
            ),
            Statement(
                "The client hears nothing and waits until it gives up.",
                Shown("trace", _ANSWER, has="does not arrive: DROP", state={"node": "node2"}),
            ),
        ),
        manifests="local.yaml",
        view="reach",
    ),
    Given(
        id="check-says-so",
        title="Before anybody waits",
        question="Could somebody have known before the manifest was applied?",
        answer=(
            Statement(
                "Yes. The check reports that no endpoint is on node2.",
                Shown("findings", "document.findings.0.code", equals="NPT102"),
            ),
            Statement(
                "It underlines the line with the policy.",
                Shown("findings", "marks.0.line", equals=19),
            ),
        ),
        manifests="local.yaml",
        view="findings",
    ),
    Given(
        id="node-itself",
        title="The exception",
        question="node2 has no Pod, and the policy is Local. What if node2 asks its own NodePort?",
        answer=(
            Statement(
                "It gets an answer from the Pod on node1:",
                Shown("trace", _ANSWER, has="arrives: default/nodeport-service at 10.233.64.5:80"),
            ),
            Statement(
                "Local is for senders outside the cluster.",
                Shown(
                    "trace",
                    "answers.0.reasons.0",
                    has="external traffic policy Local is for senders outside the cluster",
                ),
            ),
        ),
        manifests="local.yaml",
        view="trace",
        node="node2",
        source="node/node2",
        destination=_PORT,
    ),
    Given(
        id="no-endpoint",
        title="No endpoint at all",
        question="The only Pod is not ready. Does the client wait, as it does with Local?",
        answer=(
            Statement(
                "No. Both nodes refuse the connection, and the client hears so at once.",
                Shown("reach", "rows.0.cells.*.fares", equals=["refused"]),
            ),
        ),
        manifests="not-ready.yaml",
        view="reach",
    ),
    Given(
        id="rules-as-graph",
        title="The rules as a picture",
        question="Which way does a packet go from node port 30080 to a Pod?",
        answer=(
            Statement(
                "From KUBE-NODEPORTS to KUBE-EXT, which marks it to have its source rewritten,",
                Shown("graph", "dot", has="KUBE-EXT-QATUYZLPU4I4HE4S"),
            ),
            Statement(
                "then to KUBE-SVC, which chooses one of two endpoints, and to KUBE-SEP, which "
                "replaces the destination.",
                Shown("graph", "dot", has="KUBE-SEP-4UCUCT3SWXAFBGA5"),
            ),
        ),
        manifests="two-pods.yaml",
        view="graph",
        node="node2",
        service="default/nodeport-service",
    ),
    Given(
        id="rules-as-text",
        title="The rules as text",
        question="How do the rules divide connections between two Pods?",
        answer=(
            Statement(
                "The first rule of KUBE-SVC matches with probability 0.5,",
                Shown("rules", "chains", has="--mode random --probability 0.50000000000"),
            ),
            Statement(
                "and the second takes what is left: that makes two halves.",
                Shown(
                    "trace",
                    "document.distributions.0.outcomes.*.share",
                    equals=["1/2", "1/2"],
                    state=_OUTSIDE,
                ),
            ),
        ),
        manifests="two-pods.yaml",
        view="rules",
        node="node2",
        service="default/nodeport-service",
    ),
)
