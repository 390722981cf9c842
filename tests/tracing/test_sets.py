"""Sets read from `ipset save`: what the kernel answers for them, worked out from its rules."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nptables import Cluster, InvalidInput, Ruleset, trace
from nptables.cli import main
from nptables.family import Family
from nptables.tracing import Packet, Verdict, read_sets
from nptables.tracing.addressing import Address, Somewhere, net, number
from nptables.tracing.sets import RangePart, Side
from tests.support.scenarios import FIXTURES

# Printed by ipset 7.17 on Linux, comments, counters and timeouts included.
SAVED = FIXTURES / "ipset" / "node.save"
SETS = read_sets(SAVED.read_text())
POD = "10.244.1.5"
OUTSIDE = Somewhere("a client", net("0.0.0.0/0"))


def side(address: str, port: int | None = None, protocol: str = "tcp", interface: str = "") -> Side:
    return Side(address, port, interface, protocol)


@pytest.mark.parametrize(
    ("name", "sides", "holds"),
    [
        ("blocked", [side("203.0.113.9")], True),
        ("blocked", [side("203.0.113.10")], False),
        # The second side is not looked at: the set has one dimension.
        ("blocked", [side("198.51.100.2"), side("1.1.1.1")], True),
        ("nets", [side("10.2.3.4")], True),
        # 10.1.0.0/16 is an exception (nomatch) from 10.0.0.0/8.
        ("nets", [side("10.1.3.4")], False),
        ("nets", [side("11.0.0.1")], False),
        ("ports", [side("10.96.0.10"), side("10.96.0.10", 80)], True),
        ("ports", [side("10.96.0.10"), side("10.96.0.10", 80, "udp")], False),
        ("ports", [side("10.96.0.10"), side("10.96.0.10", 53, "udp")], True),
        ("ports", [side("10.96.0.10"), side("10.96.0.10", None)], None),
        ("ports", [side("10.96.0.11"), side("10.96.0.11", None)], False),
        # ip_set_test: fewer sides than the set has is no match.
        ("ports", [side("10.96.0.10", 80)], False),
        ("v6", [side("2001:db8:1::1")], True),
        ("v6", [side("2001:db9::1")], False),
        # A set of the other family does not match.
        ("v6", [side("10.0.0.1")], False),
        ("timed", [side("192.0.2.1")], True),
        ("timed", [side("192.0.2.2")], True),
        ("netport", [side("10.2.9.9"), side("10.2.9.9", 443)], True),
        ("netport", [side("10.2.9.9"), side("10.2.9.9", 80)], False),
        ("ipport", [side("10.1.1.1"), side("10.9.9.9", 80), side("10.2.2.2")], True),
        ("ipport", [side("10.1.1.1"), side("10.9.9.9", 80), side("10.2.2.3")], False),
        ("ipportnet", [side("10.1.1.1"), side("10.9.9.9", 80), side("10.3.0.77")], True),
        ("pset", [side("9.9.9.9", 80, "udp")], True),
        ("pset", [side("9.9.9.9", 81)], False),
        # bitmap:port looks at TCP and UDP only.
        ("pset", [side("9.9.9.9", 80, "sctp")], False),
        ("bip", [side("10.0.0.7")], True),
        ("bip", [side("10.0.0.8")], False),
        ("neti", [side("10.0.0.1"), side("10.0.0.1", interface="eth0")], True),
        ("neti", [side("10.0.0.1"), side("10.0.0.1", interface="eth1")], False),
        # netmask 24: 192.0.2.7 was added, 192.0.2.0 is what is kept and compared.
        ("masked", [side("192.0.2.200")], True),
        ("masked", [side("192.0.3.1")], False),
        # both lists blocked and nets.
        ("both", [side("203.0.113.9")], True),
        ("both", [side("10.2.3.4")], True),
        ("both", [side("10.1.3.4")], False),
    ],
)
def test_a_set_holds_what_the_kernel_says_it_holds(
    name: str, sides: list[Side], *, holds: bool | None
) -> None:
    assert SETS[name](tuple(sides)) is holds


def test_an_address_that_nobody_named_is_open_unless_it_cannot_be_held() -> None:
    anyone = Somewhere.of("a client", Family.IPV4)
    no_pod = Somewhere.of("a client", Family.IPV4, ("10.0.0.0/8",))

    assert SETS["nets"]((Side(anyone, None, "", "tcp"),)) is None
    assert SETS["nets"]((Side(no_pod, None, "", "tcp"),)) is False
    assert SETS["blocked"]((Side(no_pod, None, "", "tcp"),)) is None


def test_what_a_trace_cannot_know_of_a_packet_stays_open() -> None:
    sets = read_sets(
        "create macs hash:ip,mac family inet\nadd macs 10.0.0.1,01:02:03:04:05:06\n"
        "create pings hash:ip,port family inet\nadd pings 10.0.0.1,icmp:echo-request\n"
        "create none hash:mac\n"
    )
    ping = (side("10.0.0.1", None, "icmp"),) * 2

    assert sets["macs"]((side("10.0.0.1"),) * 2) is None
    assert sets["macs"]((side("10.0.0.2"),) * 2) is False
    assert sets["pings"](ping) is None
    assert sets["pings"]((side("10.0.0.1", 80),) * 2) is False
    assert sets["none"]((side("10.0.0.1"),)) is False


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("Name: blocked\nType: hash:ip\n", 1, "is not a line of `ipset save`"),
        ("create a hash:ip\nadd b 10.0.0.1\n", 2, "set b is not created"),
        ("create a hash:ip\nadd a 10.0.0.300\n", 2, '"10.0.0.300" is not an entry of a hash:ip'),
        ("create a hash:ip\nadd a 2001:db8::1\n", 2, "is not an entry"),
        ("create a hash:ip,port\nadd a 10.0.0.1\n", 2, "is not an entry"),
        ("create a hash:ip,port\nadd a 10.0.0.1,tcp:99999\n", 2, "is not an entry"),
        ("create a hash:ip\ncreate a hash:net\n", 2, "created twice"),
        ("create a list:set size 8\nadd a a\n", 2, "there is no set a that"),
        ("create a flat\n", 1, "is not a type of set"),
    ],
)
def test_a_file_that_is_not_of_ipset_save_is_refused_by_line(
    text: str, line: int, says: str
) -> None:
    with pytest.raises(InvalidInput) as raised:
        read_sets(text)

    assert raised.value.problems[0].line == line
    assert says in raised.value.problems[0].message


def test_of_a_file_that_is_another_not_every_line_is_told() -> None:
    """The first 20 problems say it."""
    with pytest.raises(InvalidInput) as raised:
        read_sets("no set\n" * 30)

    assert list(range(1, 21)) == [problem.line for problem in raised.value.problems]


WORDS = st.sampled_from([
    "create", "add", "a", "hash:ip", "hash:ip,port", "list:set", "10.0.0.1", "10.0.0.0/0", "-",
    "10.0.0.1,tcp:1-2", "netmask", "99", "family", "inet6", "::1", "comment", '"', "nomatch", "\n",
])  # fmt: skip


@given(st.one_of(st.lists(WORDS).map(" ".join), st.text()))
def test_no_text_crashes_the_reader(text: str) -> None:
    try:
        sets = read_sets(text)
    except InvalidInput:
        return
    for found in sets.values():
        assert found((side("10.0.0.1", 1),) * 3) in (True, False, None)


RULES = """\
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -m set --match-set blocked src -j DROP
-A FORWARD -m set ! --match-set allowed src,dst -j REJECT --reject-with icmp-port-unreachable
COMMIT
"""
SOME = "create blocked hash:ip\nadd blocked 203.0.113.9\n"
ALL = f"{SOME}create allowed hash:ip,port\nadd allowed 203.0.113.10,tcp:80\n"


def verdicts(source: str, sets: str) -> list[Verdict]:
    """The verdicts for a source, one for each hypothesis."""
    place = Cluster().node("host", {"interfaces": {"cni0": ["10.244.1.1/24"]}})
    packet = Packet(POD, 80, source=source)
    answer = trace(Ruleset.from_save(RULES), packet, place, sets=read_sets(sets))
    return [outcome.verdict for d in answer.distributions for outcome in d.outcomes]


def test_rules_are_answered_from_the_sets() -> None:
    assert verdicts("203.0.113.9", ALL) == [Verdict.DROPPED]
    assert verdicts("203.0.113.10", ALL) == [Verdict.POD]
    assert verdicts("203.0.113.11", ALL) == [Verdict.REFUSED]


def test_a_set_that_is_not_in_the_file_stays_a_hypothesis() -> None:
    assert verdicts("203.0.113.9", SOME) == [Verdict.DROPPED]
    assert sorted(v.value for v in verdicts("203.0.113.10", SOME)) == ["pod", "refused"]


@pytest.fixture
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("node")
    contents = {
        "rules": f"{RULES}*nat\nCOMMIT\n",
        "sets": ALL,
        "bad": "Name: blocked\nType: hash:ip\n",
    }
    for name, text in contents.items():
        (folder / name).write_text(text)
    (folder / "facts").write_text('interfaces: {cni0: ["10.244.1.1/24"]}\n')
    return {path.name: str(path) for path in folder.iterdir()}


def traced(files: dict[str, str], source: str, *options: str) -> int:
    ends = ["--from", source, "--to", f"{POD}:80"]
    return main(["trace", "--save", files["rules"], "--facts", files["facts"], *options, *ends])


def test_the_command_line_answers_sets_from_a_file(
    files: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert traced(files, "203.0.113.10") == 1
    assert "If set blocked holds the source (203.0.113.10)" in capfd.readouterr().out

    assert traced(files, "203.0.113.10", "--sets", files["sets"]) == 0
    assert "If " not in capfd.readouterr().out
    assert traced(files, "203.0.113.9", "--sets", files["sets"]) == 1


def test_a_wrong_file_of_sets_exits_2_and_names_the_line(
    files: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert traced(files, "203.0.113.9", "--sets", files["bad"]) == 2
    assert f"{files['bad']}:1" in capfd.readouterr().err


def test_entries_that_no_trace_can_compare_are_said(
    files: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    with Path(files["sets"]).open("a") as file:
        file.write("create macs hash:mac\nadd macs 01:02:03:04:05:06\n")

    assert traced(files, "203.0.113.10", "--sets", files["sets"]) == 0
    assert "set macs (hash:mac) has 1 entries" in capfd.readouterr().err


def test_sets_without_rules_that_could_match_them_are_a_mistake(files: dict[str, str]) -> None:
    manifest = "fixtures/tutorial/two-nodes.yaml"
    ends = ["--from", "outside", "--to", "nodeport:30080", "--node", "node1"]

    assert main(["trace", manifest, "--sets", files["sets"], *ends]) == 2


@pytest.mark.parametrize(
    ("address", "holds"),
    [("10.0.0.3", False), ("10.0.0.4", True), ("10.0.0.5", True), ("10.0.0.6", True),
     ("10.0.0.7", False), (OUTSIDE, None)],
)  # fmt: skip
def test_a_range_holds_its_ends_and_what_is_between(address: Address, holds: bool | None) -> None:  # noqa: FBT001
    part = RangePart(number("10.0.0.4"), number("10.0.0.6"), 32)

    assert holds is part.fits(Side(address, 80, "eth0", "tcp"))
    # 4 is 0b100, 6 is 0b110: all but the last two bits are common.
    assert part.length == 30


def test_the_spans_of_a_set_are_the_first_and_last_addresses_of_its_entries() -> None:
    made = read_sets(
        "create a hash:net family inet\nadd a 10.0.0.0/24\nadd a 10.1.2.3\nadd a 10.128.0.0/9\n"
        "create b hash:net family inet6\nadd b fd00::/120\n"
    )

    assert [tuple(map(address, span)) for span in made["a"].spans()] == [
        ("10.0.0.0", "10.0.0.255"), ("10.1.2.3", "10.1.2.3"), ("10.128.0.0", "10.255.255.255"),
    ]  # fmt: skip
    ((first, last),) = made["b"].spans()
    assert (first, last) == (0xFD << 120, (0xFD << 120) + 255)


def address(value: int) -> str:
    return str(ip_address(value))
