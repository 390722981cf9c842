"""What a snapshot of a node tells the commands that take one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from nptables import Ruleset, load, translate
from nptables.cli import main
from nptables.evidence import Evidence, Form, Process, RecentList
from nptables.evidence.snapshot import to_document
from nptables.family import Family
from nptables.model import NodeFacts, ProxyConfig
from nptables.translation.flows import Flow

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TUTORIAL = "fixtures/tutorial/two-nodes.yaml"
DNS = "fixtures/cases/udp-stale/cluster.yaml"
CONFIG = {
    "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
    "kind": "KubeProxyConfiguration",
    "clusterCIDR": "10.233.0.0/16",
}
PROXY = Process("kube-proxy", 7, ("--config=/c",), CONFIG, "iptables", "v1.30.4")
NFTABLES = {"chain": {"family": "ip", "table": "kube-proxy", "name": "services"}}
TARGET = ("--from", "outside", "--to", "nodeport:30080")


def rules(
    manifest: str, name: str, family: Family, backend: str = "nft", config: Any = None
) -> Ruleset:
    """The rules of a node as the kernel gives them back."""
    cluster = load(manifest).cluster
    config = config or ProxyConfig.defaults("1.36")
    text = translate(cluster, cluster.node(name), config, family).to_save()
    return attrs.evolve(Ruleset.from_save(text, family=family), backend=backend)


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., str]:
    """Writes a snapshot of node1 of the tutorial, and gives its path."""

    def write(*rulesets: Ruleset, **fields: Any) -> str:
        path = tmp_path / "snapshot.json"
        evidence = Evidence(Form.SNAPSHOT, rulesets, **{"node": "node1", **fields})
        path.write_text(json.dumps(to_document(evidence)))
        return str(path)

    return write


def test_the_configuration_and_the_version_are_those_of_the_kube_proxy_that_runs_there(
    written: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    config = ProxyConfig.from_kube_proxy(CONFIG, version="1.30")
    both = [rules(TUTORIAL, "node1", family, config=config) for family in Family]
    snapshot = written(*both, processes=(PROXY,))

    assert main(["diff", TUTORIAL, "--snapshot", snapshot]) == 0

    out, err = capfd.readouterr()
    assert out == ""
    assert (
        "the rules are those of kube-proxy 1.30: the kube-proxy that runs there is v1.30.4" in err
    )
    assert "the configuration is that of the kube-proxy that runs there" in err
    # Without that knowledge every rule differs that depends on it.
    assert main(["diff", TUTORIAL, "--snapshot", written(*both)]) == 1
    assert "--node" not in capfd.readouterr().err


def test_a_snapshot_of_both_families_is_compared_in_both(
    written: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    ipv6 = rules(TUTORIAL, "node1", Family.IPV6)
    snapshot = written(attrs.evolve(Ruleset(Family.IPV4, {}), backend="nft"), ipv6)

    assert main(["diff", TUTORIAL, "--snapshot", snapshot, "-o", "json"]) == 1
    plans = json.loads(capfd.readouterr().out)["plans"]
    assert [(plan["family"], bool(plan["tables"])) for plan in plans] == [
        ("IPv4", True), ("IPv6", False),
    ]  # fmt: skip
    assert main(["diff", TUTORIAL, "--snapshot", snapshot, "-4"]) == 1
    assert main(["diff", TUTORIAL, "--snapshot", snapshot, "-6"]) == 0


def test_facts_that_are_given_win_over_those_of_the_snapshot_one_by_one(
    written: Callable[..., str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    facts = NodeFacts.from_mapping({"interfaces": {"eth0": ["192.0.2.77/24"]}, "nfacct": False})
    snapshot = written(rules(TUTORIAL, "node1", Family.IPV4), facts=facts)
    given = tmp_path / "facts.yaml"
    given.write_text("nfacct: true\n")
    asked = ["trace", TUTORIAL, "--snapshot", snapshot, "--from", "198.51.100.9"]

    assert main([*asked, "--to", "192.0.2.77:30080"]) == 0
    compared = ["diff", TUTORIAL, "--snapshot", snapshot, "--facts", str(given), "-4"]
    capfd.readouterr()
    assert main(compared) == 1
    assert "+-A KUBE-FORWARD -m conntrack --ctstate INVALID -m nfacct" in capfd.readouterr().out


def test_check_finds_in_a_snapshot_what_it_finds_on_this_node(
    written: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    current = rules(DNS, "node-a", Family.IPV4)
    client = ("10.244.1.9", 24111)
    stale = Flow(("10.96.0.10", 53), ("10.244.1.4", 53), client)
    name = next(n for n in current.tables["nat"].chains if n.startswith("KUBE-SEP-"))
    legacy = Ruleset.from_save("*filter\n:FORWARD DROP [0:0]\nCOMMIT\n")
    snapshot = written(
        current,
        attrs.evolve(legacy, backend="legacy"),
        node="node-a",
        sysctls={"net/ipv4/ip_forward": "0"},
        flows=(stale,),
        recent=(RecentList(name, 20),),
        recent_limit=20,
        processes=(Process("kube-proxy", 7, (), None, "iptables"),),
    )

    assert main(["check", DNS, "--snapshot", snapshot, "-o", "json", "--select", "NPT5"]) == 1

    found = {f["code"]: f["message"] for f in json.loads(capfd.readouterr().out)["findings"]}
    assert found == {
        "NPT501": "the IPv4 policy of filter FORWARD is DROP in the legacy tables",
        "NPT503": "the legacy tables hold rules too: filter FORWARD",
        "NPT505": "net.ipv4.ip_forward is 0",
        "NPT514": "UDP from 10.244.1.9:24111 to 10.96.0.10:53 goes to 10.244.1.4:53, which "
        "is not an endpoint any more",
        "NPT516": f"the lists {name} hold 20 addresses and can hold no more",
    }


def test_two_backends_with_rules_for_services_are_told_apart_by_who_asks_and_checked_anyway(
    written: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    one, other = (rules(TUTORIAL, "node1", Family.IPV4, kind) for kind in ("nft", "legacy"))
    snapshot = written(one, other)

    assert main(["diff", TUTORIAL, "--snapshot", snapshot]) == 2
    assert "both have rules for Services of IPv4" in capfd.readouterr().err
    assert main(["diff", TUTORIAL, "--snapshot", snapshot, "--backend", "legacy"]) == 0
    assert main(["check", TUTORIAL, "--snapshot", snapshot, "--select", "NPT5"]) == 1
    assert "NPT503: Node node1: the legacy tables hold rules too" in capfd.readouterr().out


def test_where_another_proxy_handles_services_nothing_is_compared_and_nothing_false_is_said(
    written: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    empty = attrs.evolve(Ruleset(Family.IPV4, {}), backend="nft")
    snapshot = written(empty, native=(NFTABLES,))
    who = "Services on node1 are probably handled by kube-proxy in mode nftables"

    assert main(["diff", TUTORIAL, "--snapshot", snapshot]) == 1
    out, err = capfd.readouterr()
    assert (out, who in err) == ("", True)
    assert main(["diff", TUTORIAL, "--snapshot", snapshot, "-o", "json"]) == 1
    document = json.loads(capfd.readouterr().out)
    assert (document["plans"], who in document["handledElsewhere"]) == ([], True)
    assert main(["check", TUTORIAL, "--snapshot", snapshot, "--select", "NPT5", "-o", "json"]) == 1
    assert [f["code"] for f in json.loads(capfd.readouterr().out)["findings"]] == ["NPT517"]
    assert main(["trace", TUTORIAL, "--snapshot", snapshot, *TARGET, "-o", "json"]) == 1
    distributions = json.loads(capfd.readouterr().out)["distributions"]
    assert {o["verdict"] for each in distributions for o in each["outcomes"]} == {"unknown"}


def test_sets_of_the_snapshot_answer_unless_others_are_given(
    written: Callable[..., str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = rules(TUTORIAL, "node1", Family.IPV4).to_save()
    text = text.replace(
        "-A PREROUTING", "-A PREROUTING -m set --match-set bad src -j RETURN\n-A PREROUTING", 1
    )
    ruleset = attrs.evolve(Ruleset.from_save(text), backend="nft")
    named = "create bad hash:ip family inet hashsize 1024 maxelem 65536\n"
    snapshot = written(ruleset, ipset=f"{named}add bad 198.51.100.9\n")
    other = tmp_path / "sets"
    other.write_text(named)
    asked = ["trace", TUTORIAL, "--snapshot", snapshot, "--from", "198.51.100.9"]
    asked += ["--to", "nodeport:30080"]

    assert main(asked) == 1
    assert main([*asked, "--sets", str(other)]) == 0
    capfd.readouterr()


def test_missing_jumps_are_restored_by_a_snapshot_as_by_a_dump(
    written: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    current = rules(TUTORIAL, "node1", Family.IPV4)
    nat = current.tables["nat"]
    without = attrs.evolve(nat, chains={**nat.chains, "PREROUTING": ()})
    snapshot = written(attrs.evolve(current, tables={**current.tables, "nat": without}))

    assert main(["render", TUTORIAL, "-o", "restore", "--snapshot", snapshot]) == 0

    inserted = [line for line in capfd.readouterr().out.splitlines() if line.startswith("-I ")]
    assert [line.split()[1] for line in inserted] == ["PREROUTING"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["render", TUTORIAL, "--node", "node1"], "work only with -o restore"),
        (["diff", TUTORIAL, "--node", "node1", "--to-version", "1.30"], "cannot be used with"),
    ],
)
def test_a_snapshot_where_none_is_looked_at_is_refused(
    command: list[str], words: str, written: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--snapshot", written()]) == 2
    assert words in capfd.readouterr().err


def test_a_fragment_is_followed_and_never_compared(capfd: pytest.CaptureFixture[str]) -> None:
    fragment = "fixtures/cases/grep-fragment/paste.txt"
    ends = ("--from", "outside", "--to", "nodeport:32204")

    assert main(["diff", TUTORIAL, "--node", "node1", "--snapshot", fragment]) == 2
    assert "`nptables snapshot`, or `iptables-save` as root" in capfd.readouterr().err
    assert main(["trace", "--snapshot", fragment, *ends]) == 1
    assert "has no local endpoints" in capfd.readouterr().out


def test_of_a_part_of_a_listing_check_says_what_it_shows_and_compares_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    listing = "fixtures/cases/k8s-listing/listing.txt"
    asked = ["check", TUTORIAL, "--node", "node1", "--snapshot", listing, "--select", "NPT5"]

    assert main([*asked, "-o", "json"]) == 1

    out, err = capfd.readouterr()
    assert [(f["code"], f["message"]) for f in json.loads(out)["findings"]] == [
        ("NPT501", "the IPv4 policy of filter FORWARD is DROP")
    ]
    assert "they are not compared with the cluster" in err


def test_diff_says_which_tables_a_dump_does_not_have(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    dump = tmp_path / "nat"
    current = rules(TUTORIAL, "node1", Family.IPV4)
    dump.write_text(attrs.evolve(current, tables={"nat": current.tables["nat"]}).to_save())

    assert main(["diff", TUTORIAL, "--node", "node1", "--snapshot", str(dump)]) == 1

    out, err = capfd.readouterr()
    assert "@@ filter FORWARD @@" in out
    assert "the dump has no table filter: the comparison is right only if the node has" in err


def test_a_node_port_whose_rules_a_dump_lacks_is_not_said_to_be_only_written_differently(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A dump of filter alone: what nat does with the packet is unknown."""
    dump = tmp_path / "dump"
    filtering = rules(TUTORIAL, "node1", Family.IPV4).tables["filter"]
    dump.write_text(Ruleset(Family.IPV4, {"filter": filtering}).to_save())

    found = main(["diff", TUTORIAL, "--node", "node1", "--snapshot", str(dump), "--effects"])

    out, err = capfd.readouterr()
    assert found == 1
    assert "node port 30080 on node1" in out
    assert "packets notice nothing" not in err
    assert "the dump has no table nat: the comparison is right only if" in err


def test_a_finding_of_drift_says_what_packets_notice(
    written: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    """An endpoint chain that lost its masquerade is noticed; a comment more is not."""
    current = rules(TUTORIAL, "node1", Family.IPV4)
    mark = next(
        line
        for lines in current.tables["nat"].chains.values()
        for line in lines
        if line.startswith("-A KUBE-EXT-") and line.endswith("-j KUBE-MARK-MASQ")
    )
    text = current.to_save()
    asked = ["check", TUTORIAL, "--node", "node1", "--select", "NPT511", "-o", "json"]
    said = {}
    for name, changed in {
        "lost": text.replace(f"{mark}\n", ""),
        "commented": text.replace("masquerade traffic for", "do masquerade"),
    }.items():
        snapshot = written(attrs.evolve(Ruleset.from_save(changed), backend="nft"))
        main([*asked, "--snapshot", snapshot])
        said[name] = [f["message"] for f in json.loads(capfd.readouterr().out)["findings"]]

    assert "effect" in said["lost"][0]
    assert "packets notice nothing" not in said["lost"][0]
    assert all("packets notice nothing" in text for text in said["commented"])
