"""Which service port and endpoint a chain name stands for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nptables.family import Family
from nptables.immutable import frozen
from nptables.model import Cluster, EndpointSlice, ServicePort
from nptables.model.kubeproxy.seeing import seen_slice
from nptables.translation import chains
from nptables.translation.chains import ServicePortName
from nptables.translation.selection import has_rules, port_endpoints

_FIXED = frozenset(
    {
        chains.SERVICES,
        chains.EXTERNAL_SERVICES,
        chains.NODEPORTS,
        chains.PROXY_FIREWALL,
        chains.FORWARD,
        chains.FIREWALL,
        chains.MARK_MASQ,
        chains.POSTROUTING,
        chains.CANARY,
    }
)


@frozen
class ChainOwner:
    """A chain, the service port it belongs to, and the endpoint if it is an endpoint's."""

    chain: str
    service_port: ServicePortName
    purpose: str
    endpoint: str = ""

    def __str__(self) -> str:
        what = f"{self.purpose} {self.endpoint}".strip()
        return f"{self.service_port} ({self.service_port.protocol}): {what}"

    def to_dict(self) -> dict[str, str]:
        """The owner as plain data."""
        return {
            "chain": self.chain,
            "namespace": self.service_port.namespace,
            "name": self.service_port.name,
            "port": self.service_port.port,
            "protocol": self.service_port.protocol,
            "purpose": self.purpose,
            "endpoint": self.endpoint,
        }


def is_fixed_chain(chain: str) -> bool:
    """Whether a chain is there whatever Services there are."""
    return chain in _FIXED


def chain_owners(cluster: Cluster) -> Iterator[ChainOwner]:
    """Every chain that the service ports of a cluster may have, on whichever node."""
    for key, service in sorted(cluster.services.items()):
        families = [family for family in Family if has_rules(service, family)]
        for port in service.ports if families else ():
            name = ServicePortName(*key, port.name, port.protocol)
            yield ChainOwner(name.service_chain, name, "endpoints of the Cluster traffic policy")
            yield ChainOwner(name.local_chain, name, "endpoints of the Local traffic policy")
            yield ChainOwner(name.external_chain, name, "traffic to external destinations")
            yield ChainOwner(name.source_ranges_chain, name, "loadBalancerSourceRanges")
            for family in families:
                for endpoint in _spellings(cluster.slices_of(service), port, family):
                    yield ChainOwner(name.endpoint_chain(endpoint), name, "endpoint", endpoint)


def _spellings(slices: Sequence[EndpointSlice], port: ServicePort, family: Family) -> Iterator[str]:
    """The endpoints as the newest kube-proxy names them, then as older ones do."""
    found = [endpoint for endpoint, _ in port_endpoints(slices, port, family)]
    yield from found
    # Up to 1.30 the hash is of the address as the slice spells it: see USUAL_ENDPOINTS.
    old = [seen for each in slices if (seen := seen_slice(each, frozenset())) is not None]
    for endpoint, _ in port_endpoints(old, port, family):
        if endpoint not in found:
            yield endpoint
