"""Every target that is followed: each in a ruleset of its own, and what shows its effect."""

from __future__ import annotations

from nptables.family import Family
from tests.lab.walks.each.case import NOTHING, Case, Packets, Row
from tests.lab.walks.matches import STATES
from tests.lab.walks.places import PLACES


def target_cases(family: Family) -> list[Case]:
    """Every target that is followed: each in a ruleset of its own, and what shows its effect."""
    return [
        *_of_verdicts(family), *_of_marks(family), *_of_tracking(family),
        *_of_translation(family), *_of_no_effect(family),
    ]  # fmt: skip


def _of_verdicts(family: Family) -> list[Case]:
    places, make = PLACES[family], Packets(family)
    packets = [
        (make("eth0", places.clients[0], places.pods[0]), "NEW"),
        (make("eth0", places.clients[0], places.node[0], "udp"), "NEW"),
        (make("", places.node[0], places.pods[0], port=443), "NEW"),
    ]
    reject = "icmp-host-prohibited" if family is Family.IPV4 else "icmp6-adm-prohibited"
    behind = [Row("filter", chain, NOTHING) for chain in ("INPUT", "FORWARD", "OUTPUT")]
    behind += [Row("filter", "EACH", NOTHING)]
    return [
        Case(
            target,
            [
                *(Row("filter", chain, words) for chain in ("INPUT", "FORWARD", "OUTPUT")
                  for words in (f"-p tcp -m tcp --dport 80 {target}", f"-p udp {target}")),
                *(Row("filter", "EACH", words) for words in extra),
                *behind,
            ],
            packets,
        )
        for target, extra in (
            ("-j ACCEPT", ()),
            ("-j DROP", ()),
            ("-j RETURN", ()),
            ("-j REJECT", ()),
            (f"-j REJECT --reject-with {reject}", ()),
            ("-j EACH", ("-p tcp -j ACCEPT",)),
            ("-j EACH", ("-p tcp -j RETURN", "-p udp -j DROP")),
            ("-g EACH", ("-p udp -j RETURN",)),
        )
    ]  # fmt: skip


def _of_marks(family: Family) -> list[Case]:
    places, make = PLACES[family], Packets(family)
    packets = [
        (make("", places.node[0], places.pods[0], port=443, mark=mark), "NEW")
        for mark in (0, 0x1, 0x4002, 0x7FFFFFFF)
    ]
    bits = [
        Row("mangle", "POSTROUTING", f"-m {match} --mark {bit}/{bit} {NOTHING}")
        for match in ("mark", "connmark")
        for bit in ("0x1", "0x2", "0x4", "0x4000", "0x40000000")
    ]
    start = Row("mangle", "OUTPUT", "-j CONNMARK --set-xmark 0x4001/0xffffffff")
    return [
        Case(target, [start, Row("mangle", "OUTPUT", f"-j {target}"), *bits], packets)
        for target in (
            "MARK --set-xmark 0x4001/0x4003", "MARK --set-xmark 0x2/0xffffffff",
            "MARK --set-mark 0x1/0x3", "MARK --set-mark 0x6", "MARK --and-mark 0x4001",
            "MARK --or-mark 0x3", "MARK --xor-mark 0x4001",
            "CONNMARK --set-xmark 0x6/0x3", "CONNMARK --set-mark 0x2/0x4002",
            "CONNMARK --and-mark 0x1", "CONNMARK --or-mark 0x2", "CONNMARK --xor-mark 0x4003",
            "CONNMARK --save-mark", "CONNMARK --save-mark --nfmask 0x3 --ctmask 0x4003",
            "CONNMARK --restore-mark", "CONNMARK --restore-mark --nfmask 0x4003 --ctmask 0x1",
            "CONNMARK --save-mark --mask 0x1", "CONNMARK --restore-mark --mask 0x4001",
            "CONNMARK --set-xmark 0x2/0x3 --left-shift-mark 1",
            "CONNMARK --set-xmark 0x6/0x3 --right-shift-mark 2",
            "CONNMARK --save-mark --left-shift-mark 13",
            "CONNMARK --save-mark --nfmask 0x4003 --ctmask 0x3 --right-shift-mark 1",
            "CONNMARK --restore-mark --nfmask 0x1 --ctmask 0x4001 --left-shift-mark 1",
            "CONNMARK --restore-mark --right-shift-mark 14",
        )
    ]  # fmt: skip


def _of_tracking(family: Family) -> list[Case]:
    places, make = PLACES[family], Packets(family)
    packets = [
        (make("eth0", places.clients[0], places.node[0]), "NEW"),
        (make("eth0", places.clients[0], places.pods[0], "udp", 443), "NEW"),
    ]
    states = [
        Row("mangle", "PREROUTING", f"-m conntrack --ctstate {state} {NOTHING}")
        for state in STATES[:5]
    ]
    return [
        Case(
            target,
            [
                Row("raw", "PREROUTING", f"-p tcp -j {target}"),
                *(Row("raw", "PREROUTING", f"-m conntrack --ctstate {state} {NOTHING}")
                  for state in ("INVALID", "UNTRACKED", "NEW")),
                # What has been exempted, or has an entry, stays as it is.
                Row("raw", "PREROUTING", f"-p tcp -j {second}"),
                *states,
            ],
            packets,
        )
        for target, second in (
            ("CT --notrack", "CT --zone 7"), ("NOTRACK", "CT --zone 7"),
            ("CT --zone 7", "CT --notrack"), ("CT --ctevents new,destroy", "NOTRACK"),
        )
    ]  # fmt: skip


def _of_translation(family: Family) -> list[Case]:
    places, make = PLACES[family], Packets(family)
    node, client = places.node, places.clients[0]
    packets = [
        (make("eth0", client, node[0], port=8080), "NEW"),
        (make("eth0", client, node[0], "udp", 8080), "NEW"),
        (make("eth0", client, places.pods[0], port=443), "NEW"),
        (make("eth1", places.pods[0], client, port=8080), "NEW"),
        (make("eth1", places.pods[0], client, "udp", 8080), "NEW"),
        (make("", node[0], places.clients[1], port=8080), "NEW"),
        (make("", places.loopback, places.loopback, port=8080), "NEW"),
        (make("eth0", client, node[0], port=8080, flags="SYN FIN"), "INVALID"),
    ]
    shown = [
        Row("mangle", chain, f"-m conntrack {no}--ctstate {state} {NOTHING}")
        for chain in ("INPUT", "FORWARD", "POSTROUTING")
        for state in ("DNAT", "SNAT")
        for no in ("", "! ")
    ]

    def with_port(address: str, port: str) -> str:
        return f"{address}:{port}" if family is Family.IPV4 else f"[{address}]:{port}"

    pod = places.pods[1]
    destination = (
        f"DNAT --to-destination {pod}", f"DNAT --to-destination {with_port(pod, '9000')}",
        f"DNAT --to-destination {with_port(node[0], '8080')}",
        f"DNAT --to-destination {with_port(pod, '8000-8100')}",
        f"DNAT --to-destination {places.pods[0]}-{pod}",
        f"DNAT --to-destination {with_port(pod, '9000')} --random",
        f"DNAT --to-destination {pod} --persistent",
        "REDIRECT", "REDIRECT --to-ports 443", "REDIRECT --to-ports 8000-8100",
    )  # fmt: skip
    source = (
        f"SNAT --to-source {node[1]}", f"SNAT --to-source {with_port(node[1], '20000')}",
        f"SNAT --to-source {node[0]}", f"SNAT --to-source {node[0]}-{node[1]}",
        f"SNAT --to-source {with_port(node[1], '30000-30009')} --random",
        "MASQUERADE", "MASQUERADE --random-fully", "MASQUERADE --to-ports 30000-30009",
    )  # fmt: skip

    def rows(chains: tuple[str, ...], target: str) -> list[Row]:
        return [
            Row("nat", chain, f"-p {protocol} -m {protocol} --dport 8080 -j {target}")
            for chain in chains
            for protocol in ("tcp", "udp")
        ]

    return [
        *(Case(target, [*rows(("PREROUTING", "OUTPUT"), target), *shown], packets)
          for target in destination),
        *(Case(target, [*rows(("POSTROUTING",), target), *shown], packets) for target in source),
        Case("SNAT at INPUT", [*rows(("INPUT",), source[0]), *shown], packets),
    ]  # fmt: skip


def _of_no_effect(family: Family) -> list[Case]:
    places, make = PLACES[family], Packets(family)
    packets = [(make("eth0", places.clients[0], places.pods[0]), "NEW")]
    ttl = "TTL --ttl-set 60" if family is Family.IPV4 else "HL --hl-set 60"
    syn = "-p tcp -m tcp --tcp-flags SYN,RST SYN"
    mangle = [
        f"-j {target}"
        for target in (
            "TOS --set-tos 0x10", "DSCP --set-dscp 0x08", "CHECKSUM --checksum-fill",
            "CLASSIFY --set-class 1:1", "CONNSECMARK --save",
            "LOG --log-prefix walk", "NFLOG --nflog-group 5", "AUDIT --type accept", ttl,
            "IDLETIMER --timeout 600 --label walk",
            "RATEEST --rateest-name walk --rateest-interval 250ms --rateest-ewmalog 500ms",
            f"SET --add-set nets{family.value[-1]} src",
            f"TEE --gateway {places.gateway}",
        )
    ]  # fmt: skip
    mangle += [f"{syn} -j TCPMSS --clamp-mss-to-pmtu", "-p tcp -j TCPOPTSTRIP --strip-options 4"]
    if family is Family.IPV4:
        mangle.append("-p tcp -j ECN --ecn-tcp-remove")
    found = [Row("mangle", "FORWARD", words) for words in mangle]
    found.append(Row("raw", "PREROUTING", "-j TRACE"))
    return [
        Case(row.words.partition("-j ")[2], [row, Row(row.table, row.chain, NOTHING)], packets)
        for row in found
    ]
