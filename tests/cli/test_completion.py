"""`nptables completion`: what Tab offers, in the three shells and to kubectl."""

from __future__ import annotations

import json
import os
import socket
import time
from typing import TYPE_CHECKING

import click
import pytest
from click.shell_completion import CompletionItem, ShellComplete

from nptables.cli import main
from nptables.cli.app import COMMANDS, cli
from tests.support.apiserver import ApiServer
from tests.support.kubectl import install
from tests.support.objects import endpoint_slice, node, service
from tests.support.requirements import requires
from tests.support.shells import SETUP, Shell

if TYPE_CHECKING:
    from pathlib import Path

SLICE = endpoint_slice("web", "10.244.1.5", namespace="shop")
SLICE["endpoints"][0]["targetRef"] = {"kind": "Pod", "namespace": "shop", "name": "web-0"}
OBJECTS = [
    node("node1"),
    node("node2", "192.168.0.3"),
    service("web", namespace="shop", node_port=30080),
    SLICE,
    service("api", cluster_ip="10.96.0.11"),
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "client"},
        "status": {"phase": "Running", "podIP": "10.244.2.9"},
    },
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a cluster's objects and a configuration, where we are."""
    found = tmp_path / "work"
    found.mkdir()
    listed = {"apiVersion": "v1", "kind": "List", "items": OBJECTS}
    (found / "web.json").write_text(json.dumps(listed))
    (found / "kube-proxy.yaml").write_text("kind: KubeProxyConfiguration\n")
    monkeypatch.chdir(found)
    return found


def items(*words: str) -> list[CompletionItem[str]]:
    """What is offered for the last word."""
    return ShellComplete(cli, {}, "nptables", "X").get_completions(list(words[:-1]), words[-1])


def offered(*words: str) -> list[str]:
    """The words among that."""
    return [item.value for item in items(*words) if item.type == "plain"]


@pytest.mark.parametrize("name", SETUP)
def test_tab_completes_commands_files_and_names(
    name: str, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    requires(name)
    programs = install(tmp_path_factory.mktemp("bin"))
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    lines = {
        "nptables tra": "ce",
        "nptables check we": "b.json",
        "nptables render web.json --config kube": "-proxy.yaml",
        "nptables graph -f web.json svc/sh": "op/web",
        "nptables trace web.json --to node": "port:30080",
    }

    with Shell(name, folder, environment) as shell:
        found = {line: shell.completes(line, rest) for line, rest in lines.items()}

    assert found == {line: line + rest for line, rest in lines.items()}


@pytest.mark.parametrize("name", SETUP)
def test_the_script_is_printed_without_starting_anything(
    name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # click's own starts bash to ask for its version.
    monkeypatch.setenv("PATH", "/nowhere")

    assert main(["completion", name]) == 0

    out, err = capfd.readouterr()
    assert f"_NPTABLES_COMPLETE={name}_complete" in out
    assert err == ""


def test_another_shell_is_a_wrong_command_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "tcsh"]) == 2
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in capfd.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_whatever_is_a_file_is_completed_as_one(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    context = click.Context(command)
    on_disk = ("FILE", "DIR", "[FILE]...")

    kinds = {
        parameter.name: [item.type for item in parameter.shell_complete(context, "")]
        for parameter in command.params
        if parameter.metavar in on_disk
    }

    assert {name: kind for name, kind in kinds.items() if kind not in (["file"], ["dir"])} == {}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["check", "web.json", "--node", ""], ["node1", "node2"]),
        (["reach", "web.json", "--nodes", "node2"], ["node2"]),
        (["graph", "-f", "web.json", ""], ["default/api", "shop/web"]),
        (["graph", "-f", "web.json", "svc/"], ["svc/api", "svc/shop/web"]),
        (["graph", "-f", "web.json", "-n", "shop", "svc/w"], ["svc/web"]),
        (["reach", "web.json", "--service", "shop/"], ["shop/web"]),
        (["render", "web.json", "-n", ""], ["default", "shop"]),
        (
            ["trace", "web.json", "--from", ""],
            ["outside", "node", "node/node1", "node/node2", "pod/client", "pod/shop/web-0"],
        ),
        (["trace", "web.json", "-n", "shop", "--from", "pod/w"], ["pod/web-0"]),
        (["trace", "web.json", "--to", ""], ["svc/api", "svc/shop/web", "nodeport:30080"]),
        (["trace", "no-such-file.json", "--from", "o"], ["outside"]),
        (["trace", "no-such-file.json", "--from", "node/"], []),
        (["check", "--sev"], ["--severity"]),
        (["check", "--severity", "w"], ["warning"]),
        (["wh"], ["whose"]),
    ],
    ids=lambda each: " ".join(each) or "''",
)
@pytest.mark.usefixtures("folder")
def test_names_are_those_of_the_files_on_the_line(words: list[str], expected: list[str]) -> None:
    assert expected == offered(*words)


@pytest.mark.usefixtures("folder")
def test_a_file_behind_the_cursor_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMP_WORDS", "nptables graph  web.json")
    monkeypatch.setenv("COMP_CWORD", "1")

    assert offered("graph", "shop/") == ["shop/web"]


@pytest.mark.usefixtures("folder")
def test_a_file_that_is_no_manifest_is_not_spoken_of(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "wrong.yaml").write_text("{")

    assert offered("check", "wrong.yaml", "--node", "") == []
    assert capfd.readouterr() == ("", "")


def test_contexts_are_those_of_every_kubeconfig(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        document = {"contexts": [{"name": f"{name}-prod"}, {"name": f"{name}-test"}, {}, 7]}
        (tmp_path / name).write_text(json.dumps(document))
    (tmp_path / "broken").write_text("{")
    paths = [f"{tmp_path}/{name}" for name in ("one", "broken", "missing", "two")]
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(paths))

    assert offered("check", "--context", "two") == ["two-prod", "two-test"]
    assert offered("check", "--kubeconfig", f"{tmp_path}/one", "--context", "") == [
        "one-prod",
        "one-test",
    ]


def test_without_files_names_are_those_of_the_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ApiServer() as server:
        server.put(*OBJECTS)
        server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "empty"}})
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path / "config")))

        assert offered("check", "--node", "") == ["node1", "node2"]
        assert offered("graph", "svc/") == ["svc/api", "svc/shop/web"]
        assert offered("trace", "--from", "pod/") == ["pod/client"]
        assert offered("check", "-n", "") == ["empty"]


def test_a_cluster_that_does_not_answer_is_waited_for_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = ApiServer(port=silent.getsockname()[1])
        path = server.kubeconfig(tmp_path / "config")
        monkeypatch.setenv("KUBECONFIG", str(path))
        offered("check", "--context", "")

        started = time.monotonic()
        found = offered("check", "--node", "")
        took = time.monotonic() - started

    assert (found, capfd.readouterr()) == ([], ("", ""))
    # Importing the kubernetes client is in it, on a machine that may be busy.
    assert took < 10


def test_without_files_or_a_cluster_nothing_is_offered() -> None:
    assert offered("check", "--node", "") == []
