"""Values that a program redacted in evidence and objects before they were shared."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nptables import Family, load, trace
from nptables.sources import evidence_in
from nptables.sources.text.redaction import followed
from nptables.tracing import packet_between
from tests.support.scenarios import CONFORMANCE, FIXTURES, named_scenario

ADDRESS = re.compile(r"(?<![\w.])(?!127\.)\d+\.\d+\.\d+\.\d+(?![\w.])")
NAME = "nodeport-cluster-policy"
DUMP = named_scenario(NAME).dumps["IPV4"]
NFT = (FIXTURES / "nft" / "ten-endpoints.1.0.6.nft").read_text()


def obfuscated(text: str, form: str = "x-ipv4-{:010d}-x") -> str:
    """The text as must-gather-clean writes it: a token for each address, but for the loopback."""
    tokens: dict[str, str] = {}
    return ADDRESS.sub(lambda m: tokens.setdefault(m[0], form.format(len(tokens) + 1)), text)


def outcomes(text: str) -> list[list[tuple[str, str, str]]]:
    scenario = named_scenario(NAME)
    node = scenario.cluster.node(scenario.node, facts=scenario.facts)
    rules = evidence_in(text).of(Family.IPV4)
    packet = packet_between("outside", "nodeport:30080", node=node, family=Family.IPV4)
    return [
        [(o.verdict.value, o.where, str(o.share)) for o in d.outcomes]
        for d in trace(rules, packet, node).distributions
    ]


@pytest.mark.parametrize(
    "form", ["x-ipv4-{:010d}-x", "x-mgc1-0123456789abcdef01234567-o1-x-ipv4-{:010d}-x"]
)
def test_a_token_is_followed_as_an_address_of_its_own(form: str) -> None:
    """The first two addresses of the dump are the endpoints'."""
    expected = [("endpoint", "241.0.0.1:80", "1/2"), ("endpoint", "241.0.0.2:80", "1/2")]
    assert [expected] == outcomes(obfuscated(DUMP, form))
    gaps = [str(gap) for gap in evidence_in(obfuscated(DUMP, form)).gaps]
    assert sum(f"{form.format(1)} is 241.0.0.1" in gap for gap in gaps) == 1


def test_a_network_of_which_the_bits_are_not_known_is_open() -> None:
    (rules,) = evidence_in(obfuscated(DUMP)).of(Family.IPV4)
    (line,) = [x for x in rules.lines("nat", "KUBE-SVC-QATUYZLPU4I4HE4S") if "MARK-MASQ" in x]
    assert '-m unread --words "! -s x-ipv4-0000000004-x/18" -d 241.0.0.3/32' in line


@pytest.mark.parametrize("hidden", ["***HIDDEN***", "xxx.xxx.xxx.xxx"])
def test_what_is_hidden_is_open_and_said_once(hidden: str) -> None:
    for text in (DUMP, NFT):
        found = evidence_in(ADDRESS.sub(hidden, text))
        assert sum("taken out of the text" in str(gap) for gap in found.gaps) == 1
    for case in outcomes(ADDRESS.sub(hidden, DUMP)):
        assert all(verdict == "unknown" for verdict, _, _ in case)


def test_a_hidden_line_leaves_its_table_open() -> None:
    text = DUMP.replace("-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000", "***HIDDEN***")
    (rules,) = evidence_in(text).of(Family.IPV4)
    assert {"nat"} == rules.unshown.open


def test_rules_of_nft_are_followed_too() -> None:
    (plain,) = evidence_in(NFT).of(Family.IPV4)
    (rules,) = evidence_in(obfuscated(NFT)).of(Family.IPV4)
    ends = [line for c, lines in rules.tables["nat"].chains.items() if "SEP" in c for line in lines]
    there = {found[0] for line in ends for found in ADDRESS.finditer(line)}
    assert len(there) == 10
    assert all(address.startswith("241.") for address in there)
    assert plain.rule_count() == rules.rule_count()


def test_objects_and_rules_have_the_same_address_for_a_token(tmp_path: Path) -> None:
    text = obfuscated((CONFORMANCE / "named" / "clusterip" / "cluster.yaml").read_text())
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    service = next(iter(load(path).cluster.services.values()))
    raw = next(o for o in yaml.safe_load_all(text) if o["kind"] == "Service")
    assert followed(raw["spec"]["clusterIP"])[0] == service.cluster_ips[Family.IPV4]


def test_that_sos_clean_put_other_names_is_said() -> None:
    text = DUMP.replace("default/nodeport-service", "obfuscatedword0/nodeport-service")
    assert "sos clean" in str(evidence_in(text).gaps[-1])


@given(st.lists(st.integers(1, 2**24 - 1), unique=True, min_size=2, max_size=20))
def test_two_tokens_are_two_addresses(numbers: list[int]) -> None:
    text = " ".join(f"x-ipv4-{n:010d}-x x-ipv6-{n:010d}-x" for n in numbers)
    assert 2 * len(numbers) == len(set(followed(text)[0].split()))


@given(st.text(max_size=60))
def test_a_text_without_tokens_stays_as_it_is(text: str) -> None:
    assert text == followed(text)[0] or "x-" in text or "***" in text
