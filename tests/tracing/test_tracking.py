"""What connection tracking says of a packet, with and without an entry for it.

The expectations are the kernel's: `tests/lab/test_trace_random.py` compares them with packets.
"""

from __future__ import annotations

import pytest

from nptables import Cluster, Family, Ruleset, trace
from nptables.tracing import Origin, Packet, Verdict
from tests.tracing.test_hooks import CLIENT, NODE, POD, follow, host, ruleset, verdict

SENT = Packet(POD, 80, source=CLIENT)
UNTRACKED = "raw -A PREROUTING -j CT --notrack"
ANOTHER = "198.51.100.1"

# Matches that look at the connection, and whether they hold: of a packet that connection tracking
# has not seen yet, of one that is exempt from it, and of the first packet of a connection.
MATCHES = {
    "conntrack --ctstate NEW": (False, False, True),
    "conntrack ! --ctstate NEW": (True, True, False),
    "conntrack --ctstate INVALID": (True, False, False),
    "conntrack --ctstate UNTRACKED": (False, True, False),
    "state --state INVALID": (True, False, False),
    "state --state UNTRACKED": (False, True, False),
    f"conntrack --ctorigdst {POD}": (False, False, True),
    f"conntrack ! --ctorigdst {ANOTHER}": (False, False, True),
    f"conntrack ! --ctreplsrc {ANOTHER}": (False, False, True),
    "conntrack ! --ctorigdstport 81": (False, False, True),
    "conntrack ! --ctproto udp": (False, False, True),
    "conntrack ! --ctstatus ASSURED": (False, False, True),
    "conntrack --ctdir ORIGINAL": (False, False, True),
    # The state alone decides where there is no entry to compare with.
    f"conntrack --ctstate INVALID,UNTRACKED,NEW --ctorigdst {ANOTHER}": (True, True, False),
    "connmark --mark 0x0": (False, False, True),
    "connmark ! --mark 0x1": (False, False, True),
    "helper --helper ftp": (False, False, False),
    "helper ! --helper ftp": (True, True, True),
}


@pytest.mark.parametrize(("match", "holds"), MATCHES.items())
def test_a_match_on_the_connection_depends_on_its_entry(
    match: str, holds: tuple[bool, bool, bool]
) -> None:
    found = (
        follow(f"raw -A PREROUTING -m {match} -j DROP"),
        follow(UNTRACKED, f"filter -A FORWARD -m {match} -j DROP"),
        follow(f"filter -A FORWARD -m {match} -j DROP"),
    )

    assert holds == tuple(verdict(answer) is Verdict.DROPPED for answer in found)


CLUSTER = "--cluster-total-nodes 2 --cluster-local-node 1 --cluster-hash-seed 1"


@pytest.mark.parametrize(
    "match",
    [
        "connbytes --connbytes 0: --connbytes-mode packets --connbytes-dir both",
        f"cluster {CLUSTER}",
        "conntrack --ctexpire 1:9",
    ],
)
def test_what_only_the_kernel_could_say_of_an_entry_fails_without_one(match: str) -> None:
    untracked = follow(UNTRACKED, f"filter -A FORWARD -m {match} -j DROP")
    tracked = follow(f"filter -A FORWARD -m {match} -j DROP")

    assert verdict(untracked) is Verdict.POD
    assert [d.arrives for d in tracked.distributions] == [True, False]


@pytest.mark.parametrize(
    "change", ["--set-xmark 0x1/0x1", "--save-mark --nfmask 0xffffffff --ctmask 0xffffffff"]
)
def test_a_connection_that_is_not_there_cannot_be_marked(change: str) -> None:
    lines = [
        "mangle -A PREROUTING -j MARK --set-xmark 0x1/0x1",
        f"mangle -A PREROUTING -j CONNMARK {change}",
        "mangle -A FORWARD -m connmark --mark 0x1/0x1 -j DROP",
    ]

    assert verdict(follow(*lines)) is Verdict.DROPPED
    assert verdict(follow(UNTRACKED, *lines)) is Verdict.POD


def test_a_mark_is_not_restored_from_a_connection_that_is_not_there() -> None:
    # With an entry, whose mark is 0, the packet would lose its mark.
    lines = [
        "mangle -A PREROUTING -j MARK --set-xmark 0x1/0x1",
        "mangle -A PREROUTING -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff",
        "mangle -A FORWARD -m mark --mark 0x1/0x1 -j DROP",
    ]

    assert verdict(follow(*lines)) is Verdict.POD
    assert verdict(follow(UNTRACKED, *lines)) is Verdict.DROPPED


def test_a_packet_with_settings_of_ct_has_an_empty_entry_for_the_time_being() -> None:
    lines = ["raw -A PREROUTING -j CT --zone 5"]

    new = follow(*lines, "raw -A PREROUTING -m conntrack --ctstate NEW -j DROP")
    its_own = follow(*lines, f"raw -A PREROUTING -m conntrack --ctorigdst {POD} -j DROP")
    exempt = follow(
        *lines, "raw -A PREROUTING -j NOTRACK", "filter -A FORWARD -m state --state NEW -j DROP"
    )

    assert [verdict(new), verdict(its_own), verdict(exempt)] == [
        Verdict.DROPPED, Verdict.POD, Verdict.DROPPED,
    ]  # fmt: skip


def test_a_packet_to_the_node_itself_keeps_its_entry_when_it_comes_back() -> None:
    # It is confirmed behind POSTROUTING, and NOTRACK comes too late then.
    answer = trace(
        ruleset(
            "raw -A PREROUTING -i lo -j NOTRACK",
            "filter -A INPUT -m conntrack --ctstate NEW --ctstatus CONFIRMED -j DROP",
            "filter -A OUTPUT -m conntrack --ctstatus CONFIRMED -j REJECT",
        ),
        Packet(NODE, 80, origin=Origin.NODE),
        host(),
    )

    assert verdict(answer) is Verdict.DROPPED


SAME = f"nat -A PREROUTING -p tcp -j DNAT --to-destination {POD}"


@pytest.mark.parametrize(
    ("rule", "state", "holds"),
    [
        (SAME, "DNAT", False),
        (f"{SAME}:80", "DNAT", False),
        (f"{SAME}:70-90", "DNAT", False),
        (f"{SAME}:81", "DNAT", True),
        (f"{SAME}:70-90 --random", "DNAT", True),
        (f"nat -A POSTROUTING -j SNAT --to-source {CLIENT}", "SNAT", False),
        (f"nat -A POSTROUTING -j SNAT --to-source {NODE}", "SNAT", True),
        (f"nat -A POSTROUTING -j SNAT --to-source {CLIENT} --random", "SNAT", True),
    ],
)
def test_a_translation_that_changes_nothing_is_none(rule: str, state: str, *, holds: bool) -> None:
    # What nat does in POSTROUTING is seen by no rule behind it, but by whoever has the packet.
    answer = follow(rule, f"mangle -A POSTROUTING -m conntrack --ctstate {state} -j DROP")

    if state == "SNAT":
        assert answer.outcomes[0].source_rewritten is holds
    else:
        assert (verdict(answer) is Verdict.DROPPED) is holds


def test_a_range_that_has_the_old_destination_leaves_it_open_whether_it_changes() -> None:
    answer = follow(
        "nat -A PREROUTING -j DNAT --to-destination 10.244.1.5-10.244.1.9",
        "filter -A FORWARD -m conntrack --ctstate DNAT -j DROP",
    )

    assert [[o.verdict for o in d.outcomes] for d in answer.distributions] == [
        [Verdict.ENDPOINT], [Verdict.DROPPED],
    ]  # fmt: skip


def test_a_range_of_addresses_is_compared_with_networks() -> None:
    lines = ["nat -A PREROUTING -j DNAT --to-destination 10.244.1.4-10.244.1.7"]

    inside = follow(*lines, "filter -A FORWARD -d 10.244.1.0/24 -j DROP")
    outside = follow(*lines, "filter -A FORWARD -d 10.244.1.8/29 -j DROP")

    assert [verdict(inside), verdict(outside)] == [Verdict.DROPPED, Verdict.ENDPOINT]


def test_an_address_that_is_none_is_not_understood() -> None:
    answer = follow("nat -A PREROUTING -j DNAT --to-destination 300.233.64.5")

    assert verdict(answer) is Verdict.UNKNOWN


HOST6 = Cluster().node(
    "host",
    {
        "interfaces": {
            "lo": ["::1/128"],
            "eth0": ["2001:db8::2/64", "2001:db8::1/64"],
            "cni0": ["fd00:244::1/64"],
        },
        "routes": [
            {"dst": "default", "gateway": "2001:db8::ff", "dev": "eth0"},
            {"dst": "2001:db8::/64", "dev": "eth0"},
            {"dst": "fd00:244::/64", "dev": "cni0"},
            {"dst": "2001:db8:bad::/48", "type": "unreachable"},
        ],
    },
)
OWN6, POD6, CLIENT6 = "2001:db8::1", "fd00:244::5", "2001:db8:9::9"


def dropped6(match: str, destination: str = OWN6) -> bool:
    text = f"*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING {match} -j DROP\nCOMMIT\n"
    rules = Ruleset.from_save(text, family=Family.IPV6)
    return verdict(trace(rules, Packet(destination, 80, source=CLIENT6), HOST6)) is Verdict.DROPPED


@pytest.mark.parametrize(
    ("types", "destination", "holds"),
    [
        # An own address is unicast too, and must be all of what is listed before it is routed.
        ("UNICAST", OWN6, True),
        ("LOCAL", OWN6, True),
        ("UNICAST,LOCAL", OWN6, True),
        ("UNICAST,LOCAL", POD6, False),
        ("UNICAST,MULTICAST", POD6, False),
        ("MULTICAST,LOCAL", OWN6, False),
        ("UNREACHABLE", "2001:db8:bad::1", True),
        ("UNREACHABLE,LOCAL", OWN6, True),
        ("UNREACHABLE", POD6, False),
        ("ANYCAST", "2001:db8::", True),
        ("UNICAST", "ff02::1", False),
    ],
)
def test_an_ipv6_address_may_be_of_several_types(
    types: str, destination: str, *, holds: bool
) -> None:
    assert dropped6(f"-m addrtype --dst-type {types}", destination) is holds
    assert dropped6(f"-m addrtype ! --dst-type {types}", destination) is not holds


@pytest.mark.parametrize(
    ("types", "destination", "holds"),
    [
        ("LOCAL", NODE, True),
        ("UNICAST", NODE, False),
        ("UNICAST", POD, True),
        ("LOCAL,UNICAST", NODE, True),
        ("BROADCAST", "192.168.0.255", True),
        ("BROADCAST", "255.255.255.255", True),
        ("MULTICAST", "224.0.0.1", True),
        ("UNSPEC", POD, False),
        ("BLACKHOLE", POD, False),
        # At the interface it came in through an address of another one is like any other.
        ("LOCAL --limit-iface-in", NODE, True),
        ("LOCAL --limit-iface-in", "10.244.1.1", False),
        ("UNICAST --limit-iface-in", "10.244.1.1", True),
    ],
)
def test_an_ipv4_address_is_of_one_type(types: str, destination: str, *, holds: bool) -> None:
    packet = Packet(destination, 80, source=CLIENT)

    answer = follow(f"mangle -A PREROUTING -m addrtype --dst-type {types} -j DROP", packet=packet)

    assert (verdict(answer) is Verdict.DROPPED) is holds


def test_what_is_sent_to_everybody_is_for_the_node_too() -> None:
    answer = follow("filter -A INPUT -j DROP", packet=Packet("192.168.0.255", 80, source=CLIENT))

    assert verdict(answer) is Verdict.DROPPED


def test_a_packet_from_elsewhere_to_the_ipv6_loopback_address_is_sent_on() -> None:
    text = "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j DNAT --to-destination ::1\nCOMMIT\n"
    rules = Ruleset.from_save(text, family=Family.IPV6)

    (outcome,) = trace(rules, Packet(OWN6, 80, source=CLIENT6), HOST6).outcomes

    assert (outcome.verdict, outcome.arrives) == (Verdict.UNKNOWN, False)


def test_what_is_sent_to_everybody_is_not_forwarded() -> None:
    answer = follow(
        f"nat -A PREROUTING -j DNAT --to-destination {POD}",
        packet=Packet("192.168.0.255", 80, source=CLIENT),
    )

    assert verdict(answer) is Verdict.DROPPED


@pytest.mark.parametrize(
    ("destination", "source"),
    [
        # Itself; of two that are as good the first; that of the interface towards pods.
        (OWN6, OWN6),
        ("2001:db8::77", "2001:db8::2"),
        ("fd00:244::5", "fd00:244::1"),
    ],
)
def test_masquerading_takes_the_ipv6_address_that_goes_best_with_the_destination(
    destination: str, source: str
) -> None:
    text = "*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -j MASQUERADE\nCOMMIT\n"
    rules = Ruleset.from_save(text, family=Family.IPV6)
    packet = Packet(destination, 80, source="2001:db8::2", origin=Origin.NODE)

    (outcome,) = trace(rules, packet, HOST6).outcomes

    assert outcome.whence == source
