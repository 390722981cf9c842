"""`nptables reach`, `graph` and `report`, and `trace` on all nodes, as a user calls them."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from nptables.cli import main
from tests.tracing.test_reasons import NODES, ON_BOTH, endpoint_slice, service

if TYPE_CHECKING:
    from pathlib import Path

TUTORIAL = "fixtures/tutorial/two-nodes.yaml"


@pytest.fixture
def local(tmp_path: Path) -> str:
    """The Local policy, with endpoints on node1 and node3 of three nodes."""
    path = tmp_path / "local.json"
    items = [*NODES, service(externalTrafficPolicy="Local"), endpoint_slice(*ON_BOTH)]
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return str(path)


def test_a_table_says_who_answers_and_why_the_others_do_not(
    local: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reach", local]) == 0

    out = capsys.readouterr().out
    assert out.splitlines()[:4] == [
        "default/web:http at nodePort 30080/TCP",
        "  NODES         OUTCOME",
        "  node1, node3  answers: 1 endpoint, 1 local, source kept",
        "  node2         dropped",
    ]
    assert "node2: DROP: default/web has externalTrafficPolicy Local" in out


def test_json_has_each_node_in_one_cell_of_each_row(
    local: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["reach", local, "-o", "json"])

    document = json.loads(capsys.readouterr().out)
    (row,) = document["rows"]
    assert document["nodes"] == ["node1", "node2", "node3"]
    assert [cell["nodes"] for cell in row["cells"]] == [["node1", "node3"], ["node2"]]
    assert [cell["verdict"] for cell in row["cells"]] == ["answers", "dropped"]
    assert row["cells"][1]["reasons"][0]["code"] == "no-local-endpoint"


def test_nodes_are_named_by_patterns_and_an_unknown_one_is_refused(
    local: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reach", local, "--nodes", "node[12]", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["nodes"] == ["node1", "node2"]

    assert main(["reach", local, "--nodes", "nod1"]) == 2
    assert "did you mean node1?" in capsys.readouterr().err
    assert main(["reach", local, "--service", "default/wep"]) == 2
    assert "there is no Service default/wep" in capsys.readouterr().err


def test_what_holds_exits_0_and_what_is_contradicted_exits_1_with_the_reason(
    local: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "relied-on.yaml"
    holds = {"service": "default/web", "nodes": ["node1", "node3"], "source": "kept", "local": 1}
    path.write_text(yaml.safe_dump([holds]))
    assert main(["reach", local, "--expect", str(path)]) == 0

    path.write_text(yaml.safe_dump({"expect": [holds, {"service": "web", "nodes": ["node*"]}]}))
    assert main(["reach", local, "--expect", str(path)]) == 1
    assert "on node2: expected answers, but dropped (DROP: default/web" in " ".join(
        capsys.readouterr().err.split()
    )

    main(["reach", local, "--expect", str(path), "-o", "json"])
    (wrong,) = json.loads(capsys.readouterr().out)["contradictions"]
    assert (wrong["nodes"], wrong["expected"], wrong["found"]) == (["node2"], "answers", "dropped")


def test_an_expectation_of_nothing_that_is_there_does_not_hold(
    local: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "relied-on.yaml"
    path.write_text("- {service: web, port: metrics}\n- {service: web, nodes: [edge-*]}\n")

    assert main(["reach", local, "--expect", str(path)]) == 1
    err = " ".join(capsys.readouterr().err.split())
    assert "it matches nothing that was examined" in err
    assert "on edge-*: expected answers, but no such node was examined" in err


def test_a_wrong_expectation_names_its_file_and_line(
    local: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "relied-on.yaml"
    path.write_text("- service: web\n  verdict: answer\n- node: node1\n")

    assert main(["reach", local, "--expect", str(path)]) == 2
    err = capsys.readouterr().err
    assert f'{path}:2:3: [0].verdict: "answer" is not one of answers' in err
    assert f"{path}:3:3: [1]: names no service" in err


def test_markdown_is_a_table_in_which_names_stay_text(
    local: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["reach", local, "-o", "markdown"])

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| Service | to | nodes | outcome | why |"
    assert lines[2] == (
        "| default/web:http | nodePort 30080/TCP | node1, node3 | "
        "answers: 1 endpoint, 1 local, source kept |  |"
    )
    assert all(line.count("|") == 6 for line in lines)


def test_reach_as_a_page_says_what_does_not_hold(
    local: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "relied-on.yaml"
    path.write_text("[{service: web}]")

    assert main(["reach", local, "--expect", str(path), "-o", "html"]) == 1
    page = capsys.readouterr().out
    assert page.startswith("<!doctype html>")
    assert "expected answers, but dropped" in page


def test_from_the_nodes_themselves_the_cluster_ip_is_asked_too(
    local: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["reach", local, "--from", "node", "-o", "json"])

    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["kind"] for row in rows] == ["nodePort", "clusterIP"]
    assert {cell["verdict"] for row in rows for cell in row["cells"]} == {"answers"}


def test_trace_without_a_node_follows_the_packet_on_each(
    local: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = ["--from", "outside", "--to", "nodeport:30080"]
    assert main(["trace", local, *ends]) == 1
    out = capsys.readouterr().out
    heading, answer, *_ = out.splitlines()
    assert heading == "on node1, node3 (shown for node1)"
    assert answer.startswith("arrives: default/web:http at 10.244.1.5")
    assert "\non node2\ndoes not arrive: DROP" in out

    assert main(["trace", TUTORIAL, *ends, "-o", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["arrives"]
    assert [each["nodes"] for each in document["nodes"]] == [["node1"], ["node2"]]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_path_is_in_colour_and_its_notes_stand_in_one_column(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    arguments = ["--from", "outside", "--to", "nodeport:30080", "--path"]
    main(["trace", TUTORIAL, "--node", "node1", *arguments])

    import re

    shown = terminal.getvalue()
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in shown.splitlines()]
    columns = {line.rindex("   [") for line in lines if line.endswith("]") and "-A " in line}
    assert "\x1b[36m" in shown
    assert len(columns) == 1


@pytest.mark.parametrize(
    ("output", "beginning"),
    [("svg", "<?xml"), ("dot", "digraph"), ("mermaid", "flowchart LR"), ("html", "<!doctype")],
)
def test_a_service_and_a_way_are_drawn_in_each_language(
    output: str, beginning: str, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["graph", "nodeport-service", TUTORIAL, "--node", "node2", "-o", output]

    assert main(call) == 0
    assert capsys.readouterr().out.startswith(beginning)
    assert main([*call, "--trace", "outside", "nodeport:30080"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(beginning)
    assert "KUBE-POSTROUTING" in out


def test_a_graph_of_no_service_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", "web", TUTORIAL, "--node", "node1"]) == 2
    assert "there are: default/nodeport-service" in capsys.readouterr().err


def test_a_report_is_one_file_and_a_place_that_cannot_be_written_is_said(
    local: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audit = tmp_path / "audit.json"
    audit.write_text(
        json.dumps(
            {
                "nodes": [{"name": "node2", "verdict": "differs", "causes": ["left-over"]}],
                "causes": [
                    {
                        "code": "left-over",
                        "nodes": ["node2"],
                        "services": ["default/web"],
                        "message": "rules are left over",
                        "hint": "restart it",
                    }
                ],
                "summary": {},
            }
        )
    )
    page = tmp_path / "page.html"
    assert main(["report", local, "--audit", str(audit), "-o", str(page)]) == 0
    text = page.read_text()
    assert "rules are left over" in text
    assert "NPT102" in text

    assert main(["report", local, "-o", str(tmp_path / "no" / "page.html")]) == 2
    assert "cannot be written" in capsys.readouterr().err
    audit.write_text("[]")
    assert main(["report", local, "--audit", str(audit)]) == 2
    assert "is not an audit" in capsys.readouterr().err


def test_manifests_without_nodes_are_asked_on_the_nodes_that_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "web.json"
    items = [service(), endpoint_slice(*ON_BOTH)]
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))

    assert main(["reach", str(path)]) == 2
    assert "there is no node to look at" in capsys.readouterr().err
    assert main(["reach", str(path), "--nodes", "node1", "-o", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert [(cell["nodes"], cell["verdict"]) for cell in row["cells"]] == [(["node1"], "answers")]
    config = tmp_path / "kube-proxy.yaml"
    config.write_text(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
        "nodePortAddresses: [10.0.0.0/8]\n"
    )
    named = ["reach", str(path), "--nodes", "node1", "--config", str(config), "-o", "json"]
    assert main(named) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert [cell["verdict"] for cell in row["cells"]] != ["answers"]
    page = tmp_path / "page.html"
    assert main(["report", str(path), "--nodes", "node1", "-o", str(page)]) == 0
    assert "nodePort 30080/TCP" in page.read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "any node port, external IP or load-balancer IP"),
        (["-6"], "any IPv6 node port, external IP or load-balancer IP"),
    ],
)
def test_a_service_with_a_cluster_ip_alone_is_not_said_to_have_no_address(
    options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "inside.json"
    inside = service(type="ClusterIP", ports=[{"name": "http", "port": 80}])
    path.write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": [inside, *NODES]}))

    assert main(["reach", str(path), *options]) == 0

    assert capsys.readouterr().out == f"no Service examined has {words}\n"
