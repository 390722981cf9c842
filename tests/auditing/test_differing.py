"""How Services differ: as they may have been once, or as they never were."""

from __future__ import annotations

import pytest

from nptables import Ruleset
from nptables.auditing.differing import Differing, Kind
from nptables.translation.explanation.grouping import service_of
from tests.support.clusters import Object, endpoint, endpoint_slice, rules_of, service

BALANCER = {
    "type": "LoadBalancer",
    "status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.9"}]}},
}
RANGES = {"loadBalancerSourceRanges": ["203.0.113.0/24"]}


def _rules(**spec: Object | list[str] | str) -> Ruleset:
    return rules_of(service(**BALANCER, **spec), endpoint_slice(endpoint("10.244.1.1")))


@pytest.mark.parametrize("policy", ["Cluster", "Local"])
def test_a_service_that_has_lost_its_source_ranges_is_behind_and_not_damaged(policy: str) -> None:
    """No line of the chain KUBE-FW that is still there is a fixed rule of kube-proxy's."""
    before = _rules(externalTrafficPolicy=policy, **RANGES)
    after = rules_of(
        service(**BALANCER, externalTrafficPolicy=policy), endpoint_slice(endpoint("10.244.1.1"))
    )

    found = Differing.between(Ruleset.from_save(before.to_save()), after)

    assert found.fixed == ()
    assert any(place.startswith("KUBE-FW-") for place in found.services["default/web"])
    assert found.kind("default/web") is Kind.OLDER


def test_a_chain_of_source_ranges_without_a_name_goes_with_what_led_to_it() -> None:
    """As of any other hashed chain that is unwanted, nobody can tell whose it was."""
    after = rules_of(service(), endpoint_slice(endpoint("10.244.1.1")))
    text = after.to_save()
    nat = text.index("*nat")
    end = text.index("COMMIT", nat)
    chain = "KUBE-FW-AAAAAAAAAAAAAAAA"
    stale = f"{text[:end]}:{chain} - [0:0]\n-A {chain} -j RETURN\n{text[end:]}"

    found = Differing.between(Ruleset.from_save(stale), after)

    assert (found.fixed, found.services) == ((), {})


def test_every_line_of_a_service_with_a_comment_names_it() -> None:
    """Of whichever traffic the comment speaks."""
    rules = _rules(externalTrafficPolicy="Local", healthCheckNodePort=30999, **RANGES)
    lines = [
        line
        for table in rules.tables.values()
        for chain, lines in table.chains.items()
        for line in lines
        if " --comment " in line and "default/web" in line
    ]

    assert len(lines) > 10
    assert {service_of(line) for line in lines} == {"default/web"}


def test_a_service_of_which_the_node_has_no_chain_is_without_rules() -> None:
    """The chains that all Services share are there, and are not its own."""
    expected = rules_of(service(), endpoint_slice(endpoint("10.244.1.1")))
    rules = Ruleset.from_save(rules_of().to_save())

    found = Differing.between(rules, expected)

    assert "KUBE-NODEPORTS" in found.services["default/web"]
    assert found.kind("default/web") is Kind.MISSING
