"""`diff --all-nodes`: what changes on every Node, equal changes once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from nptables.cli import main
from tests.support.clusters import endpoint, endpoint_slice, node, service
from tests.support.documentation import TUTORIAL

if TYPE_CHECKING:
    from pathlib import Path

NODES = [node(f"node{number}") for number in range(1, 7)]
VERSION = ("--kube-proxy-version", "1.36")


def write(path: Path, *objects: dict[str, Any], nodes: list[dict[str, Any]] | None = None) -> str:
    path.write_text(yaml.safe_dump_all([*(NODES if nodes is None else nodes), *objects]))
    return str(path)


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """A Pod with a Local Service moves from node1 to node2, of six nodes."""
    one = service(externalTrafficPolicy="Local")
    return (
        write(tmp_path / "old.yaml", one, endpoint_slice(endpoint("10.244.1.6", "node1"))),
        write(tmp_path / "new.yaml", one, endpoint_slice(endpoint("10.244.2.6", "node2"))),
    )


def diff(*arguments: str) -> int:
    return main(["diff", *arguments, "--all-nodes", *VERSION])


def test_equal_changes_of_many_nodes_are_shown_once(
    files: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert diff(*files, "-4") == 1

    out, err = capfd.readouterr()
    # Four nodes change alike; the one that loses the Pod and the one that gains it do not.
    assert [line for line in err.splitlines() if " on node" in line] == [
        "note: IPv4 on node1:",
        "note: IPv4 on node2:",
        "note: IPv4 on node3, node4, node5 and node6:",
    ]
    assert out.count("# default/web\n") == 3


def test_each_node_has_the_changes_that_it_has_alone(
    files: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert diff(*files, "-o", "json") == 1
    together = json.loads(capfd.readouterr().out)["plans"]

    for name in (one["metadata"]["name"] for one in NODES):
        main(["diff", *files, "--node", name, "-o", "json", *VERSION])
        alone = [p for p in json.loads(capfd.readouterr().out)["plans"] if p["family"] == "IPv4"]
        shared = [
            {key: value for key, value in plan.items() if key != "nodes"}
            for plan in together
            if name in plan["nodes"]
        ]
        assert alone == shared


def test_effects_name_the_nodes_that_share_them(
    files: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert diff(*files, "--effects") == 1

    lines = capfd.readouterr().out.splitlines()
    # By hand: the cluster IP leads elsewhere on all six, the nodePort for packets of the node too;
    # packets of others are dropped where the Pod was, and arrive where it is.
    all_six = "6 nodes (node1, node2, node3, node4 and 2 more)"
    old, new = "10.244.1.6:8080", "10.244.2.6:8080"
    moved = f"reached {old}, now {new}"
    others = "from outside, other nodes and pods"
    gone, come = "now dropped (no local endpoint)", "was dropped (no local endpoint)"
    assert lines == [
        f"default/web node port 30080 on node1, {others}: was sent to {old}, source kept, {gone}",
        f"default/web node port 30080 on {all_six}, from this node: {moved}",
        f"default/web node port 127.0.0.1:30080 on {all_six}, from this node: {moved}",
        f"default/web cluster IP 10.96.0.10:80 on {all_six}, from anywhere: {moved}",
        f"default/web node port 30080 on node2, {others}: {come}, now sent to {new}, source kept",
    ]


def test_what_differs_in_the_address_of_a_node_alone_is_shown_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A node's own address is barred from 127.0.0.1, each node's by itself."""
    tutorial = TUTORIAL.read_text()
    (tmp_path / "new.yaml").write_text(tutorial.replace("nodePort: 30080", "nodePort: 30081"))

    assert diff(str(TUTORIAL), str(tmp_path / "new.yaml"), "--effects") == 1

    out = capfd.readouterr().out
    assert "30080 on node1 and node2, from its own address: was sent to 10.233.64.5:80" in out
    assert "192.168.0.1" not in out


def test_json_of_effects_has_every_node(
    files: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert diff(*files, "--effects", "-o", "json") == 1

    effects = json.loads(capfd.readouterr().out)["effects"]
    assert {effect["node"] for effect in effects} == {f"node{number}" for number in range(1, 7)}


def test_nodes_that_come_or_go_are_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    one = service()
    old = write(tmp_path / "old.yaml", one, nodes=NODES[:2])
    new = write(tmp_path / "new.yaml", one, nodes=NODES[1:3])

    assert diff(old, new) == 0
    err = capfd.readouterr().err
    assert "Node node1 is gone, so nothing is compared there" in err
    assert "Node node3 is new, so nothing is compared there" in err
    assert "nothing changes on any Node" in err


@pytest.mark.parametrize("options", [[], ["--effects"]])
def test_where_no_node_is_in_both_nothing_is_said_to_stay_the_same(
    options: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    one = service()
    old = write(tmp_path / "old.yaml", one, nodes=NODES[:1])
    new = write(tmp_path / "new.yaml", one, nodes=NODES[1:2])

    assert diff(old, new, *options) == 2

    err = capfd.readouterr().err
    assert "no Node is in both FILEs (name one with --node instead)" in err
    assert "nothing" not in err


def test_services_beside_nodes_have_those_nodes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    slices = endpoint_slice(endpoint("10.244.1.6", "node1"))
    old = write(tmp_path / "old.yaml", service(), slices)
    new = write(
        tmp_path / "new.yaml", service(ports=[{"port": 81, "nodePort": 30080}]), slices, nodes=[]
    )

    assert diff(old, new, "-4") == 1
    assert "IPv4 on 6 nodes (node1, node2, node3, node4 and 2 more):" in capfd.readouterr().err


def test_without_any_node_there_is_nothing_to_compare(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    one = write(tmp_path / "one.yaml", service(), nodes=[])

    assert diff(one, one) == 2
    assert "there is no Node in either FILE" in capfd.readouterr().err


@pytest.mark.parametrize(
    "option",
    [("--node", "node1"), ("--facts", "x"), ("--to-version", "1.30"), ("-o", "restore")],
)
def test_what_is_about_one_node_does_not_go_with_all(
    option: tuple[str, ...], files: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert diff(*files, *option) == 2
    assert "--all-nodes" in capfd.readouterr().err
