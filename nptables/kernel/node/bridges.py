"""Which bridges this node has, and on which of their ports hairpin mode is off."""

from __future__ import annotations

import contextlib
from pathlib import Path

from nptables.errors import KernelError
from nptables.evidence import Bridge
from nptables.kernel.node.facts import interfaces
from nptables.kernel.programs import Runner, run_program
from nptables.model.addresses import parse_network_sloppy

NET = Path("/sys/class/net")
_PROMISCUOUS = 0x100  # IFF_PROMISC of linux/if.h


def find_bridges(run: Runner = run_program, net: Path = NET) -> list[Bridge]:
    """The bridges of this network namespace that have ports, by name.

    Their networks are not known where `ip` is not installed or fails.
    """
    ports: dict[str, list[str]] = {}
    for port in sorted(net.glob("*/brport")):
        bridge = (port / "bridge").resolve().name
        off = _text(port / "hairpin_mode") == "0"
        ports.setdefault(bridge, []).extend([port.parent.name] if off else [])
    if not ports:
        return []
    addresses: dict[str, list[str]] = {}
    with contextlib.suppress(KernelError):
        addresses = interfaces(run) or {}
    return [
        Bridge(
            name,
            tuple(n for a in addresses.get(name, ()) if (n := parse_network_sloppy(a))),
            () if _is_promiscuous(net / name) else tuple(off),
        )
        for name, off in sorted(ports.items())
    ]


def _is_promiscuous(interface: Path) -> bool:
    try:
        return bool(int(_text(interface / "flags"), 16) & _PROMISCUOUS)
    except ValueError:
        return False


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
