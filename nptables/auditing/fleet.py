"""Judging many nodes, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nptables.auditing.judging import GRACE, Judge, Options
from nptables.auditing.movements import Movement
from nptables.auditing.verdicts import NodeResult
from nptables.evidence import Evidence
from nptables.evidence.snapshot import Snapshot
from nptables.model import Cluster


def audit(
    cluster: Cluster,
    snapshots: Mapping[str, Evidence | Snapshot] | Iterable[tuple[str, Evidence | Snapshot]],
    *,
    configuration: Mapping[str, Any] | None = None,
    version: str = "",
    movements: Iterable[Movement] | None = None,
    grace: float = GRACE,
) -> Iterator[NodeResult]:
    """Judge nodes by the effect of their rules, each as its snapshot comes.

    What nodes share is made once, and nothing is kept of a node that is done: memory does not grow
    with their number. `group_causes` makes the causes of a fleet of the results.

    Args:
        cluster: The objects as they were before the first node was read.
        snapshots: What is known of each node, by the name of its Node.
        configuration: The KubeProxyConfiguration of nodes whose snapshots do not show theirs.
        version: The kube-proxy of all nodes; empty for what each snapshot, or its Node, says.
        movements: What changed in the cluster until the last node was read, where it was watched.
        grace: Where it was not watched, for how many seconds a change may be on its way to a node.

    Returns:
        A result for each snapshot, in their order.

    >>> results = list(audit(cluster, snapshots))  # doctest: +SKIP
    >>> [cause.code.name for cause in group_causes(results)]  # doctest: +SKIP
    ['kube-proxy-behind']
    """
    watched = movements is not None
    judge = Judge(cluster, Options(configuration, version, tuple(movements or ()), watched, grace))
    pairs = snapshots.items() if isinstance(snapshots, Mapping) else snapshots
    for name, snapshot in pairs:
        yield judge.judge(name, snapshot)
