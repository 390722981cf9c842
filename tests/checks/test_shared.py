"""Rules in chains that kubelet and kube-proxy share, told apart by what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nptables import Family, Ruleset
from nptables.checks import wrong_in_shared_chains
from tests.support.scenarios import FIXTURES, NAMED, named_scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

DROPPING = '-m comment --comment "kubernetes firewall for dropping marked packets"'
LOCALNET = (
    '! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" '
    "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT"
)
SNAT = '-m comment --comment "kubernetes service traffic requiring SNAT"'
GUARD = "-m mark ! --mark 0x4000/0x4000 -j RETURN"
TABLES = {
    "KUBE-FIREWALL": "filter",
    "KUBE-MARK-DROP": "nat",
    "KUBE-MARK-MASQ": "nat",
    "KUBE-POSTROUTING": "nat",
}


def found(chain: str, *rules: str, mark: str = "0x4000") -> list[str]:
    """What is said of a chain with these rules: the sentence between chain and rule."""
    table = TABLES[chain]
    lines = "".join(f"-A {chain} {rule}\n" for rule in rules)
    ruleset = Ruleset.from_save(f"*{table}\n:{chain} - [0:0]\n{lines}COMMIT\n")
    start = f"IPv4 {table} {chain}: "
    said = wrong_in_shared_chains(ruleset, mark)
    assert [text for text in said if not text.startswith(start)] == []
    return [text.removeprefix(start).partition(": -A")[0] for text in said]


@pytest.mark.parametrize(
    ("chain", "rule", "says"),
    [
        # The rule of the kubelet, without the --mark that it lost between two versions.
        ("KUBE-FIREWALL", f"{DROPPING} -j DROP", "it drops every packet"),
        ("KUBE-FIREWALL", "-j REJECT", "it drops every packet"),
        (
            "KUBE-FIREWALL",
            f"{DROPPING} -m mark --mark 0x0/0x8000 -j DROP",
            "it drops packets that are not marked for it",
        ),
        (
            "KUBE-FIREWALL",
            f"{DROPPING} -m mark ! --mark 0x8000/0x8000 -j DROP",
            "it drops packets that are not marked for it",
        ),
        (
            "KUBE-FIREWALL",
            "-s 10.244.0.0/16 -j DROP",
            "it drops packets that are not marked for it",
        ),
        (
            "KUBE-FIREWALL",
            "-m mark --mark 0x4000/0x4000 -j DROP",
            "it drops packets of Services that are marked for masquerading",
        ),
        ("KUBE-MARK-DROP", "-j DROP", "it drops what is only to be marked"),
        ("KUBE-MARK-DROP", "-j MARK --or-mark 0xc000", "it sets the mark for masquerading"),
        ("KUBE-MARK-MASQ", "-j DROP", "it drops what is only to be marked"),
        (
            "KUBE-MARK-MASQ",
            "-j MARK --set-xmark 0x8000/0x8000",
            "it does not set the mark for masquerading (0x4000)",
        ),
        (
            "KUBE-MARK-MASQ",
            "-j MARK --set-xmark 0xc000/0xc000",
            "it sets marks besides that for masquerading",
        ),
        (
            "KUBE-POSTROUTING",
            f"{SNAT} -j MASQUERADE",
            "it masquerades every packet, marked or not",
        ),
        ("KUBE-POSTROUTING", "-o eth0 -j DROP", "it drops packets on their way out"),
    ],
)
def test_a_rule_that_does_more_than_its_chain_is_for_is_found(
    chain: str, rule: str, says: str
) -> None:
    assert found(chain, rule) == [says]


@pytest.mark.parametrize(
    ("chain", "rules"),
    [
        (
            "KUBE-FIREWALL",
            (f"{DROPPING} -m mark --mark 0x8000/0x8000 -j DROP", f"{LOCALNET} -j DROP"),
        ),
        ("KUBE-FIREWALL", ("-m mark --mark 0x10000/0x10000 -j DROP",)),
        ("KUBE-FIREWALL", ("-m mark ! --mark 0x8000/0x8000 -j RETURN", "-j DROP")),
        ("KUBE-FIREWALL", ("-m conntrack --ctstate INVALID -j DROP", "-j ACCEPT")),
        ("KUBE-MARK-DROP", ("-j MARK --set-xmark 0x8000/0x8000",)),
        ("KUBE-MARK-DROP", ("-j MARK --or-mark 0x8000",)),
        ("KUBE-MARK-MASQ", ("-j MARK --or-mark 0x4000",)),
        ("KUBE-POSTROUTING", (GUARD, "-j MARK --xor-mark 0x4000", f"{SNAT} -j MASQUERADE")),
        ("KUBE-POSTROUTING", (f"{SNAT} -m mark --mark 0x4000/0x4000 -j MASQUERADE",)),
        (
            "KUBE-POSTROUTING",
            ("-m set --match-set KUBE-LOOP-BACK dst,dst,src -j MASQUERADE", GUARD),
        ),
    ],
)
def test_what_kubelet_and_kube_proxy_write_there_is_right(
    chain: str, rules: tuple[str, ...]
) -> None:
    assert found(chain, *rules) == []


def test_a_return_that_lost_its_mark_leaves_nothing_to_masquerade() -> None:
    assert found("KUBE-POSTROUTING", "-j RETURN", f"{SNAT} -j MASQUERADE") == [
        "it lets every packet return, so that none is masqueraded"
    ]


def test_the_mark_is_that_of_the_configuration_unless_the_node_masquerades_by_another() -> None:
    marking = "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x20/0x20\n"
    chains = ":KUBE-MARK-MASQ - [0:0]\n:KUBE-POSTROUTING - [0:0]\n"
    guard = "-A KUBE-POSTROUTING -m mark ! --mark 0x20/0x20 -j RETURN\n"

    assert found("KUBE-MARK-MASQ", "-j MARK --set-xmark 0x20/0x20", mark="0x20") == []
    ruleset = Ruleset.from_save(f"*nat\n{chains}{marking}{guard}COMMIT\n")
    assert wrong_in_shared_chains(ruleset, "0x4000") == []


def recorded() -> Iterator[tuple[str, str, Family]]:
    for name in NAMED:
        scenario = named_scenario(name)
        for family in Family:
            yield name, scenario.dumps[family.name], family
    for path in sorted((FIXTURES / "dumps").glob("*.save")):
        yield path.name, path.read_text(), Family.IPV6 if "ipv6" in path.name else Family.IPV4


def test_no_recording_of_a_sound_node_is_called_wrong() -> None:
    wrong = [
        (name, text)
        for name, dump, family in recorded()
        for text in wrong_in_shared_chains(Ruleset.from_save(dump, family=family), "0x4000")
    ]

    assert wrong == []
