"""What only the node knows, read from the kernel: the mapping that `--facts` takes."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from nptables.errors import KernelError, KernelRefused, printable
from nptables.evidence.settings import knows_random_fully
from nptables.kernel.node import nfacct
from nptables.kernel.programs import Runner, find_program, run_program

BE_LIBERAL = Path("/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal")
# How long `ip` may take.
_SECONDS = 10.0


def gather(run: Runner = run_program) -> dict[str, Any]:
    """The facts of this node, as `NodeFacts.from_mapping` and `--facts` read them.

    `interfaces` and `routes` come from `ip`, and are left out where it is not installed or fails.
    """
    facts: dict[str, Any] = {}
    with contextlib.suppress(KernelError):
        if (found := interfaces(run)) is not None:
            facts["interfaces"] = found
            facts["routes"] = routes(run)
    return facts | settings(run)


def settings(run: Runner = run_program) -> dict[str, Any]:
    """The facts that are not about the network: `nfacct`, `tcpBeLiberal`, `randomFully`."""
    return {
        "nfacct": nfacct.present(),
        "tcpBeLiberal": be_liberal(),
        "randomFully": random_fully(run),
    }


def interfaces(run: Runner = run_program) -> dict[str, list[str]] | None:
    """Interface names to addresses with prefix length, or None where `ip` is not installed.

    Raises KernelError where `ip` fails, or does not end: that says nothing about addresses.
    """
    links = _ip(run, "addr")
    return None if links is None else interfaces_of(links)


def routes(run: Runner = run_program) -> list[dict[str, Any]]:
    """The routes of both families as `ip -j route` prints them. Raises what `interfaces` raises."""
    listed = [_ip(run, "route"), _ip(run, "-6", "route")]
    return [route for each in listed for route in each or ()]


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
        # Whatever is not 0, as in kube-proxy (NewProxier in
        # kubernetes/pkg/proxy/iptables/proxier.go).
        return path.read_text().strip() not in ("", "0")
    except OSError:
        return False


def random_fully(run: Runner = run_program) -> bool:
    """Whether iptables knows `MASQUERADE --random-fully`; yes where it cannot be asked."""
    for name in ("iptables", "iptables-nft", "iptables-legacy"):
        if found := find_program(name):
            try:
                said = run([found, "--version"], "", _SECONDS).stdout
            except KernelError:
                return True
            return knows_random_fully(said) is not False
    return True


def _ip(run: Runner, *words: str) -> list[dict[str, Any]] | None:
    found = find_program("ip")
    if found is None:
        return None
    argv = [found, "-j", *words]
    done = run(argv, "", _SECONDS)
    if done.code:
        said = done.stderr.strip() or f"exit code {done.code}"
        raise KernelRefused(f"{printable(' '.join(argv))}: {said}", code=done.code)
    try:
        # The kernel allows control characters in names, and ip prints them as they are.
        listed = json.loads(done.stdout, strict=False)
    except (json.JSONDecodeError, RecursionError):
        listed = None
    if not isinstance(listed, list):
        raise KernelRefused(f"{printable(' '.join(argv))} did not print a JSON list")
    # An empty object stands for a route or link that is not shown.
    return [entry for entry in listed if entry]
