"""`nptables run` and `nptables status` as processes of a node."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.agents import LIMIT, AgentProcess, running, wait_for
from tests.support.apiserver import ApiServer
from tests.support.netns import network_namespace
from tests.support.objects import endpoint_slice, node, service
from tests.support.requirements import requires

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.netns import Namespace

pytestmark = pytest.mark.kernel


@pytest.fixture
def nft_node() -> Iterator[Namespace]:
    """A node of its own; the backend makes no difference here."""
    requires("root", "netns", "nft")
    with network_namespace("nft") as made:
        made.run(["ip", "link", "set", "lo", "up"])
        yield made


@pytest.fixture
def server(nft_node: Namespace) -> Iterator[ApiServer]:
    with ApiServer(namespace=nft_node.name) as server:
        server.put(node(), service("web", node_port=30080), endpoint_slice("web", "10.244.0.5"))
        yield server


@pytest.fixture
def agent(nft_node: Namespace, server: ApiServer, tmp_path: Path) -> AgentProcess:
    return AgentProcess(nft_node, server, tmp_path, hasty=True)


def fetch(namespace: Namespace, port: int, path: str, host: str = "127.0.0.1") -> tuple[int, str]:
    code = (
        "import sys, http.client as h; c = h.HTTPConnection(sys.argv[1], int(sys.argv[2]));"
        "c.request('GET', sys.argv[3]); a = c.getresponse();"
        "print(a.status); print(a.read().decode())"
    )
    done = namespace.run([sys.executable, "-c", code, host, str(port), path])
    status, _, body = done.stdout.partition("\n")
    return int(status), body


def nptables(agent: AgentProcess, *words: str) -> subprocess.CompletedProcess[str]:
    return agent.namespace.run([sys.executable, "-m", "nptables", *words], check=False)


def test_a_life_from_start_to_stop(agent: AgentProcess) -> None:
    namespace = agent.namespace
    with running(agent):
        agent.gets_ready()
        agent.converges()

        # kube-proxy's ports, paths and names.
        assert fetch(namespace, 10256, "/healthz")[0] == 200
        assert fetch(namespace, 10256, "/livez")[0] == 200
        assert fetch(namespace, 10249, "/proxyMode") == (200, "iptables\n")
        assert '"mode": "iptables"' in fetch(namespace, 10249, "/configz")[1]
        metrics = fetch(namespace, 10249, "/metrics")[1]
        series = dict(re.findall(r"^(\w+(?:\{.*?\})?) (\S+)$", metrics, re.MULTILINE))
        assert series["kubeproxy_sync_proxy_rules_service_changes_total"] == "1.0"
        assert series["kubeproxy_sync_proxy_rules_endpoint_changes_total"] == "1.0"
        assert series['kubeproxy_proxy_healthz_total{code="200"}'] == "1.0"
        text = namespace.save("IPV4")
        own = [x for x in text.split("*nat")[1].split("COMMIT")[0].splitlines() if "-A KUBE" in x]
        counted = series['kubeproxy_sync_proxy_rules_iptables_total{ip_family="IPv4",table="nat"}']
        assert float(counted) == len([x for x in own if "CANARY" not in x])
        # Nothing of an object is in a metric.
        assert "web" not in metrics
        assert "10.244" not in metrics

        status = nptables(agent, "status", "--run-dir", str(agent.run_folder))
        assert status.returncode == 0, status.stderr
        assert "Node node1, mode sync" in status.stdout
        as_json = nptables(agent, "status", "--run-dir", str(agent.run_folder), "-o", "json")
        assert json.loads(as_json.stdout)["services"] == 1

        second = nptables(agent, "run", "--node", "node1", "--run-dir", str(agent.run_folder))
        assert second.returncode == 4
        assert "another agent keeps this node in sync (pid" in second.stderr

        before = [x for x in namespace.save("IPV4").splitlines() if x.startswith("-A")]
        assert agent.stop(signal.SIGTERM) == 0
    assert [x for x in namespace.save("IPV4").splitlines() if x.startswith("-A")] == before
    status = nptables(agent, "status", "--run-dir", str(agent.run_folder))
    assert status.returncode == 3
    assert "no agent answers on this node" in status.stderr


def test_sighup_reads_the_configuration_again_and_keeps_a_good_one(agent: AgentProcess) -> None:
    agent.config = {}
    with running(agent):
        agent.converges()
        agent.write_config({"iptables": {"masqueradeAll": True}})
        agent.send(signal.SIGHUP)
        wait_for(lambda: bool(agent.log("read the configuration again")))
        agent.converges()
        masqueraded = r'default/web:p cluster IP" .*-j KUBE-MARK-MASQ'
        assert re.search(masqueraded, agent.namespace.save("IPV4"))
        good = dict(agent.config or {})
        agent.write_config({"iptables": {"masqueradeAl": True}})
        agent.send(signal.SIGHUP)
        wait_for(lambda: bool(agent.log("the new configuration is wrong")))
        agent.config = good
        agent.converges()
        assert agent.stop() == 0


def test_the_rules_are_those_of_the_version_that_the_node_says(
    agent: AgentProcess, server: ApiServer
) -> None:
    """1.28 drops INVALID packets whatever the configuration says of it; 1.36 would not."""
    here = node()
    here["status"]["nodeInfo"] = {"kubeletVersion": "v1.28.3-gke.1"}
    server.put(here)
    agent.config = {"conntrack": {"tcpBeLiberal": True}}
    with running(agent):
        agent.gets_ready()

        (said,) = agent.log("the rules are those of the kube-proxy that goes with the kubelet")
        assert (said["version"], said["kubelet"]) == ("1.28", "v1.28.3-gke.1")
        assert "--ctstate INVALID -j DROP" in agent.namespace.save("IPV4")
        (remark,) = agent.log("parts of the configuration have no effect")
        assert "conntrack.tcpBeLiberal has no effect" in remark["remark"]
        in_use = json.loads(fetch(agent.namespace, 10249, "/configz")[1])
        assert in_use["kubeproxy.config.k8s.io"]["conntrack"]["tcpBeLiberal"] is False
        # A configuration that is read again is read for the same version.
        agent.write_config({"conntrack": {"tcpBeLiberal": True}, "iptables": {"masqueradeBit": 5}})
        agent.send(signal.SIGHUP)
        wait_for(lambda: "0x20/0x20" in agent.namespace.save("IPV4"))
        assert "--ctstate INVALID -j DROP" in agent.namespace.save("IPV4")
        assert agent.stop() == 0
    agent.options = ("--kube-proxy-version", "1.36")
    with running(agent):
        wait_for(lambda: "--ctstate INVALID -j DROP" not in agent.namespace.save("IPV4"))
        assert agent.stop() == 0


def test_rules_are_removed_at_the_end_if_asked_for(agent: AgentProcess) -> None:
    agent.options = ("--cleanup-on-exit",)
    with running(agent):
        agent.converges()
        assert agent.stop(signal.SIGINT) == 0
    rules = agent.namespace.save("IPV4")
    # The kubelet keeps KUBE-FIREWALL as well, so it stays.
    assert set(re.findall(r"KUBE-[\w-]+", rules)) <= {"KUBE-FIREWALL"}


def test_observing_writes_nothing_opens_nothing_and_reports(agent: AgentProcess) -> None:
    agent.options = ("--mode", "observe", "--verify-period", "500ms")
    namespace = agent.namespace
    before = namespace.run(["nft", "list", "ruleset"]).stdout
    with running(agent):
        # Each family by itself: only then is the agent in sync.
        wait_for(lambda: len(agent.log("compared for the first time")) == 2)
        listening = namespace.run(["ss", "-Hltn"]).stdout.splitlines()
        assert len(listening) == 1, "only the API server of the test listens"
        status = nptables(agent, "status", "--run-dir", str(agent.run_folder))
        # Whether the difference counts yet is a matter of time: tests/agent/test_reports.py.
        assert "mode observe" in status.stdout
        wait_for(lambda: bool(agent.log("rules differ")))
        status = nptables(agent, "status", "--run-dir", str(agent.run_folder))
        assert status.returncode == 1
        assert re.search(r"[0-9]+ rule lines differ", status.stdout)
        assert agent.stop() == 0
    assert agent.server.events == []
    assert namespace.run(["nft", "list", "ruleset"]).stdout == before


def test_addresses_that_come_and_go_are_followed(agent: AgentProcess) -> None:
    agent.config = {"nodePortAddresses": ["192.168.77.0/24"], "iptables": {"minSyncPeriod": "1ms"}}
    with running(agent):
        agent.converges()
        agent.namespace.run(["ip", "addr", "add", "192.168.77.5/24", "dev", "lo"])
        agent.converges()
        wait_for(lambda: "-d 192.168.77.5/32" in agent.namespace.save("IPV4"))
        agent.namespace.run(["ip", "addr", "del", "192.168.77.5/24", "dev", "lo"])
        wait_for(lambda: "192.168.77.5" not in agent.namespace.save("IPV4"))
        agent.stop()


def test_addresses_are_kept_while_ip_fails(
    agent: AgentProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing, folder = tmp_path / "failing", tmp_path / "bin"
    folder.mkdir()
    program = folder / "ip"
    program.write_text(f'#!/bin/sh\n[ -e {failing} ] && exit 1\nexec {shutil.which("ip")} "$@"\n')
    program.chmod(0o755)
    namespace = agent.namespace
    namespace.run(["ip", "addr", "add", "192.168.77.5/24", "dev", "lo"])
    agent.config = {"nodePortAddresses": ["192.168.77.0/24"]}
    with monkeypatch.context() as environment:
        environment.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        agent.start()
    try:
        agent.converges()
        jump = "-d 192.168.77.5/32"
        assert jump in namespace.save("IPV4")
        failing.touch()
        namespace.run([shutil.which("ip") or "", "addr", "add", "192.168.77.6/24", "dev", "lo"])
        wait_for(lambda: bool(agent.log("addresses cannot be read")))
        agent.server.put(endpoint_slice("web", "10.244.0.9"))
        wait_for(lambda: "10.244.0.9" in namespace.save("IPV4"))
        # Read anew with the configuration as well.
        agent.send(signal.SIGHUP)
        wait_for(lambda: bool(agent.log("read the configuration again")))
        agent.server.put(endpoint_slice("web", "10.244.0.10"))
        wait_for(lambda: "10.244.0.10" in namespace.save("IPV4"))
        assert jump in namespace.save("IPV4")
        failing.unlink()
        namespace.run(["ip", "addr", "add", "192.168.77.7/24", "dev", "lo"])
        wait_for(lambda: "-d 192.168.77.7/32" in namespace.save("IPV4"))
    finally:
        assert agent.stop() == 0


def test_an_interface_with_a_hostile_name_has_addresses_too(agent: AgentProcess) -> None:
    agent.config = {"nodePortAddresses": ["192.168.77.0/24"]}
    name = 'a\x01\x1b[2J"'
    with running(agent):
        agent.converges()
        agent.namespace.run(["ip", "link", "add", "name", name, "type", "veth"])
        agent.namespace.run(["ip", "addr", "add", "192.168.77.9/24", "dev", name])
        wait_for(lambda: "-d 192.168.77.9/32" in agent.namespace.save("IPV4"))
        facts = nptables(agent, "facts")
        assert facts.returncode == 0
        assert [x for x in facts.stdout if not x.isprintable()] == ["\n"] * facts.stdout.count("\n")
        assert agent.stop() == 0


def test_the_node_is_prepared_before_the_first_sync(agent: AgentProcess) -> None:
    requires("nfacct objects")
    # Settings of the whole machine stay as they are.
    nothing = {
        "maxPerCore": 0,
        "min": 0,
        "tcpEstablishedTimeout": "0s",
        "tcpCloseWaitTimeout": "0s",
    }
    agent.options = ("--prepare",)
    agent.config = {"conntrack": nothing}
    agent.facts = {"nfacct": True}
    with running(agent):
        agent.converges()
        localnet = agent.namespace.run(["sysctl", "-n", "net.ipv4.conf.all.route_localnet"])
        assert localnet.stdout == "1\n"
        assert "--nfacct-name" in agent.namespace.save("IPV4")
        metrics = fetch(agent.namespace, 10249, "/metrics")[1]
        assert "\nkubeproxy_iptables_ct_state_invalid_dropped_packets_total 0.0\n" in metrics
        assert "\nkubeproxy_iptables_localhost_nodeports_accepted_packets_total 0.0\n" in metrics
        agent.stop()


def test_health_ports_of_load_balancers_are_served(agent: AgentProcess) -> None:
    balanced: dict[str, Any] = {
        "type": "LoadBalancer",
        "externalTrafficPolicy": "Local",
        "healthCheckNodePort": 32000,
    }
    with running(agent):
        agent.converges()
        agent.server.put(service("web", node_port=30080, **balanced))
        agent.converges()
        wait_for(lambda: ":32000" in agent.namespace.run(["ss", "-Hltn"]).stdout)
        status, body = fetch(agent.namespace, 32000, "/")
        assert (status, json.loads(body)["localEndpoints"]) == (200, 1)
        agent.server.put(endpoint_slice("web", "10.244.1.5", node="node2"))
        wait_for(lambda: fetch(agent.namespace, 32000, "/")[0] == 503)
        agent.server.put(service("web", node_port=30080))
        wait_for(lambda: ":32000" not in agent.namespace.run(["ss", "-Hltn"]).stdout)
        agent.stop()


def test_a_node_that_is_deleted_is_not_healthy_but_alive(agent: AgentProcess) -> None:
    with running(agent):
        agent.converges()
        agent.server.delete("Node", "node1")
        wait_for(lambda: fetch(agent.namespace, 10256, "/healthz")[0] == 503)
        assert fetch(agent.namespace, 10256, "/livez")[0] == 200
        agent.server.put(node())
        wait_for(lambda: fetch(agent.namespace, 10256, "/healthz")[0] == 200)
        agent.stop()


def test_it_starts_before_the_api_server_answers(agent: AgentProcess) -> None:
    server = agent.server
    server.stop()
    with running(agent):
        time.sleep(1.5)
        assert "KUBE" not in agent.namespace.save("IPV4")
        server.start()
        agent.converges()
        agent.stop()


def test_a_refused_list_of_one_collection_programs_nothing(agent: AgentProcess) -> None:
    from tests.support.apiserver import Fault

    refusing = agent.server.fail(Fault(resource="endpointslices", status=403, times=10**6))
    with running(agent):
        wait_for(lambda: len(agent.log("cannot be watched")) > 3)
        assert "KUBE" not in agent.namespace.save("IPV4")
        refusing.times = 0
        agent.converges()
        agent.stop()


def test_events_say_that_it_starts_and_which_endpoints_are_of_the_wrong_family(
    agent: AgentProcess,
) -> None:
    server = agent.server
    with running(agent):
        agent.converges()
        server.put(endpoint_slice("web", "10.244.0.5", "10.244.0.6"))
        mixed = endpoint_slice("web", "10.244.0.5", "10.244.0.6")
        mixed["endpoints"][1]["addresses"] = ["fd00:10:244::6"]
        server.put(mixed)
        wait_for(lambda: len(server.events) == 2)
        assert agent.stop() == 0
    starting, warned = (request.body for request in server.events)
    assert (starting["reason"], starting["type"]) == ("Starting", "Normal")
    assert starting["regarding"]["kind"] == "Node"
    assert (warned["reason"], warned["type"]) == ("KubeProxyIncorrectIPVersion", "Warning")
    service_named = {"apiVersion": "v1", "kind": "Service", "name": "web", "namespace": "default"}
    assert warned["regarding"] == service_named
    assert "fd00:10:244::6" in warned["note"]
    assert agent.log("Event could not be written") == []


def test_events_that_are_forbidden_change_nothing_but_a_line_in_the_log(
    agent: AgentProcess,
) -> None:
    from tests.support.apiserver import Fault

    agent.server.fail(Fault(resource="events", status=403, times=10**6))
    with running(agent):
        agent.converges()
        wait_for(lambda: bool(agent.log("Event could not be written")))
        metrics = fetch(agent.namespace, 10249, "/metrics")[1]
        assert "\nnptables_event_failures_total 1.0\n" in metrics
        assert agent.stop() == 0
    assert len(agent.log("Event could not be written")) == 1
    assert len(agent.server.events) == 1


def test_the_service_manager_is_told_when_it_is_ready(
    agent: AgentProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(path)
        listening.settimeout(LIMIT)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        monkeypatch.setenv("WATCHDOG_USEC", "400000")
        with running(agent):
            said: list[str] = []
            while not any("READY=1" in text for text in said):
                said.append(listening.recv(1000).decode())
            assert agent.difference() == ""
            while listening.recv(1000) != b"WATCHDOG=1":
                pass
            agent.stop()


def test_whoever_watches_the_agent_hears_of_it_while_the_tables_take_long_to_read(
    agent: AgentProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil
    import socket

    reading, go_on, path = tmp_path / "reading", tmp_path / "go-on", str(tmp_path / "notify")
    program = tmp_path / "iptables-nft-save"
    program.write_text(
        f"#!/bin/sh\ntouch {reading}\nuntil [ -e {go_on} ]; do sleep 0.1; done\n"
        f'exec {shutil.which("iptables-nft-save")} "$@"\n'
    )
    program.chmod(0o755)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(path)
        listening.settimeout(LIMIT)
        with monkeypatch.context() as environment:
            environment.setenv("NOTIFY_SOCKET", path)
            environment.setenv("WATCHDOG_USEC", "4000000")
            environment.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
            agent.start()
        try:
            wait_for(reading.exists)
            assert {listening.recv(1000) for _ in range(3)} == {b"WATCHDOG=1"}
            assert fetch(agent.namespace, 10256, "/livez")[0] == 200
            go_on.touch()
            while not listening.recv(1000).startswith(b"READY=1"):
                pass
            assert agent.difference() == ""
        finally:
            go_on.touch()
            agent.stop()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--check-period", "soon"], 2, "is not a duration"),
        (["--node", "Not A Node"], 2, "is not a node name"),
        (["--config", "/nowhere.yaml"], 2, "/nowhere.yaml"),
        (["--kubeconfig", "/nowhere"], 3, "configuration cannot be used"),
    ],
)
def test_a_wrong_command_line_ends_with_one_clear_line(
    nft_node: Namespace, tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    argv = [sys.executable, "-m", "nptables", "run", "--node", "n", "--run-dir", str(tmp_path)]
    done = nft_node.run([*argv, "--no-listen", *words], check=False, env={"HOME": str(tmp_path)})
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_kubeconfig_that_only_kube_proxys_pods_have_is_named_with_the_way_out(
    nft_node: Namespace, tmp_path: Path
) -> None:
    config = tmp_path / "kube-proxy.yaml"
    config.write_text(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
        "clientConnection: {kubeconfig: /nowhere/kubeconfig.conf}\n"
    )
    argv = [sys.executable, "-m", "nptables", "run", "--node", "n", "--run-dir", str(tmp_path)]
    done = nft_node.run([*argv, "--no-listen", "--config", config], check=False)
    assert done.returncode == 3
    assert "/nowhere/kubeconfig.conf, which does not exist" in done.stderr
    assert "--kubeconfig" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_running_kube_proxy_is_noticed(nft_node: Namespace, tmp_path: Path) -> None:
    other = tmp_path / "kube-proxy"
    other.symlink_to("/bin/sleep")
    standing = subprocess.Popen(["ip", "netns", "exec", nft_node.name, str(other), "600"])
    try:
        wait_for(lambda: _name_of(standing.pid) == "kube-proxy")
        argv = [sys.executable, "-m", "nptables", "run", "--node", "n", "--run-dir", str(tmp_path)]
        done = nft_node.run(argv, check=False)
        assert done.returncode == 3
        assert f"kube-proxy (pid {standing.pid}) runs on this node" in done.stderr
    finally:
        standing.kill()
        standing.wait()


# Does nothing but to say which version it is.
KUBE_PROXY = """\
#!{python}
import http.server
class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'kubernetes_build_info{{git_version="v1.28.3-gke.1"}} 1\\n')
http.server.HTTPServer(("127.0.0.1", 10249), Answers).serve_forever()
"""


def test_beside_a_kube_proxy_the_log_says_its_version_and_each_line_is_an_event(
    agent: AgentProcess, tmp_path: Path
) -> None:
    other = tmp_path / "kube-proxy"
    other.write_text(KUBE_PROXY.format(python=sys.executable))
    other.chmod(0o755)
    agent.options = ("--mode", "observe")
    agent.config = {"conntrack": {"tcpBeLiberal": True}}
    inside = ["ip", "netns", "exec", agent.namespace.name]
    with subprocess.Popen([*inside, str(other)], stderr=subprocess.DEVNULL) as standing:
        try:
            listening = ["ss", "-Hltn", "sport = :10249"]
            wait_for(lambda: bool(agent.namespace.run(listening).stdout))
            with running(agent):
                wait_for(lambda: bool(agent.log("compared for the first time")))
                assert agent.stop() == 0
        finally:
            standing.kill()
    (said,) = agent.log("the rules are those of the kube-proxy that runs here")
    assert (said["version"], said["kubeProxy"]) == ("1.28", "v1.28.3-gke.1")
    assert len(agent.log("parts of the configuration have no effect")) == 1
    assert all(line.startswith("{") for line in agent.log_path.read_text().splitlines())


def _name_of(pid: int) -> str:
    with open(f"/proc/{pid}/comm") as handle:  # noqa: PTH123 - one line
        return handle.read().strip()


def test_the_package_is_not_imported_by_other_commands() -> None:
    code = (
        "import sys; from nptables.cli import main; main(['render', '--help']);"
        "print([m for m in sys.modules if m.startswith(('nptables.agent', 'kubernetes', 'prom'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert done.stdout.splitlines()[-1] == "[]"
