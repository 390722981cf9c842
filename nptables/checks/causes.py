"""Findings that name the cause: why a selector selects nothing, or a port leads nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from nptables.checks import codes
from nptables.checks.finding import Finding
from nptables.family import Family
from nptables.model import Cluster, Service
from nptables.model.backing import Backing
from nptables.model.workloads import read_workloads
from nptables.translation.backing import backed, port_causes, readiness_causes
from nptables.translation.selection import has_rules

# The codes of findings by those of causes, which are their names.
_OF_CAUSES = {code.name: code for code in codes.CODES.values()}
_NO_TARGET = (codes.TARGET_PORT_UNKNOWN.name, codes.TARGET_PORT_PROTOCOL.name)


def with_pods(cluster: Cluster, pods: Sequence[Mapping[str, Any]]) -> Cluster:
    """The cluster with Pods that were read beside it, whatever they lack to be objects."""
    named = ({**pod, "apiVersion": "v1", "kind": "Pod"} for pod in pods)
    workloads = tuple(workload for pod in named for workload in read_workloads(pod))
    backing = cluster.backing or Backing(listed=True)
    return attrs.evolve(
        cluster, backing=attrs.evolve(backing, workloads=(*backing.workloads, *workloads))
    )


def cause_findings(service: Service, cluster: Cluster) -> Iterator[Finding]:
    """Why a Service has no endpoint, or not those that are meant, as far as workloads tell.

    What was not read might refute any of it.
    """
    backing, standing = cluster.backing, backed(cluster, service)
    if backing is None or service.type == "ExternalName" or standing.unread:
        return
    found = list(port_causes(service, backing))
    if not any(has_rules(service, family) for family in Family):
        # A name that no Pod has leads nowhere for DNS either; all else is a matter of rules.
        found = [cause for cause in found if cause.code == codes.TARGET_PORT_UNKNOWN.name]
    else:
        found += [*standing.causes, *readiness_causes(service, backing)]
    for cause in found:
        yield Finding(
            _OF_CAUSES[cause.code],
            cause.text,
            cause.kind,
            cause.namespace,
            cause.name,
            cause.path,
            fix=cause.fix,
            related=tuple((side.subject, side.file, side.line) for side in cause.related),
        )


def ports_spoken_for(service: Service, cluster: Cluster) -> frozenset[int]:
    """The positions of ports of which it is not to be said that they have no endpoint.

    Either the input does not know it, or a finding names the cause.
    """
    backing = cluster.backing
    if backing is None or backing.listed:
        return frozenset()
    standing = backed(cluster, service)
    if not standing.known or standing.causes:
        return frozenset(range(len(service.ports)))
    causes = (cause for cause in port_causes(service, backing) if cause.code in _NO_TARGET)
    return frozenset(step for cause in causes for step in cause.path if isinstance(step, int))
