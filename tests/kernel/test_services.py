"""Who handles Services on this node, by what is cheap to look at, and that apply heeds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nptables.kernel.node import services
from nptables.kernel.node.services import find_handlers
from nptables.kernel.programs import Completed
from tests.kernel.nodes import Node, endpoints, manifest, service

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets
    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0
{0}: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
"""
# As the kernel prints it: 10.96.0.1:443.
IP_VS = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
"""
SERVER = "TCP  0A600001:01BB rr \n  -> 0AF40105:192B      Masq    1      0          0\n"


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "find_program", lambda name: f"/sbin/{name}")
    monkeypatch.setattr(services, "table_names", list)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "namespace").write_text("")
    (tmp_path / "self/ns").mkdir(parents=True)
    (tmp_path / "self/ns/net").symlink_to(tmp_path / "namespace")
    (tmp_path / "self/net").mkdir()
    return tmp_path


def process(proc: Path, pid: int, name: str, *words: str) -> None:
    (proc / str(pid) / "ns").mkdir(parents=True)
    (proc / str(pid) / "comm").write_text(f"{name}\n")
    (proc / str(pid) / "cmdline").write_text("\0".join([name, *words, ""]))
    (proc / str(pid) / "ns/net").symlink_to(proc / "namespace")


def programs(sets: str = "") -> object:
    def run(_argv: Sequence[str], _text: str, _seconds: float) -> Completed:
        return Completed(0, sets, "")

    return run


def found(proc: Path, run: object = None) -> dict[str, str]:
    handling = find_handlers(proc, run or programs())  # type: ignore[arg-type]
    return {each.who.value: each.certainty.value for each in handling.sightings}


def test_on_a_plain_node_nobody_else_is_there(proc: Path) -> None:
    (proc / "self/net/dev").write_text(DEV.format("eth0"))
    process(proc, 7, "kubelet")

    assert found(proc) == {}


def test_virtual_servers_show_that_mode_ipvs_acts_and_their_absence_that_it_does_not(
    proc: Path,
) -> None:
    (proc / "self/net/dev").write_text(DEV.format("kube-ipvs0"))
    (proc / "self/net/ip_vs").write_text(IP_VS)
    without = found(proc, programs("KUBE-CLUSTER-IP\n"))
    (proc / "self/net/ip_vs").write_text(IP_VS + SERVER)

    assert without == {"kube-proxy-ipvs": "leftover"}
    assert found(proc, programs("KUBE-CLUSTER-IP\n")) == {"kube-proxy-ipvs": "sure"}


@pytest.mark.parametrize(
    ("interface", "sets", "tables", "expected"),
    [
        ("eth0", "", ["ip nat", "ip kube-proxy"], {"kube-proxy-nftables": "likely"}),
        ("ovn-k8s-mp0", "", [], {"ovn-kubernetes": "likely"}),
        ("antrea-gw0", "", [], {"antrea": "possible"}),
        ("antrea-gw0", "ANTREA-NODEPORT-IP\n", [], {"antrea": "likely"}),
        ("bpfin.cali", "", [], {"calico-ebpf": "likely"}),
        ("cilium_host", "", [], {"cilium": "likely"}),
        ("kube-bridge", "", [], {}),
    ],
)
def test_each_program_is_known_by_what_it_names(
    proc: Path,
    interface: str,
    sets: str,
    tables: list[str],
    expected: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (proc / "self/net/dev").write_text(DEV.format(interface))
    monkeypatch.setattr(services, "table_names", lambda: [tuple(t.split()) for t in tables])

    assert found(proc, programs(sets)) == expected


def test_kube_router_acts_where_there_are_virtual_servers(proc: Path) -> None:
    (proc / "self/net/dev").write_text(DEV.format("kube-dummy-if"))
    (proc / "self/net/ip_vs").write_text(IP_VS + SERVER)

    assert found(proc, programs("kube-router-svip-prt\n")) == {"kube-router": "likely"}


def test_what_an_agent_was_told_is_read_from_its_command_line(proc: Path) -> None:
    process(proc, 9, "cilium-agent", "--kube-proxy-replacement=true")

    assert found(proc) == {"cilium": "sure"}


def test_beside_a_kube_proxy_that_runs_cilium_may_be_there_for_its_other_work(proc: Path) -> None:
    (proc / "self/net/dev").write_text(DEV.format("cilium_host"))
    process(proc, 8, "kube-proxy", "--config=/var/lib/kube-proxy/config.conf")

    assert found(proc) == {"cilium": "possible"}


def test_without_the_programs_that_list_them_sets_and_tables_are_left_open(
    proc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "find_program", lambda _name: None)

    assert found(proc) == {}


@pytest.mark.kernel
def test_a_node_of_another_proxy_is_refused_unless_forced(nft_node: Node, tmp_path: Path) -> None:
    web = manifest(tmp_path / "web.json", [service(1), endpoints(1, 2)])
    # Calico's eBPF data plane makes this pair of interfaces for Services, and for nothing else.
    nft_node.netns.run(
        ["ip", "link", "add", "bpfin.cali", "type", "veth", "peer", "name", "bpfout.cali"]
    )

    refused = nft_node.nptables("apply", web, "-4", "--no-prepare", check=False)
    looked = nft_node.nptables("apply", web, "-4", "--no-prepare", "--dry-run", check=False)
    agent = nft_node.nptables(
        "run", "--node", "n", "--run-dir", tmp_path / "run", "--no-listen", check=False
    )
    forced = nft_node.nptables("apply", web, "-4", "--no-prepare", "--force")

    message = (
        "Services on this node are probably handled by Calico's eBPF data plane (interface "
        "bpfin.cali, interface bpfout.cali), not by the rules of mode iptables"
    )
    for done, exit_code in ((refused, 3), (agent, 3), (looked, 1), (forced, 0)):
        assert done.returncode == exit_code
        assert message in done.stderr
    assert "--force" in refused.stderr
    assert "--force" in agent.stderr
    assert "chains created" in forced.stderr
