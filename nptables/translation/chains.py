"""The names of the chains that kube-proxy makes, and how the hashed ones come about."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from struct import Struct
from typing import NamedTuple

SERVICES = "KUBE-SERVICES"
EXTERNAL_SERVICES = "KUBE-EXTERNAL-SERVICES"
NODEPORTS = "KUBE-NODEPORTS"
PROXY_FIREWALL = "KUBE-PROXY-FIREWALL"
# Where packets are told apart by Service, in the order in which one reads them.
OF_SERVICES = (SERVICES, NODEPORTS, EXTERNAL_SERVICES, PROXY_FIREWALL)
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
    """The first 16 characters of the base32 form of the SHA-256 of each text."""
    return [name.removeprefix(ENDPOINT_PREFIX) for name in endpoint_chains(texts)]


def endpoint_chains(texts: Sequence[str]) -> list[str]:
    """The chains of endpoints, each given by `hash_input` and `address:port` as one text.

    Many names cost little more than their SHA-256, since all are put into base32 at once: 80 bits
    of each stand in a field of the length of a name. Four times every group of bits is split into
    halves that move apart, until each of the last 16 bytes of the field holds five bits.
    """
    found: list[str] = []
    for first in range(0, len(texts), _MOST_FIELDS):
        some = texts[first : first + _MOST_FIELDS]
        fields, steps, around = _layout(len(some))
        digests = [each.digest() for each in map(sha256, map(str.encode, some))]
        bits = int.from_bytes(fields.pack(*digests))
        for upper, lower, shift in steps:
            bits = (bits & upper) << shift | bits & lower
        names = (bits | around).to_bytes(fields.size).translate(_BASE32)
        found += names.decode().split(" ")[:-1]
    return found


# How many texts are put into base32 at once.
_MOST_FIELDS = 128
# A field ends with a space, by which the names are told apart. Bytes of less than 32 are values of
# five bits each, and all others stand for themselves.
_FIELD = len(ENDPOINT_PREFIX) + _HASH_LENGTH + 1
_BASE32 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" + bytes(range(32, 256))


@cache
def _layout(count: int) -> tuple[Struct, list[tuple[int, int, int]], int]:
    """So many fields: how they are filled, spread, and what stands around the hashes."""
    in_each = ((1 << 8 * _FIELD * count) - 1) // ((1 << 8 * _FIELD) - 1)
    steps = []
    for half, width in ((40, 64), (20, 32), (10, 16), (5, 8)):
        lower = sum((1 << half) - 1 << place for place in range(8, 136, 2 * width)) * in_each
        steps.append((lower << half, lower, width - half))
    around = ENDPOINT_PREFIX.encode() + bytes(_HASH_LENGTH) + b" "
    fields = Struct(f"{_FIELD - 11}x10sx" * count)
    return fields, steps, int.from_bytes(around) * in_each
