"""Listings of iptables -L, read back to the lines that iptables-save prints."""

from __future__ import annotations

import attrs
import pytest

from nptables import Family, Ruleset
from nptables.iptables.listing import read_listing
from nptables.iptables.listing.rows import Columns, read_row
from nptables.iptables.pasted import Pasted, read_pasted
from nptables.iptables.rule import Rule
from nptables.iptables.unshown import UNREAD_MATCH, Unshown
from tests.support.scenarios import FIXTURES

LISTINGS = FIXTURES / "listings"
# Matches and targets whose words are not turned into options: nobody knows whether they hold.
NOT_READ = frozenset({
    "hashlimit", "string", "time", "tos", "dscp", "policy", "helper", "cpu", "devgroup", "realm",
    "cgroup", "connbytes", "quota", "ecn", "ah", "esp", "cluster", "frag", "rt",
})  # fmt: skip
TARGETS_NOT_READ = frozenset({
    "CLASSIFY", "SET", "TEE", "AUDIT", "NFLOG", "TOS", "DSCP", "TTL", "CHECKSUM", "TCPMSS",
})  # fmt: skip
V4 = Columns(counters=True, interfaces=True)


def read(name: str) -> Pasted:
    found = read_pasted((LISTINGS / name).read_text(), lambda _: "")
    assert found is not None
    return found


def rules_of(name: str, family: Family) -> list[Rule]:
    lines = (LISTINGS / name).read_text().splitlines()
    return [Rule.parse(line, family) for line in lines if line.startswith("-A")]


def is_read(rule: Rule) -> bool:
    """Whether everything that a listing prints of a rule is turned into options again."""
    names = {match.name for match in rule.matches}
    target = rule.target.name if rule.target is not None else ""
    modified = "--return-nomatch" in rule.render()
    plain = target == "NFLOG" and not (rule.target and rule.target.options)
    return not (names & NOT_READ or modified or (target in TARGETS_NOT_READ and not plain))


@pytest.mark.parametrize(
    ("listing", "rules", "family"),
    [
        ("words-nvL.txt", "words.rules", Family.IPV4),
        ("words-nL.txt", "words.rules", Family.IPV4),
        ("words-nvxL.txt", "words.rules", Family.IPV4),
        ("words-L.txt", "words.rules", Family.IPV4),
        ("words6-nvL.txt", "words6.rules", Family.IPV6),
        ("words6-L.txt", "words6.rules", Family.IPV6),
    ],
)
def test_what_extensions_print_becomes_the_options_of_the_rule(
    listing: str, rules: str, family: Family
) -> None:
    """Each row is the rule it was printed for; what is not understood is an unknown match."""
    (ruleset,) = read(listing).rulesets
    found = [
        Rule.parse(line, family)
        for table in ruleset.tables.values()
        for lines in table.chains.values()
        for line in lines
    ]
    expected = rules_of(rules, family)
    assert family is ruleset.family
    assert len(expected) == len(found)
    for rule, got in zip(expected, found, strict=True):
        wanted = rule
        if listing.endswith(("-L.txt", "-nL.txt")):
            wanted = attrs.evolve(rule, in_interface=None, out_interface=None)
        if got.render().endswith(("--log-level warn", "-j NOTRACK", "-j CT --notrack")):
            # Another spelling of the same.
            assert rule.target is not None
        elif is_read(rule):
            if listing == "words-L.txt" and rule.match("limit") and got.match(UNREAD_MATCH):
                continue
            assert wanted.render() == got.render()
        else:
            assert got.match(UNREAD_MATCH) is not None, wanted.render()
            assert (wanted.chain, wanted.source, wanted.target and wanted.target.name) == (
                got.chain, got.source, got.target and got.target.name,
            )  # fmt: skip


@pytest.mark.parametrize(
    ("row", "line"),
    [
        # Protocols by name, as before 1.8.9 and from 1.8.10 on.
        (
            "   0     0 DNAT  tcp  --  *  *  0.0.0.0/0  0.0.0.0/0  /* a/b:c */ tcp to:10.1.1.1:80",
            '-A C -p tcp -m comment --comment "a/b:c" -m tcp -j DNAT --to-destination 10.1.1.1:80',
        ),
        # Up to iptables 1.4.12 a probability had six digits: 1/3 is what fits.
        (
            "0 0 S all -- * * 0.0.0.0/0 0.0.0.0/0 statistic mode random probability 0.333333",
            "-A C -m statistic --mode random --probability 0.33333333349 -j S",
        ),
        # No mask in the words of recent up to 1.4.17: whole addresses are compared.
        (
            "0 0 S all -- * * 0.0.0.0/0 0.0.0.0/0 recent: SET name: A side: source",
            "-A C -m recent --set --name A --mask 255.255.255.255 --rsource -j S",
        ),
        (
            "12M 104K RETURN !udp !f !lo+ eth0 !10.0.0.0/8 0.0.0.0/0 MARK match 0x1",
            "-A C ! -s 10.0.0.0/8 ! -i lo+ -o eth0 ! -p udp ! -f -m mark --mark 0x1 -j RETURN",
        ),
        ("5 6 LOG 0 -- any any 0.0.0.0/0 0.0.0.0/0 LOG level warning prefix \"x \"",
         '-A C -j LOG --log-prefix "x "'),
        ("1 2 all -- * * 0.0.0.0/0 0.0.0.0/0", "-A C"),
    ],
)  # fmt: skip
def test_rows_of_other_versions_are_read(row: str, line: str) -> None:
    found = read_row(row, "C", V4, Family.IPV4)
    assert found is not None
    assert (line, ()) == (found.line, found.unread)


def test_the_empty_column_for_fragments_of_old_ip6tables_is_seen() -> None:
    row = "    0     0 ACCEPT     tcp      eth0   *       ::/0      fd00::1/128     tcp dpt:22"
    found = read_row(row, "C", V4, Family.IPV6)
    assert found is not None
    expected = "-A C -d fd00::1/128 -i eth0 -p tcp -m tcp --dport 22 -j ACCEPT"
    assert expected == found.line


@pytest.mark.parametrize(
    ("row", "unread"),
    [
        ("0 0 DROP 0 -- * * gateway.local 0.0.0.0/0", "source gateway.local"),
        ("0 0 DROP 0 -- * * 0.0.0.0/0 0.0.0.0/0 tcp dpt:nobodys-port", "tcp dpt:nobodys-port"),
        ("0 0 DROP 0 -- * * 0.0.0.0/0 0.0.0.0/0 new words", "new words"),
        # The end of a comment within a comment: what follows may be text of it.
        (
            "0 0 DROP 0 -- * * 0.0.0.0/0 0.0.0.0/0 /* a */ tcp dpt:1 */",
            "/* a */ tcp dpt:1 */",
        ),
        ("0 0 DROP 0 -- * * 0.0.0.0/0 0.0.0.0/0 /* cut of", "/* cut of"),
    ],
)
def test_what_is_not_understood_is_an_unknown_match_and_not_left_out(row: str, unread: str) -> None:
    found = read_row(row, "C", V4, Family.IPV4)
    assert found is not None
    assert (unread,) == found.unread
    assert Rule.parse(found.line, Family.IPV4).match(UNREAD_MATCH) is not None


TITLE = "target     prot opt source               destination         "


def listed(text: str) -> tuple[str, bool]:
    lines = text.splitlines()
    (found,) = read_listing(lines, range(1, len(lines) + 1), Family.IPV4)
    return found.table.name, found.whole


def chain(name: str, kind: str, *rows: str) -> str:
    return "\n".join([f"Chain {name} ({kind})", TITLE, *rows, "", ""])


INPUT = chain("INPUT", "policy ACCEPT")
OUTPUT = chain("OUTPUT", "policy ACCEPT")
JUMP = "A          all  --  0.0.0.0/0            0.0.0.0/0           "
WORDS = "DROP       all  --  0.0.0.0/0            0.0.0.0/0            /* x */"


def forward(*rows: str) -> str:
    return chain("FORWARD", "policy ACCEPT", *rows)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        (INPUT + forward(JUMP) + OUTPUT + chain("A", "1 references"), True),
        # A chain of the table is missing, or one that a rule leads to.
        (INPUT + forward(), False),
        (INPUT + forward(JUMP) + OUTPUT, False),
        # Two rules lead to A, and one is there.
        (INPUT + forward(JUMP) + OUTPUT + chain("A", "2 references"), False),
        (INPUT + forward(WORDS, "...") + OUTPUT, False),
        # A line was broken in two: the rule asks for more than its first half says.
        (INPUT + forward(WORDS, "tcp dpt:80") + OUTPUT, True),
        (INPUT + forward(WORDS[:-2]) + OUTPUT, False),
    ],
)  # fmt: skip
def test_a_table_is_whole_where_all_its_chains_and_references_are_there(
    text: str, *, whole: bool
) -> None:
    name, found = listed(text)
    assert found is whole
    assert name in ("filter", "")


def test_the_rest_of_a_broken_line_belongs_to_the_rule_before_it() -> None:
    text = chain("FORWARD", "policy ACCEPT", WORDS, "tcp dpt:80")
    lines = text.splitlines()
    (found,) = read_listing(lines, range(1, len(lines) + 1), Family.IPV4)
    expected = '-A FORWARD -m comment --comment x -m unread --words "tcp dpt:80" -j DROP'
    assert (expected,) == found.table.chains["FORWARD"]


@pytest.mark.parametrize("width", [60, 70, 75, 80, 90, 100])
def test_a_listing_that_was_cut_at_a_width_is_not_taken_for_whole(width: int) -> None:
    """`cut -c1-80`, or a terminal: what was cut off a row may be what it asks for."""
    text = (LISTINGS / "words-nvL.txt").read_text()
    lines = [line[:width] for line in text.splitlines()]
    for found in read_listing(lines, range(1, len(lines) + 1), Family.IPV4):
        rules = [line for lines in found.table.chains.values() for line in lines]
        assert not found.whole or not rules


def test_tables_one_behind_the_other_are_told_apart_by_their_chains() -> None:
    text = "".join(
        chain(name, "policy ACCEPT")
        for name in (
            "INPUT", "FORWARD", "OUTPUT",
            "PREROUTING", "INPUT", "OUTPUT", "POSTROUTING",
            "PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING",
            "PREROUTING", "OUTPUT",
        )
    )  # fmt: skip
    lines = text.splitlines()
    found = read_listing(lines, range(1, len(lines) + 1), Family.IPV4)
    expected = ["filter", "nat", "mangle", "raw"]
    assert expected == [each.table.name for each in found]
    assert all(each.whole for each in found)


@pytest.mark.parametrize(
    ("printed", "steps"),
    [
        # A third in steps of 1/2^31 is 715827882.67, so 715827883, however it was rounded.
        ("0.33333", 715827883),
        ("0.333333", 715827883),
        ("0.333333333", 715827883),
        # Ten digits tell the step: 0.0227272727 * 2^31 = 48806446.5, and 2^31 / 44 = 48806446.55.
        ("0.0227272727", 48806446),
        ("0.022727273", 48806447),
        ("0.33333333349", 715827883),
        # Not one of several equals: as it stands, 0.33331 * 2^31 = 715777775.3.
        ("0.33331", 715777775),
        ("0.50000", 1 << 30),
    ],
)
def test_a_rounded_probability_is_that_of_one_of_several_equals(printed: str, steps: int) -> None:
    row = f"KUBE-SEP-A  all  --  0.0.0.0/0  0.0.0.0/0  statistic mode random probability {printed}"

    line = read_row(row, "X", Columns(counters=False, interfaces=False), Family.IPV4)

    assert f"--probability {steps / 2**31:.11f} " in str(line)


def test_a_probability_that_was_cut_off_is_not_read() -> None:
    row = "KUBE-SEP-A  all  --  0.0.0.0/0  0.0.0.0/0  statistic mode random probability 0.3333"

    line = read_row(row, "X", Columns(counters=False, interfaces=False), Family.IPV4)

    assert "--probability" not in str(line)


@pytest.mark.parametrize("known", ["tables", "open", "interfaces"])
def test_whatever_is_not_shown_makes_it_a_part(known: str) -> None:
    part = Unshown(**{known: frozenset({"nat"})})

    assert part
    assert not Unshown()
    assert Ruleset(Family.IPV4, {}, unshown=part).partial
    assert not Ruleset(Family.IPV4, {}).partial
