"""The options of reading that every command with FILE arguments has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from nptables.cli import main
from tests.support.clusters import endpoint, endpoint_slice

if TYPE_CHECKING:
    from pathlib import Path

SERVICE = """apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, ports: [{port: 80}]}
---
apiVersion: v1
kind: Secret
metadata: {name: s}
"""


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    path = tmp_path / "web.yaml"
    path.write_text(SERVICE)
    return str(path)


def test_what_is_made_up_is_listed_and_used(
    manifest: str, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ["--service-cidr", "172.20.7.0/30", "--node-port-range", "31000-31000"]

    assert main(["render", manifest, "--node", "node1", *options]) == 0

    out, err = capfd.readouterr()
    assert "note: Service default/web: spec.clusterIP is invented: 172.20.7." in err
    assert "note: Service default/web: spec.ports[0].nodePort is invented: 31000" in err
    assert "--dport 31000" in out


def test_nothing_is_made_up_where_previews_are_refused(
    manifest: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", manifest, "--node", "node1", "--no-preview"]) == 2

    out, err = capfd.readouterr()
    assert out == ""
    assert "spec.clusterIP: is not set, and no value may be invented" in err


def test_two_ranges_of_one_family_are_refused_instead_of_the_last_being_taken(
    manifest: str, capfd: pytest.CaptureFixture[str]
) -> None:
    ranges = ["--service-cidr", "10.0.0.0/16", "--service-cidr", "10.1.0.0/16"]

    assert main(["render", manifest, "--node", "node1", *ranges]) == 2

    said = "10.0.0.0/16 and 10.1.0.0/16 are Service ranges of IPv4 (at most one of each family)"
    assert said in capfd.readouterr().err


def test_a_range_that_is_none_is_a_wrong_command_line(
    manifest: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", manifest, "--node-port-range", "many"]) == 2
    assert 'the node port range "many" is not a range' in capfd.readouterr().err


def test_objects_that_decide_nothing_are_counted_when_asked(
    manifest: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", manifest, "--node", "node1"]) == 0
    assert "Secret" not in capfd.readouterr().err
    assert main(["render", manifest, "--node", "node1", "-v"]) == 0
    assert "skipped, because they affect no rule: 1 Secret" in capfd.readouterr().err


DUAL = [
    ("render", "the rules of one family are printed at a time; render once for each"),
    ("trace", "a packet is of one family"),
]


@pytest.mark.parametrize(("command", "why"), DUAL)
def test_both_families_together_are_refused_where_only_one_can_be_shown(
    command: str, why: str, manifest: str, capfd: pytest.CaptureFixture[str]
) -> None:
    more = {
        "render": ["--node", "node1"],
        "trace": ["--node", "node1", "--from", "outside", "--to", "svc:default/web"],
    }

    assert main([command, manifest, *more[command], "-4", "-6"]) == 2

    out, err = capfd.readouterr()
    assert out == ""
    assert f"-4 and -6 together: {why}" in err


def test_both_families_together_are_both_where_both_can_be_shown(
    tmp_path: Path, manifest: str, capfd: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n")
    found = {}
    for options in ((), ("-4", "-6"), ("-64",), ("-4",)):
        arguments = ["diff", str(other), manifest, "--node", "node1", "-o", "json", *options]
        assert main(arguments) == 1
        plans = json.loads(capfd.readouterr().out)["plans"]
        found["".join(options)] = [plan["family"] for plan in plans]

    both = ["IPv4", "IPv6"]
    assert found == {"": both, "-4-6": both, "-64": both, "-4": ["IPv4"]}


def nodes(*names: str) -> str:
    node = "apiVersion: v1\nkind: Node\nmetadata: {{name: {}}}\n---\n"
    return "".join(node.format(name) for name in names)


def test_which_node_is_the_only_one_or_a_question_that_names_them(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cluster.yaml"

    path.write_text(nodes("a") + SERVICE)
    assert main(["render", str(path)]) == 0

    path.write_text(nodes(*(f"n{number:02}" for number in range(22))) + SERVICE)
    assert main(["render", str(path)]) == 2
    assert capfd.readouterr().err.endswith(
        "n18, n19 and 2 more (name one with --node)\n",
    )


def test_without_a_node_the_names_that_endpoints_carry_are_listed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cluster.json"
    path.write_text(json.dumps(endpoint_slice(endpoint("10.244.1.1", "node7"))))

    assert main(["render", str(path)]) == 2
    assert capfd.readouterr().err == (
        "error: Node: which node? the input has no Node object; endpoints are on: node7 "
        "(name one with --node)\n"
    )
