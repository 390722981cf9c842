"""A value that is not a family is refused in words, wherever a family can be passed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from nptables import Family, ProxyConfig, Ruleset, load, reach, translate
from nptables.tracing import packet_between
from tests.support.scenarios import FIXTURES

if TYPE_CHECKING:
    from collections.abc import Callable

CLUSTER = load(FIXTURES / "tutorial" / "two-nodes.yaml").cluster
NODE = CLUSTER.node("node1")
CALLS: dict[str, Callable[[Any], object]] = {
    "translate": lambda family: translate(CLUSTER, NODE, ProxyConfig(), family),
    "from_save": lambda family: Ruleset.from_save("*nat\nCOMMIT\n", family=family),
    "reach": lambda family: reach(CLUSTER, families=[family]),
    "packet_between": lambda family: packet_between(
        "outside", "nodeport:30080", node=NODE, family=family
    ),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("wrong", ["IPv4", "ipv6", 4, True])
def test_what_is_no_family_is_refused_with_the_names_of_both(name: str, wrong: object) -> None:
    with pytest.raises(TypeError, match=r"is not a family: use Family\.IPV4 or Family\.IPV6"):
        CALLS[name](wrong)


@pytest.mark.parametrize("name", CALLS)
def test_both_families_are_taken(name: str) -> None:
    assert [CALLS[name](family) for family in Family]
