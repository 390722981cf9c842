"""Where a rule comes from: the Service, the port, the endpoint and the field that made it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables.ruleset import chain_of
from nptables.model import Service
from nptables.translation import chains
from nptables.translation.chains import ServicePortName
from nptables.translation.service_port import PortRules


@frozen
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


@frozen
class PortOrigins:
    """Where the lines of one service port come from.

    `position` is that of the port in the Service, `endpoints` are by their chains.
    """

    name: ServicePortName
    service: Service
    position: int
    endpoints: Mapping[str, str]
    family: Family

    @classmethod
    def of(cls, rules: PortRules, service: Service, family: Family) -> PortOrigins:
        """Those of the port with these rules, which is one of the Service's."""
        name = rules.name
        found = [(port.name, port.protocol) for port in service.ports]
        endpoints = [endpoint for endpoint, _ in rules.selection.reachable]
        hashed = chains.hashes([name.hash_input + endpoint for endpoint in endpoints])
        by_chain = zip((chains.ENDPOINT_PREFIX + text for text in hashed), endpoints, strict=True)
        return cls(name, service, found.index((name.port, name.protocol)), dict(by_chain), family)

    def origin(self, line: str) -> Origin:
        """The origin of a line of this port."""
        name, service = self.name, self.service
        chain = chain_of(line)
        if chain in self.endpoints:
            return Origin(name, self.endpoints[chain], "endpoints")
        if chain.startswith((chains.SERVICE_PREFIX, chains.LOCAL_PREFIX)):
            endpoint = self.endpoints.get(line.rpartition(" -j ")[2])
            if endpoint is not None:
                field = "spec.sessionAffinity" if " -m recent " in line else "endpoints"
                return Origin(name, endpoint, field)
            return Origin(name, field=_cluster_ip_field(service, self.family))
        if chain.startswith(chains.EXTERNAL_PREFIX):
            return Origin(name, field="spec.externalTrafficPolicy")
        if chain.startswith(chains.SOURCE_RANGES_PREFIX):
            return Origin(name, field=_source_field(line, service))
        return Origin(name, field=_frontend_field(line, service, self.position, self.family))


def _frontend_field(line: str, service: Service, position: int, family: Family) -> str:
    """The field of the address or port that a line in a shared chain matches."""
    if line.endswith("-j ACCEPT"):
        return "spec.healthCheckNodePort"
    destination = _DESTINATION.search(line)
    # The network stands in the rule that counts packets to node ports on localhost.
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
