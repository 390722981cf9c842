"""Where in the input what decides the rules of a Service stands."""

from __future__ import annotations

from nptables.sources.loading import Loaded

# File, line and column, from 1; line and column are None where the text was not kept.
Place = tuple[str, int | None, int | None]


def where_changed(service: tuple[str, str], new: Loaded, old: Loaded | None = None) -> Place | None:
    """The object because of which the rules of a Service differ between two inputs.

    The Service itself, unless it is the same in both: then the first EndpointSlice of it that is
    new or differs. A Service that is gone stands where it stood in the old input. Without an old
    input it is the Service. None for what stands in no file, such as made-up slices of a Service
    that is in none.

    Args:
        service: Namespace and name.
        new: The input that is to be true.
        old: The input that it is compared with.
    """
    now = new.cluster.services.get(service)
    if now is None:
        return old.place("Service", *service) if old is not None else None
    if old is not None and old.cluster.services.get(service) == now:
        for endpoint_slice in new.cluster.slices_of(now):
            key = (endpoint_slice.metadata.namespace, endpoint_slice.metadata.name)
            place = new.place("EndpointSlice", *key)
            if place is not None and old.cluster.slices.get(key) != endpoint_slice:
                return place
    return new.place("Service", *service)
