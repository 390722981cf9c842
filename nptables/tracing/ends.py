"""The two ends of a conversation, as people name them.

A source is an address, `outside` (a client outside the cluster), `node`, the name of a node, or
`pod/NAME`. A destination is `ADDRESS:PORT`, `svc/NAME[:PORT]`, `nodeport:PORT`, `node:PORT`,
`node/NAME:PORT`, `NODENAME:PORT` or `pod/NAME:PORT`, each with `/PROTOCOL` behind it where that is
not TCP, or not what the Service says. The kinds have kubectl's other names too (`service`,
`services`, `po`, `pods`, `no`, `nodes`), and may be written with a colon (`svc:NAMESPACE/NAME`).
A name without a namespace is in the namespace `default`, unless `named_source` or
`named_destination` puts it into another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NoReturn

import attrs

from nptables.errors import InvalidInput, Problem, printable
from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables.protocols import protocol_name
from nptables.model import Cluster, Endpoint, Node, Service, ServicePort
from nptables.model.addresses import parse_ip
from nptables.model.names import KINDS
from nptables.tracing.addressing import NO_SOURCE, Address, Somewhere, family_of, is_in, net
from nptables.tracing.network import Network
from nptables.tracing.packet import Origin, Packet
from nptables.translation.explanation.decision import skip_reason

SOURCES = "an address, outside, node, node/NAME, or pod/NAME (pod/NAMESPACE/NAME)"
DESTINATIONS = (
    "ADDRESS:PORT, svc/NAME[:PORT] (svc/NAMESPACE/NAME), nodeport:PORT, node:PORT, node/NAME:PORT "
    "or pod/NAME:PORT, followed by /UDP or /SCTP if it is not TCP"
)
# Each family has an ICMP of its own (RFC 792, RFC 4443), and people call both so.
_ICMP = {Family.IPV4: "icmp", Family.IPV6: "ipv6-icmp"}
_KIND = re.compile(rf"(?:(svc|pod):|({'|'.join(KINDS)})/)(?=.)")


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
    address; without it the packet is IPv4. Raises InvalidInput for an end that does not exist, and
    TypeError for what is no family.
    """
    given = Family.IPV4 if family is None else Family.checked(family)
    asked = family_between(source, destination) or given
    ends = _Ends(node, cluster or Cluster(), asked)
    return ends.sent_by(named_source(source), ends.packet_to(named_destination(destination)))


def named_source(text: str, namespace: str = "default") -> str:
    """A source whose name, where it has one, stands with its kind and its namespace.

    A Pod without a namespace is put into `namespace`: `po/web-1` becomes `pod:default/web-1`, and
    `no/worker-1` becomes `node/worker-1`. Other texts stay as they are.
    """
    kind, name = _of_kind(text)
    if kind != "pod":
        return f"node/{name}" if kind == "node" else text
    return f"pod:{_qualified(name, namespace)}"


def named_destination(text: str, namespace: str = "default") -> str:
    """A destination whose name stands with its kind and its namespace, as for `named_source`."""
    kind, rest = _of_kind(text)
    if not kind:
        return text
    if kind == "node":
        return f"node/{rest}"
    rest, protocol = _protocol_behind(rest)
    name, colon, port = rest.partition(":")
    behind = f"/{protocol}" if protocol else ""
    return f"{kind}:{_qualified(name, namespace)}{colon}{port}{behind}"


def pods_named(source: str, destination: str) -> Iterator[tuple[str, str]]:
    """Namespace and name of each Pod among two ends that are named as above."""
    for kind, name in (_of_kind(source), _of_kind(_protocol_behind(destination)[0])):
        if kind == "pod":
            yield _split_key(name.partition(":")[0])


def _of_kind(text: str) -> tuple[str, str]:
    """The kind of an object that a text names, and the rest; the kind is empty for others."""
    found = _KIND.match(text)
    return ("", text) if found is None else (KINDS[found[1] or found[2]], text[found.end() :])


def _qualified(name: str, namespace: str) -> str:
    return name if "/" in name else f"{namespace}/{name}"


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


def _protocol_behind(text: str) -> tuple[str, str]:
    """A text without the protocol at its end, and the protocol."""
    head, slash, tail = text.rpartition("/")
    if slash and (name := protocol_name(tail)) is not None and not tail.isdigit():
        return head, name
    return text, ""


def _split_key(text: str) -> tuple[str, str]:
    namespace, _, name = text.rpartition("/")
    return namespace or "default", name


@frozen
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
        if text.startswith("node/"):
            name = self._node(text.removeprefix("node/")).name
            return attrs.evolve(packet, origin=Origin.NODE, source_node=name)
        if text.startswith("pod:"):
            pod, on = self._pod(text.removeprefix("pod:"), packet.family)
            return attrs.evolve(packet, source=pod, source_node=on)
        address = parse_ip(text.strip("[]"))
        if address is None:
            _wrong(f'"{printable(text, 80)}" is not a source', SOURCES)
        if any(is_in(address, net(each)) for each in NO_SOURCE[family_of(address)]):
            _wrong(f"{address} cannot be a source: the kernel drops packets from it")
        return attrs.evolve(packet, source=address)

    def packet_to(self, text: str) -> Packet:
        """The packet to a destination, without its source."""
        end, protocol = _protocol_behind(text)
        kind, colon, rest = end.partition(":")
        if kind == "svc" and colon:
            return self._to_service(rest, protocol)
        if kind == "nodeport" and colon:
            return self._to_node_port(rest, protocol)
        if kind == "pod" and colon:
            name, _, port = rest.rpartition(":")
            if not name:
                _wrong(
                    f"which port of pod {printable(rest, 80)}?", f"pod/{printable(rest, 80)}:PORT"
                )
            return self._packet(self._pod(name, self.family)[0], port, protocol)
        if kind == "node" and colon:
            return self._packet(self._address_of(self.node), rest, protocol)
        if kind.startswith("node/"):
            found = self._node(kind.removeprefix("node/"))
            if not colon:
                _wrong(f"which port of node {found.name}?", f"node/{found.name}:PORT")
            return self._packet(self._address_of(found), rest, protocol)
        if kind in self.cluster.nodes and colon:
            return self._packet(self._address_of(self.cluster.nodes[kind]), rest, protocol)
        return self._to_address(end, protocol)

    def _to_address(self, end: str, protocol: str) -> Packet:
        bare = parse_ip(end.strip("[]"))
        if bare is not None and (protocol in _ICMP.values() or ":" in bare):
            if protocol not in _ICMP.values():
                _wrong(f"which port of {bare}?", f"[{bare}]:PORT")
            return Packet(bare, None, _ICMP[Family.of(bare)])
        address_text, _, port = end.rpartition(":")
        address = parse_ip(address_text.removeprefix("[").removesuffix("]"))
        if address is None:
            hint = f"{end}:PORT" if bare is not None else DESTINATIONS
            _wrong(f'"{printable(end, 80)}" is not a destination', hint)
        return self._packet(address, port, protocol)

    def _address_of(self, node: Node) -> Address:
        return Network(node, self.family, self.cluster).usual_address()

    def _packet(self, address: Address, port_text: str, protocol: str) -> Packet:
        if protocol in _ICMP.values():
            _wrong(
                "ICMP has no ports", f"{address if isinstance(address, str) else 'ADDRESS'}/ICMP"
            )
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
            hint = "name an address, or the other family with -4 or -6"
            if not service.cluster_ips:
                hint = skip_reason(service, self.family).words
                hint = f"{hint}: name the address of a Pod" if service.headless else hint
            _wrong(f"Service {'/'.join(key)} has no {self.family.value} cluster IP", hint)
        port = _port_of(service, port_text, protocol)
        return Packet(address, port.port, port.protocol)

    def _to_node_port(self, text: str, protocol: str) -> Packet:
        return self._packet(self._address_of(self.node), text, protocol)

    def _node(self, name: str) -> Node:
        if name == self.node.name:
            return self.node
        found = self.cluster.nodes.get(name)
        if found is None:
            known = ", ".join(sorted(self.cluster.nodes)[:10])
            _wrong(
                f"there is no Node {printable(name, 80)}", f"there are: {known or 'none at all'}"
            )
        return found

    def _pod(self, text: str, family: Family) -> tuple[str, str]:
        """The address of a Pod, and the node it is on (empty if unknown)."""
        key = _split_key(text)
        wanted = "/".join(key)
        for endpoint, endpoint_family in self._endpoints():
            if endpoint.target == wanted and endpoint_family is family:
                return endpoint.address, endpoint.node_name
        pod = self.cluster.pods.get(key)
        if pod is not None:
            address = pod.address(family)
            if address is None:
                phase = f": it is {printable(pod.phase, 40)}" if pod.phase else ""
                _wrong(f"Pod {printable(wanted, 120)} has no {family.value} address{phase}")
            return address, pod.node_name
        ends = {e.target for e, f in self._endpoints() if e.target and f is family}
        there = {"/".join(k) for k, pod in self.cluster.pods.items() if pod.address(family)}
        listed = ", ".join(sorted(ends | there)[:10]) or "none"
        _wrong(
            f"there is no Pod {printable(wanted, 120)} with an {family.value} address",
            f"give its address, or name one that is known: {listed}",
        )

    def _endpoints(self) -> Iterator[tuple[Endpoint, Family | None]]:
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
    asked = "/".join(filter(None, (text, wanted))) if text else f"of {wanted}"
    _wrong(
        f"which port of Service {name}?" if fitting else f"Service {name} has no port {asked}",
        f"it has {listed}",
    )
