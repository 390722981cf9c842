"""Where a rule comes from: the Service, the port, the endpoint and the field that made it."""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from nptables.family import Family
from nptables.iptables.ruleset import chain_of
from nptables.model import Service
from nptables.translation import chains
from nptables.translation.chains import ServicePortName
from nptables.translation.service_port import PortRules


@attrs.frozen
class Origin:
    """What made a rule.

    `service` and `port` are empty for rules that are there whatever Services there are;
    `field` is then a field of the configuration, otherwise one of the Service (or
    `endpoints` for what an endpoint made). `endpoint` is `address:port`.
    """

    service: ServicePortName | None = None
    endpoint: str = ""
    field: str = ""


_FIXED_FIELDS = {
    chains.MARK_MASQ: "iptables.masqueradeBit",
    chains.POSTROUTING: "iptables.masqueradeBit",
    chains.FORWARD: "iptables.masqueradeBit",
    chains.FIREWALL: "iptables.localhostNodePorts",
    chains.SERVICES: "nodePortAddresses",
}
_DESTINATION = re.compile(r" -d (\S+)/")
_SAID = re.compile(r' (cluster|external|loadbalancer) IP"| (traffic not accepted) by ')
_SOURCE = re.compile(r" -s (\S+)")


def fixed_origin(line: str) -> Origin:
    """The origin of a line that belongs to no service port."""
    if "--ctstate INVALID" in line:
        return Origin(field="conntrack.tcpBeLiberal")
    return Origin(field=_FIXED_FIELDS.get(chain_of(line), ""))


def endpoints_by_chain(rules: PortRules) -> dict[str, str]:
    """The endpoints of a service port by the names of their chains."""
    endpoints = [endpoint for endpoint, _ in rules.selection.reachable]
    found = chains.hashes([rules.name.hash_input + endpoint for endpoint in endpoints])
    return {
        chains.ENDPOINT_PREFIX + text: endpoint
        for text, endpoint in zip(found, endpoints, strict=True)
    }


def port_origin(
    line: str,
    name: ServicePortName,
    endpoints: Mapping[str, str],
    service: Service,
    position: int,
    family: Family,
) -> Origin:
    """The origin of a line of a service port; `position` is that of its port in the Service.

    `endpoints` are those of the port, by their chains.
    """
    chain = chain_of(line)
    if chain in endpoints:
        return Origin(name, endpoints[chain], "endpoints")
    if chain.startswith((chains.SERVICE_PREFIX, chains.LOCAL_PREFIX)):
        endpoint = endpoints.get(line.rpartition(" -j ")[2])
        if endpoint is not None:
            field = "spec.sessionAffinity" if " -m recent " in line else "endpoints"
            return Origin(name, endpoint, field)
        return Origin(name, field=_cluster_ip_field(service, family))
    if chain.startswith(chains.EXTERNAL_PREFIX):
        return Origin(name, field="spec.externalTrafficPolicy")
    if chain.startswith(chains.SOURCE_RANGES_PREFIX):
        return Origin(name, field=_source_field(line, service))
    return Origin(name, field=_frontend_field(line, service, position, family))


def _frontend_field(line: str, service: Service, position: int, family: Family) -> str:
    """The field of the address or port that a line in a shared chain matches."""
    if line.endswith("-j ACCEPT"):
        return "spec.healthCheckNodePort"
    destination = _DESTINATION.search(line)
    if destination is None or destination[1] == "127.0.0.0":
        return f"spec.ports[{position}].nodePort"
    address, said = destination[1], _SAID.search(line)
    kind = said[1] or said[2] if said is not None else ""
    if kind == "cluster" or (chain_of(line) == chains.SERVICES and not kind):
        return _cluster_ip_field(service, family)
    if kind == "external" or (not kind and address in service.external_ips):
        return f"spec.externalIPs[{service.external_ips.index(address)}]"
    position = [ingress.ip for ingress in service.ingress].index(address)
    return f"status.loadBalancer.ingress[{position}].ip"


def _cluster_ip_field(service: Service, family: Family) -> str:
    return f"spec.clusterIPs[{list(service.cluster_ips).index(family)}]"


def _source_field(line: str, service: Service) -> str:
    source = _SOURCE.search(line)
    ranges = service.load_balancer_source_ranges
    if source is not None and source[1] in ranges:
        return f"spec.loadBalancerSourceRanges[{ranges.index(source[1])}]"
    return "spec.loadBalancerSourceRanges"
