"""A KubeProxyConfiguration, as far as it decides rules and how they are kept."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from nptables.errors import InvalidInput, Path
from nptables.family import Family
from nptables.immutable import frozen
from nptables.inet import with_port
from nptables.model import addresses, names
from nptables.model.conntrack import CONNTRACK_KEYS, ConntrackConfig, read_conntrack
from nptables.model.durations import seconds_at
from nptables.model.kubeproxy import habits as known
from nptables.model.kubeproxy.gates import EXTERNAL_IPS, GATES, set_for_all
from nptables.model.kubeproxy.habits import Habit, in_force
from nptables.model.kubeproxy.versions import NEWEST, Version, read_version, unknown_to
from nptables.model.reading import Object, Reader, nearest, quoted
from nptables.model.service import zero_network

API_VERSION = "kubeproxy.config.k8s.io/v1alpha1"
KIND = "KubeProxyConfiguration"
DETECT_LOCAL_MODES = ("ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix")
PRIMARY = "primary"
# kube-proxy's defaults: SetDefaults_KubeProxyConfiguration in
# pkg/proxy/apis/config/v1alpha1/defaults.go.
DEFAULT_MASQUERADE_BIT = 14
DEFAULT_SYNC_PERIOD = 30.0
DEFAULT_MIN_SYNC_PERIOD = 1.0
DEFAULT_CONFIG_SYNC_PERIOD = 900.0


def _habits_of_version(config: ProxyConfig) -> frozenset[str]:
    return in_force(config.version)


@frozen
class ProxyConfig:
    """A KubeProxyConfiguration with kube-proxy's defaults, and the kube-proxy that reads it.

    `cluster_cidrs` has at most one network for each family. `node_port_addresses` are networks, or
    `("primary",)`, or empty for all addresses. `odd_zero_networks` are those of them that contain
    all addresses but are not written as 0.0.0.0/0 or ::/0. `bind_address` is an address or empty.
    `masquerade_bit` is 0 to 31. Periods are in seconds.

    `version` is the kube-proxy whose rules are made, `habits` the names of what it does, which
    feature gates may change. `remarks` are sentences about settings without effect, and about an
    unknown version.
    """

    cluster_cidrs: tuple[str, ...] = ()
    detect_local_mode: str = "ClusterCIDR"
    bridge_interface: str = ""
    interface_name_prefix: str = ""
    masquerade_all: bool = False
    masquerade_bit: int = DEFAULT_MASQUERADE_BIT
    localhost_node_ports: bool = True
    node_port_addresses: tuple[str, ...] = ()
    bind_address: str = ""
    hostname_override: str = ""
    allow_service_external_ips: bool = True
    sync_period: float = DEFAULT_SYNC_PERIOD
    min_sync_period: float = DEFAULT_MIN_SYNC_PERIOD
    config_sync_period: float = DEFAULT_CONFIG_SYNC_PERIOD
    # ProxyHealthzPort and ProxyStatusPort in pkg/cluster/ports/ports.go.
    healthz_bind_address: str = "0.0.0.0:10256"
    metrics_bind_address: str = "127.0.0.1:10249"
    bind_address_hard_fail: bool = False
    kubeconfig: str = ""
    conntrack: ConntrackConfig = attrs.field(factory=ConntrackConfig)
    odd_zero_networks: tuple[str, ...] = ()
    version: Version = NEWEST
    habits: frozenset[str] = attrs.field(default=attrs.Factory(_habits_of_version, takes_self=True))
    remarks: tuple[str, ...] = attrs.field(default=(), eq=False)

    def has(self, habit: Habit) -> bool:
        """Whether this kube-proxy has a habit."""
        return habit.name in self.habits

    @property
    def serves_external_ips(self) -> bool:
        """Whether externalIPs get rules: a version without the gate that forbids it makes them."""
        return self.allow_service_external_ips or not self.has(known.EXTERNAL_IPS_GATE)

    @property
    def masquerade_mark(self) -> str:
        """The mark of packets to be masqueraded, as iptables prints it."""
        return f"{1 << self.masquerade_bit:#x}"

    @classmethod
    def from_kube_proxy(cls, doc: object, version: str | Version | None = None) -> ProxyConfig:
        """The configuration in a KubeProxyConfiguration (v1alpha1) given as a mapping.

        `version` is the kube-proxy that reads it, such as `1.30` or `v1.30.4-eks-a18cd3a`, by
        default the newest. For an unknown version the nearest known one is used. `.remarks` reports
        that, and settings that the version does not know.

        Raises InvalidInput with every problem: a mode other than iptables, an unknown field that
        may change rules, a value out of range, a setting that the version refuses.
        """
        reader = Reader(KIND, lenient=True)
        if not isinstance(doc, Mapping):
            reader.problem((), "must be an object", f"apiVersion: {API_VERSION}, kind: {KIND}")
            raise InvalidInput(reader.problems)
        meant, remarks = read_version(version)
        config = _read(doc, reader, meant, remarks)
        if reader.problems:
            raise InvalidInput(reader.problems)
        return config

    @classmethod
    def defaults(cls, version: str | Version | None = None) -> ProxyConfig:
        """The configuration of a kube-proxy that is given none; `version` as above."""
        meant, remarks = read_version(version)
        return cls(version=meant, remarks=tuple(remarks))


# Fields that decide rules or their upkeep are read below; these are known to decide neither,
# whatever stands in them. Source: the KubeProxyConfiguration reference of Kubernetes 1.36.
_WITHOUT_EFFECT = frozenset(
    {
        "apiVersion",
        "clientConnection",
        "config",
        "configSyncPeriod",
        "enableProfiling",
        "ipvs",
        "kind",
        "logging",
        "metadata",
        "nftables",
        "oomScoreAdj",
        "portRange",
        "resourceContainer",
        "showHiddenMetricsForVersion",
        "udpIdleTimeout",
        "windowsRunAsService",
        "winkernel",
    }
)
_TOP_LEVEL = (
    "bindAddress",
    "bindAddressHardFail",
    "clusterCIDR",
    "conntrack",
    "detectLocal",
    "detectLocalMode",
    "featureGates",
    "healthzBindAddress",
    "hostnameOverride",
    "iptables",
    "metricsBindAddress",
    "mode",
    "nodePortAddresses",
)
_IPTABLES = ("masqueradeAll", "masqueradeBit", "localhostNodePorts", "syncPeriod", "minSyncPeriod")
_DETECT_LOCAL = ("bridgeInterface", "interfaceNamePrefix")


def _read(doc: Object, reader: Reader, version: Version, remarks: list[str]) -> ProxyConfig:
    # Gates first: they decide habits, and habits what some fields may say.
    gates = _gates(doc, reader, version, remarks)
    habits = in_force(version, gates)
    _check_identity(doc, reader)
    _check_known(doc, (), _TOP_LEVEL, reader, _WITHOUT_EFFECT)
    iptables = reader.mapping(doc, "iptables")
    _check_known(iptables, ("iptables",), _IPTABLES, reader)
    bit = iptables.get("masqueradeBit")
    masquerade_bit = (
        DEFAULT_MASQUERADE_BIT
        if bit is None
        else reader.integer(iptables, "masqueradeBit", ("iptables",))
    )
    if not 0 <= masquerade_bit <= 31:
        reader.problem(
            ("iptables", "masqueradeBit"), f"{masquerade_bit} is out of range", "0 to 31"
        )
        masquerade_bit = DEFAULT_MASQUERADE_BIT
    mode, bridge, prefix = _detect_local(doc, reader)
    connection = reader.mapping(doc, "clientConnection")
    conntrack = reader.mapping(doc, "conntrack")
    _check_known(conntrack, ("conntrack",), CONNTRACK_KEYS, reader)
    sync_period = seconds_at(iptables, "syncPeriod", ("iptables",), reader) or DEFAULT_SYNC_PERIOD
    min_sync = seconds_at(iptables, "minSyncPeriod", ("iptables",), reader)
    # kube-proxy takes 0, which kubeadm writes, for the default in all three periods.
    min_sync = min_sync or DEFAULT_MIN_SYNC_PERIOD
    if min_sync > sync_period:
        reader.problem(
            ("iptables", "minSyncPeriod"),
            f"{min_sync:g}s is longer than syncPeriod ({sync_period:g}s)",
        )
    bind_address = _bind_address(doc, reader)
    node_ports, odd_zero = _node_port_addresses(doc, reader, habits)
    # The servers listen in the family of bindAddress unless they are told otherwise.
    everywhere, here = ("[::]", "[::1]") if ":" in bind_address else ("0.0.0.0", "127.0.0.1")  # noqa: S104
    return ProxyConfig(
        cluster_cidrs=_cluster_cidrs(doc, reader),
        detect_local_mode=mode,
        bridge_interface=bridge,
        interface_name_prefix=prefix,
        masquerade_all=reader.boolean(iptables, "masqueradeAll", ("iptables",), default=False),
        masquerade_bit=masquerade_bit,
        localhost_node_ports=reader.boolean(
            iptables, "localhostNodePorts", ("iptables",), default=True
        ),
        node_port_addresses=node_ports,
        odd_zero_networks=odd_zero,
        bind_address=bind_address,
        hostname_override=_hostname(doc, reader),
        allow_service_external_ips=gates.get(EXTERNAL_IPS.name, True),
        sync_period=sync_period,
        min_sync_period=min_sync,
        config_sync_period=seconds_at(doc, "configSyncPeriod", (), reader)
        or DEFAULT_CONFIG_SYNC_PERIOD,
        healthz_bind_address=_endpoint(doc, "healthzBindAddress", everywhere, 10256, reader),
        metrics_bind_address=_endpoint(doc, "metricsBindAddress", here, 10249, reader),
        bind_address_hard_fail=reader.boolean(doc, "bindAddressHardFail", (), default=False),
        kubeconfig=reader.text(connection, "kubeconfig", ("clientConnection",)),
        conntrack=read_conntrack(conntrack, reader, version, remarks),
        version=version,
        habits=habits,
        remarks=tuple(remarks),
    )


def _check_identity(doc: Object, reader: Reader) -> None:
    version, kind = doc.get("apiVersion"), doc.get("kind")
    if kind != KIND:
        reader.problem(("kind",), "is not a kube-proxy configuration", f"kind: {KIND}")
    elif version != API_VERSION:
        reader.problem(("apiVersion",), "is not a known version", f"apiVersion: {API_VERSION}")
    mode = reader.text(doc, "mode") or "iptables"
    if mode != "iptables":
        reader.problem(
            ("mode",),
            f"{quoted(mode)} is not supported",
            "nptables makes the rules of mode iptables",
        )


def _check_known(
    parent: Object,
    path: Path,
    known: tuple[str, ...],
    reader: Reader,
    accepted: frozenset[str] = frozenset(),
) -> None:
    for key in parent:
        # kube-proxy only logs it and goes on with the default, which may not be what was meant.
        if key not in known and key not in accepted:
            reader.problem(
                (*path, str(key)),
                "is an unknown field, which might change the rules",
                nearest(str(key), known),
            )


def _detect_local(doc: Object, reader: Reader) -> tuple[str, str, str]:
    mode = reader.choice(doc, "detectLocalMode", (), DETECT_LOCAL_MODES, "ClusterCIDR")
    section = reader.mapping(doc, "detectLocal")
    _check_known(section, ("detectLocal",), _DETECT_LOCAL, reader)
    bridge = reader.text(section, "bridgeInterface", ("detectLocal",))
    prefix = reader.text(section, "interfaceNamePrefix", ("detectLocal",))
    for key, value, needed_by, length in (
        ("bridgeInterface", bridge, "BridgeInterface", names.INTERFACE_LENGTH),
        # One less: the rule has a `+` behind it.
        ("interfaceNamePrefix", prefix, "InterfaceNamePrefix", names.INTERFACE_LENGTH - 1),
    ):
        if not value and mode == needed_by:
            reader.problem(("detectLocal", key), f"is required with detectLocalMode {mode}")
        elif value and not names.is_interface(value, length):
            reader.problem(
                ("detectLocal", key),
                f"{quoted(value)} is not an interface name",
                f"at most {length} letters, digits, '.', '_', '-', ':' or '@'",
            )
    return mode, bridge, prefix


def _cluster_cidrs(doc: Object, reader: Reader) -> tuple[str, ...]:
    text = reader.text(doc, "clusterCIDR")
    found: dict[Family, str] = {}
    for part in text.split(",") if text.strip() else ():
        network = reader.network(part.strip(), ("clusterCIDR",))
        if network is None:
            continue
        family = Family.of(network)
        if family in found:
            reader.problem(
                ("clusterCIDR",), f"has two {family.value} networks", "at most one of each family"
            )
        found[family] = network
    return tuple(found.values())


def _node_port_addresses(
    doc: Object, reader: Reader, habits: frozenset[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The networks, and those among them that are everything and not written the usual way."""
    listed = list(reader.texts(doc, "nodePortAddresses"))
    for path, text in listed:
        if text == PRIMARY and known.PRIMARY_ADDRESSES.name not in habits:
            since = known.PRIMARY_ADDRESSES.since
            hint = "name networks, such as 192.168.0.0/16"
            reader.problem(path, f"{PRIMARY} needs kube-proxy {since} or later", hint)
    if any(text == PRIMARY for _, text in listed):
        if len(listed) > 1:
            reader.problem(("nodePortAddresses",), f"{PRIMARY} must stand alone")
        return (PRIMARY,), ()
    found = [
        (text, network)
        for path, text in listed
        if (network := reader.network(text, path)) is not None
    ]
    odd = (network for text, network in found if zero_network(network) and text != network)
    return tuple(network for _, network in found), tuple(odd)


def _bind_address(doc: Object, reader: Reader) -> str:
    text = reader.text(doc, "bindAddress")
    return (reader.ip(text, ("bindAddress",)) or "") if text else ""


def _hostname(doc: Object, reader: Reader) -> str:
    """kube-proxy trims and lower-cases the override before it compares it with node names."""
    text = reader.text(doc, "hostnameOverride").strip().lower()
    if text and not names.is_subdomain(text):
        reader.problem(
            ("hostnameOverride",), f"{quoted(text)} is not a node name", names.SUBDOMAIN_HINT
        )
    return text


def _gates(doc: Object, reader: Reader, version: Version, remarks: list[str]) -> dict[str, bool]:
    """The gates that are set and that the version uses."""
    given = reader.mapping(doc, "featureGates")
    found: dict[str, bool] = {}
    for name in given:
        on = reader.boolean(given, name, ("featureGates",), default=False)
        for one in set_for_all(name, version):
            # Whatever their order, a gate that is named is what it says itself.
            if one not in given:
                found[one] = on
        gate = GATES.get(name)
        # Most gates are of no consequence for rules, and there are hundreds.
        if gate is None:
            continue
        if not gate.exists(version):
            remarks.append(unknown_to(f"featureGates[{name}]", gate.known, version))
        elif gate.is_locked(version):
            if not on:
                hint = (
                    f"kube-proxy {version} has it always on, like every version from "
                    f"{gate.locked} on"
                )
                reader.problem(("featureGates", name), "cannot be switched off", hint)
            elif gate.is_gone(version):
                remarks.append(
                    f"featureGates[{name}] has no effect: kube-proxy {version} does not know it, "
                    f"{gate.last} is the last that does"
                )
        else:
            found[name] = on
    return found


def _endpoint(doc: Object, key: str, host: str, port: int, reader: Reader) -> str:
    """`host:port`, with the usual port for an address alone, and the usual host for nothing."""
    text, default = reader.text(doc, key), f"{host}:{port}"
    if not text:
        return default
    given, colon, number = text.rpartition(":")
    bare = addresses.parse_ip_sloppy(text)
    if bare is not None:
        return with_port(bare, port)
    address = addresses.parse_ip_sloppy(given.removeprefix("[").removesuffix("]"))
    if not colon or address is None or not number.isdigit() or not 1 <= int(number[:9]) <= 65535:
        reader.problem((key,), f"{quoted(text)} is not an address and port", f"such as {default}")
        return default
    return text


def matches_all(networks: tuple[str, ...]) -> bool:
    """Whether node-port networks of one family let every address through."""
    return not networks or any(zero_network(network) for network in networks)
