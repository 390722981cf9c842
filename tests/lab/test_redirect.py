"""A REDIRECT on the way to a node port: the node itself gets the packet, and INPUT decides.

What the tracer says of it is compared with packets, also where it knows nothing of interfaces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nptables import Cluster, Ruleset, trace
from nptables import Family as NpFamily
from nptables.tracing import Packet, Verdict
from tests.lab.laboratory import manifests
from tests.lab.laboratory.addresses import CLIENT, FAMILIES, NODE1, SERVED
from tests.lab.laboratory.lab import SILENCE, Question, answered
from tests.lab.laboratory.manifests import service
from tests.lab.test_trace_matrix import facts_of

if TYPE_CHECKING:
    from tests.lab.laboratory.lab import Expected, Laboratory

pytestmark = pytest.mark.lab

NODE_PORT = 30001
BY_CLIENT = Question("client", NODE1.address, NODE_PORT)
TO_THE_NODE = answered("node1", seeing=CLIENT.address)


@pytest.mark.parametrize(
    ("chain", "verdict", "expected"),
    [("FORWARD", Verdict.NODE, TO_THE_NODE), ("INPUT", Verdict.DROPPED, SILENCE)],
)
def test_what_is_redirected_is_for_input_to_decide_and_reaches_no_endpoint(
    lab: Laboratory, chain: str, verdict: Verdict, expected: Expected
) -> None:
    objects = service([NODE1.pods[0]], type="NodePort")
    lab.apply(objects, nodes=["node1"])
    node = lab.namespaces["node1"]
    for family in FAMILIES:
        for protocol in ("tcp", "udp"):
            asked, served = ["-p", protocol, "--dport", str(NODE_PORT)], str(SERVED)
            to_itself = ["-j", "REDIRECT", "--to-ports", served]
            node.iptables(family, "-t", "nat", "-I", "PREROUTING", *asked, *to_itself)
            node.iptables(family, "-I", chain, "-p", protocol, "--dport", served, "-j", "DROP")

    lab.check({BY_CLIENT: expected}, protocols=("tcp", "udp"))

    cluster = Cluster.from_objects([*manifests.nodes(), *objects])
    for family in FAMILIES:
        rules = Ruleset.from_save(node.save(family), family=NpFamily[family])
        packet = Packet(NODE1.address.of(family), NODE_PORT, source=CLIENT.address.of(family))
        for facts in (None, facts_of(lab, "node1")):
            answer = trace(rules, packet, cluster.node("node1", facts), cluster)
            found = {o.verdict for d in answer.distributions for o in d.outcomes}
            assert found == {verdict}
