"""What is read from the node and set on it: facts, counters, settings, connections."""

from __future__ import annotations

import http.server
import json
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from nptables import ProxyConfig
from nptables.errors import BackendUnavailable, KernelError
from nptables.family import Family
from nptables.kernel import RestoreBackend
from nptables.kernel.node import facts, preparation
from nptables.kernel.node.conntrack import Flow, stale_flows
from nptables.kernel.node.kube_proxy import find_kube_proxy, running_version
from nptables.kernel.node.other_tables import native_rules
from nptables.kernel.programs import Completed
from nptables.kernel.tables.choosing import probe
from nptables.model import NodeFacts
from nptables.translation.frontends import Frontend, udp_frontends
from nptables.translation.owned import ownership
from tests.kernel.nodes import Node, endpoints, manifest, rules_for, service
from tests.support.requirements import requires

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULTS = ProxyConfig()


def test_the_settings_of_the_configuration_are_those_that_kube_proxy_makes() -> None:
    # 32768 a core, at least 131072; 24 h and 1 h: kube-proxy's defaults.
    assert preparation.conntrack_settings(DEFAULTS, cores=2) == {
        "nf_conntrack_max": 131072,
        "nf_conntrack_tcp_timeout_established": 86400,
        "nf_conntrack_tcp_timeout_close_wait": 3600,
    }
    assert preparation.conntrack_settings(DEFAULTS, cores=8)["nf_conntrack_max"] == 262144


def test_what_is_set_already_is_not_reported(tmp_path: Path) -> None:
    folder = tmp_path / "net/netfilter"
    folder.mkdir(parents=True)
    config = ProxyConfig.from_kube_proxy(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "conntrack": {
                "maxPerCore": 0,
                "tcpBeLiberal": True,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "60s",
            },
        }
    )
    (folder / "nf_conntrack_tcp_be_liberal").write_text("0\n")
    (folder / "nf_conntrack_tcp_timeout_close_wait").write_text("60\n")

    done = preparation.prepare(config, localhost_node_ports=False, proc=tmp_path)

    said = [str(setting) for setting in done if "nfacct" not in setting.name]
    assert said == ["net.netfilter.nf_conntrack_tcp_be_liberal set to 1 (was 0)"]
    assert (folder / "nf_conntrack_tcp_be_liberal").read_text() == "1\n"


def test_settings_are_taken_back_unless_somebody_changed_them_since(tmp_path: Path) -> None:
    folder = tmp_path / "net/netfilter"
    folder.mkdir(parents=True)
    files = {
        name: folder / f"nf_conntrack_{name}"
        for name in ("max", "tcp_timeout_established", "tcp_timeout_close_wait")
    }
    for path in files.values():
        path.write_text("5\n")
    config = ProxyConfig.from_kube_proxy(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "conntrack": {"maxPerCore": 0},
        }
    )
    wanted = preparation.missing_settings(config, localhost_node_ports=False, proc=tmp_path)
    # 24 h and 1 h: kube-proxy's defaults; looking has written nothing.
    assert [(s.value, s.before) for s in wanted] == [("86400", "5"), ("3600", "5")]
    assert {path.read_text() for path in files.values()} == {"5\n"}
    preparation.write(wanted)
    files["tcp_timeout_close_wait"].write_text("7\n")

    assert preparation.take_back(wanted) == []

    held = {name: path.read_text() for name, path in files.items()}
    assert held == {"max": "5\n", "tcp_timeout_established": "5\n", "tcp_timeout_close_wait": "7\n"}


def test_a_setting_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    done = preparation.prepare(DEFAULTS, localhost_node_ports=True, proc=tmp_path)

    assert "net.ipv4.conf.all.route_localnet could not be set to 1: No such file or directory" in [
        str(setting) for setting in done
    ]


def answers(**by_word: object):
    """A Runner that answers by the last word of the command."""

    def run(argv: Sequence[str], _text: str, _seconds: float) -> Completed:
        return Completed(0, str(by_word.get(" ".join(argv[1:]), "")), "")

    return run


@pytest.mark.parametrize(
    ("version", "known"),
    [
        ("iptables v1.8.9 (nf_tables)", True),
        ("iptables v1.6.2", True),
        ("iptables v1.6.1", False),
        ("iptables v1.4.21", False),
        ("something else", True),
    ],
)
def test_random_fully_is_known_since_1_6_2(version: str, known: bool) -> None:  # noqa: FBT001
    assert facts.random_fully(answers(**{"--version": version})) is known


def test_facts_of_ip_are_what_the_facts_option_reads() -> None:
    run = answers(
        **{
            "-j addr": '[{"ifname": "eth0", "addr_info": ['
            '{"local": "192.168.0.2", "prefixlen": 24}, {"local": "fd00::2", "prefixlen": 64}'
            "]}, {}]",
            "-j route": '[{"dst": "default", "gateway": "192.168.0.1", "dev": "eth0"}]',
            "-j -6 route": "[]",
        }
    )

    found = NodeFacts.from_mapping(facts.gather(run))

    assert found.interfaces == {"eth0": ("192.168.0.2/24", "fd00::2/64")}
    assert found.routes is not None
    assert [route["dst"] for route in found.routes] == ["default"]


@pytest.mark.parametrize(
    "done",
    [
        Completed(1, "", "RTNETLINK answers: No buffer space available"),
        # What was printed before a failure is no answer either.
        Completed(1, '[{"ifname": "eth0", "addr_info": []}]', "Dump terminated"),
        Completed(0, "", ""),
        Completed(0, '[{"ifname": "eth', ""),
        Completed(0, "{}", ""),
    ],
)
def test_an_ip_that_fails_says_nothing_about_addresses(done: Completed) -> None:
    with pytest.raises(KernelError):
        facts.interfaces(lambda *_: done)
    assert "interfaces" not in facts.gather(lambda *_: done)


def test_interfaces_may_have_control_characters_in_their_names() -> None:
    # As iproute2 6.1 prints them: the kernel refuses only white space, slashes and colons.
    link = '[{"ifname":"a\x01\x1b[2J","addr_info":[{"local":"192.168.0.9","prefixlen":24}]}]'

    found = facts.interfaces(answers(**{"-j addr": link}))

    assert found == {"a\x01\x1b[2J": ["192.168.0.9/24"]}


UDP = {Frontend("10.96.0.10", 53): frozenset({("10.1.0.2", 53)}), Frontend("", 30053): frozenset()}
LOCAL = frozenset({"192.168.0.2"})


@pytest.mark.parametrize(
    ("flow", "stale"),
    [
        # Translated to an endpoint that is still there.
        (Flow(("10.96.0.10", 53), ("10.1.0.2", 53)), False),
        # To one that is gone, and untranslated from before there was a rule.
        (Flow(("10.96.0.10", 53), ("10.1.0.9", 53)), True),
        (Flow(("10.96.0.10", 53), ("10.96.0.10", 53)), True),
        # A node port counts on the node's addresses only, forwarded traffic does not.
        (Flow(("192.168.0.2", 30053), ("10.1.0.2", 53)), True),
        (Flow(("8.8.8.8", 30053), ("8.8.8.8", 30053)), False),
        (Flow(("8.8.8.8", 53), ("8.8.8.8", 53)), False),
        # A frontend that went away: translated flows go, others are nobody's business.
        (Flow(("10.96.0.99", 53), ("10.1.0.2", 53)), True),
        (Flow(("10.96.0.99", 53), ("10.96.0.99", 53)), False),
    ],
)
def test_a_flow_is_stale_when_the_rules_would_not_make_it(
    flow: Flow,
    stale: bool,  # noqa: FBT001
) -> None:
    before = {Frontend("10.96.0.99", 53): frozenset({("10.1.0.2", 53)})}

    assert bool(stale_flows([flow], before, UDP, LOCAL)) is stale


def udp_service(number: int, count: int) -> list[dict[str, object]]:
    made, slice_ = service(number), endpoints(number, count)
    made["spec"]["ports"][0]["protocol"] = "UDP"
    slice_["ports"][0]["protocol"] = "UDP"
    return [made, slice_]


def test_udp_frontends_are_read_from_the_rules() -> None:
    rules = rules_for([*udp_service(1, 2), *udp_service(2, 0), service(3), endpoints(3, 1)])

    assert udp_frontends(rules) == {
        Frontend("10.96.0.2", 80): frozenset({("10.200.1.1", 8080), ("10.200.1.2", 8080)}),
        Frontend("", 30001): frozenset({("10.200.1.1", 8080), ("10.200.1.2", 8080)}),
        Frontend("10.96.0.3", 80): frozenset(),
        Frontend("", 30002): frozenset(),
    }


def test_no_counter_is_made_for_a_kube_proxy_that_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[str] = []
    monkeypatch.setattr(preparation.nfacct, "create", made.append)

    assert list(preparation.create_counters(ProxyConfig.defaults("1.30"))) == []
    assert made == []
    list(preparation.create_counters(ProxyConfig.defaults("1.31")))
    assert made == ["ct_state_invalid_dropped_pkts", "localhost_nps_accepted_pkts"]


def test_no_kube_proxy_runs_where_there_are_no_processes(tmp_path: Path) -> None:
    assert find_kube_proxy(tmp_path) == ""


def process(proc: Path, pid: str, name: str, *, port_owner: bool = False) -> None:
    (proc / pid / "ns").mkdir(parents=True)
    (proc / pid / "comm").write_text(f"{name}\n")
    (proc / pid / "ns/net").symlink_to(proc / "namespace")
    (proc / pid / "fd").mkdir()
    if port_owner:
        (proc / pid / "fd/3").symlink_to("socket:[77]")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "namespace").write_text("")
    process(tmp_path, "self", "python")
    (tmp_path / "self/net").mkdir()
    return tmp_path


def listen(proc: Path) -> None:
    line = "0: 00000000:{:04X} 00000000:0000 0A 0:0 0:0 0 0 0 77 1"
    lines = ["  sl  local_address", line.format(10256), line.format(10249)]
    (proc / "self/net/tcp").write_text("\n".join(lines) + "\n")


def test_a_kube_proxy_is_found_by_its_name(proc: Path) -> None:
    process(proc, "41", "kubelet")
    process(proc, "42", "kube-proxy")

    assert find_kube_proxy(proc) == "kube-proxy (pid 42)"


def test_a_name_that_is_no_text_hides_no_kube_proxy(proc: Path) -> None:
    """Any program may call itself anything (PR_SET_NAME), and a name may be cut within a letter."""
    process(proc, "41", "short")
    (proc / "41/comm").write_bytes(b"\xff\xfe caf\xc3\n")
    process(proc, "42", "kube-proxy")

    assert find_kube_proxy(proc) == "kube-proxy (pid 42)"


def test_a_kube_proxy_in_another_namespace_is_nobodys_business(proc: Path) -> None:
    process(proc, "42", "kube-proxy")
    (proc / "elsewhere").write_text("")
    (proc / "42/ns/net").unlink()
    (proc / "42/ns/net").symlink_to(proc / "elsewhere")

    assert find_kube_proxy(proc) == ""


def test_the_name_counts_where_the_namespace_may_not_be_seen(
    proc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process(proc, "42", "kube-proxy")
    stat = Path.stat

    def refused(path: Path, **options: bool) -> object:
        # The kernel's answer without CAP_SYS_PTRACE, which tests with all rights never get.
        if "42" in path.parts:
            raise PermissionError
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refused)

    assert find_kube_proxy(proc) == "kube-proxy (pid 42)"


def test_a_kube_proxy_outside_this_container_is_found_by_its_ports(proc: Path) -> None:
    listen(proc)

    assert "ports 10256 and 10249" in find_kube_proxy(proc)


def test_ports_that_a_process_of_ours_listens_on_are_no_kube_proxy(proc: Path) -> None:
    listen(proc)
    process(proc, "43", "nptables", port_owner=True)

    assert find_kube_proxy(proc) == ""


@pytest.mark.parametrize("name", ["k3s-server", "k3s-agent", "kubelite"])
def test_a_kube_proxy_in_the_process_of_another_program_is_found_by_its_ports(
    proc: Path, name: str
) -> None:
    process(proc, "44", name)
    # Without the ports it may as well run with its kube-proxy switched off.
    assert find_kube_proxy(proc) == ""

    (proc / "44/fd/3").symlink_to("socket:[77]")
    listen(proc)

    assert find_kube_proxy(proc) == f"kube-proxy in {name} (pid 44)"


class Metrics(http.server.BaseHTTPRequestHandler):
    """Answers as kube-proxy's metrics do, one line out of some thousand."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(
            b"# TYPE kubernetes_build_info gauge\n"
            b'kubernetes_build_info{build_date="2024",git_version="v1.30.4-eks-a18cd3a"} 1\n'
        )

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_running_kube_proxy_says_its_version_in_its_metrics(proc: Path) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Metrics) as server:
        port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert running_version(proc, port) == ""
        process(proc, "42", "kube-proxy")

        assert running_version(proc, port) == "v1.30.4-eks-a18cd3a"

        server.shutdown()
    assert running_version(proc, port) == ""


def test_native_rules_cannot_be_told_without_the_nft_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("nptables.kernel.programs._MORE_FOLDERS", ())

    assert native_rules(rules_for([service(1)]), ownership()) == []


@pytest.mark.kernel
def test_preparing_a_node_is_reported_once_and_the_facts_say_so(node: Node, tmp_path: Path) -> None:
    requires("nfacct objects")
    path = manifest(tmp_path / "web.json", [service(1), endpoints(1, 1)])
    before = yaml.safe_load(node.nptables("facts").stdout)

    first = node.nptables("apply", path, "--backend", node.netns.backend)
    second = node.nptables("apply", path, "--backend", node.netns.backend)

    after = json.loads(node.nptables("facts", "-o", "json").stdout)
    assert (before["nfacct"], after["nfacct"]) == (False, True)
    assert "net.ipv4.conf.all.route_localnet set to 1 (was 0)" in first.stderr
    assert [line for line in second.stderr.splitlines() if line.startswith("note: n")] == []
    assert second.stderr.count("nothing to do") == 2
    sysctl = node.netns.run(["sysctl", "-n", "net.ipv4.conf.all.route_localnet"]).stdout
    assert sysctl.strip() == "1"
    assert "--nfacct-name  localhost_nps_accepted_pkts" in node.netns.save("IPV4")


CLIENT = """
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.bind(("127.0.0.1", 40001))
client.sendto(b"x", ("127.0.0.1", 30001))
"""


@pytest.mark.kernel
def test_udp_connections_that_an_apply_made_stale_are_deleted(node: Node, tmp_path: Path) -> None:
    requires("conntrack")
    node.netns.run(["ip", "link", "set", "lo", "up"])
    node.netns.run([sys.executable, "-c", CLIENT])
    listed = ["conntrack", "-L", "-p", "udp", "--orig-port-dst", "30001"]
    # The table of connections is filled only where rules ask for it, as nat rules do.
    node.apply(manifest(tmp_path / "none.json", []))
    node.netns.run([sys.executable, "-c", CLIENT])
    assert "dport=30001" in node.netns.run(listed).stdout

    done = node.apply(manifest(tmp_path / "dns.json", udp_service(1, 1)))

    assert "IPv4: 1 stale UDP connection" in done.stderr
    assert "dport=30001" not in node.netns.run(listed).stdout


def test_a_kernel_without_ipv6_has_no_tables_for_it_and_asking_creates_none(tmp_path: Path) -> None:
    started: list[list[str]] = []

    def run(argv: Sequence[str], _text: str, _seconds: float) -> Completed:
        started.append(list(argv))
        return Completed(0, "", "")

    for family, kind in ((Family.IPV6, "nft"), (Family.IPV6, "legacy")):
        backend = RestoreBackend(kind, family, run=run)
        with pytest.raises(BackendUnavailable, match="does not speak IPv6"):
            probe(backend, may_create=True, run=run, proc=tmp_path)
    (tmp_path / "if_inet6").touch()
    for family in Family:
        probe(RestoreBackend("legacy", family, run=run), may_create=False, run=run, proc=tmp_path)
    assert started == []
    probe(RestoreBackend("legacy", Family.IPV6, run=run), may_create=True, run=run, proc=tmp_path)
    assert [words[-4:] for words in started] == [["-t", "nat", "-S", "POSTROUTING"]]
