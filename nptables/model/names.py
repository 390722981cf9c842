"""The forms of names that Kubernetes allows, checked because names end up in rules."""

from __future__ import annotations

import re

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
# An RFC 1123 subdomain as a regular expression; how long it may be is not in it.
SUBDOMAIN = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*"
_SUBDOMAIN = re.compile(SUBDOMAIN)
_INTERFACE = re.compile(r"[A-Za-z0-9_.:@-]+")

LABEL_HINT = "at most 63 lower-case letters, digits and '-', such as my-name or 123-abc"
SUBDOMAIN_HINT = "lower-case letters, digits, '-' and '.', such as worker-1.example.com"
# IFNAMSIZ is 16, with the NUL (include/uapi/linux/if.h).
INTERFACE_LENGTH = 15
# What kubectl takes for these kinds, and what they are called here.
KINDS = {
    **dict.fromkeys(("svc", "service", "services"), "svc"),
    **dict.fromkeys(("po", "pod", "pods"), "pod"),
    **dict.fromkeys(("no", "node", "nodes"), "node"),
}


def is_label(name: str) -> bool:
    """Whether `name` is an RFC 1123 label, as Service, namespace and port names are."""
    return len(name) <= 63 and _LABEL.fullmatch(name) is not None


def is_subdomain(name: str) -> bool:
    """Whether `name` is an RFC 1123 subdomain, as node and slice names are."""
    return len(name) <= 253 and _SUBDOMAIN.fullmatch(name) is not None


def is_interface(name: str, length: int = INTERFACE_LENGTH) -> bool:
    """Whether the kernel can have an interface of that name that a rule can hold unquoted."""
    return len(name) <= length and _INTERFACE.fullmatch(name) is not None and name[0] != "-"
