"""Reading nodes on which kube-proxy has no Pods, by a DaemonSet for the time of the reading."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from nptables.cli import main
from tests.support.agents import wait_for
from tests.support.executing import ExecServer, hangs, node_text, prints
from tests.support.fleets import Fleet

FLEET = Fleet(nodes=3, services=4)
DEPLOY = Path("deploy")
NAME = "nptables-collect"
MANIFEST = yaml.safe_load((DEPLOY / "collect-daemonset.yaml").read_text())


def server_of_nodes(**settings: Any) -> ExecServer:
    """A cluster of three nodes without kube-proxy's Pods, each of which a daemon can read."""
    server = ExecServer(**settings)
    server.put(*FLEET.objects)
    for number in range(FLEET.nodes):
        text = node_text(FLEET.name(number), FLEET.rules(number)[0].to_save())
        server.daemon_programs[FLEET.name(number)] = prints(text)
    return server


def collected(server: ExecServer, tmp_path: Path, *options: str) -> int:
    config = server.kubeconfig(tmp_path / "config")
    return main(["collect", "-o", str(tmp_path / "out"), "--kubeconfig", str(config), *options])


def nodes_in(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "out" / "nodes").iterdir())


ALL = [f"node{number}.json.gz" for number in range(3)]


def test_it_is_made_read_by_and_deleted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with server_of_nodes() as server:
        code = collected(server, tmp_path, "--with-daemonset", "--image", "my/own:1")
        assert (server.daemon_sets, server.pods) == ({}, [])
    assert (code, nodes_in(tmp_path)) == (0, ALL)
    assert ("POST", "/apis/apps/v1/namespaces/kube-system/daemonsets") in server.asked
    assert {pod for pod, _ in server.ran} == {f"{NAME}-node{number}" for number in range(3)}
    assert "3 nodes are in" in capfd.readouterr().err


def test_nothing_is_made_unless_somebody_says_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with server_of_nodes() as server:
        code = collected(server, tmp_path)
        assert {method for method, _ in server.asked} == {"GET"}
    assert code == 1
    assert "--with-daemonset makes some" in capfd.readouterr().err


def test_nothing_is_made_where_kube_proxy_has_a_pod_on_every_node(tmp_path: Path) -> None:
    with server_of_nodes() as server:
        for node, program in server.daemon_programs.items():
            server.add_pod(node, program)  # type: ignore[arg-type]
        assert collected(server, tmp_path, "--with-daemonset") == 0
        assert {method for method, _ in server.asked} == {"GET"}


@pytest.mark.parametrize("options", [[], ["--with-daemonset"]])
def test_one_that_is_there_is_used_and_left_alone(
    options: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with server_of_nodes() as server:
        server.create_daemon_set(MANIFEST)
        server._start_daemons(server.pods)
        # One node has come just now, and its Pod does not run yet.
        server.pods[2]["status"] = {"phase": "Pending"}
        code = collected(server, tmp_path, *options)
        assert list(server.daemon_sets) == [NAME]
        assert "DELETE" not in {method for method, _ in server.asked}
    # Without the option nobody waits for it.
    assert (code, len(nodes_in(tmp_path))) == ((0, 3) if options else (1, 2))
    assert ("left alone" in capfd.readouterr().err) is bool(options)


@pytest.mark.parametrize("phase", ["Pending", "Running"])
def test_one_that_a_killed_collection_left_is_deleted_by_the_next(
    phase: str, tmp_path: Path
) -> None:
    with server_of_nodes() as server:
        programs = dict(server.daemon_programs)
        server.daemon_programs = dict.fromkeys(programs, hangs)
        config = server.kubeconfig(tmp_path / "config")
        command = [sys.executable, "-m", "nptables", "collect", "-o", str(tmp_path / "out")]
        command += ["--kubeconfig", str(config), "--with-daemonset"]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_for(lambda: server.running == 3)
        process.kill()
        process.wait(60)
        assert list(server.daemon_sets) == [NAME]
        for node, program in programs.items():
            server.programs[f"{NAME}-{node}"] = program  # type: ignore[assignment]
        server.pods[0]["status"] = {"phase": phase}
        assert collected(server, tmp_path, "--with-daemonset") == 0
        assert server.daemon_sets == {}
    assert nodes_in(tmp_path) == ALL


@pytest.mark.parametrize(("number", "waiting"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_whoever_ends_it_leaves_nothing_behind(
    number: signal.Signals, *, waiting: bool, tmp_path: Path
) -> None:
    """While Pods are waited for, and while nodes are read."""
    with server_of_nodes() as server:
        server.daemon_programs = dict.fromkeys(
            server.daemon_programs, "ErrImagePull" if waiting else hangs
        )
        config = server.kubeconfig(tmp_path / "config")
        command = [sys.executable, "-m", "nptables", "collect", "-o", str(tmp_path / "out")]
        command += ["--kubeconfig", str(config), "--with-daemonset"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        wait_for(lambda: bool(server.pods) if waiting else server.running == 3)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert server.daemon_sets == {}
    assert process.returncode == 130
    assert "interrupted: " in err


def test_pods_that_do_not_start_are_waited_for_no_longer_than_was_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with server_of_nodes() as server:
        server.daemon_programs["node1"] = "ErrImagePull"
        code = collected(server, tmp_path, "--with-daemonset", "--wait", "3")
        assert server.daemon_sets == {}
    err = capfd.readouterr().err
    assert (code, nodes_in(tmp_path)) == (1, ["node0.json.gz", "node2.json.gz"])
    assert "on 1 node no Pod runs after 3 seconds" in err
    assert "node1: its Pod does not run (ErrImagePull)" in err


def test_who_may_not_make_one_is_told_and_nothing_is_deleted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with server_of_nodes() as server:
        server.refuses["POST"] = 403
        assert collected(server, tmp_path, "--with-daemonset") == 3
        assert "DELETE" not in {method for method, _ in server.asked}
    assert not (tmp_path / "out").exists()
    assert "could not be deleted" not in capfd.readouterr().err


def test_who_may_not_delete_it_is_told_how_somebody_else_can(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with server_of_nodes() as server:
        server.refuses["DELETE"] = 403
        assert collected(server, tmp_path, "--with-daemonset") == 0
    assert "`kubectl -n kube-system delete daemonset nptables-collect`" in capfd.readouterr().err


def test_an_image_alone_is_a_mistake(tmp_path: Path) -> None:
    with server_of_nodes() as server:
        assert collected(server, tmp_path, "--image", "my/own:1") == 2


# What stands in deploy/.


def test_its_pods_can_read_the_tables_of_every_node_and_do_nothing_else() -> None:
    pod = MANIFEST["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (pod["hostNetwork"], pod["hostPID"], pod["tolerations"]) == (
        True, True, [{"operator": "Exists"}],
    )  # fmt: skip
    assert pod["automountServiceAccountToken"] is False
    security = container["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]}
    assert (security["privileged"], security["readOnlyRootFilesystem"]) == (False, True)
    assert container["command"] == ["sleep", "infinity"]
    assert (
        MANIFEST["spec"]["selector"]["matchLabels"]
        == (MANIFEST["spec"]["template"]["metadata"]["labels"])
    )
    paths = {volume["hostPath"]["path"] for volume in pod["volumes"] if "hostPath" in volume}
    assert paths == {"/run/xtables.lock", "/lib/modules"}
    assert {m["name"] for m in container["volumeMounts"]} == {v["name"] for v in pod["volumes"]}


_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[a-z0-9.]+))/v1(?:/namespaces/(?P<namespace>[a-z0-9-]+))?"
    r"/(?P<resource>[a-z]+)(?:/(?P<name>[a-z0-9-]+))?(?:/(?P<part>[a-z]+))?"
)


def test_the_roles_allow_every_request_that_a_collection_made_and_no_other(
    tmp_path: Path,
) -> None:
    with server_of_nodes() as server:
        collected(server, tmp_path, "--with-daemonset")
        watched = {request.path for request in server.watches}
        made = {
            (
                found["group"] or "",
                found["resource"] + (f"/{found['part']}" if found["part"] else ""),
                {"POST": "create", "DELETE": "delete"}.get(method)
                or ("get" if found["name"] else "list"),
                found["namespace"] or "",
            )
            for method, path in server.asked
            if (found := _PATH.fullmatch(path)) is not None
        }
        made |= {
            (found["group"] or "", found["resource"], "watch", "")
            for path in watched
            if (found := _PATH.fullmatch(path)) is not None
        }
        assert len(watched) == 2
    roles = [m for m in yaml.safe_load_all((DEPLOY / "collect.yaml").read_text()) if "rules" in m]
    allowed = {
        (group, resource, verb, role["metadata"].get("namespace", ""))
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    # The websocket of an exec is opened by a GET, for which newer servers ask for "create" too.
    assert allowed - made == {("", "pods/exec", "create", "kube-system")}
    assert made <= allowed
