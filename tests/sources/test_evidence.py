"""Evidence of a node from files, whatever form it has."""

from __future__ import annotations

import gzip
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from nptables import Family, InvalidInput
from nptables.evidence import Evidence, Form
from nptables.sources import evidence_in, read_evidence
from nptables.sources.text.files import read_unpacked
from tests.support.scenarios import FIXTURES, named_scenario

CASES = FIXTURES / "cases"
V4 = named_scenario("nodeport-dual-stack").dumps["IPV4"]
V6 = named_scenario("nodeport-dual-stack").dumps["IPV6"]


@dataclass
class Stdin:
    """Standard input with these bytes."""

    buffer: io.BytesIO


def tables(evidence: Evidence) -> dict[str, list[str]]:
    """The tables of each ruleset, by family and backend."""
    return {
        f"{ruleset.family.value} {ruleset.backend}".strip(): sorted(ruleset.tables)
        for ruleset in evidence.rulesets
    }


def problem(text: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        evidence_in(text)
    (found,) = caught.value.problems
    return str(found)


def test_a_dump_is_read_with_and_without_counters() -> None:
    counted = V4.replace("\n-A ", "\n[12:3456] -A ")
    for text in (V4, counted, V4.replace("\n", "\r\n")):
        found = evidence_in(text)
        assert (found.form, found.gaps, found.families) == (Form.SAVED, (), (Family.IPV4,))
    (ruleset,) = evidence_in(counted).rulesets
    assert counted == ruleset.to_save()


def test_both_families_one_behind_the_other_are_told_apart() -> None:
    for text in (V4 + V6, V6 + V4):
        found = evidence_in(text)
        assert tables(found) == {"IPv4": ["filter", "nat"], "IPv6": ["filter", "nat"]}
        assert tuple(ruleset.to_save() for ruleset in found.rulesets) == (V4, V6)


def test_both_backends_of_both_families_are_four_rulesets() -> None:
    """As `iptables-legacy-save; iptables-nft-save; ip6tables-legacy-save; ...` prints them."""
    text = "".join(
        f"root@n:~# {program}-{backend}-save\n{dump}"
        for program, dump in (("iptables", V4), ("ip6tables", V6))
        for backend in ("legacy", "nft")
    )
    found = tables(evidence_in(text))
    assert list(found) == ["IPv4 legacy", "IPv4 nft", "IPv6 legacy", "IPv6 nft"]


def test_three_dumps_of_one_family_are_more_than_a_node_has() -> None:
    assert "a node has those of legacy and those of nft" in problem(V4 * 3)


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_and_standard_input_may_be_packed_with_gzip(
    *, packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = gzip.compress(V4.encode()) if packed else V4.encode()
    path = tmp_path / "dump.txt"
    path.write_bytes(data)
    assert Form.SAVED is read_evidence(path).form
    monkeypatch.setattr(sys, "stdin", Stdin(io.BytesIO(data)))
    assert Form.SAVED is read_evidence("-").form


def refusal(path: Path) -> str:
    with pytest.raises(InvalidInput) as caught:
        read_evidence(path)
    (found,) = caught.value.problems
    assert found.file == str(path)
    return found.message


def test_what_is_no_text_is_said_to_be_none(tmp_path: Path) -> None:
    packed = gzip.compress(V4.encode() * 20)
    path = tmp_path / "evidence"
    path.write_bytes(packed[: len(packed) // 2])
    assert "cut off or damaged" in refusal(path)
    path.write_bytes(packed[:20] + b"xxxxx" + packed[25:])
    assert "cut off or damaged" in refusal(path)
    path.write_bytes(b"*nat\n\xff\n")
    assert "is not UTF-8 text" in refusal(path)


def test_an_empty_text_is_a_node_without_tables_and_it_is_said_that_it_may_be_none(
    tmp_path: Path,
) -> None:
    """As iptables-nft-save prints it, and as it fails without root."""
    path = tmp_path / "evidence"
    path.write_bytes(b" \n\n")

    found = read_evidence(path)

    assert ([r.tables for r in found.rulesets], found.families) == ([{}], (Family.IPV4,))
    assert "not run as root" in str(found.gaps[0])
    assert "there is no such file" in refusal(tmp_path / "nothing")


def test_what_unpacks_to_more_than_anybody_means_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(b"#" * 3_000_000))
    with pytest.raises(InvalidInput, match="more than 2 MiB unpacked"):
        read_unpacked(path, most=2 * 2**20)


@pytest.mark.parametrize(
    ("text", "is_what"),
    [
        ((CASES / "paste-S" / "describe.txt").read_text(), "what `kubectl describe` prints"),
        ((CASES / "paste-S" / "getsvc.txt").read_text(), "what `kubectl get` prints"),
        (
            "ip daddr 10.96.0.1 counter packets 1 bytes 60 jump KUBE-SVC-AAAAAAAAAAAAAAAA\n",
            "a part of what `nft list ruleset` prints",
        ),
        ((CASES / "paste-S" / "cluster.yaml").read_text(), "an object of a cluster"),
        (json.dumps({"apiVersion": "v1", "kind": "List", "items": []}), "an object of a cluster"),
        (json.dumps({"a": 1}), "is JSON, but not a snapshot"),
        ("create S hash:ip family inet\nadd S 10.1.1.1\n", "what `ipset save` prints"),
        (
            "udp      17 29 src=10.1.1.1 dst=10.96.0.10 sport=4 dport=53\n",
            "what `conntrack -L` prints",
        ),
        (
            "iptables v1.8.9 (nf_tables): Permission denied (you must be root)\n",
            "a program says that could not read the rules",
        ),
        (
            "KUBE-SVC-AAAAAAAAAAAAAAAA  tcp  --  0.0.0.0/0   10.96.0.1   tcp dpt:443\n",
            "a part of a listing without the lines that begin with `Chain`",
        ),
        ("Hello,\nmy NodePort does not answer.\n", 'begins with "Hello,"'),
    ],
)
def test_what_is_no_evidence_is_named_with_the_command_that_gives_some(
    text: str, is_what: str
) -> None:
    said = problem(text)
    assert is_what in said
    assert "`iptables-save`" in said


def test_a_damaged_dump_is_an_error_that_names_the_line() -> None:
    lines = V4.splitlines()
    lines[10] = "# " if lines[10].startswith("*") else "gibberish"
    said = problem("\n".join(lines))
    assert said.startswith("is neither a chain, a rule nor COMMIT: gibberish")


def decorated(text: str) -> str:
    """The text as a chat shows it: in a quotation, fenced, behind a prompt, indented."""
    quoted = "\n".join(f"> {line}" for line in text.splitlines())
    return f"> Here is what I get:\n> ```\n> root@node-a:~# sudo iptables-save\n{quoted}\n> ```\n"


def test_what_a_chat_puts_around_a_dump_is_taken_off() -> None:
    (plain,) = evidence_in(V4).rulesets
    numbered = "\n".join(f"{n}:{line}" for n, line in enumerate(V4.splitlines(), 1))
    indented = "\n".join(f"    {line}" for line in V4.splitlines())
    for text in (decorated(V4), numbered, indented, f"My rules:\n\n{V4}\nThanks!\n"):
        found = evidence_in(text)
        (ruleset,) = found.rulesets
        assert Form.SAVED is found.form
        assert plain.tables == ruleset.tables
        assert not ruleset.unshown


def test_a_carriage_return_and_a_prompt_are_no_part_of_a_dump() -> None:
    found = read_evidence(CASES / "paste-S" / "crlf.txt")
    assert (found.form, found.gaps) == (Form.SAVED, ())
    assert tables(found) == {"IPv4": ["filter", "nat"]}


def test_iptables_list_rules_of_a_whole_table_is_whole() -> None:
    """The other tables are not shown, and that is said."""
    found = read_evidence(CASES / "paste-S" / "nat-S.txt")
    (ruleset,) = found.rulesets
    (gap,) = found.gaps
    assert Form.SAVED is found.form
    assert frozenset() == ruleset.unshown.open
    assert gap.what == "tables filter, raw, mangle and security"
    saved = read_evidence(CASES / "paste-S" / "crlf.txt").rulesets[0].tables["nat"].chains
    assert saved == ruleset.tables["nat"].chains


def test_iptables_list_rules_of_several_tables_follows_one_another() -> None:
    nat = (CASES / "paste-S" / "nat-S.txt").read_text()
    others = "-P INPUT ACCEPT\n-P FORWARD DROP\n-P OUTPUT ACCEPT\n-A INPUT -c 12 34 -j DROP\n"
    for text in (
        nat + others,
        others + nat,
        f"$ iptables -S -v\n{others}# iptables -t nat -S\n{nat}",
    ):
        (ruleset,) = evidence_in(text).rulesets
        assert {"filter", "nat"} == set(ruleset.tables)
        assert frozenset() == ruleset.unshown.open
        assert ruleset.tables["filter"].policies["FORWARD"] == "DROP"
        assert ruleset.tables["filter"].chains["INPUT"] == ("-A INPUT -j DROP",)


def test_what_a_fragment_leaves_out_is_said() -> None:
    found = read_evidence(CASES / "grep-fragment" / "paste.txt")
    (ruleset,) = found.rulesets
    assert Form.FRAGMENT is found.form
    assert frozenset({"nat"}) == ruleset.unshown.open
    assert [gap.what for gap in found.gaps] == [
        "all rules of table nat",
        "chains KUBE-MARK-MASQ and KUBE-MARK-DROP of nat",
        "tables filter, raw, mangle and security",
    ]


def test_a_fragment_of_both_families_is_one_of_each() -> None:
    text = (
        "-A KUBE-SEP-AAAAAAAAAAAAAAAA -p tcp -m tcp -j DNAT --to-destination 10.1.1.1:80\n"
        "-A KUBE-SEP-AAAAAAAAAAAAAAAB -p tcp -m tcp -j DNAT --to-destination [fd00::1]:80\n"
    )
    assert tables(evidence_in(text)) == {"IPv4": ["nat"], "IPv6": ["nat"]}


@pytest.mark.parametrize(
    ("line", "table"),
    [
        ("-A X -p tcp -j DNAT --to-destination 10.1.1.1:80", "nat"),
        ("-A KUBE-SERVICES -d 10.96.0.1/32 -j KUBE-SVC-NPX46M4PTMTKRN6Y", "nat"),
        (
            "-A KUBE-SERVICES -d 10.96.0.1/32 -j REJECT --reject-with icmp-port-unreachable",
            "filter",
        ),
        ("-A KUBE-NODEPORTS -p tcp -m tcp --dport 30080 -j KUBE-MARK-MASQ", "nat"),
        ("-A FORWARD -j KUBE-FORWARD", "filter"),
        ("-A PREROUTING -j CT --notrack", "raw"),
    ],
)
def test_the_table_follows_from_chain_and_rule(line: str, table: str) -> None:
    found = evidence_in(line)
    assert {"IPv4": [table]} == tables(found)
    assert not [gap for gap in found.gaps if "the table of" in gap.what]


def test_where_nothing_tells_the_table_that_is_said() -> None:
    found = evidence_in("-A KUBE-NODEPORTS -p tcp -m tcp --dport 1 -j ACCEPT\n-A OUTPUT -j DROP\n")
    assert [g.what for g in found.gaps if "the table" in g.what] == ["the table of lines 1 and 2"]


def test_parts_of_one_table_from_several_commands_are_put_together() -> None:
    """One line is in both, and is there once."""
    text = (
        "$ iptables-save | grep 31080\n"
        "-A KUBE-NODEPORTS -p tcp -m tcp --dport 31080 -j KUBE-EXT-ZGZYMXMCLJDNVEPS\n"
        "$ iptables-save | grep ZGZYMXMCLJDNVEPS\n"
        "-A KUBE-NODEPORTS -p tcp -m tcp --dport 31080 -j KUBE-EXT-ZGZYMXMCLJDNVEPS\n"
        "-A KUBE-EXT-ZGZYMXMCLJDNVEPS -j KUBE-SVC-ZGZYMXMCLJDNVEPS\n"
    )
    (ruleset,) = evidence_in(text).rulesets
    nat = ruleset.tables["nat"]
    assert {name: len(lines) for name, lines in nat.chains.items()} == {
        "KUBE-NODEPORTS": 1,
        "KUBE-EXT-ZGZYMXMCLJDNVEPS": 1,
    }


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.9])
def test_a_dump_that_ends_too_early_is_a_fragment(cut: float) -> None:
    """What stands whole before the cut is whole."""
    found = evidence_in(V4[: int(len(V4) * cut)])
    (ruleset,) = found.rulesets
    assert Form.FRAGMENT is found.form
    last = list(ruleset.tables)[-1]
    assert frozenset({last}) == ruleset.unshown.open


def test_a_piece_of_a_listing_says_what_it_lacks() -> None:
    found = read_evidence(CASES / "k8s-listing" / "listing.txt")
    (ruleset,) = found.rulesets
    assert Form.LISTING is found.form
    assert frozenset({"filter"}) == ruleset.unshown.open
    assert ruleset.tables["filter"].policies["FORWARD"] == "DROP"
    assert "chains KUBE-PROXY-FIREWALL, KUBE-NODEPORTS and KUBE-FORWARD of filter" in [
        gap.what for gap in found.gaps
    ]
