"""In which table a pasted rule is, by its own words and by the rules around it."""

from __future__ import annotations

import pytest

from nptables.iptables.pasted.placing import place

MARK = "-A KUBE-MARK -j MARK --set-xmark 0x4000/0x4000"


def nobody(_name: str) -> str:
    return ""


@pytest.mark.parametrize(
    ("lines", "tables", "guessed"),
    [
        # A target that is in one table only tells, and what leads to its chain is there too.
        (["-A A -j B", "-A B -j DNAT --to-destination 10.0.0.1:80"], ["nat", "nat"], []),
        (["-A A -j B", "-A B -j C", "-A C -j MASQUERADE"], ["nat"] * 3, []),
        # What a chain of a known table leads to is in it.
        (["-A A -j B", "-A B -j RETURN", "-A A -j SNAT --to-source 10.0.0.1"], ["nat"] * 3, []),
        # A chain in two tables tells nothing of the third rule.
        (
            ["-A A -j MASQUERADE", "-A A -j REJECT", "-A A -s 10.0.0.1/32"],
            ["nat", "filter", "filter"], [2],
        ),
        # Nobody knows: a built-in chain has a likely table, all else is taken for filter.
        (["-A PREROUTING -j ACCEPT", "-A INPUT -j X", "-A X -j ACCEPT"],
         ["nat", "filter", "filter"], [0, 1, 2]),
        # INPUT is in nat as well, FORWARD is not: the rule that leads from there is elsewhere.
        (["-A INPUT -j X", "-A X -j DNAT --to-destination 10.0.0.1"], ["nat", "nat"], []),
        (["-A FORWARD -j X", "-A X -j DNAT --to-destination 10.0.0.1"], ["filter", "nat"], [0]),
    ],
)  # fmt: skip
def test_rules_are_in_the_table_of_what_they_lead_to(
    lines: list[str], tables: list[str], guessed: list[int]
) -> None:
    found = place(lines, nobody)

    assert list(found.tables) == tables
    assert sorted(found.guessed) == guessed


def test_a_chain_with_a_home_tells_where_rules_are_that_lead_there() -> None:
    found = place(["-A X -j MINE", "-A MINE -j ACCEPT"], {"MINE": "mangle"}.get)  # type: ignore[arg-type]

    assert found.tables == ("mangle", "mangle")
    assert not found.guessed
