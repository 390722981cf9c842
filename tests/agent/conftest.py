from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.agents import AgentProcess, running
from tests.support.apiserver import ApiServer
from tests.support.netns import BACKENDS, network_namespace
from tests.support.objects import endpoint_slice, node, service
from tests.support.requirements import requires

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.netns import Namespace

# A server that only serves what stays the same all the time.
STEADY = (
    service("steady", node_port=30080, sessionAffinity="ClientIP"),
    endpoint_slice("steady", "10.244.0.5"),
)


@pytest.fixture(scope="module", params=BACKENDS)
def standing(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AgentProcess]:
    """An agent with quick periods that lives through all tests of a module, for each backend."""
    requires("root", "netns", request.param)
    with network_namespace(request.param) as namespace:
        namespace.run(["ip", "link", "set", "lo", "up"])
        with ApiServer(namespace=namespace.name) as server:
            server.put(node(), *STEADY)
            agent = AgentProcess(
                namespace,
                server,
                tmp_path_factory.mktemp("agent"),
                options=("--check-period", "500ms", "--verify-period", "2s"),
                config={"iptables": {"minSyncPeriod": "100ms"}},
                hasty=True,
            )
            with running(agent):
                agent.converges(20)
                yield agent


@pytest.fixture(params=BACKENDS)
def namespace(request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """An empty namespace, once for each backend."""
    requires("root", "netns", request.param)
    with network_namespace(request.param) as made:
        made.run(["ip", "link", "set", "lo", "up"])
        yield made
