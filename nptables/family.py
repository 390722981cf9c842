"""The two address families, IPv4 and IPv6."""

from __future__ import annotations

import enum


class Family(enum.Enum):
    """An IP address family; the value is the name Kubernetes uses in `spec.ipFamilies`."""

    IPV4 = "IPv4"
    IPV6 = "IPv6"

    def __init__(self, name: str) -> None:
        """Begin with what is asked of a family for every rule."""
        # The prefix length of a single address.
        self.host_prefix = 32 if name == "IPv4" else 128

    # A member is equal to itself alone. An Enum's own hash is that of its name, made in Python on
    # every look-up.
    __hash__ = object.__hash__

    @property
    def other(self) -> Family:
        """The other family."""
        return Family.IPV6 if self is Family.IPV4 else Family.IPV4

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
