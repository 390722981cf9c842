"""Addresses and routes as `ip` and `ifconfig` print them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from nptables.family import Family
from nptables.model.addresses import parse_ip_sloppy, parse_network_sloppy, prefix_length

_LOOPBACK = "lo"
# `2: eth0@if7: <BROADCAST,...> mtu 1500`, and the same interface in each line of `ip -o`.
_LINK = re.compile(r"^\d+: ([^\s:@]+)(?:@[^\s:]+)?:? (.*)$")
_ADDRESS = re.compile(r"^\s*inet6? (\S+)(?: peer (\S+))?(?: |$)")
# `eth0: flags=...` of today's ifconfig, `eth0      Link encap:Ethernet` of the one before.
_IFCONFIG = re.compile(r"^(\S+?):? +(?:flags=\d|Link encap:)")
_IFCONFIG_ADDRESS = re.compile(
    r"^\s+inet(?: addr:| )(?P<v4>[\d.]+).*?(?:netmask |Mask:)(?P<mask>[\d.]+|0x[0-9a-f]{8})"
    r"|^\s+inet6(?: addr: ?| )(?P<v6>[0-9a-fA-F:]+)(?:/(?P<after>\d+)|\s+prefixlen (?P<length>\d+))"
)
_KINDS = (
    "unicast", "local", "broadcast", "multicast", "anycast", "throw", "unreachable", "prohibit",
    "blackhole", "nat",
)  # fmt: skip


def interfaces_shown(text: str) -> dict[str, list[str]]:
    """Interface names to addresses with prefix length, from `ip addr` or `ifconfig`.

    Where interfaces without an address are not shown, as by `ip -o addr` and by `ifconfig`, `lo` is
    left out: to have it would say that there are no others.
    """
    found: dict[str, list[str]] = {}
    name, every = "", False
    for line in text.splitlines():
        if (link := _LINK.match(line)) is not None:
            name = link[1]
            found.setdefault(name, [])
            every = every or link[2].startswith("<")
            line = link[2]  # noqa: PLW2901 - the address of `ip -o` stands behind the name
        elif (link := _IFCONFIG.match(line)) is not None:
            name = link[1]
            found.setdefault(name, [])
        address = _address(line)
        if address and name and address not in found[name]:
            found[name].append(address)
    if not every:
        found.pop(_LOOPBACK, None)
    return found


def _address(line: str) -> str:
    """The address in a line, with its prefix length, or an empty string."""
    shown = _ADDRESS.match(line)
    if shown is not None and "/" in (shown[2] or shown[1]):
        address, (_, _, length) = shown[1].partition("/")[0], (shown[2] or shown[1]).partition("/")
    elif (listed := _IFCONFIG_ADDRESS.match(line)) is not None:
        address = listed["v4"] or listed["v6"]
        length = (
            str(_length(listed["mask"])) if listed["v4"] else listed["after"] or listed["length"]
        )
    else:
        return ""
    whole = f"{address}/{length}"
    ip, network = parse_ip_sloppy(address), parse_network_sloppy(whole)
    return "" if ip is None or network is None else f"{ip}/{prefix_length(network)}"


def _length(mask: str) -> int:
    if mask.startswith("0x"):
        return int(mask, 16).bit_count()
    return sum(int(part).bit_count() for part in mask.split(".") if part.isdigit())


def routes_shown(text: str, family: Family | None = None) -> list[dict[str, Any]]:
    """The routes of the main table as `ip -j route` has them, from `ip route`.

    `family` is that of default routes that do not tell; None for what shows both.
    """
    found = []
    for line in _joined(text):
        route = _route(line, family)
        if route is not None and route not in found:
            found.append(route)
    return found


def _joined(text: str) -> Iterator[str]:
    """The lines, those that say how a route goes on behind their route."""
    waiting = ""
    for line in text.splitlines():
        if line[:1].isspace():
            waiting += f" {line.strip()}"
            continue
        if waiting:
            yield waiting
        waiting = line.strip()
    if waiting:
        yield waiting


def _route(line: str, family: Family | None) -> dict[str, Any] | None:
    words = line.split()
    kind = words.pop(0) if words and words[0] in _KINDS else "unicast"
    if not words or kind in ("local", "broadcast", "multicast", "anycast", "throw", "nat"):
        return None
    destination = words.pop(0)
    told = dict(pairwise(words))
    # 254 is main, by number (/etc/iproute2/rt_tables).
    if told.get("table", "main") not in ("main", "254"):
        return None
    gateway = next(
        (
            ip
            for word in ("via", "inet", "inet6")
            if (ip := parse_ip_sloppy(told.get(word, ""))) is not None
        ),
        None,
    )
    if destination == "default":
        # Only IPv6 routes have a router preference, which `ip -6 route` prints as `pref`.
        told_by = Family.of(gateway) if gateway else Family.IPV6 if "pref" in told else family
        destination = "::/0" if told_by is Family.IPV6 else "0.0.0.0/0"
    if parse_network_sloppy(destination) is None and parse_ip_sloppy(destination) is None:
        return None
    written: dict[str, Any] = {"dst": destination}
    if kind != "unicast":
        written["type"] = kind
    if gateway is not None:
        written["gateway"] = gateway
    if "dev" in told:
        written["dev"] = told["dev"]
    if (source := parse_ip_sloppy(told.get("src", ""))) is not None:
        written["prefsrc"] = source
    if (metric := told.get("metric", "")).isdecimal():
        written["metric"] = int(metric)
    return written
