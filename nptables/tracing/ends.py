"""The two ends of a conversation, as people name them.

A source is an address, `outside` (a client outside the cluster), `node`, the name of a node, or
`pod:NAMESPACE/NAME`. A destination is `ADDRESS:PORT`, `svc:NAMESPACE/NAME[:PORT]`,
`nodeport:PORT`, `node:PORT`, `NODENAME:PORT` or `pod:NAMESPACE/NAME:PORT`, each with `/PROTOCOL`
behind it where that is not TCP, or not what the Service says. A bare name is in the namespace
`default`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

import attrs

from nptables.errors import InvalidInput, Problem, printable
from nptables.family import Family
from nptables.iptables.protocols import protocol_name
from nptables.model import Cluster, Endpoint, Node, Service, ServicePort
from nptables.model.addresses import parse_ip
from nptables.tracing.packet import Origin, Packet
from nptables.tracing.surroundings.addressing import Address, Somewhere, family_of
from nptables.tracing.surroundings.network import Network

SOURCES = "an address, outside, node, a node's name, or pod:NAMESPACE/NAME"
DESTINATIONS = (
    "ADDRESS:PORT, svc:NAMESPACE/NAME[:PORT], nodeport:PORT, node:PORT or pod:NAMESPACE/NAME:PORT, "
    "with /UDP or /SCTP behind it where it is not TCP"
)
_WITHOUT_PORTS = ("icmp", "ipv6-icmp")


def packet_between(
    source: str,
    destination: str,
    *,
    node: Node,
    cluster: Cluster | None = None,
    family: Family | None = None,
) -> Packet:
    """The first packet from one end to the other, as the module's text names them.

    `node` is what `node` and `nodeport:` stand for. `family` decides where neither end is an
    address; without it the packet is IPv4. Raises InvalidInput for an end that does not exist.
    """
    asked = family_between(source, destination) or family or Family.IPV4
    ends = _Ends(node, cluster or Cluster(), asked)
    return ends.sent_by(source, ends.packet_to(destination))


def family_between(source: str, destination: str) -> Family | None:
    """The family of whichever end is an address, or None where neither is."""
    to = destination.partition("/")[0]
    for text in (source, to, to.rpartition(":")[0]):
        address = parse_ip(text.removeprefix("[").removesuffix("]"))
        if address is not None:
            return Family.of(address)
    return None


def _wrong(message: str, hint: str = "") -> NoReturn:
    raise InvalidInput([Problem(message, hint=hint)])


def _split_key(text: str) -> tuple[str, str]:
    namespace, _, name = text.rpartition("/")
    return namespace or "default", name


@attrs.frozen
class _Ends:
    node: Node
    cluster: Cluster
    family: Family

    def sent_by(self, text: str, packet: Packet) -> Packet:
        """The packet with its source."""
        if text == "outside":
            return attrs.evolve(packet, origin=Origin.OUTSIDE)
        if text in ("node", self.node.name):
            return attrs.evolve(packet, origin=Origin.NODE, source_node=self.node.name)
        if text in self.cluster.nodes:
            return attrs.evolve(packet, origin=Origin.NODE, source_node=text)
        if text.startswith("pod:"):
            pod = self._pod(text.removeprefix("pod:"), packet.family)
            return attrs.evolve(packet, source=pod.address, source_node=pod.node_name)
        address = parse_ip(text.strip("[]"))
        if address is None:
            _wrong(f'"{printable(text, 80)}" is not a source', SOURCES)
        return attrs.evolve(packet, source=address)

    def packet_to(self, text: str) -> Packet:
        """The packet to a destination, without its source."""
        end, protocol = self._protocol_behind(text)
        kind, colon, rest = end.partition(":")
        if kind == "svc" and colon:
            return self._to_service(rest, protocol)
        if kind == "nodeport" and colon:
            return self._to_node_port(rest, protocol)
        if kind == "pod" and colon:
            name, _, port = rest.rpartition(":")
            if not name:
                _wrong(f"which port of pod {printable(rest, 80)}?", "pod:NAMESPACE/NAME:PORT")
            return self._packet(self._pod(name, self.family).address, port, protocol)
        if kind == "node" and colon:
            return self._packet(self._address_of(self.node), rest, protocol)
        if kind in self.cluster.nodes and colon:
            return self._packet(self._address_of(self.cluster.nodes[kind]), rest, protocol)
        return self._to_address(end, protocol)

    def _protocol_behind(self, text: str) -> tuple[str, str]:
        head, slash, tail = text.rpartition("/")
        if slash and (name := protocol_name(tail)) is not None and not tail.isdigit():
            return head, name
        return text, ""

    def _to_address(self, end: str, protocol: str) -> Packet:
        bare = parse_ip(end.strip("[]"))
        if bare is not None and (protocol in _WITHOUT_PORTS or ":" in bare):
            if protocol not in _WITHOUT_PORTS:
                _wrong(f"which port of {bare}?", f"[{bare}]:PORT")
            return Packet(bare, None, protocol)
        address_text, _, port = end.rpartition(":")
        address = parse_ip(address_text.removeprefix("[").removesuffix("]"))
        if address is None:
            hint = f"{end}:PORT" if bare is not None else DESTINATIONS
            _wrong(f'"{printable(end, 80)}" is not a destination', hint)
        return self._packet(address, port, protocol)

    def _address_of(self, node: Node) -> Address:
        return Network(node, self.family, self.cluster).usual_address()

    def _packet(self, address: Address, port_text: str, protocol: str) -> Packet:
        port = int(port_text) if port_text.isascii() and port_text.isdigit() else 0
        if not 0 < port < 65536 or len(port_text) > 5:
            _wrong(f'"{printable(port_text, 40)}" is not a port', "a number from 1 to 65535")
        return Packet(address, port, protocol or self._protocol_at(address, port))

    def _protocol_at(self, address: Address, port: int) -> str:
        """The protocol that the only Service at an address and port has, else TCP."""
        family = family_of(address)
        protocols = {
            candidate.protocol
            for service in self.cluster.services.values()
            for candidate in service.ports
            if (candidate.port == port and address in _addresses(service, family))
            or (candidate.node_port == port and self._is_node_address(address))
        }
        return protocols.pop() if len(protocols) == 1 else "TCP"

    def _is_node_address(self, address: Address) -> bool:
        if isinstance(address, Somewhere):
            return bool(address.node)
        nodes = (self.node, *self.cluster.nodes.values())
        return address.startswith("127.") or any(
            address in (known for _, known in node.addresses)
            or address in node.interface_addresses(family_of(address))
            for node in nodes
        )

    def _to_service(self, text: str, protocol: str) -> Packet:
        name, _, port_text = text.partition(":")
        key = _split_key(name)
        service = self.cluster.services.get(key)
        if service is None:
            known = ", ".join("/".join(k) for k in sorted(self.cluster.services)[:10])
            _wrong(f"there is no Service {'/'.join(key)}", f"there are: {known or 'none at all'}")
        address = service.cluster_ips.get(self.family)
        if address is None:
            _wrong(
                f"Service {'/'.join(key)} has no {self.family.value} cluster IP",
                "name an address, or the other family with -4 or -6",
            )
        port = _port_of(service, port_text, protocol)
        return Packet(address, port.port, port.protocol)

    def _to_node_port(self, text: str, protocol: str) -> Packet:
        return self._packet(self._address_of(self.node), text, protocol)

    def _pod(self, text: str, family: Family) -> Endpoint:
        wanted = "/".join(_split_key(text))
        for endpoint, endpoint_family in self._pods():
            if endpoint.target == wanted and endpoint_family is family:
                return endpoint
        known = sorted({e.target for e, f in self._pods() if e.target and f is family})
        listed = ", ".join(known[:10]) or "none"
        _wrong(
            f"no endpoint is the {family.value} pod {printable(wanted, 120)}",
            f"give its address, or one of the pods behind Services: {listed}",
        )

    def _pods(self) -> Iterator[tuple[Endpoint, Family | None]]:
        for endpoint_slice in self.cluster.slices.values():
            for endpoint in endpoint_slice.endpoints:
                yield endpoint, endpoint_slice.family


def _addresses(service: Service, family: Family) -> set[str]:
    found = {*service.external_ips, *(ingress.ip for ingress in service.ingress)}
    if family in service.cluster_ips:
        found.add(service.cluster_ips[family])
    return found


def _port_of(service: Service, text: str, protocol: str) -> ServicePort:
    wanted = protocol.upper()
    fitting = [
        port
        for port in service.ports
        if (not text or text in (port.name, str(port.port)))
        and (not wanted or port.protocol == wanted)
    ]
    if len(fitting) == 1:
        return fitting[0]
    listed = ", ".join(
        f"{port.name}:{port.port}/{port.protocol}".removeprefix(":") for port in service.ports
    )
    name = f"{service.namespace}/{service.name}"
    _wrong(
        f"which port of Service {name}?" if fitting else f"Service {name} has no port {text}",
        f"it has {listed}",
    )
