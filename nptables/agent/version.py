"""Which version of kube-proxy the agent stands for if none is given: that of its Node."""

from __future__ import annotations

from collections.abc import Callable

from nptables.agent.process import Log
from nptables.errors import InvalidInput
from nptables.model import Node, ProxyConfig
from nptables.model.kubeproxy import NEWEST, Version
from nptables.model.kubeproxy.versions import nearest_known


class NodeVersion:
    """Settles the version once: at the start, or when the Node is seen for the first time.

    It stays as long as the agent runs: who upgrades the node starts the agent again when it is
    right.
    """

    def __init__(
        self, version: Version | None, config_for: Callable[[Version], ProxyConfig], log: Log
    ) -> None:
        self._settled = version is not None
        self._config_for = config_for
        self._log = log

    def settle(self, node: Node | None, config: ProxyConfig) -> ProxyConfig | None:
        """The configuration for the Node's version, where that is news and another one."""
        if self._settled or node is None:
            return None
        self._settled = True
        said = Version.parse(node.kubelet_version)
        version = NEWEST if said is None else nearest_known(said)
        self._log.info(
            "the rules are those of the kube-proxy that goes with the kubelet",
            version=str(version),
            kubelet=node.kubelet_version or "unknown",
        )
        if version == config.version:
            return None
        try:
            return self._config_for(version)
        except InvalidInput as error:
            self._log.error(
                "that version refuses the configuration; going on with another",
                version=str(config.version),
                problems=[str(problem) for problem in error.problems],
            )
            return None
