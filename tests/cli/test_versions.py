"""`--kube-proxy-version`, what is taken without it, and what another version would change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from nptables.cli import main
from tests.support.clusters import endpoint, endpoint_slice, node, service
from tests.support.versions import recordings

if TYPE_CHECKING:
    from pathlib import Path

NOTE = "note: the rules are those of kube-proxy"
ZONE = {"topology.kubernetes.io/zone": "a"}


def objects(kubelet: str = "", **info: str) -> list[dict[str, Any]]:
    here = node("node1", **ZONE)
    here["status"]["nodeInfo"] = {**({"kubeletVersion": kubelet} if kubelet else {}), **info}
    return [
        here,
        service(),
        endpoint_slice(
            endpoint("10.244.1.1", hints={"forZones": [{"name": "a"}]}),
            endpoint("10.244.2.1", "node2", hints={"forZones": [{"name": "b"}]}),
        ),
    ]


def written(folder: Path, items: list[dict[str, Any]]) -> str:
    path = folder / "cluster.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return str(path)


@pytest.fixture
def cluster(tmp_path: Path) -> str:
    return written(tmp_path, objects())


def run(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(list(words))
    out, err = capfd.readouterr()
    return code, out, err


# Hints count from 1.31 on, so the other zone's endpoint is in the rules of older ones only.
def is_old(rules: str) -> bool:
    return "10.244.2.1" in rules


@pytest.mark.parametrize(
    ("kubelet", "info", "old", "said"),
    [
        (
            "v1.30.4-eks-a18cd3a",
            {},
            True,
            "1.30: Node node1 has kubeletVersion v1.30.4-eks-a18cd3a",
        ),
        ("v1.31.0", {}, False, "1.31: Node node1 has kubeletVersion v1.31.0"),
        ("", {"kubeProxyVersion": "v1.29.1"}, True, "1.29: Node node1 has kubeletVersion v1.29.1"),
        ("v1.30.1", {"kubeProxyVersion": "v1.33.0"}, True, "1.30: Node node1"),
        ("unknown", {}, False, "1.36: the version on the node is unknown"),
        ("", {}, False, "1.36: the version on the node is unknown"),
    ],
)
def test_without_the_option_the_node_says_it_and_a_note_says_so(
    kubelet: str,
    info: dict[str, str],
    said: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    *,
    old: bool,
) -> None:
    code, out, err = run(capfd, "render", written(tmp_path, objects(kubelet, **info)))

    assert (code, is_old(out)) == (0, old)
    assert f"{NOTE} {said}" in err
    assert err.count(NOTE) == 1


def test_the_option_wins_and_nothing_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, objects("v1.36.1"))

    code, out, err = run(capfd, "render", path, "--kube-proxy-version", "v1.30.4-eks-a18cd3a")

    assert (code, is_old(out), err) == (0, True, "")


@pytest.mark.parametrize(
    ("version", "code", "said"),
    [
        ("1.20", 0, "warning: kube-proxy 1.20 is older than every version"),
        ("1.99", 0, "warning: kube-proxy 1.99 is newer than every version"),
        ("newest", 2, '"newest" is not a version'),
    ],
)
def test_what_is_not_known_is_said(
    version: str, code: int, said: str, cluster: str, capfd: pytest.CaptureFixture[str]
) -> None:
    done, out, err = run(capfd, "render", cluster, "--kube-proxy-version", version)

    assert (done, said in err, bool(out)) == (code, True, code == 0)


def test_the_configuration_is_read_for_the_version_of_the_node(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The newest refuses the gate; the node's own kube-proxy does not."""
    config = tmp_path / "config.yaml"
    config.write_text(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
        "hostnameOverride: node1\nfeatureGates: {ServiceTrafficDistribution: false}\n"
        "conntrack: {tcpBeLiberal: true}\n"
    )
    path = written(tmp_path, objects("v1.32.3"))
    words = ["render", path, "--config", str(config)]

    assert is_old(run(capfd, *words)[1])

    code, out, err = run(capfd, *words, "--kube-proxy-version", "1.33")
    assert (code, out) == (2, "")
    assert "config.yaml:4" in err
    assert "like every version from 1.33" in err
    code, out, err = run(capfd, *words, "--kube-proxy-version", "1.28")
    assert code == 0
    assert "warning: conntrack.tcpBeLiberal has no effect" in err
    assert err.count("has no effect") == 2


def test_check_looks_at_each_node_with_its_own_version(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    old, new = node("node2", **ZONE), node("node3", **ZONE)
    old["status"]["nodeInfo"] = {"kubeletVersion": "v1.30.4"}
    new["status"]["nodeInfo"] = {"kubeletVersion": "v1.31.1"}
    path = written(tmp_path, [*objects("v1.30.9"), old, new])

    code, out, err = run(capfd, "check", path, "--select", "hints-ignored")

    assert code == 1
    assert "kube-proxy 1.30 wants the annotation" in out
    assert "(on node1, node2)" in out
    assert f"{NOTE} 1.30: Nodes node1 and node2 have kubeletVersion v1.30.9 or like it" in err
    assert f"{NOTE} 1.31: Node node3 has kubeletVersion v1.31.1" in err


def test_trace_follows_the_rules_of_the_version(
    cluster: str, capfd: pytest.CaptureFixture[str]
) -> None:
    ends = ["--from", "outside", "--to", "nodeport:30080"]

    new = run(capfd, "trace", cluster, *ends, "--kube-proxy-version", "1.36")[1]
    old = run(capfd, "trace", cluster, *ends, "--kube-proxy-version", "1.30")[1]

    assert "10.244.2.1" not in new
    assert "10.244.2.1" in old


def test_an_upgrade_is_grouped_by_habit_with_what_it_means(
    cluster: str, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["diff", cluster, "--kube-proxy-version", "1.29", "--to-version", "1.36"]

    code, out, err = run(capfd, *words)

    assert code == 1
    assert out.startswith(
        "## hints-without-annotation comes (from 1.31 on, gate ServiceTrafficDistribution)\n"
        "## Packets stay in the node's zone wherever the hints allow it from 1.31 on; before, "
    )
    assert out.count("\n## IPv4:\n# default/web\n") == 1
    assert "note: from kube-proxy 1.29 to 1.36 on node1: 1 habit changes rules" in err
    code, out, _ = run(capfd, *words, "-o", "json", "-4")
    (habit,) = json.loads(out)["habits"]
    assert (code, habit["name"], habit["since"]) == (1, "hints-without-annotation", "1.31")
    assert habit["comes"]
    assert habit["plan"]["tables"]
    code, out, _ = run(capfd, *words, "-o", "restore", "-4")
    assert code == 1
    assert out.startswith("*nat\n")


def test_an_upgrade_that_changes_nothing_exits_with_0(
    cluster: str, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["diff", cluster, "--kube-proxy-version", "1.31", "--to-version", "1.32"]

    code, out, err = run(capfd, *words)

    assert (code, out) == (0, "")
    assert "on node1: nothing changes" in err


def test_an_upgrade_is_asked_of_a_cluster_and_not_of_a_dump(
    cluster: str, capfd: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capfd, "diff", cluster, "--to-version", "1.36", "--snapshot", "x")

    assert code == 2
    assert "--to-version cannot be used with --live or --snapshot" in err


@pytest.mark.parametrize("option", ["--snapshot", "--current"])
def test_a_dump_of_another_version_is_told_from_drift(
    option: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """1.27 alone compares source ranges with no address of the Node."""
    scenario = recordings("1.27")["source-ranges-node-inside"].scenario
    dump, config, facts = (tmp_path / name for name in ("dump", "config.json", "facts.json"))
    dump.write_text(scenario.dumps["IPV4"])
    config.write_text(json.dumps(scenario.config))
    facts.write_text(json.dumps(scenario.facts))
    words = ["diff", written(tmp_path, scenario.objects), "--lenient", option, str(dump)]
    words += ["--config", str(config), "--facts", str(facts)]

    code, out, err = run(capfd, *words)

    assert (code, bool(out)) == (1, True)
    assert (
        "note: this looks like kube-proxy 1.27; with --kube-proxy-version 1.27 nothing differs"
    ) in err
    assert run(capfd, *words, "--kube-proxy-version", "1.27")[:2] == (0, "")


def test_two_inputs_are_compared_for_one_kube_proxy(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without the Node it is not newer: 1.36 would use the hints for nodes, 1.30 does not."""
    here, web, slices = objects("v1.30.4")
    for number, each in enumerate(slices["endpoints"], 1):
        each["hints"] = {"forNodes": [{"name": f"node{number}"}]}
    paths = []
    for name, items in (("with", [here, web, slices]), ("without", [web, slices])):
        (tmp_path / name).mkdir()
        paths.append(written(tmp_path / name, items))

    code, out, err = run(capfd, "diff", *paths)

    assert (code, out) == (0, "")
    assert err.count(NOTE) == 1
    assert f"{NOTE} 1.30: Node node1 has kubeletVersion v1.30.4" in err


@pytest.mark.parametrize("option", ["--snapshot", "--current"])
def test_check_says_of_drift_whose_rules_it_looks_like(
    option: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    scenario = recordings("1.27")["source-ranges-node-inside"].scenario
    dump, config, facts = (tmp_path / name for name in ("dump", "config.json", "facts.json"))
    dump.write_text(scenario.dumps["IPV4"])
    config.write_text(json.dumps(scenario.config))
    facts.write_text(json.dumps(scenario.facts))
    words = ["check", written(tmp_path, scenario.objects), "--lenient", option, str(dump)]
    words += ["--config", str(config), "--facts", str(facts), "--select", "NPT5", "-o", "json"]

    code, out, _ = run(capfd, *words)

    (found,) = json.loads(out)["findings"]
    assert (code, found["code"]) == (1, "NPT511")
    assert found["message"].endswith(
        " (this looks like kube-proxy 1.27; with --kube-proxy-version 1.27 nothing differs)"
    )
    assert run(capfd, *words, "--kube-proxy-version", "1.27")[0] == 0


def test_facts_that_a_version_does_not_heed_are_not_said_to_be_taken(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """1.30 counts no packets: that the dump has counters tells of a newer one."""
    scenario = recordings("1.36")["nfacct-localhost-on"].scenario
    dump, config = tmp_path / "dump", tmp_path / "config.json"
    dump.write_text(scenario.dumps["IPV4"])
    config.write_text(json.dumps(scenario.config))
    words = ["diff", written(tmp_path, scenario.objects), "--lenient", "--snapshot", str(dump)]
    words += ["--config", str(config), "--kube-proxy-version"]

    code, _, err = run(capfd, *words, "1.30")

    assert (code, "taken from the dump" in err) == (1, False)
    assert "note: this looks like kube-proxy 1.31 to 1.36; " in err
    code, _, err = run(capfd, *words, "1.31")
    assert (code, "taken from the dump, which shows it: nfacct: true" in err) == (0, True)


def test_check_makes_external_ips_of_a_version_that_has_no_gate_for_them(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.json"
    config.write_text(
        json.dumps(
            {
                "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
                "kind": "KubeProxyConfiguration",
                "featureGates": {"AllowServiceExternalIPs": False},
            }
        )
    )
    here, web, slices = objects()
    web["spec"]["externalIPs"] = ["192.168.0.1"]
    words = ["check", written(tmp_path, [here, web, slices]), "--config", str(config)]
    words += ["--select", "external-ip-of-node", "--kube-proxy-version"]

    assert [run(capfd, *words, version)[0] for version in ("1.35", "1.36")] == [1, 0]


def test_a_trace_in_a_snapshot_has_the_old_name_too(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    dump = tmp_path / "dump"
    dump.write_text("*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n")
    ends = ["--from", "10.0.0.1", "--to", "192.168.0.1:80"]

    found = [run(capfd, "trace", name, str(dump), *ends) for name in ("--snapshot", "--save")]

    assert found[0] == found[1]
    assert NOTE not in found[0][2]
