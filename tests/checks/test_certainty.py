"""What is said of endpoints, and what is not, by what an input can know."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from nptables import Ruleset, trace
from nptables.checks import check_cluster
from nptables.cli import main
from nptables.family import Family
from nptables.model import ProxyConfig
from nptables.sources import load, load_objects
from nptables.tracing import packet_between
from nptables.tracing.explanation.result import Verdict
from nptables.translation import translate
from nptables.translation.explanation.unknown import unknown_endpoints
from tests.support.scenarios import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

FOUND = FIXTURES / "manifests-as-found"
Object = dict[str, Any]


def service(name: str = "web", namespace: str = "shop", **spec: Any) -> Object:
    ports = [{"name": "http", "port": 80}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": "web"}, "ports": ports, **spec},
    }


def workload(kind: str = "Rollout", labels: Object | None = None, **spec: Any) -> Object:
    template = {
        "metadata": {"labels": labels or {"app": "web"}},
        "spec": {"containers": [{"name": "c"}]},
    }
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"template": template, **spec},
    }


def judged(*objects: Object, **options: Any) -> tuple[set[str], int]:
    """Return the codes that are found, and how many Services have unknown endpoints."""
    cluster = load_objects(objects, **options).cluster
    codes = {finding.what.code for finding in check_cluster(cluster)}
    return codes, len(unknown_endpoints(cluster))


AUTOSCALER = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"scaleTargetRef": {"kind": "Rollout", "name": "web"}, "maxReplicas": 3},
}
NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "labels": {}}}
SECOND_NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "m", "labels": {}}}
LOCAL = service(type="NodePort", externalTrafficPolicy="Local")


@pytest.mark.parametrize(
    ("objects", "codes", "unknown"),
    [
        ([service()], set(), 1),
        ([service(), service("api")], set(), 2),
        ([service(selector={})], set(), 1),
        ([service(clusterIP="None")], set(), 0),
        ([service(type="ExternalName", externalName="x.example")], set(), 0),
        ([service(), workload()], set(), 0),
        ([service(), workload(replicas=0)], {"NPT137"}, 0),
        ([service(), workload(replicas=0), AUTOSCALER], set(), 1),
        ([service(), workload("DaemonSet")], set(), 1),
        ([service(), workload("DaemonSet"), NODE], set(), 0),
        ([service(), workload(labels={"app": "basket"})], {"NPT135"}, 0),
        ([service(namespace="other"), workload(labels={"app": "basket"})], set(), 1),
        # Nobody says where Pods will be that were never applied, unless there are Nodes.
        ([LOCAL, workload()], set(), 0),
        ([LOCAL, workload(), NODE], set(), 0),
        ([LOCAL, workload(), NODE, SECOND_NODE], {"NPT102"}, 0),
        ([service(internalTrafficPolicy="Local"), workload()], set(), 0),
    ],
)
def test_no_endpoint_is_said_only_where_the_input_can_know_it(
    objects: list[Object], codes: set[str], unknown: int
) -> None:
    assert judged(*objects) == (codes, unknown)


def test_a_cluster_that_was_read_knows_all_its_endpoints() -> None:
    assert judged(service(), listed=True, lenient=True) == ({"NPT101"}, 0)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("one-file", "no workload in the input could provide its Pods"),
        ("daemonset-without-nodes", "DaemonSet shop/agent has a Pod on each node"),
    ],
)
def test_every_command_says_what_is_not_known(
    name: str, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path, whom = str(FOUND / f"{name}.yaml"), "agent" if name.startswith("daemon") else "web"

    assert main(["check", path]) == 0
    assert said in capfd.readouterr().err
    assert main(["render", path, "--node", "n"]) == 0
    assert capfd.readouterr().err.count(said) == 1
    words = ["--node", "n", "--from", "outside", "--to", f"svc:shop/{whom}"]
    assert main(["trace", path, *words]) == 1
    out = capfd.readouterr().out
    assert out.startswith("not known: ")
    assert said in out
    assert "refused" not in out


def test_rules_of_a_node_refuse_whatever_manifests_know() -> None:
    cluster = load(FOUND / "one-file.yaml").cluster
    node = cluster.node("n")
    rules = translate(cluster, node, ProxyConfig(), Family.IPV4)
    packet = packet_between("outside", "svc:shop/web", node=node, cluster=cluster)

    made = trace(rules, packet, node, cluster)
    dumped = trace(Ruleset.from_save(rules.to_save(), family=Family.IPV4), packet, node, cluster)

    assert [outcome.verdict for outcome in made.outcomes] == [Verdict.UNKNOWN]
    assert [outcome.verdict for outcome in dumped.outcomes] == [Verdict.REFUSED]


@pytest.mark.parametrize(
    ("name", "code", "code_found"),
    [
        ("one-file", 0, []),
        ("rollout", 0, []),
        ("pod-name-label", 0, []),
        ("helm-test-pod", 0, []),
        ("daemonset-without-nodes", 0, []),
        ("selector-typo", 1, ["NPT130"]),
        ("target-port-name", 1, ["NPT106"]),
    ],
)
def test_manifests_as_people_have_them_are_judged_rightly(
    name: str, code: int, code_found: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    path = FOUND / f"{name}.yaml"

    assert main(["check", str(path)]) == code

    assert [
        line.split()[2].rstrip(":")
        for line in capfd.readouterr().out.splitlines()
        if line.startswith(str(path))
    ] == code_found


def test_endpoints_of_the_readme_are_as_many_as_it_says() -> None:
    counts = {
        name: sum(len(s.endpoints) for s in load(FOUND / f"{name}.yaml").cluster.slices.values())
        for name in ("helm-test-pod", "pod-name-label", "rollout")
    }

    assert counts == {"helm-test-pod": 2, "pod-name-label": 1, "rollout": 2}


UNREADABLE = workload("StatefulSet", replicas="two") | {"apiVersion": "apps/v1"}


@pytest.mark.parametrize(
    ("selector", "code"),
    [
        ({"app": "web"}, "NPT107"),
        # The control plane puts this one on Pods, so the template need not have it.
        ({"app": "web", "statefulset.kubernetes.io/pod-name": "web-0"}, "NPT107"),
        # What was left out cannot have these labels, and what stands in it tells a slip.
        ({"app": "wbe"}, "NPT130"),
    ],
)
def test_a_workload_that_was_left_out_leaves_open_what_it_might_tell(
    selector: Object, code: str
) -> None:
    cluster = load_objects([service(selector=selector), UNREADABLE], lenient=True).cluster

    assert {f.what.code for f in check_cluster(cluster)} == {code, "NPT402"}
    assert unknown_endpoints(cluster) == {}


def test_rules_of_a_node_are_not_called_different_where_endpoints_are_not_known(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path, dump = str(FOUND / "one-file.yaml"), tmp_path / "dump"
    whole = tmp_path / "whole.json"
    main(["render", str(FOUND / "rollout.yaml"), "--node", "n"])
    dump.write_text(capfd.readouterr().out)
    named = ["--node", "n", "--current", str(dump)]

    assert main(["check", path, *named, "--select", "NPT5"]) == 0
    assert "the endpoints of Service shop/web are not known" in capfd.readouterr().err
    # With the workload all is known, and the rules are those of another Service.
    whole.write_text(
        json.dumps({"kind": "List", "apiVersion": "v1", "items": [service(), workload()]})
    )
    assert main(["check", str(whole), *named, "--select", "NPT5"]) == 1
    assert "differs in" in capfd.readouterr().out


def test_a_trace_through_rules_of_a_node_says_that_the_input_knows_no_better(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path, dump = str(FOUND / "one-file.yaml"), tmp_path / "dump"
    main(["render", path, "--node", "n"])
    dump.write_text(capfd.readouterr().out)
    words = ["--node", "n", "--from", "outside", "--to", "svc:shop/web"]

    assert main(["trace", path, "--save", str(dump), *words]) == 1

    out = capfd.readouterr().out
    assert out.startswith("does not arrive: REJECT: ")
    assert "says that shop/web has no endpoints; its endpoints are unknown: " in out


@pytest.mark.parametrize(
    ("key", "value", "known"),
    [
        ("vault-active", "true", False),
        ("isMaster", "true", False),
        ("cluster-role", "primary", False),
        ("instanceRole", "replica", False),
        ("role", "data", True),
        ("payroll", "true", True),
    ],
)
def test_a_label_by_which_programs_tell_their_leader_may_come_while_they_run(
    key: str,
    value: str,
    known: bool,  # noqa: FBT001
) -> None:
    codes, unknown = judged(service(selector={"app": "web", key: value}), workload())

    assert (bool(codes), not unknown) == (known, known)


def test_a_local_policy_drops_nothing_for_sure_where_no_node_of_the_pods_is_known() -> None:
    cluster = load_objects([LOCAL, workload()]).cluster
    node = cluster.node("n", {"interfaces": {"eth0": ["192.0.2.1/24"]}})
    rules = translate(cluster, node, ProxyConfig(), Family.IPV4)
    port = cluster.services["shop", "web"].ports[0].node_port
    packet = packet_between("outside", f"192.0.2.1:{port}", node=node, cluster=cluster)

    made = trace(rules, packet, node, cluster)
    saved = Ruleset.from_save(rules.to_save(), family=Family.IPV4)
    dumped = trace(saved, packet, node, cluster)

    why = "the nodes of its Pods are unknown"
    assert [(o.verdict, o.text) for o in made.outcomes] == [(Verdict.UNKNOWN, why)]
    assert [outcome.verdict for outcome in dumped.outcomes] == [Verdict.DROPPED]
    assert dumped.reasons[0].code == "endpoints-unplaced"
    assert dumped.reasons[0].text.endswith(f"says that shop/web has no local endpoints; {why}")
