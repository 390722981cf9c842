"""The Services of a cluster whose endpoints an input does not tell."""

from __future__ import annotations

from nptables.family import Family
from nptables.model import Cluster
from nptables.translation import backing
from nptables.translation.selection import has_rules


def unknown_endpoints(cluster: Cluster) -> dict[tuple[str, str], str]:
    """The Services with rules whose endpoints are not known, and why they are not."""
    if cluster.knows_all_endpoints:
        return {}
    found = {}
    for key, service in cluster.services.items():
        why = backing.backed(cluster, service).unknown
        if why and any(has_rules(service, family) for family in Family):
            found[key] = why
    return found
