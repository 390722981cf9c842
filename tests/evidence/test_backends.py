"""Which of a node's tables are the ones for Services."""

from __future__ import annotations

import attrs
import pytest

from nptables.errors import InvalidInput
from nptables.evidence import Evidence, Form
from nptables.evidence.backends import (
    active_rulesets,
    chains_in_use,
    decide_backend,
    other_backend,
    service_ruleset,
)
from nptables.family import Family
from nptables.iptables import Ruleset

EMPTY = "*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n"
FIREWALL = "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n"
SERVICES = "*nat\n:KUBE-SVC-ABCDEFGHIJKLMNOP - [0:0]\nCOMMIT\n"
KUBELET = "*mangle\n:KUBE-KUBELET-CANARY - [0:0]\nCOMMIT\n"
JUMPS = "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j ACCEPT\nCOMMIT\n"


def tables(text: str, backend: str = "", family: Family = Family.IPV4) -> Ruleset:
    return attrs.evolve(Ruleset.from_save(text, family=family), backend=backend)


def both(legacy: str, nft: str) -> Evidence:
    return Evidence(Form.SAVED, (tables(legacy, "legacy"), tables(nft, "nft")))


@pytest.mark.parametrize(
    ("legacy", "nft", "backend"),
    [
        (SERVICES, JUMPS, "legacy"),
        (JUMPS, SERVICES, "nft"),
        (JUMPS, KUBELET, "nft"),
        (JUMPS, EMPTY, "legacy"),
    ],
    ids=["services-in-legacy", "services-in-nft", "kubelet-in-nft", "more-rules-in-legacy"],
)
def test_the_backend_for_services_is_known_by_what_is_in_it(
    legacy: str, nft: str, backend: str
) -> None:
    assert backend == service_ruleset(both(legacy, nft), Family.IPV4).backend


@pytest.mark.parametrize(
    ("legacy", "nft", "said", "code"),
    [
        (SERVICES, SERVICES, "both have rules", "two-backends"),
        (EMPTY, FIREWALL, "neither has rules", ""),
    ],
    ids=["two-with-services", "as-many-rules"],
)
def test_where_nothing_tells_the_backend_it_has_to_be_named(
    legacy: str, nft: str, said: str, code: str
) -> None:
    evidence = both(legacy, nft)

    with pytest.raises(InvalidInput) as raised:
        service_ruleset(evidence, Family.IPV4)

    (problem,) = raised.value.problems
    assert said in problem.message
    assert "--backend" in problem.hint
    assert code == problem.code
    assert service_ruleset(evidence, Family.IPV4, "nft") is evidence.rulesets[1]


def test_of_two_with_rules_for_services_the_larger_is_taken_where_one_has_to_be() -> None:
    larger = SERVICES.replace("COMMIT", "-A KUBE-SVC-ABCDEFGHIJKLMNOP -j ACCEPT\nCOMMIT")

    assert service_ruleset(both(SERVICES, larger), Family.IPV4, strict=False).backend == "nft"


def test_a_backend_that_is_not_there_is_an_error_and_an_unknown_one_will_do() -> None:
    unknown = Evidence(Form.SAVED, (tables(JUMPS),))
    known = Evidence(Form.SAVED, (tables(JUMPS, "nft"),))

    assert service_ruleset(unknown, Family.IPV4, "legacy") is unknown.rulesets[0]
    with pytest.raises(InvalidInput, match="no legacy tables in this dump"):
        service_ruleset(known, Family.IPV4, "legacy")


def test_a_family_that_is_not_there_is_an_error_that_names_the_one_that_is() -> None:
    evidence = Evidence(Form.LISTING, (tables(JUMPS, family=Family.IPV6),))

    assert evidence.families == (Family.IPV6,)
    with pytest.raises(InvalidInput) as raised:
        service_ruleset(evidence, Family.IPV4)
    (problem,) = raised.value.problems
    assert (problem.message, problem.hint) == (
        "there are no rules of IPv4 in this listing", "it has those of IPv6",
    )  # fmt: skip


def test_the_other_backend_counts_where_it_does_anything() -> None:
    evidence = both(SERVICES, FIREWALL)
    legacy, nft = evidence.rulesets

    assert other_backend(evidence, legacy) is nft
    assert chains_in_use(nft) == ["filter FORWARD"]
    assert other_backend(both(SERVICES, EMPTY), both(SERVICES, EMPTY).rulesets[0]) is None


def test_a_packet_meets_the_tables_that_do_anything() -> None:
    assert [r.backend for r in active_rulesets(both(JUMPS, FIREWALL), Family.IPV4)] == [
        "legacy",
        "nft",
    ]
    assert [r.backend for r in active_rulesets(both(EMPTY, FIREWALL), Family.IPV4)] == ["nft"]
    assert [r.backend for r in active_rulesets(both(EMPTY, EMPTY), Family.IPV4)] == ["legacy"]
    assert [r.backend for r in active_rulesets(both(JUMPS, FIREWALL), Family.IPV4, "nft")] == [
        "nft"
    ]


def test_the_reason_for_a_backend_is_said_in_words() -> None:
    one, two = tables(KUBELET, "legacy"), tables(JUMPS, "nft")

    assert decide_backend([one]) == (one, "the kubelet's KUBE-KUBELET-CANARY is there")
    assert decide_backend([two]) == (two, "it is the only one here")
    assert decide_backend([tables(EMPTY), two]) == (two, "it has more rules")
