"""core/v1 Endpoints to EndpointSlices, as the EndpointSliceMirroring controller has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nptables.family import Family
from nptables.model import Service, addresses
from nptables.model.endpointslice import SERVICE_NAME_LABEL

Object = Mapping[str, Any]


def slices_from_endpoints(service: Service, endpoints: Object) -> list[Object]:
    """A slice for each subset and family of an Endpoints object."""
    labels = endpoints.get("metadata", {}).get("labels") or {}
    found: list[Object] = []
    for number, subset in enumerate(endpoints.get("subsets") or ()):
        # A subset may have addresses of both families, a slice has those of one.
        for family in Family:
            listed = [
                *_endpoints(subset.get("addresses"), family, ready=True),
                *_endpoints(subset.get("notReadyAddresses"), family, ready=False),
            ]
            if listed:
                found.append(
                    {
                        "apiVersion": "discovery.k8s.io/v1",
                        "kind": "EndpointSlice",
                        "metadata": {
                            "name": f"{service.name}-endpoints-{number}-{family.value.lower()}",
                            "namespace": service.namespace,
                            "labels": {**labels, SERVICE_NAME_LABEL: service.name},
                        },
                        "addressType": family.value,
                        "ports": list(subset.get("ports") or ()),
                        "endpoints": listed,
                    }
                )
    return found


def _endpoints(listed: Sequence[Object] | None, family: Family, *, ready: bool) -> list[Object]:
    found: list[Object] = []
    for address in listed or ():
        text = addresses.parse_ip_sloppy(str(address.get("ip") or ""))
        if text is None or Family.of(text) is not family:
            continue
        endpoint: dict[str, Any] = {"addresses": [text], "conditions": {"ready": ready}}
        for key in ("nodeName", "targetRef"):
            if address.get(key):
                endpoint[key] = address[key]
        found.append(endpoint)
    return found
