"""Bundles on the command line: in the place of FILE and of --snapshot, and in that of both."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml

from nptables.cli import main
from tests.support import bundles
from tests.support.bundles import PACKINGS, Node
from tests.support.scenarios import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

BEHIND = FIXTURES / "cases" / "behind"
OBJECTS = list(yaml.safe_load_all((BEHIND / "cluster.yaml").read_text()))
NODE = Node({"IPV4": (BEHIND / "dump.txt").read_text()})
NAMED = ["--node", "node-a"]
CONFIGURATION = """\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clusterCIDR: 10.244.0.0/16
"""


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """What a collector gathered on node-a, which knows its name with a domain."""
    files = {
        name: data.replace(b"ip-10-0-0-7", b"node-a")
        for name, data in bundles.rancher(NODE).items()
    }
    path = tmp_path / "logs" / "a.tar.xz"
    path.parent.mkdir()
    path.write_bytes(PACKINGS["tar.xz"](files))
    return path


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    """The objects of the cluster, twenty minutes before the rules."""
    path = tmp_path / "cluster"
    path.write_bytes(PACKINGS["tar.gz"](bundles.must_gather(OBJECTS)))
    return path


def answer(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    "command",
    [
        ["diff"],
        ["diff", "--effects", "-o", "json"],
        ["check"],
        ["trace", "--from", "outside", "--to", "10.96.20.21:80", "--node-address", "192.0.2.11"],
    ],
)
def test_bundles_answer_as_what_they_were_made_of(
    command: list[str], node: Path, cluster: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same question about the dump and the objects themselves."""
    version = ["--kube-proxy-version", "1.29", *NAMED]
    plain = answer(
        capsys, *command, BEHIND / "cluster.yaml", "--lenient", "--snapshot", BEHIND / "dump.txt",
        *version,
    )  # fmt: skip
    packed = answer(capsys, *command, cluster, "--snapshot", node, *version)

    assert plain[0] == packed[0]
    assert said(command, plain[1]) == said(command, packed[1])


def said(command: list[str], out: str) -> list[Any]:
    """What an answer comes to, without the places and the addresses that only one of them has."""
    if "json" in command:
        effects = json.loads(out)["effects"]
        return [(e["service"], e["port"], e["before"]["verdict"], e["after"]["verdict"])
                for e in effects if "Port:" not in e["to"]]  # fmt: skip
    if command[0] == "trace":
        return out.splitlines()[:1]
    return [line.partition(": ")[2] or line for line in out.splitlines() if "web/" in line]


def test_one_bundle_may_be_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A support bundle with the objects, and with what a host collector ran on a node."""
    files = {
        **bundles.troubleshoot(OBJECTS),
        **bundles.ran_on_host("/usr/sbin/iptables-save", NODE.dumps["IPV4"], "rules"),
    }
    path = tmp_path / "bundle.tar.gz"
    path.write_bytes(PACKINGS["tar.gz"](files))

    code, out, _ = answer(capsys, "diff", path, "--snapshot", path, *NAMED)

    assert code == 1
    assert "# web/api" in out


def test_the_node_is_known_by_its_hostname(
    node: Path, cluster: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --node, where the cluster has several."""
    code, out, err = answer(capsys, "diff", cluster, "--snapshot", node)

    assert code == 1
    assert "# web/api" in out
    assert "the objects are from 2026-11-29 12:00:00Z, the rules from 2026-11-29 12:20:00Z" in err


def test_what_changed_between_the_halves_is_named_and_held_against_nobody(
    tmp_path: Path, node: Path, cluster: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the objects are the later half, they tell what changed since the rules."""
    changed = json.loads(json.dumps(OBJECTS))
    for item in changed:
        if item["kind"] == "Service" and item["metadata"]["name"] == "api":
            item["metadata"]["managedFields"] = [{"time": "2026-11-29T12:25:00Z"}]
    files = bundles.must_gather(changed)
    stamp = "must-gather.local.4567/timestamp"
    files[stamp] = b"2026-11-29 12:30:00 +0000 UTC\n"
    path = tmp_path / "later.tar.gz"
    path.write_bytes(PACKINGS["tar.gz"](files))

    _, _, err = answer(capsys, "diff", path, "--snapshot", node)
    assert "what changed in between (web/api) may differ only for that reason" in err

    config = tmp_path / "config.yaml"
    config.write_text(CONFIGURATION)
    setting = ["--kube-proxy-version", "1.29", "--config", config]
    verdicts = [
        audited(capsys, objects, "--snapshots", node.parent, *setting)["nodes"][0]
        for objects in (cluster, path)
    ]
    found = [(verdict["name"], verdict["verdict"]) for verdict in verdicts]
    expected = [("node-a", "differs"), ("node-a", "ok")]
    assert expected == found


def test_a_bundle_becomes_a_snapshot(
    node: Path, cluster: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`snapshot --from` gives our own form, which says what the other did not show."""
    snapshot = tmp_path / "node.json.gz"
    assert answer(capsys, "snapshot", "--from", node, "-o", snapshot)[0] == 0
    code, document, _ = answer(capsys, "snapshot", "--from", node)
    assert code == 0
    schema = json.loads((FIXTURES.parent / "docs" / "snapshot.schema.json").read_text())
    jsonschema.validate(json.loads(document), schema)

    direct = answer(capsys, "diff", cluster, "--snapshot", node)
    again = answer(capsys, "diff", cluster, "--snapshot", snapshot)
    assert direct[:2] == again[:2]


def test_a_listing_stays_one_in_a_snapshot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it does not show is not taken for not being there."""
    listing = FIXTURES / "cases" / "k8s-listing" / "listing.txt"
    snapshot = tmp_path / "node.json"
    assert answer(capsys, "snapshot", "--from", listing, "-o", snapshot)[0] == 0

    document = json.loads(snapshot.read_text())
    assert document["form"] == "listing"
    assert {"raw", "security"} <= set(document["tables"][0]["unshown"]["tables"])
    question = ["trace", "--from", "outside", "--to", "10.96.0.10:53/UDP", *NAMED, "-o", "json"]
    assert (
        answer(capsys, *question, "--snapshot", listing)[:2]
        == answer(capsys, *question, "--snapshot", snapshot)[:2]
    )


def audited(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    _, out, _ = answer(capsys, "audit", *arguments, "--workers", "1", "-o", "json")
    found: dict[str, Any] = json.loads(out)
    return found


def test_a_folder_of_bundles_is_audited(
    node: Path, cluster: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nodes go by their names within; a bundle of the cluster among them is no node."""
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "node-a.txt").write_text(NODE.dumps["IPV4"])
    version = ["--kube-proxy-version", "1.29"]
    expected = audited(capsys, BEHIND / "cluster.yaml", "--lenient", "--snapshots", plain, *version)
    (node.parent / "a.tar.xz.sha256").write_text("0123  a.tar.xz\n")

    found = audited(capsys, cluster, "--snapshots", node.parent, *version)
    cluster.rename(node.parent / "cluster.tar.gz")
    alone = audited(capsys, "--snapshots", node.parent, *version)

    assert expected["nodes"] == found["nodes"] == alone["nodes"]
    assert [cause["code"] for cause in expected["causes"]] == [
        cause["code"] for cause in found["causes"]
    ]


def test_services_of_namespaces_that_a_bundle_lacks_are_not_held_against_a_node(
    node: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A must-gather may have some namespaces only: the rules of others may be right."""
    others = [o for o in OBJECTS if o["metadata"].get("namespace") != "web" or o["kind"] == "Node"]
    service = {
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "x", "namespace": "kube-system"},
        "spec": {"clusterIP": "None", "clusterIPs": ["None"], "ports": [{"port": 1}]},
    }  # fmt: skip
    path = tmp_path / "part.tar.gz"
    path.write_bytes(PACKINGS["tar.gz"](bundles.must_gather([*others, service])))

    version = ["--kube-proxy-version", "1.29"]
    found = audited(capsys, path, "--snapshots", node.parent, *version)
    code, out, err = answer(capsys, "diff", path, "--snapshot", node, *version)
    assert code == 0, out
    assert "left out: web/api, web/blog, web/shop" in err
    assert "NPT5" not in answer(capsys, "check", path, "--snapshot", node, *NAMED, *version)[1]

    verdicts = {one["name"]: one["verdict"] for one in found["nodes"]}
    assert verdicts["node-a"] != "differs", found["causes"]


def test_a_bundle_is_read_from_standard_input(
    node: Path,
    cluster: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a pipe would bring it."""
    expected = answer(capsys, "diff", cluster, "--snapshot", node)
    with node.open("rb") as handle:
        monkeypatch.setattr("sys.stdin", type("Stdin", (), {"buffer": handle})())
        found = answer(capsys, "diff", cluster, "--snapshot", "-")

    assert expected[:2] == found[:2]
