"""What stands in deploy/, held against what the agent does."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
import yaml

from nptables.agent.metrics import Metrics
from nptables.cli.commands.run import command
from nptables.model import ProxyConfig
from nptables.sources.apiserver import ENDPOINT_SLICES, SERVICES, node_named
from tests.support.agents import wait_for
from tests.support.requirements import requires

if TYPE_CHECKING:
    from tests.support.agents import AgentProcess

DEPLOY = Path("deploy")
MANIFESTS = list(yaml.safe_load_all((DEPLOY / "nptables.yaml").read_text()))


def manifest(kind: str) -> dict[str, Any]:
    (found,) = [m for m in MANIFESTS if m["kind"] == kind]
    return found


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = manifest("DaemonSet")["spec"]["template"]["spec"]
    return spec


def container() -> dict[str, Any]:
    (found,) = pod()["containers"]
    return found


def allowed() -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for rule in manifest("ClusterRole")["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def group_of(path: str) -> str:
    return "" if path.startswith("/api/") else path.split("/")[2]


def test_the_role_allows_what_the_agent_watches_and_no_other_collection() -> None:
    asked = {(group_of(r.path), r.name) for r in (SERVICES, ENDPOINT_SLICES, node_named("node1"))}
    watched = {entry for entry in allowed() if entry[1] != "events"}
    assert {(group, resource) for group, resource, _ in watched} == asked
    assert {verb for _, _, verb in watched} == {"list", "watch"}


def test_the_role_allows_to_write_events_and_nothing_else() -> None:
    written = {entry for entry in allowed() if entry[2] not in ("list", "watch")}
    assert written == {("events.k8s.io", "events", "create")}


@pytest.mark.kernel
def test_the_role_allows_exactly_the_requests_that_a_running_agent_made(
    standing: AgentProcess,
) -> None:
    wait_for(lambda: len(standing.server.standing) == 3 and bool(standing.server.events))
    made = {
        (
            group_of(request.path),
            request.resource,
            "create" if request.method == "POST" else "watch" if request.watch else "list",
        )
        for request in standing.server.requests
    }
    assert made == allowed()


def test_the_account_of_the_pods_is_the_one_that_is_bound() -> None:
    account = manifest("ServiceAccount")["metadata"]
    (subject,) = manifest("ClusterRoleBinding")["subjects"]
    assert subject == {"kind": "ServiceAccount", **account}
    assert (
        manifest("ClusterRoleBinding")["roleRef"]["name"]
        == manifest("ClusterRole")["metadata"]["name"]
    )
    assert pod()["serviceAccountName"] == account["name"]


def test_the_agent_has_two_capabilities_and_no_privilege() -> None:
    security = container()["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]}
    assert not security["privileged"]
    assert not security["allowPrivilegeEscalation"]
    assert security["readOnlyRootFilesystem"]


def test_the_lock_and_the_modules_of_the_host_are_mounted() -> None:
    paths = {volume["hostPath"]["path"] for volume in pod()["volumes"] if "hostPath" in volume}
    assert {"/run/xtables.lock", "/lib/modules", "/run/nptables"} == paths
    assert {m["name"] for m in container()["volumeMounts"]} == {v["name"] for v in pod()["volumes"]}
    assert pod()["hostNetwork"]


def test_the_probes_ask_where_the_configuration_listens() -> None:
    (name,) = manifest("ConfigMap")["data"]
    config = ProxyConfig.from_kube_proxy(yaml.safe_load(manifest("ConfigMap")["data"][name]))
    port = int(config.healthz_bind_address.rpartition(":")[2])
    assert container()["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container()["readinessProbe"]["httpGet"]["path"] == "/healthz"
    for probe in ("livenessProbe", "readinessProbe"):
        assert container()[probe]["httpGet"]["port"] == port
    assert f"--config=/etc/nptables/{name}" in container()["args"]


def accepts(arguments: list[str]) -> None:
    assert arguments[0] == "run"
    with click.Context(command) as context:
        command.make_parser(context).parse_args(args=arguments[1:])


def test_the_command_lines_are_ones_that_run_accepts() -> None:
    accepts(container()["args"])
    unit = (DEPLOY / "nptables.service").read_text()
    (line,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    accepts(shlex.split(line)[1:])


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    requires("systemd-analyze")
    import subprocess
    import sys

    # The program is not installed where the tests run; another that exists stands in for it.
    text = (DEPLOY / "nptables.service").read_text().replace("/usr/bin/nptables", sys.executable)
    unit = tmp_path / "nptables.service"
    unit.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    words = {
        word
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for word in re.findall(r"\b(?:kubeproxy|nptables|process)_\w+", target["expr"])
    }
    families = {family.name for family in Metrics(lambda: 0, dict).registry.collect()}
    known = {f"{name}{end}" for name in families for end in ("", "_total", "_bucket")}
    assert words <= known
    # What docs/running.md says of our own: that these are all, and that the dashboard has them.
    page = Path("docs", "running.md").read_text()
    listed = set(re.findall(r"^\| `(nptables_\w+)` \|", page, re.MULTILINE))
    ours = {name for name in families if name.startswith("nptables_")}
    assert {name.removesuffix("_total") for name in listed} == ours
    assert listed <= words
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    assert {t["refId"] for p in dashboard["panels"] for t in p["targets"]} <= set("ABC")


def test_the_image_installs_what_the_agent_needs() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    assert "--require-hashes -r requirements/image.txt" in text
    locked = Path("requirements/image.txt").read_text()
    for package in ("kubernetes", "prometheus-client", "pyroute2", "attrs", "click", "pyyaml"):
        assert f"\n{package}==" in f"\n{locked}"
    assert {"iptables", "iproute2"} <= set(text.replace("\\\n", " ").split())
