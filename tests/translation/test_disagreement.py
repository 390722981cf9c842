"""Where a node's rules and its cluster differ, and the likeliest cause."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nptables import Cluster, Family, ProxyConfig, Ruleset, load, translate
from nptables.iptables import read_dumps
from nptables.translation.explanation.disagreement import Cause, Disagreement, disagreement
from tests.support import clusters
from tests.support.scenarios import FIXTURES, NAMED, named_scenario, random_scenarios
from tests.support.versions import RECORDED, recordings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.scenarios import Scenario

CASES = FIXTURES / "cases"
DEFAULTS = ProxyConfig()


def of_case(case: str, node: str, dump: str = "dump.txt") -> Disagreement | None:
    """What differs between the dump and the cluster of a case."""
    cluster = load(str(CASES / case / "cluster.yaml")).cluster
    rulesets = read_dumps((CASES / case / dump).read_text(), None)
    return disagreement(cluster, cluster.node(node), DEFAULTS, rulesets)


def of_scenario(scenario: Scenario) -> list[Disagreement | None]:
    node = scenario.cluster.node(scenario.node, facts=scenario.facts)
    return [
        disagreement(
            scenario.cluster,
            node,
            scenario.proxy_config,
            [Ruleset.from_save(text, family=Family[family])],
        )
        for family, text in scenario.dumps.items()
        if text
    ]


def test_what_kube_proxy_programmed_agrees_with_what_it_was_given() -> None:
    found = [(name, of_scenario(named_scenario(name))) for name in NAMED]
    found += [(name, of_scenario(s)) for name, s in random_scenarios().items()]

    assert [name for name, each in found if any(each)] == []
    assert len(found) > len(NAMED)


@pytest.mark.parametrize("version", RECORDED[::3])
def test_so_did_older_versions(version: str) -> None:
    """Where the kernel refused the rules the recording is not what kube-proxy wanted."""
    differing = [
        name
        for name, recording in recordings(version).items()
        if not (recording.error or recording.refused) and any(of_scenario(recording.scenario))
    ]

    assert differing == []


def test_where_every_local_service_is_wrong_kube_proxy_has_another_name() -> None:
    # Of three service ports two are Local; the rules know all endpoints, and none as their own.
    found = of_case("other-node-name", "node-a")

    assert found is not None
    assert found.cause is Cause.OTHER_NAME
    assert [str(port.name) for port in found.ports] == ["web/shop:http", "web/blog:http"]
    assert [(sorted(port.by_rules), sorted(port.by_cluster)) for port in found.ports] == [
        ([], [("10.244.1.5", 8080)]),
        ([], [("10.244.1.7", 8080)]),
    ]
    assert str(found) == (
        "the rules of node-a and the cluster differ in 2 of 3 service ports (only in which "
        "endpoints are on the node): web/shop:http, web/blog:http; most likely kube-proxy knows "
        "the node by another name (its --hostname-override), or it is out of date"
    )


@pytest.mark.parametrize(
    ("case", "node", "name"),
    [
        ("old-xlb-local", "worker-01", "default/edge-ext"),
        ("counters-local-udp", "node-b", "mon/statsd:metrics"),
    ],
)
def test_the_chains_of_old_kube_proxies_tell_as_much(case: str, node: str, name: str) -> None:
    found = of_case(case, node)

    assert found is not None
    assert (found.cause, [str(port.name) for port in found.ports]) == (Cause.OTHER_NAME, [name])


def test_the_rules_of_another_node_are_known_for_that() -> None:
    # The dump is that of node-a, which is right for it.
    found = of_case("counters-local-udp", "node-b")

    assert of_case("counters-local-udp", "node-a") is None
    assert found is not None
    assert found.fits == "node-a"
    assert found.words.endswith(" (the rules would be right for node-a)")


def test_where_some_service_is_wrong_kube_proxy_is_behind() -> None:
    # web/api has 10.244.1.8 and 10.244.2.9; the rules lead to 10.244.1.33 and 10.244.2.9.
    found = of_case("behind", "node-a")

    assert found is not None
    assert (found.cause, found.compared) == (Cause.BEHIND, 3)
    (port,) = found.ports
    assert (str(port.name), port.missing, port.local) == ("web/api:http", False, False)
    assert port.by_rules - port.by_cluster == {("10.244.1.33", 9090)}
    assert found.words == "kube-proxy on node-a is behind or was stopped"


def test_one_service_alone_that_has_the_cluster_ip_is_behind_too() -> None:
    found = of_case("antrea-leftover", "node-a")

    assert found is not None
    assert found.cause is Cause.BEHIND


def test_where_there_is_no_rule_for_a_service_they_are_not_those_of_another_cluster() -> None:
    """As `nptables cleanup`, or a flush, leaves a node."""
    cluster = load(str(CASES / "behind" / "cluster.yaml")).cluster
    bare = Ruleset.from_save("*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n*filter\nCOMMIT\n")

    found = disagreement(cluster, cluster.node("node-a"), ProxyConfig(), [bare])

    assert found is not None
    assert found.cause is Cause.NO_RULES
    assert "another cluster" not in str(found)


def test_where_nothing_is_right_they_are_rules_of_another_cluster() -> None:
    # One node port is the same by chance, and leads to what this cluster does not have.
    found = of_case("other-cluster", "node-a")

    assert found is not None
    assert (found.cause, found.compared) == (Cause.OTHER_CLUSTER, 3)
    assert [port.missing for port in found.ports] == [False, True, True]
    assert json.loads(json.dumps(found.to_json())) == {
        "cause": "other-cluster",
        "text": str(found),
        "compared": 3,
        "fits": None,
        "servicePorts": ["web/shop:http", "web/blog:http", "web/api:http"],
    }


@pytest.mark.parametrize(
    ("case", "node", "dump"),
    [
        ("two-backends", "node-a", "both.txt"),
        ("v6-dump", "node-a", "dump6.txt"),
        ("old-lb-ranges", "node-a", "dump.txt"),
        ("pod-to-nodeport-oneway", "node-b", "dump-b.txt"),
        ("portmap-hostport", "edge-1", "dump.txt"),
    ],
)
def test_rules_that_fit_their_cluster_do_not_differ(case: str, node: str, dump: str) -> None:
    assert of_case(case, node, dump) is None


def test_without_table_nat_nothing_is_compared() -> None:
    assert of_case("nat-only", "node-a", "filter-only.txt") is None


def test_without_table_filter_nobody_knows_what_refuses_for_want_of_endpoints() -> None:
    # The Service has no endpoints, and nat is where nothing of such a Service is.
    cluster = load(str(CASES / "nat-only" / "noep.yaml")).cluster
    nat = Ruleset.from_save((CASES / "nat-only" / "noep-nat.txt").read_text())
    whole = Ruleset.from_save(nat.to_save() + "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n")
    node = cluster.node("node-a")

    told = disagreement(cluster, node, DEFAULTS, [whole])

    assert disagreement(cluster, node, DEFAULTS, [nat]) is None
    assert told is not None
    assert told.ports[0].missing


def test_services_whose_endpoints_the_input_does_not_tell_are_left_out(tmp_path: Path) -> None:
    # The input has neither an EndpointSlice nor a workload: who stands behind it is not in it.
    manifest = tmp_path / "web.yaml"
    manifest.write_text(
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
        "spec: {clusterIP: 10.96.0.9, ports: [{port: 80}], selector: {app: web}}\n"
    )
    cluster = load(str(manifest)).cluster
    empty = Ruleset.from_save("*nat\nCOMMIT\n")

    assert disagreement(cluster, cluster.node("n"), DEFAULTS, [empty]) is None


PORTS = ("web/shop:http", "web/blog:http", "web/api:http")


@given(st.sets(st.sampled_from(PORTS)), st.sampled_from(["node-a", "node-b"]))
def test_exactly_those_services_differ_whose_endpoints_were_changed(
    changed: set[str], name: str
) -> None:
    """A rule that leads to another port of its endpoint is found, and no other is."""
    cluster = load(str(CASES / "behind" / "cluster.yaml")).cluster
    node = cluster.node(name)
    lines = [
        f"{line.rpartition(':')[0]}:7"
        if " --to-destination " in line and any(f'"{each}"' in line for each in changed)
        else line
        for line in translate(cluster, node, DEFAULTS, Family.IPV4).to_save().splitlines()
    ]

    found = disagreement(cluster, node, DEFAULTS, [Ruleset.from_save("\n".join([*lines, ""]))])

    assert changed == (set() if found is None else {str(port.name) for port in found.ports})


def test_a_service_without_endpoints_here_says_nothing_of_the_nodes_name() -> None:
    """The rules are those of node3: to it the endpoint on node1 is another's, as that on node2."""
    local = {"externalTrafficPolicy": "Local", "internalTrafficPolicy": "Local"}
    objects = [
        clusters.node("node1"), clusters.node("node2"), clusters.node("node3"),
        clusters.service("here", clusterIP="10.96.0.1",
                         ports=[{"port": 80, "nodePort": 30001}], **local),
        clusters.service("there", clusterIP="10.96.0.2",
                         ports=[{"port": 80, "nodePort": 30002}], **local),
        clusters.endpoint_slice(clusters.endpoint("10.244.1.1", "node1"), of="here"),
        clusters.endpoint_slice(clusters.endpoint("10.244.2.2", "node2"), of="there"),
    ]  # fmt: skip
    cluster = Cluster.from_objects(objects)
    rules = translate(cluster, cluster.node("node3"), DEFAULTS, Family.IPV4)

    found = disagreement(cluster, cluster.node("node1"), DEFAULTS, [rules])

    assert found is not None
    assert found.cause is Cause.OTHER_NAME
    assert [str(port.name) for port in found.ports] == ["default/here"]


def test_a_node_port_that_no_rule_leads_to_is_a_difference() -> None:
    """Only the rule in KUBE-NODEPORTS is missing; the cluster IP leads where it shall."""
    objects = [
        clusters.node("node1"), clusters.service(externalTrafficPolicy="Local"),
        clusters.endpoint_slice(clusters.endpoint("10.244.1.1", "node1")),
    ]  # fmt: skip
    cluster = Cluster.from_objects(objects)
    text = translate(cluster, cluster.node("node1"), DEFAULTS, Family.IPV4).to_save()
    kept = [line for line in text.splitlines() if not line.startswith("-A KUBE-NODEPORTS")]
    rules = Ruleset.from_save("\n".join(kept) + "\n")

    found = disagreement(cluster, cluster.node("node1"), DEFAULTS, [rules])

    assert len(kept) == len(text.splitlines()) - 1
    assert found is not None
    assert [(port.by_rules, port.by_cluster) for port in found.ports] == [
        (frozenset(), frozenset({("10.244.1.1", 8080)}))
    ]
