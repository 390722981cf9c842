"""`--effects` on the command line, and the line that counts them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from nptables.cli import main
from tests.support.clusters import endpoint, endpoint_slice, node, service
from tests.support.documentation import DOCS
from tests.support.scenarios import CONFORMANCE

if TYPE_CHECKING:
    from pathlib import Path

ON_THE_OTHER = endpoint_slice(endpoint("10.244.1.6", "node1"))
DROPPED = (
    "default/web node port 30080 on node2, from outside, other nodes and pods: "
    "was dropped (no local endpoint), now sent to 10.244.1.6:8080, source hidden\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A Service whose external policy was Local, and is Cluster; the endpoint is on node1."""
    for name, policy in (("old", "Local"), ("new", "Cluster")):
        objects = [node("node1"), node("node2"), service(externalTrafficPolicy=policy)]
        text = yaml.safe_dump_all([*objects, ON_THE_OTHER])
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def run(folder: Path, *options: str) -> int:
    """Compare the two inputs on node2, where no rule tells Pods from others."""
    version = ("--kube-proxy-version", "1.36")
    inputs = (str(folder / "old.yaml"), str(folder / "new.yaml"))
    return main(["diff", *inputs, "--node", "node2", *version, *options])


def test_two_inputs(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--effects") == 1

    assert capfd.readouterr() == (DROPPED, "note: 1 effect\n")


def test_json_is_as_it_was_agreed(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--effects", "-o", "json") == 1

    found: dict[str, Any] = json.loads(capfd.readouterr().out)
    (effect,) = found.pop("effects")
    # IPv4: 127.0.0.1 is a place of the same frontend; the cluster IP stays as it is.
    assert found == {"same": 1, "cosmetic": 0, "unknown": []}
    before, after = effect.pop("before"), effect.pop("after")
    assert effect == {
        "service": "default/web",
        "port": 80,
        "portName": None,
        "protocol": "TCP",
        "to": "nodePort:30080",
        "addresses": ["192.168.0.2"],
        "from": ["outside", "pod", "192.168.0.1/32"],
        "node": "node2",
    }
    assert (before["verdict"], before["endpoints"], before["source"]) == ("dropped", {}, None)
    assert (after["verdict"], after["source"]) == ("endpoint", "rewritten")
    assert after["endpoints"] == {"10.244.1.6:8080": "1"}
    page = (DOCS / "effects.md").read_text()
    said = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.MULTILINE))
    assert said.keys() == before.keys() == after.keys()
    assert re.findall(r"`(\w+)`", said["source"]) == ["kept", "rewritten", "mixed"]


def test_an_annotation_stands_at_the_service(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "--effects", "-o", "github") == 1

    line = capfd.readouterr().out
    assert line.startswith(f"::warning file={folder}/new.yaml,line=")
    assert line.endswith(f"::{DROPPED}")


def test_a_plain_diff_ends_with_the_count(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(folder) == 1

    assert capfd.readouterr().err.endswith("note: 1 effect (--effects says which)\n")


def test_the_same_input_twice_has_no_effect(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "new.yaml").write_text((folder / "old.yaml").read_text())

    assert run(folder, "--effects") == 0
    assert capfd.readouterr() == ("", "note: packets notice nothing\n")


def test_what_depends_on_endpoints_that_no_input_tells_is_not_known(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A rule that refuses for want of endpoints proves nothing where endpoints were not listed."""
    for name, port in (("old", 30080), ("new", 30081)):
        objects = [node("node2"), service(ports=[{"port": 80, "nodePort": port}])]
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump_all(objects))

    assert run(tmp_path, "--effects") == 1

    out, err = capfd.readouterr()
    assert "30081 on node2, from anywhere: was left to the node itself, now not known (" in out
    assert err.endswith("no known effect, 4 classes of packets whose effect is unknown\n")


@pytest.mark.parametrize("there", ["nat", ""])
def test_a_dump_without_a_table_never_says_that_packets_notice_nothing(
    folder: Path, capfd: pytest.CaptureFixture[str], there: str
) -> None:
    """`iptables-save -t nat`, or what iptables-save prints to somebody who is not root."""
    version = ("--kube-proxy-version", "1.36")
    options = [str(folder / "new.yaml"), "--node", "node2", "-4", *version]
    assert main(["render", *options]) == 0
    dump = folder / "dump"
    dump.write_text(capfd.readouterr().out.partition("*filter\n")[0] if there else "")

    assert main(["diff", *options, "--snapshot", str(dump), "--effects"]) == 1

    out, err = capfd.readouterr()
    assert "default/web node port 30080 on node2, from anywhere" in out
    assert "not known (table filter of node2, whose rules are unknown, may stop the packet)" in out
    lacks = "filter" if there else "nat and filter"
    assert f"the dump has no table {lacks}: the comparison is right only if" in err
    assert "no known effect, 3 classes of packets whose effect is unknown" in err


def test_restore_text_has_no_effects(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--effects", "-o", "restore") == 2
    assert "--effects works with -o text, json, github and markdown" in capfd.readouterr().err


def test_a_node_whose_rules_are_older_than_the_cluster_and_what_docker_put_in_front(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What Docker drops is dropped before and after: it stays, and is no effect."""
    assert main(["render", str(folder / "old.yaml"), "--node", "node2"]) == 0
    dump = capfd.readouterr().out
    (folder / "dump").write_text(dump)
    options = ("diff", str(folder / "new.yaml"), "--node", "node2", "--effects")
    assert main([*options, "--snapshot", str(folder / "dump"), "-4"]) == 1
    assert capfd.readouterr().out == DROPPED

    docker = "-A FORWARD -d 10.244.0.0/16 -j DROP\n"
    (folder / "dump").write_text(dump.replace("-A FORWARD", f"{docker}-A FORWARD", 1))

    # It drops on the way to the endpoint what the old rules drop for want of one.
    assert main([*options, "--snapshot", str(folder / "dump"), "-4"]) == 0
    assert capfd.readouterr().err.endswith(
        "1 frontend has rules that are only written differently\n"
    )


def test_an_upgrade(capfd: pytest.CaptureFixture[str]) -> None:
    """docs/versions.md, ip-mode: from 1.30 on, packets to such an IP go to the load balancer."""
    cluster = str(CONFORMANCE / "named" / "loadbalancer-ipmode-proxy" / "cluster.yaml")
    versions = ("--kube-proxy-version", "1.28", "--to-version", "1.36")

    assert main(["diff", cluster, "--lenient", "--node", "node1", *versions, "--effects"]) == 1

    lines = capfd.readouterr().out.splitlines()
    assert lines
    assert all("load-balancer IP" in line and "now sent on as it is" in line for line in lines)
