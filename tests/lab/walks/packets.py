"""Random packets, and what connection tracking makes of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nptables.family import Family
from tests.lab.walks.matches import PROTOCOLS
from tests.lab.walks.places import PLACES, PORTS
from tests.lab.walks.wire import Sent

if TYPE_CHECKING:
    from random import Random

# Flags, and the state that `tcp_conntracks` in nf_conntrack_proto_tcp.c gives to a first packet.
_FLAGS = (
    *([({"SYN"}, "NEW")] * 6),
    ({"ACK"}, "NEW"),
    ({"SYN", "FIN"}, "INVALID"),
    ({"RST"}, "INVALID"),
    (set[str](), "INVALID"),
)
_ICMP = {
    Family.IPV4: (((8, 0), "NEW"), ((8, 0), "NEW"), ((13, 0), "NEW"), ((0, 0), "INVALID")),
    Family.IPV6: (((128, 0), "NEW"), ((128, 0), "NEW"), ((129, 0), "INVALID")),
}


def packet(rng: Random, family: Family, number: int) -> tuple[Sent, str]:
    """A packet and its state; no two with different numbers are of one connection."""
    places = PLACES[family]
    device = rng.choice(("", "", "eth0", "eth0", "eth1"))
    elsewhere = (*places.pods, *places.outside, places.unreachable)
    if device:
        source = rng.choice(places.outside if device == "eth0" else places.pods)
        own = places.own[:-1]
        destination = rng.choice((*own, *own, *elsewhere, *places.shared))
    else:
        source = rng.choice(places.own[:-1])
        destination = rng.choice((*places.own, *elsewhere))
        if destination == places.loopback:
            source = destination
    protocol = rng.choice(("tcp", "tcp", "udp", "udp", *PROTOCOLS[family][2:]))
    flags, icmp, tracking = frozenset[str](), (0, 0), "NEW"
    port, source_port = rng.choice(PORTS), 1024 + number * 7 % 60000
    if protocol == "tcp":
        chosen, tracking = rng.choice(_FLAGS)
        flags = frozenset(chosen)
    elif protocol.endswith("icmp"):
        icmp, tracking = rng.choice(_ICMP[family])
        port = 0
    mark = 0 if device else rng.choice((0, 0, 0x1, 0x4000))
    sent = Sent(family, device, source, destination, protocol, source_port, port, flags, icmp, mark)
    return sent, tracking
