"""The `conntrack` section of a KubeProxyConfiguration."""

from __future__ import annotations

import attrs

from nptables.errors import Path
from nptables.immutable import frozen
from nptables.model.durations import seconds_at
from nptables.model.kubeproxy.versions import Version, unknown_to
from nptables.model.reading import Object, Reader


@frozen
class ConntrackConfig:
    """The `conntrack` section; None leaves a kernel setting as it is. Time-outs in seconds."""

    # The same defaults as in pkg/proxy/apis/config/v1alpha1/defaults.go.
    max_per_core: int | None = 32768
    min: int | None = 131072
    tcp_established_timeout: float | None = 86400.0
    tcp_close_wait_timeout: float | None = 3600.0
    tcp_be_liberal: bool = False
    udp_timeout: float | None = None
    udp_stream_timeout: float | None = None


CONNTRACK_KEYS = (
    "maxPerCore",
    "min",
    "tcpEstablishedTimeout",
    "tcpCloseWaitTimeout",
    "tcpBeLiberal",
    "udpTimeout",
    "udpStreamTimeout",
)

# The first version with conntrack settings that the oldest known here does not have, and these by
# their fields here.
_LATE_CONNTRACK = Version(1, 29)
_LATE_FIELDS = {
    "tcp_be_liberal": "tcpBeLiberal",
    "udp_timeout": "udpTimeout",
    "udp_stream_timeout": "udpStreamTimeout",
}


def read_conntrack(
    section: Object, reader: Reader, version: Version, remarks: list[str]
) -> ConntrackConfig:
    """The section that a mapping describes, to a version of kube-proxy.

    What the version does not know has no effect, which is added to the remarks.
    """
    path: Path = ("conntrack",)
    defaults = ConntrackConfig()

    def number(key: str, default: int | None) -> int | None:
        value = reader.integer(section, key, path, default or 0)
        if value < 0:
            reader.problem((*path, key), f"{value} is negative", "0 leaves the kernel's own value")
        # KubeProxyConntrackConfiguration in pkg/proxy/apis/config/types.go: 0 leaves it as it is.
        return value or None

    def seconds(key: str, default: float | None) -> float | None:
        value = seconds_at(section, key, path, reader)
        return default if value is None else value or None

    found = ConntrackConfig(
        max_per_core=number("maxPerCore", defaults.max_per_core),
        min=number("min", defaults.min),
        tcp_established_timeout=seconds("tcpEstablishedTimeout", defaults.tcp_established_timeout),
        tcp_close_wait_timeout=seconds("tcpCloseWaitTimeout", defaults.tcp_close_wait_timeout),
        tcp_be_liberal=reader.boolean(section, "tcpBeLiberal", path, default=False),
        udp_timeout=seconds("udpTimeout", None),
        udp_stream_timeout=seconds("udpStreamTimeout", None),
    )
    for field, key in _LATE_FIELDS.items():
        if getattr(found, field) != getattr(defaults, field) and version < _LATE_CONNTRACK:
            remarks.append(unknown_to(f"conntrack.{key}", _LATE_CONNTRACK, version))
            found = attrs.evolve(found, **{field: getattr(defaults, field)})
    return found
