"""What the agent says in Kubernetes Events, with kube-proxy's reasons and actions."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nptables.errors import Problem
from nptables.sources.apiserver import Announcement, Regarding

Key = tuple[str, str]


class Announcements:
    """Hands Events to `record`, which must not block.

    `service_of` gives the Service of an EndpointSlice, both by namespace and name, or None.
    """

    def __init__(
        self,
        record: Callable[[Announcement], None],
        *,
        node: str,
        service_of: Callable[[Key], Key | None],
    ) -> None:
        self._record = record
        self._node = node
        self._service_of = service_of

    def started(self) -> None:
        """The agent starts."""
        # kubectl finds the Events of a Node by its name in the place of the UID.
        node = Regarding("Node", self._node, uid=self._node)
        # The words of birthCry in kubernetes/cmd/kube-proxy/app/server.go, for those who look for
        # them.
        self._record(Announcement(node, "Normal", "Starting", "StartKubeProxy"))

    def problems(self, problems: Iterable[Problem]) -> None:
        """Warn on a Service of endpoints whose address is not of their slice's family."""
        for problem in problems:
            if problem.code != "wrong-family":
                continue
            service = self._service_of((problem.namespace, problem.name))
            if service is None or not service[1]:
                continue
            # The words of LogAndEmitIncorrectIPVersionEvent in kubernetes/pkg/proxy/util/utils.go.
            self._record(
                Announcement(
                    Regarding("Service", service[1], service[0]),
                    "Warning",
                    "KubeProxyIncorrectIPVersion",
                    "GatherEndpoints",
                    str(problem),
                )
            )
