"""The two address families, IPv4 and IPv6."""

from __future__ import annotations

import enum


class Family(enum.Enum):
    """An IP address family; the value is the name Kubernetes uses in `spec.ipFamilies`."""

    IPV4 = "IPv4"
    IPV6 = "IPv6"

    # By identity, as they are compared: enum hashes the name of a member by a function in Python.
    __hash__ = object.__hash__

    @property
    def other(self) -> Family:
        """The other family."""
        return Family.IPV6 if self is Family.IPV4 else Family.IPV4

    @property
    def host_prefix(self) -> int:
        """The prefix length of a single address: 32 or 128."""
        return 32 if self is Family.IPV4 else 128

    @staticmethod
    def of(address: str) -> Family:
        """The family of an address or network in canonical text."""
        return Family.IPV6 if ":" in address else Family.IPV4

    @staticmethod
    def checked(value: object) -> Family:
        """The value itself. Raises TypeError, which names the families, where it is none."""
        if isinstance(value, Family):
            return value
        raise TypeError(f"{value!r} is not a family: use Family.IPV4 or Family.IPV6")
