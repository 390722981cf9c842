"""The names of the chains that kube-proxy makes, and how the hashed ones come about."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

SERVICES = "KUBE-SERVICES"
EXTERNAL_SERVICES = "KUBE-EXTERNAL-SERVICES"
NODEPORTS = "KUBE-NODEPORTS"
PROXY_FIREWALL = "KUBE-PROXY-FIREWALL"
FORWARD = "KUBE-FORWARD"
FIREWALL = "KUBE-FIREWALL"
MARK_MASQ = "KUBE-MARK-MASQ"
POSTROUTING = "KUBE-POSTROUTING"
CANARY = "KUBE-PROXY-CANARY"
# The kubelet's: it marks what KUBE-FIREWALL drops.
MARK_DROP = "KUBE-MARK-DROP"

SERVICE_PREFIX = "KUBE-SVC-"
LOCAL_PREFIX = "KUBE-SVL-"
EXTERNAL_PREFIX = "KUBE-EXT-"
SOURCE_RANGES_PREFIX = "KUBE-FW-"
ENDPOINT_PREFIX = "KUBE-SEP-"
# The chains of service ports and of their endpoints.
HASHED = re.compile(r"KUBE-(?:SVC|SVL|EXT|FW|SEP)-[A-Z2-7]{16}")

# The kernel takes chain names of at most 28 characters (`XT_EXTENSION_MAXNAMELEN` is 29, with the
# NUL), so kube-proxy cuts the hash: 80 bits are left (`portProtoHash` in proxier.go).
_HASH_LENGTH = 16


class ServicePortName(NamedTuple):
    """What identifies a service port: Service, port name and protocol.

    Its text is `namespace/name:port`, or `namespace/name` for a port without a name. A tuple,
    because tens of thousands of them are sorted and looked up on every full translation.
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
        return hashes([self.hash_input])[0]

    @property
    def hash_input(self) -> str:
        """What an endpoint's text is appended to before hashing."""
        # Nothing stands between the parts, and the Service's hash is not part of the endpoint's:
        # this is how kube-proxy joins them (`portProtoHash`, `servicePortEndpointChainName` in
        # proxier.go).
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
        return ENDPOINT_PREFIX + hashes([self.hash_input + endpoint])[0]


def hashes(texts: Sequence[str]) -> list[str]:
    """The first 16 characters of the base32 form of the SHA-256 of each text.

    Many texts cost little more than their SHA-256, since all are put into base32 at once: 80
    bits of each stand in a field of 128, and four times every group of bits is split into halves
    that move apart, until each of the 16 bytes of the field holds five bits.
    """
    found: list[str] = []
    for first in range(0, len(texts), _FIELDS):
        some = texts[first : first + _FIELDS]
        bits = int.from_bytes(_GAP.join([sha256(text.encode()).digest()[:10] for text in some]))
        for upper, lower, shift in _SPREADING:
            bits = (bits & upper) << shift | bits & lower
        length = _HASH_LENGTH * len(some)
        letters = bits.to_bytes(length).translate(_BASE32).decode()
        found += [letters[at : at + _HASH_LENGTH] for at in range(0, length, _HASH_LENGTH)]
    return found


# How many texts are put into base32 at once.
_FIELDS = 64
_GAP = bytes(_HASH_LENGTH - 10)
_BASE32 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" * 8


def _repeated(bits: int, width: int) -> int:
    """The bits in each of as many places of a width as the fields have."""
    return sum(bits << place for place in range(0, 128 * _FIELDS, width))


def _spreading_step(half: int, width: int) -> tuple[int, int, int]:
    """Masks of the upper and lower halves of groups of bits, and how far the upper ones move."""
    lower = (1 << half) - 1
    return _repeated(lower << half, 2 * width), _repeated(lower, 2 * width), width - half


_SPREADING = [
    _spreading_step(half, width) for half, width in ((40, 64), (20, 32), (10, 16), (5, 8))
]
