"""`nptables audit` on folders as `collect` makes them, and on files named after nodes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nptables.cli import main
from nptables.evidence.snapshot import to_document
from nptables.sources.fleet.folder import Change, Folder, NodeRecord
from tests.support.fleets import ILLNESSES, Fleet, written

FLEET = Fleet(nodes=6, services=12)
ILL = {2: "masqueradeAll", 4: "damaged chain"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `collect` leaves, with two ill nodes."""
    path = tmp_path_factory.mktemp("fleet")
    written(path, FLEET, ILL)
    return path


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: Any) -> tuple[int, str, str]:
        code = main(["audit", *map(str, arguments)])
        out, err = capfd.readouterr()
        return code, out, err

    return call


def test_the_worst_cause_comes_first_and_healthy_nodes_are_one_line(run: Run, folder: Path) -> None:
    code, out, _ = run("--snapshots", folder, "--workers", 1)

    headings = [line for line in out.splitlines() if "NPT6" in line]
    assert code == 1
    assert headings == [
        "error NPT609 damaged-chain: 1 node: node4",
        "warning NPT604 other-configuration: 1 node: node2",
    ]
    assert out.splitlines()[-1] == "4 of 6 nodes do what the cluster says; 2 differ"
    assert "for example TCP to" in out


def test_the_json_is_that_of_the_contract(run: Run, folder: Path) -> None:
    code, out, _ = run("--snapshots", folder, "--workers", 1, "-o", "json")

    document = json.loads(out)
    assert code == 1
    assert [node["name"] for node in document["nodes"]] == [f"node{n}" for n in range(6)]
    assert [node["verdict"] for node in document["nodes"]] == [
        "ok", "ok", "differs", "ok", "differs", "ok",
    ]  # fmt: skip
    assert document["nodes"][4]["causes"] == ["NPT609"]
    damaged, configured = document["causes"]
    assert {"code", "nodes", "services", "message", "hint"} <= damaged.keys()
    assert (damaged["nodes"], configured["nodes"]) == (["node4"], ["node2"])
    assert document["summary"]["ok"] == 4


def test_several_workers_print_the_same(run: Run, folder: Path) -> None:
    one = run("--snapshots", folder, "--workers", 1, "-o", "json")
    several = run("--snapshots", folder, "--workers", 2, "-o", "json")

    assert one == several


@pytest.mark.parametrize("output", ["sarif", "github", "markdown"])
def test_other_programs_get_each_cause_on_each_node(run: Run, folder: Path, output: str) -> None:
    code, out, _ = run("--snapshots", folder, "--workers", 1, "-o", output)

    assert code == 1
    if output == "sarif":
        results = json.loads(out)["runs"][0]["results"]
        assert [r["ruleId"] for r in results] == ["NPT609", "NPT604"]
        assert [
            r["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] for r in results
        ] == ["Node node4", "Node node2"]
    elif output == "markdown":
        rows = [line for line in out.splitlines() if "Node node" in line]
        assert [re.search(r"NPT\d+", row)[0] for row in rows] == ["NPT609", "NPT604"]  # type: ignore[index]
    else:
        assert [line.partition("::")[2].split("=")[1][:6] for line in out.splitlines()] == [
            "NPT609",
            "NPT604",
        ]


def test_a_fleet_without_a_fault_exits_0(run: Run, tmp_path: Path) -> None:
    written(tmp_path, FLEET, {})

    assert run("--snapshots", tmp_path, "--workers", 1)[:2] == (
        0,
        "6 of 6 nodes do what the cluster says\n",
    )


def test_cut_off_garbage_and_missing_snapshots_are_unreadable_and_nothing_else(
    run: Run, tmp_path: Path
) -> None:
    made = written(tmp_path, FLEET, {})
    half = made.node_path("node0")
    half.write_bytes(half.read_bytes()[:500])
    made.node_path("node1").write_bytes(os.urandom(300))
    made.node_path("node2").unlink()
    made.node_path("node3").write_bytes(b'{"kind": "NptablesSnapshot", "ver')
    records = {"node2": {"state": "unreachable", "why": "its Pod does not run"}}
    records |= {f"node{n}": {"state": "read"} for n in (0, 1, 3, 4, 5)}
    made.write_manifest({"nodes": records})

    code, out, _ = run("--snapshots", tmp_path, "--workers", 1, "-o", "json")

    document = json.loads(out)
    assert code == 1
    assert [node["verdict"] for node in document["nodes"]] == ["unreadable"] * 4 + ["ok"] * 2
    assert [cause["nodes"] for cause in document["causes"]] == [
        ["node0", "node1", "node2", "node3"]
    ]
    assert "its Pod does not run (1)" in document["causes"][0]["message"]
    assert "is compressed with gzip, and cut off or damaged (1)" in document["causes"][0]["message"]


def test_files_named_after_nodes_are_judged_against_manifests(run: Run, tmp_path: Path) -> None:
    """What iptables-save printed will do; the facts that it does not show are those it shows."""
    dumps = tmp_path / "dumps"
    dumps.mkdir()
    objects = tmp_path / "cluster.json"
    objects.write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": FLEET.objects}))
    config = tmp_path / "config.json"
    from tests.support.fleets import CONFIG

    config.write_text(json.dumps(CONFIG))
    for number in (1, 3, 4):
        evidence = ILLNESSES[ILL[4]][1](FLEET, 4) if number == 4 else FLEET.evidence(number)
        text = "".join(
            f"# Generated by {p}\n{r.to_save()}# Completed\n"
            for p, r in zip(
                ("iptables-save v1.8.9", "ip6tables-save v1.8.9"), evidence.rulesets, strict=True
            )
        )
        (dumps / f"node{number}.txt").write_text(text)

    code, out, _ = run(
        objects, "--lenient", "--snapshots", dumps, "--config", config, "--workers", 1, "-o", "json"
    )

    document = json.loads(out)
    verdicts = {node["name"]: node["verdict"] for node in document["nodes"]}
    assert code == 1
    assert verdicts == {
        "node0": "unreadable", "node1": "ok", "node2": "unreadable", "node3": "ok",
        "node4": "differs", "node5": "unreadable",
    }  # fmt: skip


def test_changes_that_collect_saw_are_states_that_a_node_may_have(run: Run, tmp_path: Path) -> None:
    made = Folder(tmp_path)
    made.make()
    made.write_objects(FLEET.objects)
    from nptables import Cluster, Family

    raw = FLEET.slice(2, Family.IPV4, count=1)
    made.add_change(Change(1.0, gone=False, item=raw))
    new = Cluster.from_objects([*FLEET.objects, raw], lenient=True)
    made.write_node("node1", to_document(FLEET.evidence(1)))
    made.write_node("node3", to_document(FLEET.evidence(3, FLEET.rules(3, new))))
    made.write_manifest({"nodes": {"node1": {"state": "read"}, "node3": {"state": "read"}}})

    code, out, _ = run("--snapshots", tmp_path, "--workers", 1)

    assert code == 0
    assert "2 of 2 nodes do what the cluster says; up to 1 Services were changing" in out


def test_a_folder_without_objects_needs_some(run: Run, tmp_path: Path) -> None:
    code, _, err = run("--snapshots", tmp_path)

    assert code == 2
    assert "holds no objects of a cluster (name them as FILEs" in err


def test_whoever_interrupts_gets_what_was_found_so_far(folder: Path, tmp_path: Path) -> None:
    """Ctrl-C ends with the results that there are, says so, and exits with 130."""
    made = Folder(tmp_path)
    made.make()
    made.write_objects(FLEET.objects)
    content = (folder / "nodes" / "node2.json.gz").read_bytes()
    # So many that a busy machine does not judge all of them before it sends the signal.
    for number in range(4000):
        made.node_path(f"node{number}").write_bytes(content)
    command = [
        sys.executable,
        "-m",
        "nptables",
        "audit",
        "--snapshots",
        str(tmp_path),
        "-o",
        "json",
    ]
    terminal, other = os.openpty()
    process = subprocess.Popen(
        [*command, "--workers", "2"], stdout=subprocess.PIPE, stderr=other, text=True
    )
    os.close(other)
    shown = b""
    # Until the rate that a terminal shows is not that of no node.
    while not re.search(rb" (?!0\.0)[0-9.]+ nodes/s", shown):
        shown += os.read(terminal, 4096)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    with contextlib.suppress(OSError):
        while piece := os.read(terminal, 4096):
            shown += piece
    os.close(terminal)

    document = json.loads(out)
    assert process.returncode == 130
    assert b"interrupted: this is what was found so far" in shown
    assert document["summary"]["whole"] is False
    assert 0 < len(document["nodes"]) < 4000


def test_records_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    made = Folder(tmp_path)
    made.make()
    made.write_manifest({"nodes": {"node1": {"state": "unreachable", "why": "it hangs"}}})

    assert made.records() == {"node1": NodeRecord("unreachable", "it hangs")}


def test_a_report_with_snapshots_shows_the_causes_of_the_audit(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cluster, page = tmp_path / "cluster.json", tmp_path / "report.html"
    listed = {"apiVersion": "v1", "kind": "List", "items": list(FLEET.objects)}
    cluster.write_text(json.dumps(listed))

    asked = ["report", str(cluster), "--lenient", "--snapshots", str(folder), "-o", str(page)]

    assert main(asked) == 0

    text = page.read_text()
    assert all(code in text for code in ("NPT609", "NPT604"))
    assert "NPT601" not in text
    capfd.readouterr()
    assert main([*asked, "--audit", str(cluster)]) == 2
    assert "cannot be used together" in capfd.readouterr().err


def test_the_page_shows_the_causes_and_needs_nothing_else(run: Run, folder: Path) -> None:
    """One file without a request, a script or a name that is taken for markup."""
    code, page, _ = run("--snapshots", folder, "--workers", 1, "-o", "html")

    assert code == 1
    assert page.startswith("<!doctype html>")
    assert "default-src &#39;none&#39;" in page
    assert "4 of 6 nodes do what the cluster says; 2 differ" in page
    headings = re.findall(r"<h3>(.*?)</h3>", page)
    assert [re.findall("NPT6[0-9]+ [a-z-]+", heading) for heading in headings] == [
        ["NPT609 damaged-chain"],
        ["NPT604 other-configuration"],
    ]
    assert "for example" not in page
    assert "by the cluster it reaches" in page
    assert not re.search(r"<script|\b(src|href)=|url\(|@import", page)


def test_names_in_a_page_are_text(run: Run, tmp_path: Path) -> None:
    """Files may be named by somebody who wants to run a script in the reader's browser."""
    cluster = tmp_path / "cluster.json"
    cluster.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": FLEET.objects}))
    dumps = tmp_path / "dumps"
    dumps.mkdir()
    (dumps / "<img src=x onerror=alert(1)>.txt").write_text("nothing")

    _, page, _ = run(cluster, "--lenient", "--snapshots", dumps, "--workers", 1, "-o", "html")

    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "<img" not in page


def test_where_nobody_tells_the_configuration_the_option_is_named(run: Run, tmp_path: Path) -> None:
    """Not of each node its own is wrong then, but what was expected of all."""
    made = Folder(tmp_path)
    made.make()
    made.write_objects(FLEET.objects)
    for number in range(FLEET.nodes):
        made.write_node(f"node{number}", to_document(FLEET.evidence(number, processes=None)))

    code, _, err = run("--snapshots", tmp_path, "--workers", 1)

    assert code == 1
    assert "all nodes differ in it: name the configuration of kube-proxy with --config" in err
