"""Clusters that become large, and small again: without comments on endpoints, and with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.agent.conftest import STEADY
from tests.support.agents import AgentProcess, lasting, running, watched
from tests.support.apiserver import ApiServer
from tests.support.objects import endpoint_slice, node, service

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.netns import Family as FamilyName
    from tests.support.netns import Namespace

pytestmark = pytest.mark.kernel

# Beside it there is one endpoint of another Service. 1,000 of a family are not many yet.
BORDER = 999


def many(number: int) -> dict[str, Any]:
    return endpoint_slice("many", *(f"10.245.{n // 250}.{n % 250 + 1}" for n in range(number)))


def leads_to_an_endpoint(rule: str) -> bool:
    """Whether a rule is one of those that a large cluster has without a comment."""
    return "-A KUBE-SEP-" in rule or ("-A KUBE-SVC-" in rule and "-j KUBE-SEP-" in rule)


def commented(namespace: Namespace, family: FamilyName) -> tuple[int, int]:
    """How many rules that lead to endpoints have a comment, and how many have none."""
    found = list(filter(leads_to_an_endpoint, namespace.save(family).splitlines()))
    having = sum("--comment" in rule for rule in found)
    return having, len(found) - having


def test_an_agent_follows_a_cluster_over_the_border_and_back(
    namespace: Namespace, tmp_path: Path
) -> None:
    with ApiServer(namespace=namespace.name) as server:
        server.put(node(), *STEADY, service("many", cluster_ip="10.96.0.50"), many(BORDER))
        agent = AgentProcess(namespace, server, tmp_path, hasty=True)
        with running(agent):
            agent.gets_ready()
            agent.settles()
            # Whatever becomes of comments, there is a way to every Service all the time, and
            # clients that are remembered stay so.
            (steady,) = (
                line.split()[1]
                for line in namespace.save("IPV4").splitlines()
                if "--to-destination 10.244.0.5:8080" in line
            )
            remembered = f"/proc/net/xt_recent/{steady}"
            namespace.run(["sh", "-c", f"echo +192.0.2.77 > {remembered}"])
            ways = {
                family: [rule for rule in rules if not leads_to_an_endpoint(rule)]
                for family, rules in lasting(namespace).items()
            }
            with watched(namespace, ways) as lacking:
                for number, large in ((BORDER, False), (BORDER + 1, True), (BORDER, False)):
                    server.put(many(number))
                    agent.settles()
                    # No packet notices comments, and so a difference in them is none yet.
                    agent.rests()
                    # Three for each endpoint, and one more where clients are remembered.
                    rules = 3 * (number + 1) + 1
                    assert commented(namespace, "IPV4") == ((0, rules) if large else (rules, 0))
                    # The other family has one endpoint all the time.
                    assert commented(namespace, "IPV6") == (4, 0)
            assert lacking == []
            assert "192.0.2.77" in namespace.run(["cat", remembered]).stdout
            assert agent.stop() == 0
