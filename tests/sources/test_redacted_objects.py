"""Objects of which somebody took addresses out before they were passed on."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from nptables import Family, Loaded, ProxyConfig, load, translate
from nptables.auditing import Verdict, audit
from nptables.evidence import Evidence, Form
from nptables.tracing import packet_between, trace

if TYPE_CHECKING:
    from pathlib import Path

NODE = {
    "kind": "Node", "metadata": {"name": "node1"},
    "spec": {"podCIDRs": ["10.244.1.0/24"]},
    "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]},
}  # fmt: skip
SERVICE = {
    "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
    "spec": {
        "type": "NodePort", "clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10"],
        "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}],
    },
}  # fmt: skip
SLICE = {
    "kind": "EndpointSlice", "addressType": "IPv4",
    "metadata": {
        "name": "web-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"},
    },
    "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
    "endpoints": [
        {"addresses": [address], "conditions": {"ready": True}, "nodeName": "node1"}
        for address in ("10.244.1.2", "10.244.1.3")
    ],
}  # fmt: skip
HIDDEN = "***HIDDEN***"


def objects(*hidden: str) -> list[dict[str, Any]]:
    """The objects, with these addresses hidden."""
    text = json.dumps(copy.deepcopy([NODE, SERVICE, SLICE]))
    for address in hidden:
        text = text.replace(f'"{address}"', f'"{HIDDEN}"')
    found: list[dict[str, Any]] = json.loads(text)
    for one in found:
        one["apiVersion"] = "discovery.k8s.io/v1" if one["kind"] == "EndpointSlice" else "v1"
    return found


def loaded(tmp_path: Path, *hidden: str) -> Loaded:
    """The objects as they are read from a file."""
    path = tmp_path / "objects.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects(*hidden)}))
    return load(path)


@pytest.mark.parametrize(
    "hidden", [("10.96.0.10",), ("10.244.1.2",), ("10.244.1.2", "10.244.1.3"), ("192.0.2.1",)]
)
def test_a_node_port_is_followed_although_addresses_are_hidden(
    tmp_path: Path, hidden: tuple[str, ...]
) -> None:
    """Two endpoints on the node take half of the connections each, whatever they are called."""
    cluster = loaded(tmp_path, *hidden).cluster
    node = cluster.node("node1", facts={"interfaces": {"eth0": ["192.0.2.1/24"]}})
    rules = translate(cluster, node, ProxyConfig(), Family.IPV4)
    packet = packet_between("outside", "nodeport:30080", node=node, cluster=cluster)

    answer = trace(rules, packet, node, cluster)

    assert answer.arrives
    (distribution,) = answer.distributions
    assert [str(outcome.share) for outcome in distribution.outcomes] == ["1/2", "1/2"]
    assert len({outcome.where for outcome in distribution.outcomes}) == 2


def test_it_is_said_once(tmp_path: Path) -> None:
    found = loaded(tmp_path, "10.96.0.10", "10.244.1.2", "10.244.1.3")

    assert found.problems == ()
    (note,) = [note for note in found.notes if "hidden" in note]
    assert note.startswith("addresses of 1 Service are hidden")


@pytest.mark.parametrize("hidden", [("10.96.0.10",), ("10.244.1.2",)])
def test_the_rules_of_a_node_are_held_against_nobody(
    tmp_path: Path, hidden: tuple[str, ...]
) -> None:
    """The node has what the whole objects give, which those with hidden addresses cannot tell."""
    whole = loaded(tmp_path).cluster
    rules = translate(whole, whole.node("node1"), ProxyConfig(), Family.IPV4)
    cluster = loaded(tmp_path, *hidden).cluster
    evidence = Evidence(Form.SAVED, (rules,), facts=whole.node("node1").facts)

    (result,) = audit(cluster, {"node1": evidence})
    packet = packet_between(
        "outside", "nodeport:30080", node=cluster.node("node1"), cluster=cluster
    )
    answer = trace(rules, packet, cluster.node("node1"), cluster, evidence=evidence)

    assert result.verdict in (Verdict.OK, Verdict.COSMETIC)
    assert answer.arrives
    assert "unknown: addresses are hidden" in "; ".join(reason.text for reason in answer.reasons)


def test_what_is_wrong_beside_it_is_found_all_the_same(tmp_path: Path) -> None:
    """A Service of which all is known, and that the node has no rule for."""
    other = json.loads(
        json.dumps(objects())
        .replace('"web', '"api')
        .replace("10.96.0.10", "10.96.0.11")
        .replace("30080", "30081")
    )
    path = tmp_path / "both.json"
    items = [*objects("10.96.0.10"), *other[1:]]
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    whole = loaded(tmp_path).cluster
    rules = translate(whole, whole.node("node1"), ProxyConfig(), Family.IPV4)

    evidence = Evidence(Form.SAVED, (rules,), facts=whole.node("node1").facts)
    (result,) = audit(load(path).cluster, {"node1": evidence})

    assert result.verdict is Verdict.DIFFERS
    assert {"shop/api"} == {name for cause in result.causes for name in cause.services}


def test_an_object_has_the_same_made_up_addresses_whatever_stands_beside_it(
    tmp_path: Path,
) -> None:
    """Two states of a cluster can be compared: only what changed differs."""
    other = json.dumps(objects("10.96.0.10", "10.244.1.2")[1:])
    other = other.replace('"web', '"api').replace("30080", "30081")
    items = [*json.loads(other), *objects("10.96.0.10", "10.244.1.2")]
    path = tmp_path / "more.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))

    alone, beside = loaded(tmp_path, "10.96.0.10", "10.244.1.2").cluster, load(path).cluster

    key = ("shop", "web")
    assert alone.services[key].cluster_ips == beside.services[key].cluster_ips
    assert alone.slices["shop", "web-1"].endpoints == beside.slices["shop", "web-1"].endpoints
    assert beside.services[key].cluster_ips != beside.services["shop", "api"].cluster_ips
