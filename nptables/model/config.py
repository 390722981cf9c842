"""A KubeProxyConfiguration, as far as it decides rules and how they are kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs

from nptables.errors import InvalidInput, Path
from nptables.family import Family
from nptables.model import addresses, names
from nptables.model.reading import Object, Reader, nearest, quoted
from nptables.model.service import zero_network

API_VERSION = "kubeproxy.config.k8s.io/v1alpha1"
KIND = "KubeProxyConfiguration"
DETECT_LOCAL_MODES = ("ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix")
PRIMARY = "primary"
DEFAULT_MASQUERADE_BIT = 14
DEFAULT_SYNC_PERIOD = 30.0
DEFAULT_MIN_SYNC_PERIOD = 1.0
DEFAULT_CONFIG_SYNC_PERIOD = 900.0


@attrs.frozen
class ConntrackConfig:
    """The `conntrack` section; None leaves a kernel setting as it is. Time-outs in seconds."""

    max_per_core: int | None = 32768
    min: int | None = 131072
    tcp_established_timeout: float | None = 86400.0
    tcp_close_wait_timeout: float | None = 3600.0
    tcp_be_liberal: bool = False
    udp_timeout: float | None = None
    udp_stream_timeout: float | None = None


@attrs.frozen
class ProxyConfig:
    """What a KubeProxyConfiguration says, with kube-proxy 1.36's defaults.

    `cluster_cidrs` has at most one network a family. `node_port_addresses` are networks, or
    `("primary",)`, or empty for all addresses. `bind_address` is an address or empty.
    `masquerade_bit` is 0 to 31. Periods are seconds.
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
    healthz_bind_address: str = "0.0.0.0:10256"
    metrics_bind_address: str = "127.0.0.1:10249"
    bind_address_hard_fail: bool = False
    kubeconfig: str = ""
    conntrack: ConntrackConfig = attrs.field(factory=ConntrackConfig)

    @property
    def masquerade_mark(self) -> str:
        """The mark of packets to be masqueraded, as iptables prints it."""
        return f"{1 << self.masquerade_bit:#x}"

    @classmethod
    def from_kube_proxy(cls, doc: object) -> ProxyConfig:
        """The configuration in a KubeProxyConfiguration (v1alpha1) given as a mapping.

        Raises InvalidInput with every problem: a mode other than iptables, a field that might
        change rules and that is not known here, a value out of range.
        """
        reader = Reader(KIND, lenient=True)
        if not isinstance(doc, Mapping):
            reader.problem((), "must be an object", f"apiVersion: {API_VERSION}, kind: {KIND}")
            raise InvalidInput(reader.problems)
        config = _read(doc, reader)
        if reader.problems:
            raise InvalidInput(reader.problems)
        return config


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
_CONNTRACK = (
    "maxPerCore",
    "min",
    "tcpEstablishedTimeout",
    "tcpCloseWaitTimeout",
    "tcpBeLiberal",
    "udpTimeout",
    "udpStreamTimeout",
)

# Gates that changed which endpoints kube-proxy uses and are locked on in 1.36.
_ALWAYS_ON = (
    "EndpointSliceProxying",
    "PreferSameTrafficDistribution",
    "ProxyTerminatingEndpoints",
    "ServiceInternalTrafficPolicy",
    "ServiceTrafficDistribution",
    "TopologyAwareHints",
)
_EXTERNAL_IPS_GATE = "AllowServiceExternalIPs"


def _read(doc: Object, reader: Reader) -> ProxyConfig:
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
    sync_period = _seconds(iptables, "syncPeriod", ("iptables",), reader) or DEFAULT_SYNC_PERIOD
    min_sync = _seconds(iptables, "minSyncPeriod", ("iptables",), reader)
    # kube-proxy takes 0, which kubeadm writes, for the default in all three periods.
    min_sync = min_sync or DEFAULT_MIN_SYNC_PERIOD
    if min_sync > sync_period:
        reader.problem(
            ("iptables", "minSyncPeriod"),
            f"{min_sync:g}s is longer than syncPeriod ({sync_period:g}s)",
        )
    bind_address = _bind_address(doc, reader)
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
        node_port_addresses=_node_port_addresses(doc, reader),
        bind_address=bind_address,
        hostname_override=_hostname(doc, reader),
        allow_service_external_ips=_gates(doc, reader),
        sync_period=sync_period,
        min_sync_period=min_sync,
        config_sync_period=_seconds(doc, "configSyncPeriod", (), reader)
        or DEFAULT_CONFIG_SYNC_PERIOD,
        healthz_bind_address=_endpoint(doc, "healthzBindAddress", everywhere, 10256, reader),
        metrics_bind_address=_endpoint(doc, "metricsBindAddress", here, 10249, reader),
        bind_address_hard_fail=reader.boolean(doc, "bindAddressHardFail", (), default=False),
        kubeconfig=reader.text(connection, "kubeconfig", ("clientConnection",)),
        conntrack=_conntrack(reader.mapping(doc, "conntrack"), reader),
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
        if key not in known and key not in accepted:
            reader.problem(
                (*path, str(key)),
                "is not a field known here, and might change rules",
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


def _node_port_addresses(doc: Object, reader: Reader) -> tuple[str, ...]:
    listed = list(reader.texts(doc, "nodePortAddresses"))
    if any(text == PRIMARY for _, text in listed):
        if len(listed) > 1:
            reader.problem(("nodePortAddresses",), f"{PRIMARY} must stand alone")
        return (PRIMARY,)
    found = (reader.network(text, path) for path, text in listed)
    return tuple(network for network in found if network is not None)


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


def _gates(doc: Object, reader: Reader) -> bool:
    gates = reader.mapping(doc, "featureGates")
    for gate in gates:
        on = reader.boolean(gates, gate, ("featureGates",), default=True)
        if gate in _ALWAYS_ON and not on:
            reader.problem(
                ("featureGates", gate), "cannot be switched off", "kube-proxy 1.36 has it always on"
            )
    return reader.boolean(gates, _EXTERNAL_IPS_GATE, ("featureGates",), default=True)


def _conntrack(section: Object, reader: Reader) -> ConntrackConfig:
    path: Path = ("conntrack",)
    _check_known(section, path, _CONNTRACK, reader)
    defaults = ConntrackConfig()

    def number(key: str, default: int | None) -> int | None:
        value = reader.integer(section, key, path, default or 0)
        if value < 0:
            reader.problem((*path, key), f"{value} is negative", "0 leaves the kernel's own value")
        return value or None

    def seconds(key: str, default: float | None) -> float | None:
        value = _seconds(section, key, path, reader)
        return default if value is None else value or None

    return ConntrackConfig(
        max_per_core=number("maxPerCore", defaults.max_per_core),
        min=number("min", defaults.min),
        tcp_established_timeout=seconds("tcpEstablishedTimeout", defaults.tcp_established_timeout),
        tcp_close_wait_timeout=seconds("tcpCloseWaitTimeout", defaults.tcp_close_wait_timeout),
        tcp_be_liberal=reader.boolean(section, "tcpBeLiberal", path, default=False),
        udp_timeout=seconds("udpTimeout", None),
        udp_stream_timeout=seconds("udpStreamTimeout", None),
    )


_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}


def parse_duration(text: str) -> float | None:
    """The seconds in a Go duration such as `1m30s`, or None; negative ones are None too."""
    if text == "0":
        return 0.0
    if not text or len(text) > 64 or _DURATION.sub("", text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))


def _seconds(parent: Object, key: str, path: Path, reader: Reader) -> float | None:
    """The duration at `key` in seconds; None where the field is absent."""
    value: Any = parent.get(key)
    if value is None or value == "":
        return None
    text = reader.text(parent, key, path)
    found = parse_duration(text)
    if text and found is None:
        reader.problem((*path, key), f"{quoted(text)} is not a duration", "such as 30s or 1m30s")
    return found


def _endpoint(doc: Object, key: str, host: str, port: int, reader: Reader) -> str:
    """`host:port`, with the usual port for an address alone, and the usual host for nothing."""
    text, default = reader.text(doc, key), f"{host}:{port}"
    if not text:
        return default
    given, colon, number = text.rpartition(":")
    bare = addresses.parse_ip_sloppy(text)
    if bare is not None:
        return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"
    address = addresses.parse_ip_sloppy(given.removeprefix("[").removesuffix("]"))
    if not colon or address is None or not number.isdigit() or not 1 <= int(number[:9]) <= 65535:
        reader.problem((key,), f"{quoted(text)} is not an address and port", f"such as {default}")
        return default
    return text


def matches_all(networks: tuple[str, ...]) -> bool:
    """Whether node-port networks of one family let every address through."""
    return not networks or any(zero_network(network) for network in networks)
