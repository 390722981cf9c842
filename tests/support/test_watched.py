from __future__ import annotations

import pytest

from tests.support.agents import lasting, watched
from tests.support.netns import BACKENDS, Backend, network_namespace
from tests.support.requirements import requires

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_rule_that_is_gone_is_noticed(backend: Backend) -> None:
    requires("root", "netns", backend)
    rule = "-A INPUT -p udp -j DROP"
    with network_namespace(backend) as namespace:
        for table in ("filter", "mangle"):
            namespace.iptables("IPV6", "-t", table, *rule.split())
        with watched(namespace, lasting(namespace)) as lacking:
            namespace.iptables("IPV6", "-t", "mangle", "-F")
        program = namespace.program("IPV6", "save")
        assert lacking[0] == {"program": program, "lacking": [f"mangle: {rule}"]}
        with watched(namespace, lasting(namespace)) as lacking:
            namespace.iptables("IPV6", "-t", "mangle", "-A", "OUTPUT", "-j", "DROP")
        assert lacking == []
