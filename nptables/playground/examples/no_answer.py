"""Six ways in which a NodePort does not answer."""

from __future__ import annotations

from nptables.playground.examples.example import Given, Shown, Statement

_ANSWER = "answers.0.answer"

NO_ANSWER: tuple[Given, ...] = (
    Given(
        id="no-pod-here",
        title="No Pod on this node",
        question="worker-1 answers at port 30080. Why does worker-2 not answer?",
        answer=(
            Statement(
                "externalTrafficPolicy is Local, and both Pods are on worker-1:",
                Shown("trace", _ANSWER, has="none of its 2 ready endpoints is on worker-2"),
            ),
            Statement(
                "worker-2 drops the packet.",
                Shown("reach", "rows.0.cells.*.fares", equals=["answers", "dropped"]),
            ),
            Statement(
                "Run a Pod on each node, send traffic to worker-1 only, or use Cluster.",
                Shown("findings", "document.findings.0.remedy", has="run a Pod on each"),
            ),
        ),
        manifests="no-local-pod.yaml",
        view="trace",
        node="worker-2",
        source="outside",
        destination="nodeport:30080",
    ),
    Given(
        id="none-ready",
        title="No Pod is ready",
        question='Every node says "connection refused" at port 30080. Why?',
        answer=(
            Statement(
                "Neither of the two Pods is ready, so nothing can take traffic,",
                Shown("trace", _ANSWER, has="not ready: 10.244.1.5:8080, 10.244.2.6:8080"),
            ),
            Statement(
                "and a rule refuses the connection at once.",
                Shown("trace", _ANSWER, has="does not arrive: REJECT"),
            ),
        ),
        manifests="none-ready.yaml",
        view="trace",
        node="worker-1",
        source="outside",
        destination="nodeport:30080",
    ),
    Given(
        id="selector-slip",
        title="The selector fits no Pod",
        question="Both Pods of the Deployment run. Why has the Service no endpoint?",
        answer=(
            Statement(
                "The selector says app=web, and the Pods have app=wbe.",
                Shown(
                    "findings",
                    "document.findings.0.message",
                    has="the selector says app=web (web.yaml:6) and the Pods of Deployment "
                    "shop/web have app=wbe",
                ),
            ),
            Statement(
                "One of the two is a slip of the pen: the check names both lines.",
                Shown("findings", "document.findings.0.code", equals="NPT130"),
            ),
        ),
        manifests="selector-typo.yaml",
        view="findings",
    ),
    Given(
        id="docker-drops",
        title="Another program drops it",
        question="The rules for the Service are there, and its Pod is on node1. Why does node1 not "
        "answer?",
        answer=(
            Statement(
                "The packet is translated, and then no rule of FORWARD accepts it; the policy of "
                "that chain is DROP.",
                Shown("trace", _ANSWER, has="the chain's policy is DROP"),
            ),
            Statement(
                "Docker sets it.",
                Shown("trace", _ANSWER, has="Docker sets it"),
            ),
            Statement(
                "The check finds it in the rules of the node, too.",
                Shown("findings", "document.findings.0.code", equals="NPT501"),
            ),
        ),
        manifests="docker.yaml",
        evidence="docker.txt",
        view="trace",
        node="node1",
        source="outside",
        destination="nodeport:30080",
    ),
    Given(
        id="other-address",
        title="Not at this address",
        question="node-a has two networks. Why does it not answer at 192.0.2.11?",
        answer=(
            Statement(
                "kube-proxy's nodePortAddresses has the network 10.50.0.0/24 only,",
                Shown("trace", _ANSWER, has="nodePortAddresses has only 10.50.0.0/24"),
            ),
            Statement(
                "so the node port is open at 10.50.0.11.",
                Shown("trace", "document.arrives", equals=True, state={"to": "10.50.0.11:31080"}),
            ),
        ),
        manifests="two-networks.yaml",
        config="two-networks-kube-proxy.yaml",
        facts="two-networks-facts.yaml",
        view="trace",
        node="node-a",
        source="outside",
        destination="192.0.2.11:31080",
    ),
    Given(
        id="other-name",
        title="kube-proxy knows the node by another name",
        question="node-a has a ready Pod, and the policy is Local. Why does it drop the packet?",
        answer=(
            Statement(
                "The rules say that there is no local endpoint, and the cluster says that there is "
                "one:",
                Shown("trace", _ANSWER, has="in the cluster 1 endpoint on node-a can take traffic"),
            ),
            Statement(
                "most likely kube-proxy knows the node by another name.",
                Shown("trace", _ANSWER, has="kube-proxy knows the node by another name"),
            ),
        ),
        manifests="other-name.yaml",
        evidence="other-name.txt",
        view="trace",
        node="node-a",
        source="outside",
        destination="nodeport:31080",
    ),
)
