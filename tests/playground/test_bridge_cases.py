"""For every input of the fixtures the bridge answers what the command line prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.playground import Case, asked, cases, document_of, manifests, printed

if TYPE_CHECKING:
    from pathlib import Path

CASES = {case.name: case for case in cases()}
MANIFESTS = {case.name: case for case in manifests()}


def both(case: Case, ask: str, command: list[str], folder: Path, **fields: Any) -> tuple[Any, Any]:
    """What a command prints for a case, and what the bridge answers."""
    more = {"whole": True} if ask == "rules" else {}
    words = [command[0], *case.written(folder), *command[1:]]
    return printed(*words, folder=folder), document_of(asked(ask, case.state(**fields), **more))


def default_node(case: Case) -> tuple[str, list[str]]:
    """The node that the bridge looks at where none is chosen, and those that can be chosen.

    The command line wants to have it named: there is nobody who sees which one was taken.
    """
    choices = asked("choices", case.state())
    return (choices["result"]["node"], choices["result"]["nodes"]) if choices["ok"] else ("", [])


def test_there_are_inputs_to_compare() -> None:
    assert len(CASES) > 60
    assert len(MANIFESTS) > 60


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.manifest])
def test_findings_are_those_of_the_command(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    node, _ = default_node(case) if case.evidence else ("", [])
    named = ["--node", node] if node else []
    expected, actual = both(case, "findings", ["check", *named], tmp_path)

    assert expected == actual


@pytest.mark.parametrize("name", MANIFESTS)
def test_manifests_have_the_findings_of_the_command(name: str, tmp_path: Path) -> None:
    expected, actual = both(MANIFESTS[name], "findings", ["check"], tmp_path)

    assert expected == actual


@pytest.mark.parametrize("name", CASES)
def test_packets_fare_as_the_command_says(name: str, tmp_path: Path) -> None:
    """The first destinations that can be chosen, from outside, on one node and on all of them."""
    case = CASES[name]
    choices = asked("choices", case.state())
    found = choices["result"] if choices["ok"] else {"destinations": [], "node": "", "nodes": []}
    destinations = [end["value"] for end in found["destinations"][:2]] or ["10.96.0.10:53/UDP"]
    every = len(found["nodes"]) > 1 and case.evidence is None and case.facts is None
    for number, to in enumerate(destinations):
        node = "" if every and number else found["node"]
        command = ["trace", "--from", "outside", "--to", to, *(["--node", node] if node else [])]
        state = {"from": "outside", "to": to, "node": node}
        expected, actual = both(case, "trace", command, tmp_path, **state)

        assert expected == actual


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c.manifest and not c.evidence])
def test_rules_and_reach_are_those_of_the_command(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    node, nodes = default_node(case)
    named = ["--node", node or "node"]

    expected, actual = both(case, "rules", ["render", *named], tmp_path)
    assert expected == actual
    six = both(case, "rules", ["render", "-6", *named], tmp_path, family="IPv6")
    assert six[0] == six[1]
    if case.facts is None:
        all_of_them = [] if nodes else ["--nodes", "node"]
        expected, actual = both(case, "reach", ["reach", *all_of_them], tmp_path)
        assert expected == actual


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c.manifest and c.evidence])
def test_a_node_differs_from_its_cluster_as_the_command_says(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    node, _ = default_node(case)
    named = ["--node", node] if node else []
    expected, actual = both(case, "changes", ["diff", "--effects", *named], tmp_path)

    assert expected == actual
