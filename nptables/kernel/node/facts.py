"""What only the node knows, read from the kernel: the mapping that `--facts` takes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from nptables.errors import BackendUnavailable
from nptables.kernel.node import nfacct
from nptables.kernel.programs import Runner, find_program, run_program

BE_LIBERAL = Path("/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal")
_VERSION = re.compile(r"\bv(\d+)\.(\d+)\.(\d+)")
# The first version of iptables whose MASQUERADE knows --random-fully.
_RANDOM_FULLY = (1, 6, 2)


def gather(run: Runner = run_program) -> dict[str, Any]:
    """The facts of this node, as `NodeFacts.from_mapping` and `--facts` read them.

    `interfaces` and `routes` come from `ip`, and are left out where it is not installed.
    """
    facts: dict[str, Any] = {}
    links = _ip(run, "addr")
    if links is not None:
        facts["interfaces"] = interfaces_of(links)
        routes = [_ip(run, "route"), _ip(run, "-6", "route")]
        facts["routes"] = [route for listed in routes for route in listed or ()]
    facts["nfacct"] = nfacct.present()
    facts["tcpBeLiberal"] = be_liberal()
    facts["randomFully"] = random_fully(run)
    return facts


def interfaces(run: Runner = run_program) -> dict[str, list[str]] | None:
    """Interface names to addresses with prefix length, or None where `ip` is not installed."""
    links = _ip(run, "addr")
    return None if links is None else interfaces_of(links)


def interfaces_of(links: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Interface names to addresses with prefix length, from what `ip -j addr` prints."""
    return {
        link["ifname"]: [
            f"{info['local']}/{info['prefixlen']}"
            for info in link.get("addr_info", ())
            if "local" in info and "prefixlen" in info
        ]
        for link in links
        if "ifname" in link
    }


def be_liberal(path: Path = BE_LIBERAL) -> bool:
    """Whether the kernel lets TCP packets outside the window pass as valid."""
    try:
        return path.read_text().strip() not in ("", "0")
    except OSError:
        return False


def random_fully(run: Runner = run_program) -> bool:
    """Whether iptables knows `MASQUERADE --random-fully`; yes where it cannot be asked."""
    for name in ("iptables", "iptables-nft", "iptables-legacy"):
        if found := find_program(name):
            version = _VERSION.search(run([found, "--version"], "", 30).stdout)
            return version is None or tuple(map(int, version.groups())) >= _RANDOM_FULLY
    return True


def _ip(run: Runner, *words: str) -> list[dict[str, Any]] | None:
    found = find_program("ip")
    if found is None:
        return None
    try:
        done = run([found, "-j", *words], "", 30)
        listed = json.loads(done.stdout or "[]")
    except (BackendUnavailable, json.JSONDecodeError):
        return None
    # An empty object stands for a route or link that is not shown.
    return [entry for entry in listed if entry] if isinstance(listed, list) else None
