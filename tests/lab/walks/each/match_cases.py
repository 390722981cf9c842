"""A rule for every match that the tracer knows, plain and negated, and packets to tell it by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nptables.family import Family
from tests.lab.walks.each.case import NOTHING, Case, Packets, Row, rows
from tests.lab.walks.matches import STATES, STATUSES
from tests.lab.walks.places import PLACES
from tests.lab.walks.wire import Sent

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMING = ("PREROUTING", "OUTPUT")
OF_ENTRIES = (
    "-m connlabel {}--label 3",
    "-m connbytes {}--connbytes 0: --connbytes-mode packets --connbytes-dir both",
    "-m connbytes {}--connbytes 2: --connbytes-mode packets --connbytes-dir both",
    "-m cluster --cluster-total-nodes 2 {}--cluster-local-node 1 --cluster-hash-seed 5",
)
# The client 203.0.113.9 is 0xcb007109.
_U32 = (
    *(f"6&0xff={number}" for number in (1, 6, 17, 33, 132)),
    "6&0xff=6:17",
    "12=0xcb007109",
    "16=0x0af40105",
    "12&0xffffff00=0xcb007100",
    "12=0xcb007109,0x0af40105",
    "0>>24=0x45",
    "0>>24=0x46",
    "16>>24=10:200",
    "16<<8>>24=244",
    "16>>24<<4=160",
    "6&0xff=6&&12=0xcb007109",
    "6&0xff=1,132",
)
_U32_PORTS = ("0>>22&0x3c@0>>16=1024:5100", "0>>22&0x3c@0&0xffff=80,443")
_U32_OF_SIX = (
    *(f"4>>8&0xff={number}" for number in (6, 17, 33, 58, 132)),
    "8=0x20010db8",
    "24=0xfd000244",
    "24>>24=0xfd",
    "8&0xffff0000=0x20010000",
    "8=0x20010db8&&4>>8&0xff=6",
    "24<<16>>24=0x2",
)
_U32_PORTS_OF_SIX = ("40>>16=1024:5100", "40&0xffff=80,443")


def match_cases(family: Family) -> list[Case]:
    """Every match whose answer is sure at once, and each of the others alone."""
    return [_matches(family), *_known(family), *_open(family)]


def _packets(family: Family) -> list[tuple[Sent, str]]:
    places, make = PLACES[family], Packets(family)
    node, pod, client = places.node[0], places.pods[0], places.clients[0]
    ping = "icmp" if family is Family.IPV4 else "ipv6-icmp"
    request, answer = ((8, 0), (0, 0)) if family is Family.IPV4 else ((128, 0), (129, 0))
    new = [
        make("eth0", client, node),
        make("eth0", client, node, port=443),
        make("eth0", client, node, port=8080),
        make("eth0", client, pod, port=443, flags="ACK"),
        make("eth0", client, pod, port=31080, flags="SYN", source_port=443),
        make("eth0", places.clients[1], pod, "udp", 443),
        make("eth0", places.clients[1], node, "udp", 8080, source_port=80),
        make("eth0", places.on_link, node, "udp", 443, source_port=61000),
        make("eth0", client, pod, "sctp", 443, source_port=443),
        make("eth0", client, node, "sctp", 80),
        make("eth0", client, node, ping, icmp=request),
        make("eth1", pod, client, ping, icmp=request),
        make("eth1", pod, client, port=80),
        make("eth1", places.pods[1], places.clients[2], "udp", 80),
        make("eth1", pod, node, port=443, flags="SYN PSH URG"),
        make("", node, client, port=443, mark=0x1),
        make("", node, pod, "udp", 80, mark=0x4001),
        make("", node, node, port=443, mark=0x2),
        make("", node, node, port=80),
        make("", node, client, source_port=80),
        make("", places.loopback, places.loopback, "udp", 443, mark=0x3),
        make("", places.bridge, pod, ping, icmp=request),
        make("eth0", places.on_link, places.shared[0], "udp", 80),
        make("eth0", places.on_link, places.group, "udp", 443, source_port=443),
        make("eth0", client, places.inner, port=61000, source_port=61000),
        make("eth0", client, places.inner, "udp", 61000, source_port=440),
        make("eth0", client, places.inner, "sctp", 61000, source_port=61000),
        make("", places.inner, places.clients[1], "sctp", 447),
        make("", places.node[1], places.node[1], "udp", 440, source_port=443),
        make("", node, node, "sctp", 443, source_port=443),
        make("eth0", client, pod, "sctp", 1030, source_port=1030),
        make("eth0", client, node, "dccp", 443, source_port=80),
        make("eth1", pod, places.clients[1], "dccp", 1025, source_port=1030),
        make("", node, pod, "dccp", 443, source_port=443),
        make("eth0", client, node, ping, icmp=(request[0], 1)),
    ]
    if family is Family.IPV4:
        new.append(make("eth0", client, node, ping, icmp=(13, 0)))
        new.append(make("eth0", places.on_link, places.shared[1], "udp", 443))
    invalid = [
        make("eth0", client, node, flags="SYN FIN"),
        make("eth0", client, pod, flags="RST ACK"),
        make("eth1", pod, client, port=443, flags=""),
        make("eth1", pod, client, flags="FIN SYN RST PSH ACK URG"),
        make("eth0", client, pod, ping, icmp=answer),
        make("", node, client, flags="SYN FIN"),
        make("eth0", client, pod, flags="FIN"),
        make("eth0", client, pod, flags="RST"),
        make("", node, pod, ping, icmp=answer),
        make("eth0", client, node, ping, icmp=(3, 1) if family is Family.IPV4 else (1, 1)),
    ]
    # Port 53 is not tracked.
    untracked = [make("eth0", client, pod, "udp", 53), make("", node, client, "udp", 53)]
    return [
        *((packet, "NEW") for packet in (*new, *untracked)),
        *((packet, "INVALID") for packet in invalid),
    ]


def _matches(family: Family) -> Case:
    """Every match whose answer is sure, in every chain where it may stand."""
    set_mark = "--set-xmark 0x4001/0xffffffff"
    found = [
        *rows("raw", ("PREROUTING",), _of_no_entry()),
        *rows("raw", _COMING, _of_connections(family)),
        Row("raw", "PREROUTING", "-p udp -m udp --dport 53 -j CT --notrack"),
        Row("raw", "OUTPUT", "-p udp -m udp --dport 53 -j CT --notrack"),
        # So that marks of connections differ.
        *(
            Row("mangle", "PREROUTING", f"-p tcp -m tcp --dport {port} -j CONNMARK {set_mark}")
            for port in (443, 8080)
        ),
        Row("mangle", "OUTPUT", "-p udp -j CONNMARK --set-xmark 0x2/0xffffffff"),
        *rows("mangle", _COMING, _of_headers(family)),
        *rows("mangle", ("PREROUTING", "INPUT", "FORWARD"), _of_ways_in(family)),
        *rows("mangle", ("FORWARD", "POSTROUTING"), _of_ways_out(family)),
        *rows("mangle", ("PREROUTING", "INPUT", "POSTROUTING"), _of_connections(family)),
        # What is for a group is not routed: only what stands before is told of it.
        Row("mangle", "PREROUTING", f"-d {PLACES[family].group} -j DROP"),
        *_translations(family),
    ]  # fmt: skip
    return Case("every match", found, _packets(family))


def _translations(family: Family) -> list[Row]:
    """So that the sides of a connection differ, and DNAT and SNAT hold of some."""
    places = PLACES[family]
    to, of = (
        address if family is Family.IPV4 else f"[{address}]"
        for address in (places.pods[1], places.node[1])
    )
    return [
        Row("nat", "PREROUTING", f"-p tcp -m tcp --dport 8080 -j DNAT --to-destination {to}:443"),
        Row("nat", "PREROUTING", "-p udp -m udp --dport 8080 -j REDIRECT --to-ports 443"),
        Row("nat", "POSTROUTING", f"-o lo -p tcp --dport 443 -j SNAT --to-source {of}:20000"),
    ]  # fmt: skip


def _of_headers(family: Family) -> list[str]:
    places = PLACES[family]
    four = family is Family.IPV4
    node, pod, client = places.node[0], places.pods[0], places.clients[0]
    types = ("LOCAL", "UNICAST", "BROADCAST", "MULTICAST", "LOCAL,UNICAST") if four else (
             "LOCAL", "UNICAST", "MULTICAST", "UNSPEC", "UNREACHABLE", "LOCAL,UNICAST")  # fmt: skip
    ping = "icmp" if four else "ipv6-icmp"
    icmp = "-p icmp -m icmp {}--icmp-type " if four else "-p ipv6-icmp -m icmp6 {}--icmpv6-type "
    kinds = ("8", "8/0", "8/1", "13", "any", "3/1", "0", "echo-request") if four else (
        "128", "128/0", "128/1", "129", "1", "echo-request")  # fmt: skip
    flags = ("SYN,ACK SYN", "ALL SYN", "ALL NONE", "SYN,FIN SYN,FIN", "FIN,SYN FIN", "ACK ACK",
             "SYN,RST,ACK SYN", "ALL ALL", "PSH,URG PSH,URG", "RST,ACK RST", "SYN ACK",
             "FIN,ACK NONE")  # fmt: skip
    return [
        *(f"{{}}-s {text}" for text in (client, *places.networks)),
        *(f"{{}}-d {text}" for text in (pod, node, *places.networks)),
        *(f"{{}}-p {name}" for name in ("tcp", "udp", "sctp", "17", ping)),
        *(["{}-f"] if four else []),
        *(
            f"-p {protocol} -m {protocol} {{}}--{side}port {ports}"
            for protocol in ("tcp", "udp", "sctp")
            for side in ("s", "d")
            for ports in ("443", "80:443", ":1024", "1024:", "61000")
        ),
        *(f"-p dccp -m dccp {{}}--{side}port 443" for side in ("s", "d")),
        "-p tcp -m tcp {}--syn",
        *(f"-p tcp -m tcp {{}}--tcp-flags {text}" for text in flags),
        *(f"{icmp}{kind}" for kind in kinds),
        *(
            f"-p {protocol} -m multiport {{}}--{side} 80,440:450"
            for protocol in ("tcp", "udp", "sctp")
            for side in ("sports", "dports", "ports")
        ),
        f"-m iprange {{}}--src-range {client}-{places.clients[1]}",
        f"-m iprange {{}}--dst-range {node}-{places.node[1]}",
        f"-m iprange {{}}--src-range {client}-{client} {{}}--dst-range {pod}-{places.pods[1]}",
        *(f"-m mark {{}}--mark {mark}" for mark in ("0x1", "0x1/0x1", "0x0/0x2", "0x4001/0x4003")),
        *(f"-m connmark {{}}--mark {mark}" for mark in ("0x4001", "0x1/0x3", "0x0/0x2", "0x0")),
        *(f"-m pkttype {{}}--pkt-type {kind}" for kind in ("unicast", "broadcast", "multicast")),
        "-m physdev {}--physdev-is-bridged",
        *(f"-m addrtype {{}}--src-type {kind}" for kind in ("LOCAL", "UNICAST", "LOCAL,UNICAST")),
        *(f"-m addrtype {{}}--dst-type {kind}" for kind in types),
        "-m statistic --mode nth {}--every 1 --packet 0",
        "-m statistic --mode random {}--probability 0",
        "-m statistic --mode random {}--probability 1",
        "-m recent {}--set --name ann",
        *(
            f"-m set {{}}--match-set {name}{family.value[-1]} {sides}"
            for name, sides in (
                ("hosts", "src"), ("hosts", "dst"), ("nets", "src"), ("nets", "dst"),
                ("services", "dst,dst"), ("services", "src,dst"), ("services", "src,src"),
            )
        ),
        *(f'-m u32 {{}}--u32 "{text}"' for text in (_U32 if four else _U32_OF_SIX)),
        *(f'-p {protocol} -m u32 {{}}--u32 "{text}"' for protocol in ("tcp", "udp", "dccp")
          for text in (_U32_PORTS if four else _U32_PORTS_OF_SIX)),
        "-m helper {}--helper ftp",
        "-m comment --comment words",
    ]  # fmt: skip


def _of_ways_in(family: Family) -> list[str]:
    return [
        *(f"{{}}-i {name}" for name in ("eth0", "eth+", "lo", "cni0")),
        *(f"-m addrtype {{}}--src-type {kind} --limit-iface-in" for kind in ("LOCAL", "UNICAST")),
        *(
            f"-m addrtype {{}}--dst-type {kind} --limit-iface-in"
            for kind in ("LOCAL", "UNICAST", *(("BROADCAST",) if family is Family.IPV4 else ()))
        ),
    ]


def _of_ways_out(family: Family) -> list[str]:
    places = PLACES[family]
    return [
        *(f"{{}}-o {name}" for name in ("eth0", "eth+", "lo", "cni0")),
        f"{{}}-d {places.pods[1]}",
        "-p tcp -m tcp {}--dport 443",
        *(f"-m addrtype {{}}--dst-type {kind} --limit-iface-out" for kind in ("LOCAL", "UNICAST")),
    ]


def _of_connections(family: Family) -> list[str]:
    places = PLACES[family]
    client, node, pod = places.clients[0], places.node[0], places.pods[0]
    protocols = ("tcp", "udp", "sctp", "icmp" if family is Family.IPV4 else "ipv6-icmp")
    return [
        *(f"-m state {{}}--state {state}" for state in STATES[:5]),
        *(f"-m conntrack {{}}--ctstate {state}" for state in (*STATES, "NEW,DNAT", "INVALID,SNAT")),
        *(f"-m conntrack {{}}--ctproto {name}" for name in protocols),
        f"-m conntrack {{}}--ctorigsrc {client}",
        f"-m conntrack {{}}--ctorigdst {node}",
        f"-m conntrack {{}}--ctorigdst {places.networks[3]}",
        f"-m conntrack {{}}--ctreplsrc {places.pods[1]}",
        f"-m conntrack {{}}--ctreplsrc {pod}",
        f"-m conntrack {{}}--ctrepldst {client}",
        f"-m conntrack {{}}--ctrepldst {places.node[1]}",
        *(
            f"-p {protocol} -m conntrack {{}}--ct{side}port {ports}"
            for protocol in ("tcp", "udp", "sctp")
            for side in ("origsrc", "origdst", "replsrc")
            for ports in ("443", "1:5100")
        ),
        *(
            f"-p {protocol} -m conntrack {{}}--ctrepldstport {ports}"
            for protocol in ("udp", "sctp")
            for ports in ("443", "1:5100")
        ),
        *(f"-m conntrack {{}}--ctstatus {name}" for name in (*STATUSES, "SEEN_REPLY,CONFIRMED")),
        "-m conntrack --ctdir ORIGINAL",
        "-m conntrack --ctdir REPLY",
        f"-m conntrack {{}}--ctstate NEW,UNTRACKED {{}}--ctorigdst {node}",
        f"-m conntrack {{}}--ctproto tcp {{}}--ctorigsrc {client}",
    ]  # fmt: skip


def _of_no_entry() -> list[str]:
    """Matches that can be answered where there is no entry alone."""
    return [
        "-m connmark {}--mark 0x0",
        "-m helper {}--helper ftp",
        # What comes by lo has got its entry on the way out.
        *(f"! -i lo {words}" for words in OF_ENTRIES),
    ]


def _known(family: Family) -> list[Case]:
    """A packet of a connection that has been answered."""
    places, make = PLACES[family], Packets(family)
    client, pod = places.clients[0], places.pods[0]
    first = make("eth0", client, pod, "udp", 443, source_port=4000)
    answer = make("eth1", pod, client, "udp", 4000, source_port=443)
    words = [
        *(f"-m state {{}}--state {state}" for state in STATES[:5]),
        *(f"-m conntrack {{}}--ctstate {state}" for state in STATES),
    ]
    found = list(rows("mangle", ("PREROUTING", "FORWARD"), words))
    return [
        Case("a packet of a known connection", found, [(first, "ESTABLISHED")], [first, answer])
    ]


def _open(family: Family) -> list[Case]:
    """Matches that the tracer can only ask about, one at a time; the kernel does one of both."""
    places, make = PLACES[family], Packets(family)
    to_refused = make("eth1", places.pods[0], places.unreachable, "udp", 443)
    label = Row("mangle", "FORWARD", "-m connlabel --label 3 --set -j CLASSIFY --set-class 1:1")
    found = [
        *(_asked(family, words) for words in _of_counts(family)),
        *(
            _asked(family, f"-m recent {no}--{command}{side}", behind=[_noting(side)])
            for command, side in (
                *((each, " --name ann") for each in ("rcheck", "update", "remove")),
                ("rcheck --seconds 60 --hitcount 2", " --name ann --rdest"),
            )
            for no in ("", "! ")
        ),
        *(_asked(family, f"-m connlabel {no}--label 3", before=[label]) for no in ("", "! ")),
    ]
    if family is Family.IPV4:
        # Whether the local table finds the other routes depends on the rules for routing.
        kinds = ("BLACKHOLE", "UNREACHABLE", "PROHIBIT", "UNICAST", "LOCAL,BLACKHOLE")
        texts = [f"-m addrtype {{}}--dst-type {kind} -j DROP" for kind in kinds]
        for row in rows("mangle", ("PREROUTING",), texts):
            sure = "UNREACHABLE" in row.words or "PROHIBIT" in row.words
            found.append(Case(f"route: {row.words}", [row], [(to_refused, "NEW")], open=not sure))
    return found


def _asked(
    family: Family, words: str, *, before: Sequence[Row] = (), behind: Sequence[Row] = ()
) -> Case:
    """A match that decides whether packets are dropped, once they have met all that is behind it.

    Three packets are of one kind, so that what counts and remembers does, and one of another.
    """
    places, make = PLACES[family], Packets(family)
    client, pod = places.clients[0], places.pods[0]
    alike = [make("eth0", client, pod, "udp", 443, source_port=5003) for _ in range(3)]
    other = make("eth0", places.clients[1], places.pods[1], "udp", 443)
    found = [
        # What every packet meets that comes by.
        Row("mangle", "FORWARD", NOTHING),
        *before,
        Row("mangle", "FORWARD", f"{words} -j MARK --set-xmark 0x1/0x1"),
        *behind,
        Row("mangle", "FORWARD", "-m mark --mark 0x1/0x1 -j DROP"),
    ]
    packets = [(packet, "NEW") for packet in (*alike, other)]
    name = "noted" if before else "open"
    return Case(f"{name}: {words}", found, packets, open=True)


def _noting(side: str) -> Row:
    return Row("mangle", "FORWARD", f"-m recent --set{side} {NOTHING}")


def _of_counts(family: Family) -> list[str]:
    hosts = f"-m set --match-set hosts{family.value[-1]} src"
    texts = [
        "-m statistic --mode random {}--probability 0.5",
        "-m statistic --mode nth {}--every 3 --packet 1",
        "-m limit --limit 1/s",
        "-m limit --limit 1/hour --limit-burst 1",
        "-m hashlimit --hashlimit-upto 1/s --hashlimit-mode srcip --hashlimit-name h",
        "-m hashlimit --hashlimit-above 1/s --hashlimit-mode srcip,dstport --hashlimit-name i",
        *(
            f"-m hashlimit {{}}--hashlimit{which} 1/hour --hashlimit-burst 1 "
            f"--hashlimit-mode dstip,srcport --hashlimit-name j"
            for which in ("", "-upto", "-above")
        ),
        "-m length {}--length 1:50",
        *(f"-m conntrack {{}}--ctexpire {seconds}" for seconds in ("1:200", "0")),
        *OF_ENTRIES,
        *(
            f"{hosts} ! --update-counters {more}"
            for more in ("--packets-gt 3", "{}--packets-eq 0", "--bytes-lt 3", "{}--bytes-eq 0")
        ),
        f"{hosts} --update-counters --packets-lt 3 --bytes-gt 3",
        f"{hosts.replace('--match', '{}--match')} --return-nomatch",
    ]
    return [row.words for row in rows("mangle", ("FORWARD",), texts)]
