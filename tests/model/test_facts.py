"""What facts of a node say, and who told them."""

from __future__ import annotations

from nptables import Cluster
from nptables.model.node import NodeFacts


def test_facts_are_equal_whether_they_were_told_or_are_the_usual_ones() -> None:
    told = Cluster().node("node1", {"nfacct": False, "randomFully": True}).facts

    assert told.told == {"nfacct", "randomFully"}
    assert (told, repr(told)) == (NodeFacts(), repr(NodeFacts()))
