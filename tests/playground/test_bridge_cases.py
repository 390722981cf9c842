"""For every input of the fixtures the bridge answers what the command line prints."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.bundles import Node, as_tar, eks, must_gather
from tests.support.documentation import ROOT
from tests.support.playground import Case, asked, cases, document_of, manifests, printed
from tests.support.scenarios import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

ONE_POD = (ROOT / "docs" / "files" / "one-pod.yaml").read_text()
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


def test_a_folder_is_read_as_the_command_reads_it() -> None:
    """With a chart, a kustomization and plain manifests; nothing is rendered on either side."""
    folder = FIXTURES / "manifests-as-found"
    paths = sorted(path for path in (folder / "tree").rglob("*") if path.is_file())
    files = [{"name": str(p.relative_to(folder)), "text": p.read_text()} for p in paths]

    expected = printed("check", "tree", "--no-render", folder=folder)

    assert expected == document_of(asked("findings", {"files": files}))


@pytest.mark.parametrize("head", ["kustomization.yaml", "Chart.yaml"])
def test_a_file_that_stands_for_a_folder_is_read_as_that_folder(head: str, tmp_path: Path) -> None:
    texts = {"web.yaml": ONE_POD, head: "resources: [web.yaml]\nname: web\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    files = [{"name": name, "text": text} for name, text in texts.items()]

    expected = printed("check", *texts, "--no-render", folder=tmp_path)

    assert expected == document_of(asked("findings", {"files": files}))


def test_bundles_are_opened_as_the_command_opens_them(tmp_path: Path) -> None:
    """The objects of a cluster as `oc adm must-gather` has them, and a node as EKS collects it."""
    case = FIXTURES / "cases" / "docker-forward-drop"
    objects = list(yaml.safe_load_all((case / "local.yaml").read_text()))
    bundles = {
        "cluster.tar.gz": as_tar(must_gather(objects), "gz"),
        "node.tar.gz": as_tar(eks(Node({"IPV4": (case / "dump.txt").read_text()})), "gz"),
    }
    for name, data in bundles.items():
        (tmp_path / name).write_bytes(data)
    files = [{"name": n, "base64": base64.b64encode(d).decode()} for n, d in bundles.items()]
    held = {"files": files[:1], "evidence": files[1:], "node": "node1"}
    ends = ["--from", "outside", "--to", "nodeport:30080", "--node", "node1"]

    expected = printed("check", "cluster.tar.gz", folder=tmp_path)
    assert expected == document_of(asked("findings", {"files": files[:1]}))
    words = ["trace", "cluster.tar.gz", "--snapshot", "node.tar.gz", *ends]
    expected = printed(*words, folder=tmp_path)
    assert expected == document_of(
        asked("trace", {**held, "from": "outside", "to": "nodeport:30080"})
    )
