"""Endpoints for Services that have no EndpointSlice, from what else the input says."""

from nptables.sources.derived.endpoints import slices_from_endpoints
from nptables.sources.derived.pods import has_address, is_never_applied, slices_from_pods
from nptables.sources.derived.workloads import MadeUpPods

__all__ = [
    "MadeUpPods",
    "has_address",
    "is_never_applied",
    "slices_from_endpoints",
    "slices_from_pods",
]
