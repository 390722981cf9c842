"""`kubectl nptables`: the plugin, the current context, namespaces, and kubectl's names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

from nptables.cli import main
from nptables.cli.streams import piped_in
from tests.support.apiserver import ApiServer, Fault
from tests.support.documentation import ROOT
from tests.support.kubectl import SCRIPTS, Kubectl
from tests.support.objects import JSON, endpoint_slice, node, service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TO_WEB = ["--from", "outside", "--to", "nodeport:30080"]


def pod(name: str, address: str, on: str = "node2", namespace: str = "shop") -> JSON:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"nodeName": on},
        "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]},
    }


# Both Services have their only endpoint on node1 and the Local policy: each is a finding (NPT102).
OBJECTS = [
    node("node1", podCIDR="10.244.1.0/24"),
    node("node2", "192.168.0.3"),
    service("web", namespace="shop", node_port=30080, externalTrafficPolicy="Local"),
    endpoint_slice("web", "10.244.1.5", namespace="shop"),
    service("web", cluster_ip="10.96.0.11", node_port=30081, externalTrafficPolicy="Local"),
    endpoint_slice("web", "10.244.1.6"),
    pod("client", "10.244.2.9"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    """A cluster with a Service `web` in the namespaces shop and default."""
    with ApiServer() as found:
        found.put(*OBJECTS)
        yield found


@pytest.fixture(scope="module")
def kubeconfig(server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The contexts `test`, without a namespace, and `shop`, with that one."""
    path = tmp_path_factory.mktemp("kubeconfig") / "config"
    return server.kubeconfig(path, namespaces={"shop": "shop"})


@pytest.fixture
def current(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kubeconfig as kubectl finds it: by KUBECONFIG."""
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    return kubeconfig


@pytest.fixture(scope="module")
def kubectl(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """The real kubectl, which finds nptables on its PATH."""
    return Kubectl.with_plugin(tmp_path_factory.mktemp("bin"), kubeconfig)


# The plugin.


def test_the_scripts_that_kubectl_looks_for_are_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["scripts"] == {
        name: f"nptables.cli:{function}" for name, function in SCRIPTS.items()
    }


def test_kubectl_runs_a_trace_from_a_pod_in_the_cluster_of_the_current_context(
    kubectl: Kubectl, server: ApiServer
) -> None:
    done = kubectl("nptables", "trace", "-n", "shop", "--node", "node1",
                   "--from", "pod/client", "--to", "svc/web")  # fmt: skip

    assert done.stdout.startswith("arrives: shop/web:p at 10.244.1.5:8080 on node1")
    assert done.returncode == 0
    assert f"note: reading context test ({server.url})\n" in done.stderr


def test_kubectl_runs_a_check_of_a_context_with_a_namespace(kubectl: Kubectl) -> None:
    done = kubectl("nptables", "check", "--context", "shop", "-o", "json")

    found = json.loads(done.stdout)["findings"]
    assert [(each["namespace"], each["object"]) for each in found] == [("shop", "web")]
    assert done.returncode == 1
    assert "only namespace shop of the context is shown; -A shows all namespaces" in done.stderr


def test_kubectl_renders_the_rules_of_a_namespace(kubectl: Kubectl) -> None:
    done = kubectl("nptables", "render", "-n", "shop", "--node", "node1")

    assert done.returncode == 0
    assert "10.244.1.5:8080" in done.stdout
    assert "10.244.1.6:8080" not in done.stdout


def test_kubectl_renders_the_rules_of_all_namespaces(kubectl: Kubectl) -> None:
    done = kubectl("nptables", "render", "-A", "--context", "shop", "--node", "node1")

    assert done.returncode == 0
    assert "10.244.1.5:8080" in done.stdout
    assert "10.244.1.6:8080" in done.stdout


def test_usage_and_examples_say_what_the_user_typed(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["trace"], program="kubectl nptables") == 2
    usage = capfd.readouterr().err
    assert usage.startswith("Usage: kubectl nptables trace [OPTIONS] [FILE]...\n")
    assert "Try 'kubectl nptables trace --help' for help." in usage

    assert main(["graph", "--help"], program="kubectl nptables") == 0
    shown = capfd.readouterr().out
    assert "\n  kubectl nptables graph default/web" in shown
    assert "\n  nptables" not in shown
    assert main(["graph", "--help"]) == 0
    assert "\n  nptables graph default/web" in capfd.readouterr().out


def test_a_flag_before_the_name_of_the_plugin_is_refused_by_kubectl_itself(
    kubectl: Kubectl,
) -> None:
    done = kubectl("--context", "shop", "nptables", "check")

    assert done.returncode == 1
    assert "flags cannot be placed before plugin name" in done.stderr


def test_kubectl_completes_commands_and_names_of_the_plugin(kubectl: Kubectl) -> None:
    commands = kubectl("__complete", "nptables", "tr").stdout.splitlines()
    names = kubectl("__complete", "nptables", "graph", "svc/").stdout.splitlines()
    files = kubectl("__complete", "nptables", "check", "").stdout.splitlines()

    assert commands == ["trace\tFollow a packet: where it ends up, and why.", ":4"]
    assert names == ["svc/web", "svc/shop/web", ":4"]
    # cobra.ShellCompDirectiveDefault: the shell completes files.
    assert files == [":0"]


# What is read where no FILE is named.


@pytest.mark.parametrize(
    "arguments",
    [
        ["render", "--node", "node1"],
        ["reach"],
        ["graph", "svc/web", "-n", "shop", "--node", "node1"],
        ["report", "-o", "-"],
        ["whose", "KUBE-NODEPORTS"],
        ["check", "--exit-zero"],
        ["diff", "--node", "node1", "--to-version", "1.36"],
        ["trace", "--node", "node1", *TO_WEB],
    ],
    ids=lambda arguments: str(arguments[0]),
)
@pytest.mark.usefixtures("current")
def test_the_current_context_is_read_and_named(
    arguments: list[str], server: ApiServer, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 0

    assert f"note: reading context test ({server.url})\n" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["trace", "--snapshot", "DUMP", "--node-address", "192.168.0.2", *TO_WEB], 0),
        (["apply", "--node", "node1", "--dry-run"], 2),
        (["diff", "DUMP", "--node", "node1"], 2),
        (["name", "svc/web"], 0),
        (["audit", "--snapshots", "."], 2),
        (["completion", "bash"], 0),
    ],
    ids=lambda each: each[0] if isinstance(each, list) else None,
)
@pytest.mark.usefixtures("current")
def test_what_needs_no_cluster_asks_none(
    arguments: list[str],
    code: int,
    server: ApiServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["render", "--node", "node1"]) == 0
    dump = tmp_path / "dump"
    dump.write_text(capfd.readouterr().out)
    before = len(server.requests)

    assert main([str(dump) if word == "DUMP" else word for word in arguments]) == code

    assert len(server.requests) == before


@pytest.mark.usefixtures("current")
def test_a_node_without_a_cluster_is_not_changed_by_that_of_the_context(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(["apply", "--node", "node1"]) == 2
    assert "does not take the current context by itself" in capfd.readouterr().err


@pytest.mark.usefixtures("current")
def test_objects_on_standard_input_are_read_instead(server: ApiServer) -> None:
    before = len(server.requests)
    listed = {"apiVersion": "v1", "kind": "List", "items": OBJECTS}

    done = subprocess.run(
        [sys.executable, "-m", "nptables", "check", "-n", "shop", "-o", "json"],
        input=json.dumps(listed),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert [each["namespace"] for each in json.loads(done.stdout)["findings"]] == ["shop"]
    assert len(server.requests) == before


@pytest.fixture
def standard_input() -> Iterator[None]:
    """Descriptor 0 is as it was afterwards."""
    saved = os.dup(0)
    yield
    os.dup2(saved, 0)
    os.close(saved)


@pytest.mark.usefixtures("standard_input")
def test_nothing_is_piped_in_on_a_terminal_dev_null_or_a_closed_descriptor() -> None:
    terminal, other = os.openpty()
    os.dup2(other, 0)
    assert not piped_in()
    os.close(terminal)
    os.close(other)

    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    assert not piped_in()

    os.close(0)
    assert not piped_in()


@pytest.mark.usefixtures("standard_input")
def test_a_pipe_counts_by_its_first_byte_and_a_file_by_what_is_left_of_it(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.dup2(reading, 0)
    os.write(writing, b"x")
    assert piped_in()
    os.read(0, 1)
    os.close(writing)
    assert not piped_in()
    os.close(reading)

    path = tmp_path / "objects.json"
    path.write_text("{}")
    number = os.open(path, os.O_RDONLY)
    os.dup2(number, 0)
    os.close(number)
    assert piped_in()
    os.read(0, 2)
    assert not piped_in()


def test_whoever_waits_for_a_silent_pipe_is_told_so() -> None:
    reading, writing = os.pipe()
    script = "from nptables.cli.streams import piped_in; print(piped_in(0.01))"
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=reading,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as waiting:
        os.close(reading)
        assert waiting.stderr is not None
        assert waiting.stderr.readline().startswith("note: waiting for objects on standard input")
        os.close(writing)
        assert waiting.communicate(timeout=30)[0] == "False\n"


@pytest.mark.usefixtures("current")
def test_standard_input_belongs_to_whichever_option_names_it(
    server: ApiServer, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", "--node", "node1"]) == 0
    dump = capfd.readouterr().out
    before = len(server.requests)

    done = subprocess.run(
        [sys.executable, "-m", "nptables", "diff", "--node", "node1", "--snapshot", "-"],
        input=dump,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert len(server.requests) > before


# What goes wrong.


def test_without_a_kubeconfig_a_file_is_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 2

    assert capfd.readouterr().err.splitlines()[-1] == (
        "Error: no input: name a FILE, or '-' for standard input; there is no kubeconfig either, "
        "so no cluster can be read"
    )


def errors(capfd: pytest.CaptureFixture[str]) -> list[str]:
    lines = capfd.readouterr().err.splitlines()
    return [line for line in lines if line.lower().startswith("error")]


def test_a_kubeconfig_that_is_not_there_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--kubeconfig", str(tmp_path / "no")]) == 3

    assert errors(capfd) == [
        (
            "error: the API server: the cluster configuration cannot be used: there is no "
            f"kubeconfig: {tmp_path}/no"
        )
    ]


@pytest.mark.usefixtures("current")
def test_a_context_that_is_not_there_is_named_with_those_that_are(
    kubeconfig: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--context", "prod"]) == 3

    assert errors(capfd) == [
        (
            "error: the API server: the cluster configuration cannot be used: there is no context "
            f'"prod" in {kubeconfig}; there are: test, shop'
        )
    ]


def test_a_kubeconfig_without_a_current_context_asks_for_one(
    server: ApiServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = server.kubeconfig(tmp_path / "config")
    path.write_text(path.read_text().replace('"current-context": "test"', '"current-context": ""'))

    assert main(["check", "--kubeconfig", str(path)]) == 3

    assert errors(capfd) == [
        (
            f"error: the API server: the cluster configuration cannot be used: {path} has no "
            f"current context: choose one with --context; there are: test"
        )
    ]


def test_a_server_that_is_not_there_is_named_with_its_context(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with ApiServer() as gone:
        path = gone.kubeconfig(tmp_path / "config")

    assert main(["check", "--kubeconfig", str(path)]) == 3

    assert errors(capfd) == [
        (
            "error: the API server: cannot be reached: [Errno 111] Connection refused "
            f"(context test ({gone.url}))"
        )
    ]


@pytest.mark.usefixtures("current")
def test_a_list_that_is_forbidden_says_what_is_missing(
    server: ApiServer, capfd: pytest.CaptureFixture[str]
) -> None:
    server.fail(Fault(status=403, resource="services"))

    assert main(["check"]) == 3

    assert errors(capfd) == [
        (
            "error: the API server: this account may not read all that the rules depend on: "
            "injected 403"
        )
    ]


# Namespaces and names.


@pytest.mark.usefixtures("current")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], {"default", "shop"}),
        (["-n", "shop"], {"shop"}),
        (["--context", "shop"], {"shop"}),
        (["--context", "shop", "-n", "default"], {"default"}),
        (["--context", "shop", "-A"], {"default", "shop"}),
        (["-n", "shop", "-A"], {"default", "shop"}),
    ],
    ids=lambda words: " ".join(sorted(words)) if isinstance(words, set) else " ".join(words),
)
def test_what_is_shown_is_of_the_namespace_that_is_meant(
    options: list[str], expected: set[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "-o", "json", *options]) == 1
    findings = json.loads(capfd.readouterr().out)["findings"]
    assert expected == {finding["namespace"] for finding in findings}

    assert main(["reach", "-o", "json", *options]) == 0
    rows = json.loads(capfd.readouterr().out)["rows"]
    assert expected == {row["service"].partition("/")[0] for row in rows}


@pytest.mark.usefixtures("current")
@pytest.mark.parametrize(
    ("options", "endpoint"),
    [
        ([], "10.244.1.6"),
        (["--context", "shop"], "10.244.1.5"),
        (["--context", "shop", "-n", "default"], "10.244.1.6"),
    ],
    ids=" ".join,
)
def test_a_name_without_a_namespace_is_in_the_one_that_is_meant(
    options: list[str], endpoint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["graph", "svc/web", "--node", "node1", "-o", "dot", *options]) == 0
    assert endpoint in capfd.readouterr().out
    assert main(["trace", "--node", "node1", "--from", "outside", "--to", "svc/web", *options]) == 0
    assert endpoint in capfd.readouterr().out


@pytest.mark.usefixtures("current")
def test_a_report_shows_the_services_of_a_namespace(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "-o", "-", "-n", "shop"]) == 0
    page = capfd.readouterr().out
    assert "shop/web" in page
    assert "default/web" not in page


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    path = tmp_path / "cluster.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": OBJECTS}))
    return str(path)


@pytest.mark.parametrize("name", ["web", "svc/web", "service/web", "services/web", "svc/shop/web"])
def test_a_service_is_named_as_kubectl_does_it(
    name: str, manifest: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["graph", name, manifest, "-n", "shop", "--node", "no/node1", "-o", "dot"]) == 0
    assert "10.244.1.5" in capfd.readouterr().out
    assert main(["render", manifest, "-n", "shop", "--service", name, "--node", "node1"]) == 0
    assert "10.244.1.6" not in capfd.readouterr().out
    assert main(["reach", manifest, "-n", "shop", "--service", name, "-o", "json"]) == 0
    rows = json.loads(capfd.readouterr().out)["rows"]
    assert {row["service"] for row in rows} == {"shop/web"}
    assert main(["name", name, "-n", "shop"]) == 0
    chains = capfd.readouterr().out
    assert main(["name", "shop/web"]) == 0
    assert capfd.readouterr().out == chains


def test_a_file_knows_nothing_of_contexts(
    current: Path, manifest: str, capfd: pytest.CaptureFixture[str]
) -> None:
    text = current.read_text()
    current.write_text(text.replace('"current-context": "test"', '"current-context": "shop"'))
    try:
        assert main(["graph", "web", manifest, "--node", "node1", "-o", "dot"]) == 0
    finally:
        current.write_text(text)

    assert "10.244.1.6" in capfd.readouterr().out


def test_a_pod_of_a_file_sends_from_where_it_is(
    manifest: str, capfd: pytest.CaptureFixture[str]
) -> None:
    # node2 has no podCIDR: only the Pod says that it is there. It is masqueraded nowhere, and
    # node2 sends it to the cluster IP's only endpoint.
    ends = ["--from", "po/client", "--to", "svc/web"]

    assert main(["trace", manifest, "-n", "shop", "--node", "node2", *ends, "-o", "json"]) == 0

    answer = json.loads(capfd.readouterr().out)
    assert answer["arrives"]
    assert "10.244.2.9" in json.dumps(answer)


@pytest.mark.usefixtures("current")
def test_a_cluster_is_asked_for_the_pod_that_is_named_and_for_no_other(server: ApiServer) -> None:
    before = len(server.requests)

    assert main(["trace", "-n", "shop", "--node", "node1",
                 "--from", "pod/client", "--to", "svc/web"]) == 0  # fmt: skip

    asked = [request.path for request in server.requests[before:] if request.resource == "pods"]
    assert asked == ["/api/v1/namespaces/shop/pods/client"]


@pytest.mark.usefixtures("current")
def test_a_pod_that_may_not_be_read_is_known_as_an_endpoint(
    server: ApiServer, capfd: pytest.CaptureFixture[str]
) -> None:
    slice_of_api = endpoint_slice("api", "10.244.1.7", namespace="shop")
    slice_of_api["endpoints"][0]["targetRef"] = {"kind": "Pod", "namespace": "shop", "name": "a"}
    server.put(slice_of_api)
    server.fail(Fault(status=403, resource="pods"))
    try:
        ends = ["--from", "pod/a", "--to", "svc/web"]
        assert main(["trace", "-n", "shop", "--node", "node1", *ends]) == 0
    finally:
        server.delete("EndpointSlice", "api-a", "shop")

    assert "warning: Pod shop/a cannot be read: the API server: injected 403" in (
        capfd.readouterr().err
    )


def test_a_namespace_without_services_is_mentioned(
    manifest: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", manifest, "-n", "shp"]) == 0
    assert "there is no Service in namespace shp (did you mean shop?)" in capfd.readouterr().err
    assert main(["render", manifest, "-n", "shp", "--node", "node1"]) == 2
    assert "there is no Service in namespace shp (did you mean shop?)" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "-n", "Shop!"], "is not the name of a namespace"),
        (["render", "-n", "shop", "-o", "restore"], "-n cannot be used with -o restore"),
        (["diff", "a", "b", "-n", "shop"], "-n works only with --effects"),
    ],
)
def test_a_namespace_that_cannot_be_is_a_wrong_command_line(
    arguments: list[str], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert words in capfd.readouterr().err


def test_effects_are_those_on_the_services_of_a_namespace(
    manifest: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": OBJECTS})
    changed = tmp_path / "changed.json"
    # Both Services lose their only endpoint to one that is elsewhere.
    changed.write_text(text.replace("10.244.1.", "10.244.3."))
    arguments = ["diff", manifest, str(changed), "--node", "node1", "--effects", "-o", "json"]

    assert main(arguments) == 1
    all_of_them = json.loads(capfd.readouterr().out)["effects"]
    assert main([*arguments, "-n", "shop"]) == 1
    shown = json.loads(capfd.readouterr().out)["effects"]

    assert {effect["service"] for effect in all_of_them} == {"default/web", "shop/web"}
    assert shown == [effect for effect in all_of_them if effect["service"] == "shop/web"]
