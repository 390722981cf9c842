"""What explains a node's difference from the cluster: a version first, then a configuration."""

from __future__ import annotations

from typing import Any

import pytest

from nptables import Cluster, Family, ProxyConfig, Ruleset, diff, translate
from nptables.model import Node
from nptables.model.kubeproxy import HABITS, NEWEST, Version
from nptables.model.kubeproxy.gates import GATES
from nptables.translation.explanation.difference import Explanation, explain_difference
from nptables.translation.facts_from_rules import shown_facts
from tests.support.clusters import endpoint, endpoint_slice, node, service
from tests.support.scenarios import Scenario
from tests.support.versions import RECORDED, recordings

ELSEWHERE = "the node's rules seem to come from another configuration, with "


def config_of(document: dict[str, Any], version: str | Version) -> ProxyConfig:
    return ProxyConfig.from_kube_proxy(document, version=version)


def explained(
    current: dict[Family, Ruleset],
    cluster: Cluster,
    here: Node,
    document: dict[str, Any],
    version: str | Version,
) -> Explanation:
    asked = config_of(document, version)
    plans = [
        diff(rules, translate(cluster, here, asked, family)) for family, rules in current.items()
    ]
    return explain_difference(
        plans, cluster, here, asked, lambda version: config_of(document, version)
    )


def dump_explained(
    scenario: Scenario, document: dict[str, Any], version: str | Version
) -> Explanation:
    current = {
        family: Ruleset.from_save(scenario.dumps[family.name], family=family) for family in Family
    }
    here = scenario.cluster.node(scenario.node, facts=scenario.facts)
    return explained(current, scenario.cluster, here, document, version)


# The newest refuses to switch these off.
LATER_LOCKED = {gate.name for gate in GATES.values() if gate.locked is not None}
TELLING = sorted({name for habit in HABITS for name in habit.recorded})


@pytest.mark.parametrize("version", RECORDED)
def test_a_recorded_dump_of_another_version_is_known_for_it_and_for_nothing_else(
    version: str,
) -> None:
    """Compared with the newest, whatever differs is that version's, and no field is suspected."""
    different = 0
    for name in TELLING:
        recording = recordings(version).get(name)
        if recording is None or recording.error or recording.refused:
            continue
        scenario = recording.scenario
        if any(name in LATER_LOCKED for name in scenario.config.get("featureGates", {})):
            continue
        found = dump_explained(scenario, scenario.config, NEWEST)
        own = dump_explained(scenario, scenario.config, version)
        assert own == Explanation()
        assert found.fields == ()
        if found.likeness is not None:
            different += 1
            assert found.likeness.lines == 0
            assert Version.parse(version) in found.likeness.versions

    assert bool(different) is (version != str(NEWEST))


def hinted() -> tuple[Cluster, Node]:
    """With hints for nodes, which versions up to 1.33 do not look at."""
    objects = [
        node(),
        service(externalIPs=["198.51.100.7"]),
        endpoint_slice(
            endpoint("10.244.1.1", hints={"forNodes": [{"name": "node1"}]}),
            endpoint("10.244.2.1", "node2", hints={"forNodes": [{"name": "node2"}]}),
        ),
    ]
    cluster = Cluster.from_objects(objects)
    return cluster, cluster.node("node1")


DEFAULTS: dict[str, Any] = {
    "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
    "kind": "KubeProxyConfiguration",
}


def said(
    text: str, version: str = "1.36", document: dict[str, Any] = DEFAULTS, kubelet: str = ""
) -> str:
    cluster, here = hinted()
    if kubelet:
        objects = node()
        objects["status"]["nodeInfo"] = {"kubeletVersion": kubelet}
        here = Cluster.from_objects([objects]).node("node1")
    current = Ruleset.from_save(text)
    return str(explained({Family.IPV4: current}, cluster, here, document, version))


def saved(version: str, document: dict[str, Any] = DEFAULTS) -> str:
    cluster, here = hinted()
    return translate(cluster, here, config_of(document, version), Family.IPV4).to_save()


def test_drift_that_is_another_versions_habit_is_told() -> None:
    like = "this looks like kube-proxy 1.27 to 1.33; with --kube-proxy-version"

    assert said(saved("1.33")) == f"{like} 1.33 nothing differs"
    assert said(saved("1.33"), kubelet="v1.29.2") == f"{like} 1.29 nothing differs"


def test_what_the_version_leaves_is_drift() -> None:
    """One line is another: the node has one that it should not have, and lacks one."""
    broken = saved("1.33").replace("--to-destination 10.244.1.1:8080", "--to-destination 9.9.9.9:1")

    text = said(broken)

    assert text.startswith("this looks more like kube-proxy 1.27 to 1.33; with --kube-proxy-ver")
    assert ": 2 lines differ instead of " in text.replace("version 1.33 ", "version 1.33: ")
    assert text.endswith(", and that is drift")


def test_what_the_version_leaves_may_be_another_configuration_and_then_is_not_called_drift() -> (
    None
):
    text = said(saved("1.33", {**DEFAULTS, "iptables": {"masqueradeBit": 5}}))

    version, _, configuration = text.partition("; the node's")
    assert version.startswith("this looks more like kube-proxy 1.27 to 1.33; ")
    assert "drift" not in version
    assert f"the node's{configuration}" == (
        f"{ELSEWHERE}iptables.masqueradeBit: 5: pass the node's own with --config"
    )


def test_rules_that_a_version_would_not_have_and_that_are_lost_are_no_sign_of_it() -> None:
    """From 1.29 on a liberal node has no rule for INVALID packets; here it is lost with another."""
    cluster, _ = hinted()
    here = cluster.node("node1", {"tcpBeLiberal": True})
    old = translate(cluster, here, config_of(DEFAULTS, "1.28"), Family.IPV4).to_save()
    lost = [
        line
        for line in old.splitlines(keepends=True)
        if "--ctstate INVALID" not in line and "-j MASQUERADE" not in line
    ]
    assert len(old.splitlines()) - len(lost) == 2

    current = {Family.IPV4: Ruleset.from_save("".join(lost))}

    assert explained(current, cluster, here, DEFAULTS, "1.28") == Explanation()


@pytest.mark.parametrize(
    ("version", "fields"),
    [("1.36", ("featureGates.AllowServiceExternalIPs: false",)), ("1.35", ())],
)
def test_no_field_is_named_that_the_version_does_not_know(
    version: str, fields: tuple[str, ...]
) -> None:
    """The gate came with 1.36: what lacks the rules of external IPs before has lost them."""
    cluster, here = hinted()
    lines = saved(version).splitlines(keepends=True)
    current = Ruleset.from_save("".join(line for line in lines if "external IP" not in line))

    found = explained({Family.IPV4: current}, cluster, here, DEFAULTS, version)

    assert found == Explanation(None, fields)


def test_a_gate_that_only_the_newest_heeds_is_its_habit() -> None:
    gate = {**DEFAULTS, "featureGates": {"AllowServiceExternalIPs": False}}

    assert said(saved("1.36", gate), "1.35", gate) == (
        "this looks like kube-proxy 1.36; with --kube-proxy-version 1.36 nothing differs"
    )


def test_a_node_has_one_kube_proxy_for_both_families() -> None:
    """Of IPv4 the zone hints count from 1.31 on, of IPv6 the node hints from 1.34 on."""
    both = {"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"]}
    zones = ({"hints": {"forZones": [{"name": zone}]}} for zone in "ab")
    nodes = ({"hints": {"forNodes": [{"name": name}]}} for name in ("node1", "node2"))
    objects = [
        node(**{"topology.kubernetes.io/zone": "a"}),
        service(clusterIPs=["10.96.0.10", "fd00:10:96::9"], **both),
        endpoint_slice(*(endpoint(f"10.244.1.{n}", **hint) for n, hint in enumerate(zones, 1))),
        endpoint_slice(
            *(endpoint(f"fd00::{n}", **hint) for n, hint in enumerate(nodes, 1)),
            addressType="IPv6",
            name="six",
        ),
    ]
    cluster = Cluster.from_objects(objects)
    here = cluster.node("node1")
    current: dict[Family, Ruleset] = {
        family: translate(cluster, here, config_of(DEFAULTS, "1.30"), family) for family in Family
    }
    six = {Family.IPV6: current[Family.IPV6]}

    assert "kube-proxy 1.27 to 1.33; " in str(explained(six, cluster, here, DEFAULTS, "1.36"))
    assert "kube-proxy 1.27 to 1.30; " in str(explained(current, cluster, here, DEFAULTS, "1.36"))


def test_a_node_without_rules_for_services_looks_like_nothing() -> None:
    assert said("*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n") == ""


def test_what_a_dump_shows_of_an_old_kube_proxy_is_no_other_configuration() -> None:
    """It counts no packets and drops INVALID ones, whatever the node's counters and sysctls."""
    scenario = recordings("1.28")["nfacct-localhost-on"].scenario
    current = Ruleset.from_save(scenario.dumps["IPV4"])
    shown = shown_facts(current).added_to(scenario.cluster.node(scenario.node))

    found = explained({Family.IPV4: current}, scenario.cluster, shown, scenario.config, NEWEST)

    assert found == Explanation()
