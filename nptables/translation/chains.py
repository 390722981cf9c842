"""The names of the chains that kube-proxy makes, and how the hashed ones come about."""

from __future__ import annotations

from hashlib import sha256

import attrs

SERVICES = "KUBE-SERVICES"
EXTERNAL_SERVICES = "KUBE-EXTERNAL-SERVICES"
NODEPORTS = "KUBE-NODEPORTS"
PROXY_FIREWALL = "KUBE-PROXY-FIREWALL"
FORWARD = "KUBE-FORWARD"
FIREWALL = "KUBE-FIREWALL"
MARK_MASQ = "KUBE-MARK-MASQ"
POSTROUTING = "KUBE-POSTROUTING"
CANARY = "KUBE-PROXY-CANARY"

SERVICE_PREFIX = "KUBE-SVC-"
LOCAL_PREFIX = "KUBE-SVL-"
EXTERNAL_PREFIX = "KUBE-EXT-"
SOURCE_RANGES_PREFIX = "KUBE-FW-"
ENDPOINT_PREFIX = "KUBE-SEP-"

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)


@attrs.frozen(order=True)
class ServicePortName:
    """What identifies a service port: Service, port name and protocol.

    Its text is `namespace/name:port`, or `namespace/name` for a port without a name.
    """

    namespace: str
    name: str
    port: str = ""
    protocol: str = "TCP"

    def __str__(self) -> str:
        service = f"{self.namespace}/{self.name}"
        return f"{service}:{self.port}" if self.port else service

    @property
    def hash(self) -> str:
        """The 16 characters that the chains of this service port share."""
        return _hash(f"{self}{self.protocol.lower()}")

    @property
    def hash_input(self) -> str:
        """What an endpoint's text is appended to before hashing."""
        return f"{self}{self.protocol.lower()}"

    @property
    def service_chain(self) -> str:
        """The chain of the Cluster traffic policy."""
        return SERVICE_PREFIX + self.hash

    @property
    def local_chain(self) -> str:
        """The chain of the Local traffic policy."""
        return LOCAL_PREFIX + self.hash

    @property
    def external_chain(self) -> str:
        """The chain that traffic to external destinations goes through first."""
        return EXTERNAL_PREFIX + self.hash

    @property
    def source_ranges_chain(self) -> str:
        """The chain that checks loadBalancerSourceRanges."""
        return SOURCE_RANGES_PREFIX + self.hash

    def endpoint_chain(self, endpoint: str) -> str:
        """The chain of an endpoint given as `address:port` (`[address]:port` for IPv6)."""
        return endpoint_chain(self.hash_input, endpoint)


def endpoint_chain(hash_input: str, endpoint: str) -> str:
    """The chain of an endpoint, where the service port's part of the hash is at hand."""
    return ENDPOINT_PREFIX + _hash(hash_input + endpoint)


def _hash(text: str) -> str:
    """The first 16 characters of the base32 form of the SHA-256 of `text`."""
    bits = int.from_bytes(sha256(text.encode()).digest()[:10])
    pairs = _PAIRS
    return (
        pairs[bits >> 70]
        + pairs[bits >> 60 & 1023]
        + pairs[bits >> 50 & 1023]
        + pairs[bits >> 40 & 1023]
        + pairs[bits >> 30 & 1023]
        + pairs[bits >> 20 & 1023]
        + pairs[bits >> 10 & 1023]
        + pairs[bits & 1023]
    )
