"""`nptables trace` and `nptables check`, as a user calls them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import jsonschema
import pytest

from nptables.cli import main
from tests.support import clusters
from tests.support.sarif import SARIF
from tests.tracing.test_reasons import NODES, ON_BOTH, endpoint_slice, service

if TYPE_CHECKING:
    from pathlib import Path

TUTORIAL = "fixtures/tutorial/two-nodes.yaml"
DOCKER = "fixtures/dumps/docker.legacy.ipv4.save"


@pytest.fixture
def local(tmp_path: Path) -> str:
    """Manifests with the Local policy and no endpoint on node2."""
    path = tmp_path / "local.json"
    items = [*NODES, service(externalTrafficPolicy="Local"), endpoint_slice(*ON_BOTH)]
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return str(path)


def trace(*arguments: str, source: str = "outside", to: str = "nodeport:30080") -> int:
    return main(["trace", *arguments, "--from", source, "--to", to])


def test_a_packet_that_arrives_exits_0_and_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    assert trace(TUTORIAL, "--node", "node2") == 0

    out = capsys.readouterr().out
    assert out.startswith("arrives: default/nodeport-service at 10.233.64.5:80 on node1")


def test_a_packet_that_is_dropped_exits_1_and_says_why(
    local: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trace(local, "--node", "node2") == 1

    out = capsys.readouterr().out
    assert out.splitlines()[0] == (
        "does not arrive: DROP: default/web has externalTrafficPolicy Local and none of its 2 "
        "ready endpoints is on node2 (they are on node1, node3)"
    )


def test_the_path_shows_the_rules_in_their_order(capsys: pytest.CaptureFixture[str]) -> None:
    trace(TUTORIAL, "--node", "node1", "--path")

    out = capsys.readouterr().out
    tree = out[out.index("node1 PREROUTING") :]
    places = [
        tree.index(word) for word in ("PREROUTING", "KUBE-NODEPORTS", "KUBE-SEP-", "POSTROUTING")
    ]
    assert places == sorted(places)


def test_json_has_everything(local: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert trace(local, "--node", "node2", "-o", "json", to="svc:default/web", source="node") == 0

    document = json.loads(capsys.readouterr().out)
    (distribution,) = document["distributions"]
    assert document["service"] == "default/web:http"
    assert {o["destination"]: o["share"] for o in distribution["outcomes"]} == {
        "10.244.1.5": "1/2",
        "10.244.3.5": "1/2",
    }
    assert all(outcome["path"] for outcome in distribution["outcomes"])


def test_a_dump_can_be_followed_without_manifests(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = tmp_path / "facts.yaml"
    facts.write_text('interfaces: {eth0: ["192.168.0.2/24"], docker0: ["172.17.0.1/16"]}\n')

    code = trace(
        "--save", DOCKER, "--facts", str(facts), source="192.168.0.99", to="192.168.0.2:9090"
    )

    assert (code, "172.17.0.2:90" in capsys.readouterr().out) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "no rules"),
        ([TUTORIAL, "--live", "--save", DOCKER], "cannot be used together"),
        ([TUTORIAL, "--node", "node9"], "node1, node2"),
    ],
)
def test_a_wrong_command_line_exits_2(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trace(*arguments) == 2
    assert says in capsys.readouterr().err


def test_a_cluster_of_ipv6_alone_needs_no_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the other family there is no packet that anybody could mean."""
    six = clusters.node("node1")
    six["status"]["addresses"] = [{"type": "InternalIP", "address": "2001:db8::1"}]
    web = clusters.service(clusterIP="fd00:10:96::a", ipFamilies=["IPv6"])
    backend = clusters.endpoint_slice(
        clusters.endpoint("fd00:10:244:1::5"), name="web-6", addressType="IPv6"
    )
    path = tmp_path / "six.json"
    items = [six, web, backend]
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))

    for to in ("nodeport:30080", "svc/web"):
        for node in ([], ["--node", "node1"]):
            assert trace(str(path), *node, to=to) == 0
            assert "default/web at [fd00:10:244:1::5]:8080 on node1" in capsys.readouterr().out
    assert trace(str(path), "-4", "--node", "node1") == 1
    assert "it has no IPv4 cluster IP, only IPv6" in capsys.readouterr().out


def test_an_end_that_is_none_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert trace(TUTORIAL, "--node", "node1", to="svc:default/none") == 2
    assert "default/nodeport-service" in capsys.readouterr().err


def test_check_exits_1_where_it_finds_something(
    local: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", local]) == 1

    assert "warning NPT102: Service default/web" in capsys.readouterr().out
    assert main(["check", local, "--exit-zero"]) == 0
    assert main(["check", local, "--ignore", "NPT102"]) == 0
    assert main(["check", local, "--severity", "error"]) == 0
    assert main(["check", local, "--node", "node1"]) == 0


def test_a_sound_cluster_passes_the_check() -> None:
    assert main(["check", TUTORIAL]) == 0


def test_findings_come_as_json_sarif_and_annotations(
    local: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["check", local, "-o", "json"])
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert (finding["code"], finding["file"]) == ("NPT102", local)
    main(["check", local, "-o", "sarif"])
    log = json.loads(capsys.readouterr().out)
    jsonschema.validate(log, SARIF)
    main(["check", local, "-o", "github"])
    assert capsys.readouterr().out.startswith(f"::warning file={local}")
