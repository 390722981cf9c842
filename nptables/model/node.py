"""A Node object, and what only the node itself knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from nptables.errors import InvalidInput, Path
from nptables.family import Family
from nptables.immutable import frozen
from nptables.model import addresses
from nptables.model.metadata import Metadata
from nptables.model.reading import Object, Reader, nearest, quoted

ZONE_LABEL = "topology.kubernetes.io/zone"
HOSTNAME_LABEL = "kubernetes.io/hostname"
_LOOPBACK = {Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}


@frozen
class NodeFacts:
    """What the node knows beyond its Node object.

    `interfaces` maps a name to its addresses with prefix length (`192.168.0.2/24`), None where they
    are unknown: then the addresses of the Node object are used. `routes` is as `ip -j route` gives
    it. `nfacct`: the two counters that kube-proxy uses exist. `tcp_be_liberal`: the sysctl
    `nf_conntrack_tcp_be_liberal` is on. `random_fully`: iptables and the kernel know `MASQUERADE
    --random-fully`. `told` are the keys of those that were given; the others have the usual values.
    `addresses` are addresses that the node is known to have; it may have others.
    """

    interfaces: Mapping[str, tuple[str, ...]] | None = None
    routes: tuple[Mapping[str, Any], ...] | None = None
    nfacct: bool = False
    tcp_be_liberal: bool = False
    random_fully: bool = True
    told: frozenset[str] = attrs.field(default=frozenset(), eq=False, repr=False)
    addresses: tuple[str, ...] = ()

    @classmethod
    def from_mapping(cls, raw: object) -> NodeFacts:
        """The facts in a mapping as `nptables facts` writes it.

        Keys are `interfaces`, `routes`, `nfacct`, `tcpBeLiberal` and `randomFully`, each may
        be absent. Raises InvalidInput with everything that is wrong with it.
        """
        reader = Reader("facts")
        if not isinstance(raw, Mapping):
            reader.problem((), "must be an object", f"with any of {', '.join(FACT_KEYS)}")
            raise InvalidInput(reader.problems)
        for key in raw:
            if key not in FACT_KEYS:
                reader.problem((str(key),), "is not a fact", nearest(str(key), FACT_KEYS))
        routes = tuple(route for _, route in reader.objects(raw, "routes"))
        facts = cls(
            interfaces=_interfaces(raw, reader) if raw.get("interfaces") is not None else None,
            routes=routes if raw.get("routes") is not None else None,
            nfacct=reader.boolean(raw, "nfacct", (), default=False),
            tcp_be_liberal=reader.boolean(raw, "tcpBeLiberal", (), default=False),
            random_fully=reader.boolean(raw, "randomFully", (), default=True),
            told=frozenset(key for key in FACT_KEYS if raw.get(key) is not None),
        )
        if reader.problems:
            raise InvalidInput(reader.problems)
        return facts

    def over(self, other: NodeFacts | None) -> NodeFacts:
        """These facts, completed by `other` where they are not given here."""
        if other is None:
            return self
        kept = {name: getattr(self, name) for key, name in _FIELDS.items() if key in self.told}
        named = tuple(dict.fromkeys((*self.addresses, *other.addresses)))
        return attrs.evolve(other, **kept, addresses=named, told=self.told | other.told)


_FIELDS = {
    "interfaces": "interfaces",
    "routes": "routes",
    "nfacct": "nfacct",
    "tcpBeLiberal": "tcp_be_liberal",
    "randomFully": "random_fully",
}
FACT_KEYS = tuple(_FIELDS)


def _interfaces(raw: Object, reader: Reader) -> dict[str, tuple[str, ...]]:
    if isinstance(raw["interfaces"], list):
        raw = {"interfaces": _from_ip_json(raw["interfaces"])}
    interfaces = reader.mapping(raw, "interfaces")
    found: dict[str, tuple[str, ...]] = {}
    for name in interfaces:
        entries = []
        for path, text in reader.texts(interfaces, name, ("interfaces",)):
            address = addresses.parse_ip_sloppy(text.partition("/")[0])
            network = addresses.parse_network_sloppy(text)
            if address is None or network is None:
                reader.problem(
                    path, f"{quoted(text)} is not an address with prefix", "such as 192.168.0.2/24"
                )
            else:
                entries.append(f"{address}/{addresses.prefix_length(network)}")
        found[str(name)] = tuple(entries)
    return found


def _from_ip_json(listed: Sequence[Any]) -> dict[str, list[str]]:
    """The interfaces in what `ip -j addr` prints."""
    found: dict[str, list[str]] = {}
    for link in listed:
        if isinstance(link, Mapping) and isinstance(link.get("ifname"), str):
            addresses_of = link.get("addr_info")
            found[link["ifname"]] = [
                f"{info['local']}/{info['prefixlen']}"
                for info in (addresses_of if isinstance(addresses_of, list) else ())
                if isinstance(info, Mapping) and "local" in info and "prefixlen" in info
            ]
    return found


@frozen
class Node:
    """The node that rules are made for: its Node object and its facts.

    `addresses` are pairs of type and canonical address in the order of the object; entries
    that are no IP address (host names) are left out. `pod_cidrs` are canonical networks.
    `kubelet_version` is what the Node says of its software, such as `v1.30.4`, or empty.
    """

    metadata: Metadata
    addresses: tuple[tuple[str, str], ...] = ()
    pod_cidrs: tuple[str, ...] = ()
    taints: tuple[str, ...] = ()
    facts: NodeFacts = attrs.field(factory=NodeFacts)
    kubelet_version: str = ""

    @property
    def name(self) -> str:
        """The name of the Node object."""
        return self.metadata.name

    @property
    def zone(self) -> str:
        """The zone of the node's topology label, or an empty string."""
        return self.metadata.labels.get(ZONE_LABEL, "")

    def address(self, family: Family, bind_address: str | None = None) -> str:
        """The node's address of a family.

        The bind address if it is set for that family (an unspecified one is not), else the
        first InternalIP, else the first ExternalIP, else the loopback address.
        """
        if bind_address and Family.of(bind_address) is family and bind_address not in UNSPECIFIED:
            return bind_address
        # The order of `GetNodeHostIPs` in pkg/util/node/node.go, and loopback if the Node has
        # neither (`detectNodeIPs` in cmd/kube-proxy/app/server.go).
        for wanted in ("InternalIP", "ExternalIP"):
            for kind, address in self.addresses:
                if kind == wanted and Family.of(address) is family:
                    return address
        return _LOOPBACK[family]

    def pod_cidr(self, family: Family) -> str | None:
        """The first pod network of a family, or None."""
        return next((cidr for cidr in self.pod_cidrs if Family.of(cidr) is family), None)

    def first_address(self) -> str:
        """The first InternalIP, else the first ExternalIP, of whichever family, or loopback."""
        # kube-proxy 1.28 alone goes by it: see NODE_ADDRESS_PER_FAMILY.
        for wanted in ("InternalIP", "ExternalIP"):
            for kind, address in self.addresses:
                if kind == wanted:
                    return address
        return _LOOPBACK[Family.IPV4]

    def interface_addresses(self, family: Family) -> tuple[str, ...]:
        """Every address of a family on the node's interfaces, without prefix lengths.

        Without interface facts: loopback and the addresses of the Node object. Those that somebody
        told of are among them either way.
        """
        if self.facts.interfaces is None:
            listed = [_LOOPBACK[family], *(address for _, address in self.addresses)]
        else:
            listed = [
                entry.partition("/")[0]
                for entries in self.facts.interfaces.values()
                for entry in entries
            ]
        listed += self.facts.addresses
        return tuple(dict.fromkeys(a for a in listed if Family.of(a) is family))

    def knows_addresses(self, family: Family) -> bool:
        """Whether its addresses of a family are known, by its interfaces or its Node object."""
        return self.facts.interfaces is not None or any(
            Family.of(address) is family for _, address in self.addresses
        )

    def unknown_addresses(self, family: Family) -> str:
        """What is unknown, in words: the addresses, or those of a family beside known ones."""
        return f"{family.value} addresses" if self.addresses else "addresses"


UNSPECIFIED = ("0.0.0.0", "::")  # noqa: S104 - compared with, never bound to


def read_node(raw: Object, reader: Reader) -> Node:
    """The Node that a mapping describes."""
    spec = reader.mapping(raw, "spec")
    status = reader.mapping(raw, "status")
    return Node(
        metadata=Metadata.read(raw, reader),
        addresses=tuple(_addresses(status, reader)),
        pod_cidrs=tuple(_pod_cidrs(spec, reader)),
        taints=tuple(
            reader.text(t, "key", p) for p, t in reader.objects(spec, "taints", ("spec",))
        ),
        kubelet_version=_kubelet_version(status),
    )


def _kubelet_version(status: Object) -> str:
    """What the Node says; kubeProxyVersion is deprecated and was always the kubelet's."""
    info = status.get("nodeInfo")
    if not isinstance(info, Mapping):
        return ""
    found = info.get("kubeletVersion") or info.get("kubeProxyVersion")
    return found if isinstance(found, str) else ""


def _addresses(status: Object, reader: Reader) -> list[tuple[str, str]]:
    found = []
    for path, raw in reader.objects(status, "addresses", ("status",)):
        kind = reader.text(raw, "type", path)
        text = reader.text(raw, "address", path)
        # kube-proxy looks at no other type.
        if kind in ("InternalIP", "ExternalIP"):
            address = reader.ip(text, (*path, "address"))
            if address is not None:
                found.append((kind, address))
    return found


def _pod_cidrs(spec: Object, reader: Reader) -> list[str]:
    listed: list[tuple[Path, str]] = list(reader.texts(spec, "podCIDRs", ("spec",)))
    # Servers fill in both fields; what was written by hand may have the older one alone.
    if not listed and (only := reader.text(spec, "podCIDR", ("spec",))):
        listed = [(("spec", "podCIDR"), only)]
    found = (reader.network(text, path) for path, text in listed)
    return [network for network in found if network is not None]
