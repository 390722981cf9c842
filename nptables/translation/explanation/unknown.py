"""The Services of a cluster whose endpoints an input does not tell."""

from __future__ import annotations

from nptables.family import Family
from nptables.model import Cluster
from nptables.translation.backing import backed
from nptables.translation.explanation.decision import has_rules


def unknown_endpoints(cluster: Cluster) -> dict[tuple[str, str], str]:
    """The Services with rules whose endpoints are not known, and why they are not."""
    found = {}
    for key, service in cluster.services.items():
        why = backed(cluster, service).unknown
        if why and any(has_rules(service, family) for family in Family):
            found[key] = why
    return found
