"""`diff` as the package offers it."""

from __future__ import annotations

import pytest

from nptables import Family, Ruleset, diff
from tests.support.clusters import endpoint, endpoint_slice, rules_of, service


def test_two_dumps_are_compared_by_what_kube_proxy_owns() -> None:
    before = rules_of(service(), endpoint_slice(endpoint("10.0.0.1"))).to_save()
    after = rules_of(service(), endpoint_slice(endpoint("10.0.0.2"))).to_save()
    old, new = (Ruleset.from_save(text, family=Family.IPV4) for text in (before, after))
    plan = diff(old, new)
    assert len(plan.tables["nat"].create) == len(plan.tables["nat"].delete) == 1
    assert not diff(new, new)


def test_rules_of_others_are_no_drift_between_two_dumps() -> None:
    text = rules_of(service()).to_save()
    foreign = text.replace(":KUBE-FIREWALL", ":DOCKER-USER - [0:0]\n:KUBE-FIREWALL").replace(
        "-A INPUT -j KUBE-FIREWALL", "-A INPUT -j DOCKER-USER\n-A INPUT -j KUBE-FIREWALL"
    )
    assert foreign != text
    old, new = (Ruleset.from_save(t, family=Family.IPV4) for t in (foreign, text))
    assert not diff(old, new)


def test_families_are_not_compared_with_each_other() -> None:
    with pytest.raises(ValueError, match="cannot compare IPv4 with IPv6 rules"):
        diff(rules_of(), rules_of(family=Family.IPV6))
