from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.support.agents import AgentProcess, running
from tests.support.apiserver import ApiServer
from tests.support.netns import BACKENDS, network_namespace
from tests.support.objects import endpoint_slice, node, service
from tests.support.requirements import requires

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.netns import Backend, Namespace

# A server that only serves what stays the same all the time, in both families.
STEADY = (
    service("steady", node_port=30080, sessionAffinity="ClientIP"),
    endpoint_slice("steady", "10.244.0.5"),
    service("six", cluster_ip="fd00:10:96::10", node_port=30086, sessionAffinity="ClientIP"),
    endpoint_slice("six", "fd00:1::5"),
)


@contextlib.contextmanager
def kept_node(backend: Backend, folder: Path, *, verify: str) -> Iterator[AgentProcess]:
    """A node with the steady Services, and an agent with quick periods that keeps it."""
    requires("root", "netns", backend)
    with network_namespace(backend) as namespace:
        namespace.run(["ip", "link", "set", "lo", "up"])
        # Watches that nobody broke say something long before they count as silent.
        with ApiServer(namespace=namespace.name, bookmark_every=0.3) as server:
            server.put(node(), *STEADY)
            agent = AgentProcess(
                namespace,
                server,
                folder,
                options=("--check-period", "500ms", "--verify-period", verify),
                config={"iptables": {"minSyncPeriod": "100ms"}},
                hasty=True,
                watch={
                    "silence": 1.5,
                    "page_size": 1,
                    "first_pause": 0.02,
                    "longest_pause": 0.1,
                },
            )
            with running(agent):
                agent.gets_ready()
                agent.settles()
                yield agent


@pytest.fixture(scope="module", params=BACKENDS)
def standing(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AgentProcess]:
    """An agent with quick periods that lives through all tests of a module, for each backend."""
    with kept_node(request.param, tmp_path_factory.mktemp("agent"), verify="2s") as agent:
        yield agent


@pytest.fixture(params=BACKENDS)
def namespace(request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """An empty namespace, once for each backend."""
    requires("root", "netns", request.param)
    with network_namespace(request.param) as made:
        made.run(["ip", "link", "set", "lo", "up"])
        yield made
