"""Random matches: every one that the tracer has an answer for, and some that it leaves open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nptables.family import Family
from nptables.tracing.addressing import number
from tests.lab.walks.places import INTERFACES, PLACES, PORTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

STATES = ("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED", "DNAT", "SNAT")
STATUSES = ("NONE", "EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED")
PROTOCOLS = {
    Family.IPV4: ("tcp", "udp", "icmp", "sctp"),
    Family.IPV6: ("tcp", "udp", "ipv6-icmp", "sctp"),
}
_TYPES = {
    Family.IPV4: ("LOCAL", "UNICAST", "BROADCAST", "MULTICAST", "UNSPEC", "BLACKHOLE", "PROHIBIT",
                  "UNREACHABLE", "ANYCAST"),
    Family.IPV6: ("LOCAL", "UNICAST", "MULTICAST", "UNSPEC", "UNREACHABLE", "ANYCAST"),
}  # fmt: skip
# Marks of a few bits, so that rules agree now and then.
MARKS = ("0x0", "0x1", "0x2", "0x4000", "0x4001")
MASKS = ("", "/0x1", "/0x3", "/0x4000", "/0x4003")


@dataclass(frozen=True)
class Spot:
    """Where a rule stands: hooks that lead there, and what it may match."""

    family: Family
    table: str
    hooks: tuple[str, ...]
    built_in: bool
    protocol: str


class Chooser:
    """Chooses words of rules."""

    def __init__(self, rng: Random, family: Family) -> None:
        self.rng = rng
        self.family = family
        self.places = PLACES[family]

    def maybe(self, chance: float) -> bool:
        """Whether something with that chance happens."""
        return self.rng.random() < chance

    def no(self, chance: float = 0.35) -> str:
        """A negation, or not."""
        return "! " if self.maybe(chance) else ""

    def address(self) -> str:
        """An address that packets have."""
        places = self.places
        return self.rng.choice((*places.own, *places.outside, *places.pods, *places.shared))

    def network(self) -> str:
        """An address or a network."""
        return self.address() if self.maybe(0.5) else self.rng.choice(self.places.networks)

    def some(self, words: Sequence[str], most: int = 3) -> str:
        """A list of some of the words."""
        return ",".join(self.rng.sample(words, self.rng.randint(1, min(most, len(words)))))

    def ports(self, separator: str = ":") -> str:
        """A port or a range of ports."""
        low, high = sorted(self.rng.sample((*PORTS, 1024, 20000, 40000, 65535), 2))
        return str(low) if self.maybe(0.5) else f"{low}{separator}{high}"

    def mark(self) -> str:
        """A mark with or without a mask."""
        return self.rng.choice(MARKS) + self.rng.choice(MASKS)


def base(choose: Chooser, spot: Spot) -> list[str]:
    """Options of iptables itself."""
    words = []
    if choose.maybe(0.25):
        words.append(f"{choose.no()}-s {choose.network()}")
    if choose.maybe(0.25):
        words.append(f"{choose.no()}-d {choose.network()}")
    comes_in = set(spot.hooks) <= {"PREROUTING", "INPUT", "FORWARD"} or not spot.built_in
    goes_out = set(spot.hooks) <= {"FORWARD", "OUTPUT", "POSTROUTING"} or not spot.built_in
    if comes_in and choose.maybe(0.15):
        words.append(f"{choose.no()}-i {choose.rng.choice(INTERFACES)}")
    if goes_out and choose.maybe(0.15):
        words.append(f"{choose.no()}-o {choose.rng.choice(INTERFACES)}")
    if spot.family is Family.IPV4 and choose.maybe(0.03):
        words.append(f"{choose.no()}-f")
    if spot.protocol:
        # What only that protocol has cannot follow a negation.
        words.append(f"-p {spot.protocol}")
    elif choose.maybe(0.1):
        words.append(f"! -p {choose.rng.choice(PROTOCOLS[spot.family])}")
    return words


def _ports(choose: Chooser, spot: Spot) -> str:
    side = choose.rng.choice(("--sport", "--dport"))
    return f"-m {spot.protocol} {choose.no()}{side} {choose.ports()}"


def _multiport(choose: Chooser, _spot: Spot) -> str:
    side = choose.rng.choice(("--sports", "--dports", "--ports"))
    ports = ",".join(choose.ports() for _ in range(choose.rng.randint(1, 3)))
    return f"-m multiport {choose.no()}{side} {ports}"


def _flags(choose: Chooser, _spot: Spot) -> str:
    if choose.maybe(0.4):
        return f"-m tcp {choose.no()}--syn"
    flags = ("FIN", "SYN", "RST", "PSH", "ACK", "URG")
    wanted = choose.rng.choice(("NONE", "SYN", "ACK", "SYN,FIN", "RST", "ALL"))
    return f"-m tcp {choose.no()}--tcp-flags {choose.some(flags, 6)} {wanted}"


def _icmp(choose: Chooser, spot: Spot) -> str:
    if spot.family is Family.IPV4:
        kind = choose.rng.choice(("8", "8/0", "0", "13", "any", "3/1", "echo-request"))
        return f"-m icmp {choose.no()}--icmp-type {kind}"
    kind = choose.rng.choice(("128", "128/0", "129", "1", "echo-request"))
    return f"-m icmp6 {choose.no()}--icmpv6-type {kind}"


def _addresses(choose: Chooser, _spot: Spot) -> str:
    words = ["-m iprange"]
    for side in choose.rng.sample(("--src-range", "--dst-range"), choose.rng.randint(1, 2)):
        ends = sorted((choose.address(), choose.address()), key=number)
        words.append(f"{choose.no()}{side} {ends[0]}-{ends[1]}")
    return " ".join(words)


def _mark(choose: Chooser, _spot: Spot) -> str:
    return f"-m mark {choose.no()}--mark {choose.mark()}"


def _connection_mark(choose: Chooser, _spot: Spot) -> str:
    return f"-m connmark {choose.no()}--mark {choose.mark()}"


def _types(choose: Chooser, spot: Spot) -> str:
    sides = choose.rng.sample(("--src-type", "--dst-type"), choose.rng.randint(1, 2))
    options = (f"{choose.no()}{side} {choose.some(_TYPES[spot.family])}" for side in sides)
    words = ["-m addrtype", *options]
    if choose.maybe(0.3):
        if set(spot.hooks) <= {"PREROUTING", "INPUT", "FORWARD"}:
            words.append("--limit-iface-in")
        elif set(spot.hooks) <= {"FORWARD", "OUTPUT", "POSTROUTING"}:
            words.append("--limit-iface-out")
    return " ".join(words)


def _packet_type(choose: Chooser, _spot: Spot) -> str:
    kind = choose.rng.choice(("unicast", "broadcast", "multicast"))
    return f"-m pkttype {choose.no()}--pkt-type {kind}"


def _bridged(choose: Chooser, _spot: Spot) -> str:
    return f"-m physdev {choose.no()}--physdev-is-bridged"


def _state(choose: Chooser, _spot: Spot) -> str:
    return f"-m state {choose.no()}--state {choose.some(STATES[:5])}"


def _tracking(choose: Chooser, spot: Spot) -> str:
    options: list[Callable[[], str]] = [
        lambda: f"{choose.no()}--ctstate {choose.some(STATES)}",
        lambda: f"{choose.no()}--ctproto {choose.rng.choice(PROTOCOLS[spot.family])}",
        lambda: f"{choose.no()}--ctorigsrc {choose.network()}",
        lambda: f"{choose.no()}--ctorigdst {choose.network()}",
        lambda: f"{choose.no()}--ctreplsrc {choose.network()}",
        lambda: f"{choose.no()}--ctrepldst {choose.network()}",
        lambda: f"{choose.no()}--ctstatus {choose.some(STATUSES, 2)}",
        lambda: f"--ctdir {choose.rng.choice(('ORIGINAL', 'REPLY'))}",
    ]
    if spot.protocol in ("tcp", "udp", "sctp"):
        sides = ("orig", "src"), ("orig", "dst"), ("repl", "src"), ("repl", "dst")
        options += [
            lambda a=a, b=b: f"{choose.no()}--ct{a}{b}port {choose.ports()}" for a, b in sides
        ]
    count = choose.rng.choice((1, 1, 1, 2, 3))
    return " ".join(["-m conntrack", *(option() for option in choose.rng.sample(options, count))])


def _sure_statistic(choose: Chooser, _spot: Spot) -> str:
    if choose.maybe(0.5):
        return f"-m statistic --mode nth {choose.no()}--every 1 --packet 0"
    return f"-m statistic --mode random {choose.no()}--probability {choose.rng.choice((0, 1))}"


def _remembers(choose: Chooser, _spot: Spot) -> str:
    return f"-m recent {choose.no()}--set --name {choose.rng.choice(('ann', 'bob'))}"


def _set(choose: Chooser, spot: Spot) -> str:
    name, sides = choose.rng.choice((
        ("hosts", "src"), ("hosts", "dst"), ("nets", "src"), ("nets", "dst"),
        ("services", "dst,dst"), ("services", "src,dst"), ("services", "src,src"),
    ))  # fmt: skip
    return f"-m set {choose.no()}--match-set {name}{spot.family.value[-1]} {sides}"


def _bytes(choose: Chooser, spot: Spot) -> str:
    if spot.family is Family.IPV6:
        start = choose.rng.choice((8, 24))
        value = number(choose.address()) >> 96
        return f'-m u32 {choose.no()}--u32 "{start}={value:#x}"'
    address = number(choose.address())
    text = choose.rng.choice((
        f"12={address:#x}", f"16={address:#x}", f"12&0xffffff00={address & 0xFFFFFF00:#x}",
        f"6&0xff={choose.rng.choice((1, 6, 17)):#x}", "0>>24=0x45", "16>>24=10:200",
        "0>>22&0x3c@0>>16=1024:20000", "0>>22&0x3c@0&0xffff=80,443",
    ))  # fmt: skip
    return f'-m u32 {choose.no()}--u32 "{text}"'


def _entry(choose: Chooser, _spot: Spot) -> str:
    text = choose.rng.choice((
        "connbytes {}--connbytes 1:9 --connbytes-mode packets --connbytes-dir both",
        "helper {}--helper ftp",
        "helper {}--helper ftp",
        "connlabel {}--label 3",
        "cluster --cluster-total-nodes 2 {}--cluster-local-node 1 --cluster-hash-seed 5",
    ))  # fmt: skip
    return "-m " + text.format(choose.no())


def _open(choose: Chooser, _spot: Spot) -> str:
    return choose.rng.choice((
        "-m statistic --mode random --probability 0.5",
        "-m statistic --mode nth --every 3 --packet 1",
        "-m recent --rcheck --name ann",
        "-m limit --limit 1/s",
        "-m hashlimit --hashlimit-upto 1/s --hashlimit-mode srcip --hashlimit-name h",
        "-m length --length 1:50",
        "-m conntrack --ctexpire 1:20",
    ))  # fmt: skip


def matches(choose: Chooser, spot: Spot, *, unsure: bool) -> list[str]:
    """Some matches; `unsure` allows for one that the tracer can only ask about."""
    found = [_mark, _connection_mark, _addresses, _types, _packet_type, _bridged, _state, _tracking,
             _tracking, _sure_statistic, _remembers, _set, _bytes, _entry]  # fmt: skip
    if spot.protocol in ("tcp", "udp", "sctp"):
        found += [_ports, _ports, _multiport]
    if spot.protocol == "tcp":
        found.append(_flags)
    if spot.protocol.endswith("icmp"):
        found += [_icmp, _icmp]
    chosen = choose.rng.sample(found, choose.rng.choice((0, 1, 1, 1, 2, 2, 3)))
    # Of two `-m tcp` in one rule, iptables-nft prints a mixture.
    words = [match(choose, spot) for match in dict.fromkeys(chosen)]
    if unsure:
        words.append(_open(choose, spot))
    return words
