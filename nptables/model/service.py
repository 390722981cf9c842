"""A Kubernetes Service, as far as kube-proxy looks at it."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from nptables.errors import Path
from nptables.family import Family
from nptables.immutable import frozen
from nptables.model import addresses, names
from nptables.model.metadata import Metadata
from nptables.model.reading import Object, Reader, quoted

SERVICE_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
PROTOCOLS = ("TCP", "UDP", "SCTP")
POLICIES = ("Cluster", "Local")
AFFINITIES = ("None", "ClientIP")
IP_MODES = ("VIP", "Proxy")
FAMILIES = tuple(family.value for family in Family)
# They ask for hints, and make kube-proxy use them up to 1.30. Of both the older one counts.
TOPOLOGY_ANNOTATIONS = (
    "service.kubernetes.io/topology-aware-hints",
    "service.kubernetes.io/topology-mode",
)
# v1.DefaultClientIPServiceAffinitySeconds of k8s.io/api: three hours.
DEFAULT_AFFINITY_SECONDS = 10800
HEADLESS_LABEL = "service.kubernetes.io/headless"
SERVICE_PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name"


@frozen
class ServicePort:
    """One entry of `spec.ports`.

    `name` is empty for the only port of a Service. `node_port` is 0 where there is none.
    `target_port` is a number or the name of a container port.
    """

    name: str
    protocol: str
    port: int
    node_port: int = 0
    target_port: int | str = 0


@frozen
class Ingress:
    """An entry of `status.loadBalancer.ingress`; `ip_mode` is `VIP` or `Proxy`.

    `ip` is empty where the entry has a host name only.
    """

    ip: str
    ip_mode: str = "VIP"


@frozen
class OctalAddresses:
    """Addresses of a Service as iptables reads the text that is stored.

    Each tuple has an entry for each entry of the Service's own; it is empty for what iptables
    refuses.
    """

    external_ips: tuple[str, ...]
    ingress: tuple[str, ...]
    load_balancer_source_ranges: tuple[str, ...]


# Without a place for weak references: see `made`.
@frozen(weakref_slot=False)
class Service:
    """A Service with the API server's defaults applied.

    Addresses and networks are canonical text of either family; `cluster_ips` has at most one
    of each. `session_affinity_seconds` is 0 without ClientIP affinity. `topology_mode` is what
    the annotation that asks for hints says, or empty.

    Some fields are for older kube-proxies. `octal` has the addresses that iptables would read
    otherwise, if any. `compared_source_ranges` are what the node's address is compared with, where
    that is not what the rules have. `hidden` is the label by which the Service is left to others.
    """

    metadata: Metadata
    type: str
    ports: tuple[ServicePort, ...]
    cluster_ips: Mapping[Family, str]
    headless: bool = False
    selector: Mapping[str, str] = attrs.field(factory=dict)
    external_ips: tuple[str, ...] = ()
    ingress: tuple[Ingress, ...] = ()
    load_balancer_source_ranges: tuple[str, ...] = ()
    session_affinity_seconds: int = 0
    internal_traffic_policy: str = "Cluster"
    external_traffic_policy: str = "Cluster"
    health_check_node_port: int = 0
    publish_not_ready_addresses: bool = False
    traffic_distribution: str = ""
    topology_mode: str = ""
    octal: OctalAddresses | None = None
    compared_source_ranges: tuple[str, ...] | None = None
    hidden: str = ""

    @property
    def namespace(self) -> str:
        """The namespace of the Service."""
        return self.metadata.namespace

    @property
    def name(self) -> str:
        """The name of the Service."""
        return self.metadata.name

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.metadata.namespace, self.metadata.name

    @property
    def claimed_by(self) -> str | None:
        """The proxy that the label `service.kubernetes.io/service-proxy-name` names, if any."""
        return self.metadata.labels.get(SERVICE_PROXY_NAME_LABEL)

    @property
    def externally_accessible(self) -> bool:
        """Whether the API lets the external traffic policy of this Service mean anything."""
        return self.type in ("NodePort", "LoadBalancer") or (
            self.type == "ClusterIP" and bool(self.external_ips)
        )

    @property
    def internal_policy_local(self) -> bool:
        """Whether traffic to the cluster IP stays on the node."""
        return self.internal_traffic_policy == "Local"

    @property
    def external_policy_local(self) -> bool:
        """Whether traffic to other addresses stays on the node."""
        # `ExternalPolicyLocal` in pkg/api/v1/service/util.go: what is left over in the field of a
        # ClusterIP Service without externalIPs means nothing.
        return self.external_traffic_policy == "Local" and self.externally_accessible

    @property
    def health_check_port(self) -> int:
        """The health-check node port that kube-proxy serves for this Service, or 0."""
        # Nobody but a load balancer asks for it, and it asks which nodes have endpoints
        # (`NeedsHealthCheck` in pkg/api/v1/service/util.go).
        needed = self.type == "LoadBalancer" and self.external_policy_local
        return self.health_check_node_port if needed else 0


def read_service(raw: Object, reader: Reader) -> Service | None:
    """The Service that a mapping describes, or None where it is past use."""
    spec = reader.mapping(raw, "spec")
    status = reader.mapping(raw, "status")
    affinity = reader.choice(spec, "sessionAffinity", ("spec",), AFFINITIES, "None")
    service_type = reader.choice(spec, "type", ("spec",), SERVICE_TYPES, "ClusterIP")
    cluster_ip = reader.text(spec, "clusterIP", ("spec",))
    external_ips = _ips(spec, "externalIPs", reader)
    ingress = _ingress(status, reader)
    ranges = _source_ranges(spec, reader)
    return Service(
        metadata=Metadata.read(raw, reader),
        type=service_type,
        ports=tuple(_ports(spec, reader)),
        cluster_ips={} if cluster_ip == "None" else _cluster_ips(spec, reader),
        headless=cluster_ip == "None",
        selector=reader.labels(spec, "selector", ("spec",)),
        external_ips=tuple(address for _, address in external_ips),
        ingress=tuple(entry for _, entry in ingress),
        load_balancer_source_ranges=tuple(network for _, network in ranges),
        session_affinity_seconds=_affinity_seconds(spec, reader) if affinity == "ClientIP" else 0,
        internal_traffic_policy=reader.choice(
            spec, "internalTrafficPolicy", ("spec",), POLICIES, "Cluster"
        ),
        external_traffic_policy=reader.choice(
            spec, "externalTrafficPolicy", ("spec",), POLICIES, "Cluster"
        ),
        health_check_node_port=_port_number(
            spec, "healthCheckNodePort", ("spec",), reader, optional=True
        ),
        publish_not_ready_addresses=reader.boolean(
            spec, "publishNotReadyAddresses", ("spec",), default=False
        ),
        traffic_distribution=reader.text(spec, "trafficDistribution", ("spec",)),
        topology_mode=_topology_mode(raw, reader),
        octal=_octal(external_ips, ingress, ranges),
    )


def _topology_mode(raw: Object, reader: Reader) -> str:
    annotations = reader.mapping(raw, "metadata").get("annotations")
    found = annotations if isinstance(annotations, Mapping) else {}
    value = next((found[name] for name in TOPOLOGY_ANNOTATIONS if name in found), "")
    return value if isinstance(value, str) else ""


def _ports(spec: Object, reader: Reader) -> list[ServicePort]:
    found = []
    for path, raw in reader.objects(spec, "ports", ("spec",)):
        before = len(reader.problems)
        port = _port_number(raw, "port", path, reader)
        target = raw.get("targetPort")
        if target is None or target == "":
            target = port
        elif not isinstance(target, int | str) or isinstance(target, bool):
            reader.problem(
                (*path, "targetPort"), "must be a number or the name of a container port"
            )
            target = port
        name = reader.text(raw, "name", path)
        if name and not names.is_label(name):
            reader.problem((*path, "name"), f"{quoted(name)} is not a port name", names.LABEL_HINT)
        service_port = ServicePort(
            name=name,
            protocol=reader.choice(raw, "protocol", path, PROTOCOLS, "TCP"),
            port=port,
            node_port=_port_number(raw, "nodePort", path, reader, optional=True),
            target_port=target,
        )
        if len(reader.problems) == before:
            found.append(service_port)
    return found


def _port_number(
    parent: Object, key: str, path: Path, reader: Reader, *, optional: bool = False
) -> int:
    before = len(reader.problems)
    number = reader.integer(parent, key, path)
    if len(reader.problems) > before or 1 <= number <= 65535 or (optional and number == 0):
        return number
    missing = parent.get(key) is None
    reader.problem(
        (*path, key),
        "is required" if missing else f"{number} is not a port number",
        "a number from 1 to 65535",
    )
    return 0


def _cluster_ips(spec: Object, reader: Reader) -> dict[Family, str]:
    """The cluster IP of each family, found the way kube-proxy finds it.

    With `ipFamilies` the n-th of `clusterIPs` belongs to the n-th family; without, the family
    is read off `clusterIP` itself.
    """
    families = []
    for path, text in reader.texts(spec, "ipFamilies", ("spec",)):
        if text in FAMILIES:
            families.append(Family(text))
        else:
            reader.problem(path, f"{quoted(text)} is not one of {', '.join(FAMILIES)}")
    listed = list(reader.texts(spec, "clusterIPs", ("spec",)))
    if not listed and (only := reader.text(spec, "clusterIP", ("spec",))):
        # The server speaks of clusterIPs, whichever of the two was given.
        listed = [(("spec", "clusterIPs", 0), only)]
    found: dict[Family, str] = {}
    for position, (path, text) in enumerate(listed):
        if not text or (address := reader.ip(text, path)) is None:
            continue
        family = Family.of(address)
        # Objects from before dual stack have no ipFamilies (`GetClusterIPByFamily` in
        # pkg/proxy/util/utils.go).
        if not families and position == 0:
            found[family] = address
        elif position < len(families) and families[position] is family:
            found.setdefault(family, address)
    return found


def _ips(spec: Object, key: str, reader: Reader) -> list[tuple[str, str]]:
    """Addresses as they are stored, each with its usual spelling."""
    found = []
    for path, text in reader.texts(spec, key, ("spec",)):
        address = reader.ip(text, path)
        if address is not None:
            found.append((text, address))
    return found


def _ingress(status: Object, reader: Reader) -> list[tuple[str, Ingress]]:
    """Entries with their addresses as they are stored."""
    balancer = reader.mapping(status, "loadBalancer", ("status",))
    found = []
    for path, raw in reader.objects(balancer, "ingress", ("status", "loadBalancer")):
        text = reader.text(raw, "ip", path)
        mode = reader.choice(raw, "ipMode", path, IP_MODES, "VIP")
        address = reader.ip(text, (*path, "ip")) if text else None
        found.append((text, Ingress(address or "", mode)))
    return found


def _source_ranges(spec: Object, reader: Reader) -> list[tuple[str, str]]:
    """Networks without the white space around them that API validation lets through."""
    found = []
    for path, stored in reader.texts(spec, "loadBalancerSourceRanges", ("spec",)):
        # kube-proxy strips it as well (`newBaseServiceInfo` in pkg/proxy/serviceport.go).
        text = stored.strip()
        network = reader.network(text, path)
        if network is not None:
            found.append((text, network))
    return found


def _octal(
    external_ips: list[tuple[str, str]],
    ingress: list[tuple[str, Ingress]],
    ranges: list[tuple[str, str]],
) -> OctalAddresses | None:
    """What iptables makes of the stored text, where that is another address or none."""
    if all(text == usual for text, usual in external_ips) and not ingress and not ranges:
        return None
    usual = OctalAddresses(
        tuple(address for _, address in external_ips),
        tuple(entry.ip for _, entry in ingress),
        tuple(network for _, network in ranges),
    )
    found = OctalAddresses(
        tuple(addresses.parse_ip_octal(text) or "" for text, _ in external_ips),
        tuple((entry.ip and addresses.parse_ip_octal(text)) or "" for text, entry in ingress),
        tuple(addresses.parse_network_octal(text) or "" for text, _ in ranges),
    )
    return None if found == usual else found


def _affinity_seconds(spec: Object, reader: Reader) -> int:
    path: Path = ("spec", "sessionAffinityConfig")
    config = reader.mapping(spec, "sessionAffinityConfig", ("spec",))
    client_ip = reader.mapping(config, "clientIP", path)
    where: Path = (*path, "clientIP")
    seconds = reader.integer(client_ip, "timeoutSeconds", where, DEFAULT_AFFINITY_SECONDS)
    # v1.MaxClientIPServiceAffinitySeconds of k8s.io/api: one day.
    if not 1 <= seconds <= 86400:
        reader.problem(
            (*where, "timeoutSeconds"), f"{seconds} is out of range", "from 1 to 86400 seconds"
        )
        return DEFAULT_AFFINITY_SECONDS
    return seconds


def zero_network(network: str) -> bool:
    """Whether a network is the whole of its family."""
    return addresses.prefix_length(network) == 0
