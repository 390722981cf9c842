"""What the agent follows of its own node: its addresses, and the version of its kube-proxy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from nptables.agent.process import Log
from nptables.errors import InvalidInput, KernelError
from nptables.model import Node, ProxyConfig
from nptables.model.kubeproxy import NEWEST, Version
from nptables.model.kubeproxy.versions import nearest_known

Interfaces = Mapping[str, Sequence[str]]

# How long changed addresses rest before they are read, as they come in bursts when Pods start.
_REST = 0.5
# How long to wait after they could not be read.
_RETRY = 10.0


class Addresses:
    """Interface names to addresses with prefix length, as `read` last gave them.

    `read` may raise KernelError, of which `complain` is told; it may also give None where nobody
    can know. `clock` gives monotonic seconds.
    """

    def __init__(
        self,
        read: Callable[[], Interfaces | None],
        *,
        complain: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self._read = read
        self._complain = complain
        self._clock = clock
        self._known: Interfaces | None = None
        self._at = math.inf

    def changed(self) -> None:
        """They are to be read soon."""
        self._at = min(self._at, self._clock() + _REST)

    def wait(self) -> float:
        """The seconds until they are to be read; 0 when that is now."""
        return max(0.0, self._at - self._clock())

    def now(self) -> Interfaces | None:
        """Read them; where that fails, those known before, and they are read again soon."""
        self._at = math.inf
        try:
            self._known = self._read()
        except KernelError as error:
            self._complain(str(error))
            self._at = self._clock() + _RETRY
        return self._known


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
