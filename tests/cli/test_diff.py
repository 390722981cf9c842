"""`nptables diff --snapshot`, as the README says it: with a dump and without the node's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from nptables.cli import main
from tests.support.scenarios import CONFORMANCE

NAMED = CONFORMANCE / "named"
ELSEWHERE = "the node's rules seem to come from another configuration, with "


def compared(name: str, *options: str, dump: str = "iptables-save") -> int:
    folder = NAMED / name
    return main(
        [
            *("diff", str(folder / "cluster.yaml"), "--lenient", "--node", "node1"),
            *("--snapshot", str(folder / dump), "--kube-proxy-version", "1.36", *options),
        ]
    )


def config_of(name: str) -> tuple[str, str]:
    return "--config", str(NAMED / name / "kube-proxy.yaml")


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("nfacct-counters", "nfacct: true"),
        ("localhost-nodeports-off-nfacct", "nfacct: true"),
        ("be-liberal-by-sysctl", "tcpBeLiberal: true"),
    ],
)
def test_facts_that_the_dump_shows_are_taken_from_it_and_said(
    name: str, taken: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert compared(name, *config_of(name)) == 0

    said = f"note: taken from the dump, which shows it: {taken} (--facts says otherwise)\n"
    assert capfd.readouterr() == ("", said)


def test_facts_that_are_given_win(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    facts = tmp_path / "facts.yaml"
    facts.write_text("nfacct: false\n")

    assert compared("nfacct-counters", *config_of("nfacct-counters"), "--facts", str(facts)) == 1

    out, err = capfd.readouterr()
    assert "--A KUBE-FORWARD -m conntrack --ctstate INVALID -m nfacct" in out
    assert err == (
        "note: packets notice nothing, 2 frontends have rules that are only written differently\n"
    )


def test_a_fact_that_is_not_among_those_given_is_taken_from_the_dump(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    facts = tmp_path / "facts.yaml"
    facts.write_text("tcpBeLiberal: false\n")

    assert compared("nfacct-counters", *config_of("nfacct-counters"), "--facts", str(facts)) == 0
    assert "nfacct: true" in capfd.readouterr().err


def test_another_configuration_is_named_once_with_the_option_to_give(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert compared("masquerade-all") == 1

    out, err = capfd.readouterr()
    assert "-A KUBE-SVC-QATUYZLPU4I4HE4S" in out
    assert err == (
        f"warning: {ELSEWHERE}iptables.masqueradeAll: true, clusterCIDR: 10.233.64.0/18: pass the "
        f"node's own with --config\n"
        "note: 2 effects (--effects says which)\n"
    )


def test_nothing_is_said_where_nothing_differs(capfd: pytest.CaptureFixture[str]) -> None:
    assert compared("masquerade-all", *config_of("masquerade-all")) == 0
    assert (
        compared("masquerade-all", *config_of("masquerade-all"), "-6", dump="ip6tables-save") == 0
    )
    assert capfd.readouterr() == ("", "")


def test_two_sets_of_manifests_have_one_configuration(capfd: pytest.CaptureFixture[str]) -> None:
    old, new = (str(NAMED / name / "cluster.yaml") for name in ("masquerade-all", "external-ips"))

    assert main(["diff", old, new, "--lenient", "--node", "node1"]) == 1
    assert ELSEWHERE not in capfd.readouterr().err


DUAL = """\
apiVersion: v1
kind: Node
metadata: {name: node1}
status: {addresses: [{type: InternalIP, address: 192.168.0.11}]}
---
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: default}
spec:
  type: NodePort
  ipFamilyPolicy: RequireDualStack
  clusterIP: 10.96.0.10
  clusterIPs: [10.96.0.10, "fd00:10:96::10"]
  ipFamilies: [IPv4, IPv6]
  ports: [{port: 80, nodePort: PORT}]
"""


def dual(folder: Path, name: str, port: int) -> str:
    """A folder with a Service of both families."""
    folder.mkdir(parents=True)
    text = DUAL.replace("NAME", name).replace("PORT", str(port))
    (folder / "web.yaml").write_text(text)
    return str(folder)


def test_a_text_for_iptables_restore_is_never_of_both_families(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Rules of node ports name no address: iptables-restore would take those of IPv6 as well."""
    old, new = dual(tmp_path / "old", "web", 30080), dual(tmp_path / "new", "web", 30081)
    words = ["diff", old, new, "--node", "node1", "-o", "restore"]

    assert main(words) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert "a text for one family of one node" in err
    assert "-4 or -6" in err

    assert main([*words, "-4"]) == 1
    assert "icmp-port-unreachable" in capfd.readouterr().out
    assert main([*words, "-6"]) == 1
    out, err = capfd.readouterr()
    assert "icmp6-port-unreachable" in out
    assert "it is for ip6tables-restore" in err


def test_a_text_for_iptables_restore_is_never_of_two_sets(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        dual(tmp_path / "old" / name, "web", 30080)
        dual(tmp_path / "new" / name, "web", 30081)
    words = ["diff", str(tmp_path / "old"), str(tmp_path / "new"), "--node", "node1"]

    assert main([*words, "-4", "-o", "restore"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert "one set of manifests at a time" in err
