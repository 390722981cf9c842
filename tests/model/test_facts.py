"""What facts of a node say, and who told them."""

from __future__ import annotations

from nptables.model.node import NodeFacts


def test_facts_are_equal_whether_they_were_told_or_are_the_usual_ones() -> None:
    told = NodeFacts(told=frozenset({"nfacct", "randomFully"}))

    assert told == NodeFacts()
    assert repr(told) == repr(NodeFacts())
