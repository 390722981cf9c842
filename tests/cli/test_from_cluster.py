"""`nptables trace` and `nptables check` of a running cluster, read from its API server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from nptables.cli import main
from tests.support.apiserver import ApiServer
from tests.support.objects import endpoint_slice, node, service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TO_NODE_PORT = ["--from", "outside", "--to", "nodeport:30080"]


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[str]:
    """A cluster of two nodes where a Service with the Local policy has its endpoint on node1."""
    with ApiServer() as server:
        server.put(
            node("node1", podCIDR="10.244.1.0/24"),
            node("node2", "192.168.0.3", podCIDR="10.244.2.0/24"),
            service("web", node_port=30080, externalTrafficPolicy="Local"),
            endpoint_slice("web", "10.244.1.5"),
        )
        yield str(server.kubeconfig(tmp_path / "kubeconfig"))


def test_a_packet_is_followed_in_the_rules_that_the_cluster_makes(
    kubeconfig: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["trace", "--kubeconfig", kubeconfig, "--node", "node1", *TO_NODE_PORT]) == 0

    assert capfd.readouterr().out.startswith("arrives: default/web:p at 10.244.1.5:8080 on node1")


def test_the_reasons_are_in_the_words_of_the_cluster(
    kubeconfig: str, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--kubeconfig", kubeconfig, "--context", "test", "--node", "node2"]

    assert main(["trace", *arguments, *TO_NODE_PORT]) == 1

    assert capfd.readouterr().out.splitlines()[0] == (
        "does not arrive: DROP: default/web has externalTrafficPolicy Local and its only ready "
        "endpoint is not on node2 (it is on node1)"
    )


def test_a_dump_can_be_explained_by_a_cluster(
    kubeconfig: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", "--kubeconfig", kubeconfig, "--node", "node2"]) == 0
    dump = tmp_path / "node2.save"
    dump.write_text(capfd.readouterr().out)

    arguments = ["--kubeconfig", kubeconfig, "--save", str(dump), "--node", "node2"]
    assert main(["trace", *arguments, *TO_NODE_PORT]) == 1

    assert "default/web has externalTrafficPolicy Local" in capfd.readouterr().out


def test_a_context_that_is_not_there_ends_a_trace_with_3(
    kubeconfig: str, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--kubeconfig", kubeconfig, "--context", "no", "--node", "node1"]

    assert main(["trace", *arguments, *TO_NODE_PORT]) == 3
    assert "cannot be used" in capfd.readouterr().err


def test_check_finds_the_mistakes_of_a_running_cluster(
    kubeconfig: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--kubeconfig", kubeconfig, "-o", "json"]) == 1

    (finding,) = json.loads(capfd.readouterr().out)["findings"]
    assert (finding["code"], finding["object"]) == ("NPT102", "web")


def test_check_looks_at_one_node_of_a_running_cluster(kubeconfig: str) -> None:
    arguments = ["check", "--kubeconfig", kubeconfig, "--context", "test"]

    assert main([*arguments, "--node", "node1"]) == 0
    assert main([*arguments, "--node", "node2"]) == 1


@pytest.mark.parametrize("command", [["trace", *TO_NODE_PORT], ["check"]])
def test_a_cluster_and_files_together_are_a_mistake(
    command: list[str], kubeconfig: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "x.yaml", "--kubeconfig", kubeconfig]) == 2
    assert "name one of the two" in capfd.readouterr().err
