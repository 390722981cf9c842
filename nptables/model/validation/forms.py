"""The forms of text that the API prescribes, each as a function that says what is wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from nptables.errors import Path
from nptables.model import addresses, names
from nptables.model.node import UNSPECIFIED
from nptables.model.reading import Reader, nearest, quoted

_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_PORT_NAME = re.compile(r"[a-z0-9-]+")
_FQDN_PART = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
# How the texts of all special IPv4 addresses begin.
SPECIAL_V4 = ("0.0.0.0", "127.", "169.254.", "224.0.0.")  # noqa: S104 - nothing is bound


def check_label(text: str, path: Path, reader: Reader) -> None:
    """An RFC 1123 label: Service, port and host names."""
    if not names.is_label(text):
        reader.problem(path, f"{quoted(text)} is not a valid name", names.LABEL_HINT)


def check_subdomain(text: str, path: Path, reader: Reader) -> None:
    """An RFC 1123 subdomain: the names of nodes, slices and most other objects."""
    if not names.is_subdomain(text):
        reader.problem(path, f"{quoted(text)} is not a valid name", names.SUBDOMAIN_HINT)


# The keys of labels come again and again. Many a value does as well: the name of an application is
# a label of its Service, of its slices and of its Pods.
@lru_cache(maxsize=4096)
def is_qualified(text: str) -> bool:
    """Whether `text` is a qualified name: `name` or `prefix.example.com/name`."""
    prefix, slash, name = text.rpartition("/")
    if slash and not names.is_subdomain(prefix):
        return False
    return len(name) <= 63 and _QUALIFIED.fullmatch(name) is not None


def check_qualified(text: str, path: Path, reader: Reader, what: str = "a qualified name") -> None:
    """A qualified name: keys of labels, application protocols, classes."""
    if not is_qualified(text):
        reader.problem(
            path,
            f"{quoted(text)} is not {what}",
            "at most 63 letters, digits, '-', '_', '.', begun and ended by a letter or digit, "
            "with an optional example.com/ in front",
        )


@lru_cache(maxsize=16_384)
def is_label_value(text: str) -> bool:
    """Whether `text` can be the value of a label; an empty one can."""
    return not text or (len(text) <= 63 and _QUALIFIED.fullmatch(text) is not None)


def check_label_value(text: str, path: Path, reader: Reader) -> None:
    """The value of a label."""
    if not is_label_value(text):
        reader.problem(
            path,
            f"{quoted(text)} is not a label value",
            "at most 63 letters, digits, '-', '_', '.', begun and ended by a letter or digit",
        )


def check_port_name(text: str, path: Path, reader: Reader) -> None:
    """The name of a container port, which is narrower than other names (IANA service names)."""
    # IsValidPortName in k8s.io/apimachinery: the form of IANA service names (RFC 6335).
    if len(text) > 15:
        reader.problem(path, f"{quoted(text)} is too long for a port name", "at most 15 characters")
    elif not _PORT_NAME.fullmatch(text):
        reader.problem(
            path, f"{quoted(text)} is not a port name", "lower-case letters, digits and '-'"
        )
    elif text.isascii() and text.isdigit():
        reader.problem(path, f"{quoted(text)} is text", f"write {text} without quotes")
    elif not any("a" <= char <= "z" for char in text):
        reader.problem(path, f"{quoted(text)} is not a port name", "at least one letter")
    elif "--" in text or text[0] == "-" or text[-1] == "-":
        reader.problem(
            path, f"{quoted(text)} is not a port name", "no '-' at an end, and no two in a row"
        )


def check_choice(text: str, path: Path, known: Sequence[str], reader: Reader) -> None:
    """One of a few words."""
    if text not in known:
        reader.problem(
            path, f"{quoted(text)} is not one of {', '.join(known)}", nearest(text, known)
        )


def check_not_special(address: str, path: Path, reader: Reader) -> None:
    """A canonical address that a packet can be sent to from elsewhere."""
    special = _special(address)
    if special:
        reader.problem(
            path, f"{quoted(address)} {special}", "use an address that other hosts can reach"
        )


def _special(address: str) -> str:
    # ValidateNonSpecialIP in pkg/apis/core/validation: unspecified and loopback addresses lead
    # nowhere, and link-local ones are often for the node alone, such as a metadata service.
    if address in UNSPECIFIED:
        return "is unspecified"
    if addresses.is_loopback(address):
        return "is a loopback address"
    if address.startswith("169.254.") or _in_fe80(address):
        return "is a link-local address"
    if address.startswith(("224.0.0.", "ff02:", "ff12:")):
        return "is a link-local multicast address"
    return ""


def _in_fe80(address: str) -> bool:
    return ":" in address and re.match(r"fe[89ab][0-9a-f]:", address) is not None


def is_fqdn(text: str) -> bool:
    """Whether `text` is a host name of at least two parts."""
    parts = text.removesuffix(".").split(".")
    return (
        len(text) <= 253
        and len(parts) >= 2
        and all(len(part) <= 63 and _FQDN_PART.fullmatch(part) for part in parts)
    )
