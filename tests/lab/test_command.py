"""The command as it is typed on a node, from manifest to packets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.laboratory.addresses import NODE1, NODE2
from tests.lab.laboratory.lab import REFUSED, Question, answered

if TYPE_CHECKING:
    from tests.lab.laboratory.lab import Laboratory

pytestmark = pytest.mark.lab

TUTORIAL = Path(__file__).parents[2] / "fixtures" / "tutorial" / "two-nodes.yaml"
NODE_PORT = 30080


def nptables(lab: Laboratory, node: str, *arguments: str | Path) -> str:
    """Run nptables in a process of its own; return what it says to people."""
    argv = [sys.executable, "-m", "nptables", *arguments]
    return lab.namespaces[node].run(argv).stderr


def test_the_tutorial_is_applied_twice_and_cleaned_up(lab: Laboratory) -> None:
    backend = f"--backend={lab.backend}"
    to_node1 = Question("client", NODE1.address, NODE_PORT)
    to_node2 = Question("client", NODE2.address, NODE_PORT)
    applied = ("apply", TUTORIAL, backend, "--force", "--node")

    for node in ("node1", "node2"):
        nptables(lab, node, *applied, node)
    lab.check(
        {
            to_node1: answered("pod1a", seeing=NODE1.bridge),
            to_node2: answered("pod1a", seeing=NODE2.address),
        },
        protocols=["tcp"],
        families=["IPV4"],
    )

    assert "nothing to do" in nptables(lab, "node1", *applied, "node1")

    for node in ("node1", "node2"):
        nptables(lab, node, "cleanup", backend)
    lab.check({to_node1: REFUSED, to_node2: REFUSED}, protocols=["tcp"], families=["IPV4"])
