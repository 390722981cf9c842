"""The document as text is the document that was dumped, and no rule of a known shape is parsed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from nptables import Cluster, Family, ProxyConfig, translate
from nptables.rendering import document_text, narrowed_to
from nptables.rendering.document import rule_parts, to_document
from nptables.rendering.document_text import to_json
from nptables.translation import Translation
from tests.support.clusters import Object, clusters, endpoint, endpoint_slice, node, service
from tests.support.scenarios import NAMED, named_scenario


def translated(name: str, family: Family) -> Translation:
    scenario = named_scenario(name)
    cluster = Cluster.from_objects(scenario.objects, lenient=True)
    config = ProxyConfig.from_kube_proxy(scenario.config)
    return translate(cluster, cluster.node(scenario.node, scenario.facts), config, family)


@pytest.mark.parametrize("family", Family)
def test_it_is_the_dumped_document_byte_for_byte(family: Family) -> None:
    # A thousand endpoints more are the same shapes once more.
    for name in (name for name in NAMED if not name.startswith("large-cluster-")):
        rules = translated(name, family)

        assert json.dumps(to_document(rules, rules), ensure_ascii=False) == to_json(rules, rules)


@given(clusters)
def test_it_is_so_of_any_cluster(objects: list[Object]) -> None:
    cluster = Cluster.from_objects(objects, lenient=True)
    rules = translate(cluster, cluster.node("node1"), ProxyConfig(), Family.IPV4)

    assert json.dumps(to_document(rules, rules), ensure_ascii=False) == to_json(rules, rules)


def test_so_it_is_of_one_service() -> None:
    rules = translated("nodeport-multi-port-protocols", Family.IPV4)
    key = min(rules.cluster.services)
    part = narrowed_to(rules, key)

    assert json.dumps(to_document(part, rules, key), ensure_ascii=False) == to_json(
        part, rules, key
    )


def many(count: int) -> Translation:
    objects: list[dict[str, Any]] = [node("node1")]
    for number in range(count):
        name, address = f"web-{number}", f"10.96.1.{number}"
        made = service(clusterIP=address, clusterIPs=[address])
        made["metadata"]["name"] = name
        made["spec"]["ports"][0]["nodePort"] = 30000 + number
        slices = endpoint_slice(endpoint(f"10.244.1.{number}"), endpoint(f"10.244.2.{number}"))
        slices["metadata"] = {
            "name": f"{name}-1",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": name},
        }
        objects += [made, slices]
    cluster = Cluster.from_objects(objects)
    return translate(cluster, cluster.node(), ProxyConfig(), Family.IPV4)


def test_more_services_of_a_kind_parse_no_more_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []

    def counting(line: str, family: Family) -> dict[str, Any]:
        parsed.append(line)
        return rule_parts(line, family)

    monkeypatch.setattr(document_text, "rule_parts", counting)
    counts = []
    for count in (2, 40):
        rules = many(count)
        to_json(rules, rules)
        counts.append(len(parsed))
        parsed.clear()

    assert counts[0] == counts[1]
