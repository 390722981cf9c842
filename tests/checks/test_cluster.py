"""Findings about manifests: each mistake is found, and a sound cluster has none."""

from __future__ import annotations

from typing import Any

import pytest

from nptables import Cluster, ProxyConfig
from nptables.checks import CODES, Finding, Severity, check_cluster, chosen
from nptables.checks.reports import github_lines, to_sarif
from tests.support.scenarios import FIXTURES
from tests.tracing.test_reasons import NODES, ON_BOTH, endpoint, endpoint_slice, nodes, service

BALANCED = {"loadBalancer": {"ingress": [{"ip": "198.51.100.9"}]}}
UDP_PORTS = [
    {"name": "dns", "protocol": "UDP", "port": 53},
    {"name": "http", "protocol": "TCP", "port": 80},
]


def other(**spec: Any) -> dict[str, Any]:
    found = service(**spec)
    found["metadata"]["name"] = "zebra"
    return found


def check(objects: list[dict[str, Any]], **options: Any) -> list[Finding]:
    return check_cluster(Cluster.from_objects(objects), **options)


def found(objects: list[dict[str, Any]], **options: Any) -> dict[str, str]:
    return {finding.what.code: finding.message for finding in check(objects, **options)}


def test_a_sound_service_has_no_finding() -> None:
    assert check([*NODES, service(), endpoint_slice(*ON_BOTH)]) == []


@pytest.mark.parametrize(
    ("code", "objects", "says"),
    [
        ("NPT101", [service()], "no EndpointSlice belongs to it"),
        (
            "NPT101",
            [
                service(),
                endpoint_slice(endpoint("10.244.1.5", "node1", conditions={"ready": False})),
            ],
            "none of its 1 IPv4 endpoints is ready",
        ),
        (
            "NPT102",
            [service(externalTrafficPolicy="Local"), endpoint_slice(*ON_BOTH)],
            "no endpoint is on node2",
        ),
        (
            "NPT103",
            [service(), endpoint_slice(endpoint("10.9.9.9", "worker.example"))],
            "endpoints name worker.example; the Nodes are node1, node2, node3",
        ),
        (
            "NPT104",
            [
                service(),
                endpoint_slice(*ON_BOTH, ports=[{"name": "x", "protocol": "TCP", "port": 1}]),
            ],
            'is "http"/TCP; its EndpointSlices have "x"/TCP',
        ),
        (
            "NPT105",
            [service(internalTrafficPolicy="Local"), endpoint_slice(*ON_BOTH)],
            "internalTrafficPolicy is Local and no endpoint is on node2",
        ),
        (
            "NPT201",
            [service(), other(clusterIP="10.96.0.11", clusterIPs=["10.96.0.11"])],
            "nodePort 30080/TCP is also that of default/web:http, which gets the packets",
        ),
        (
            "NPT202",
            [service(ports=[{"name": "http", "port": 80, "nodePort": 80}])],
            "nodePort 80 is outside 30000-32767",
        ),
        (
            "NPT203",
            [
                service(externalIPs=["198.51.100.7"]),
                other(
                    clusterIP="10.96.0.11",
                    clusterIPs=["10.96.0.11"],
                    externalIPs=["198.51.100.7"],
                    ports=[{"name": "http", "port": 80, "nodePort": 30081}],
                ),
            ],
            "198.51.100.7:80/TCP is also that of default/web:http",
        ),
        (
            "NPT204",
            [
                service(
                    type="LoadBalancer", loadBalancerSourceRanges=["192.0.2.0/24"], status=BALANCED
                )
            ],
            "source ranges 192.0.2.0/24 do not guard nodePort 30080",
        ),
        ("NPT205", [service(externalIPs=["198.51.100.7"])], "externalIPs 198.51.100.7"),
        ("NPT302", [service(sessionAffinity="ClientIP")], "100 clients for each endpoint"),
        (
            "NPT303",
            [
                service(
                    sessionAffinity="ClientIP",
                    sessionAffinityConfig={"clientIP": {"timeoutSeconds": 5}},
                )
            ],
            "the affinity timeout is 5 s",
        ),
        (
            "NPT304",
            [service(sessionAffinity="ClientIP", ports=UDP_PORTS)],
            "affinity is kept for each of the 2 ports separately",
        ),
        ("NPT305", [service(sessionAffinity="ClientIP", ports=UDP_PORTS)], "UDP port dns"),
    ],
)
def test_a_mistake_is_found(code: str, objects: list[dict[str, Any]], says: str) -> None:
    assert says in found([*NODES, *objects])[code]


@pytest.mark.parametrize(
    ("seconds", "short"), [(1, True), (59, True), (60, False), (10800, False), (86400, False)]
)
def test_an_affinity_of_less_than_a_minute_is_short(seconds: int, *, short: bool) -> None:
    remembers = service(
        sessionAffinity="ClientIP",
        sessionAffinityConfig={"clientIP": {"timeoutSeconds": seconds}},
    )

    assert short is ("NPT303" in found([*NODES, remembers]))


def test_external_ips_without_rules_are_nobodys_worry() -> None:
    # Without the gate AllowServiceExternalIPs no rule takes packets to them, nor drops any.
    objects = [
        *NODES,
        service(type="ClusterIP", ports=[{"name": "http", "port": 80}],
                externalIPs=["198.51.100.7"], externalTrafficPolicy="Local"),
        endpoint_slice(*ON_BOTH),
    ]  # fmt: skip

    assert set(found(objects)) == {"NPT102", "NPT205"}
    assert found(objects, config=ProxyConfig(allow_service_external_ips=False)) == {}


def test_a_service_of_another_proxy_has_no_finding_about_what_kube_proxy_does() -> None:
    claimed = service(
        labels={"service.kubernetes.io/service-proxy-name": "other"},
        type="LoadBalancer",
        externalIPs=["198.51.100.7"],
        loadBalancerSourceRanges=["192.0.2.0/24"],
        sessionAffinity="ClientIP",
        ports=[{"name": "http", "port": 80, "nodePort": 80}],
    )

    # The API server gives node ports, whoever serves them.
    assert set(found([*NODES, claimed])) == {"NPT202"}


@pytest.mark.parametrize(
    ("ranges", "unguarded"),
    [
        (["192.0.2.0/24"], "192.0.2.0/24"),
        # All ranges of a family are allowed, so one that holds everything guards nothing at all.
        (["192.0.2.0/24", "0.0.0.0/0"], ""),
        (["192.0.2.0/24", "1.2.3.4/0", "2001:db8::/64"], "2001:db8::/64"),
    ],
)
def test_source_ranges_that_let_everybody_in_guard_nothing(
    ranges: list[str], unguarded: str
) -> None:
    balanced = service(type="LoadBalancer", loadBalancerSourceRanges=ranges, status=BALANCED)

    message = found([*NODES, balanced]).get("NPT204", "")

    assert message == (
        f"source ranges {unguarded} do not guard nodePort 30080" if unguarded else ""
    )


def test_a_node_port_is_usual_in_the_range_of_its_cluster() -> None:
    objects = [*NODES, service(ports=[{"name": "http", "port": 80, "nodePort": 20000}])]

    assert "NPT202" in found(objects)
    assert "NPT202" not in found(objects, node_ports=(20000, 20010))
    assert "outside 20001-20010" in found(objects, node_ports=(20001, 20010))["NPT202"]


def test_a_health_check_port_is_one_of_the_range_of_node_ports() -> None:
    balanced = service(
        type="LoadBalancer", externalTrafficPolicy="Local", healthCheckNodePort=20000,
        status=BALANCED,
    )  # fmt: skip

    assert found([*NODES, balanced])["NPT202"] == "healthCheckNodePort 20000 is outside 30000-32767"


def test_hints_that_are_ignored_are_found_with_the_reason() -> None:
    hinted = endpoint("10.244.1.5", "node1", hints={"forZones": [{"name": "a"}]})
    objects = [*nodes("node1", zone="a"), service(), endpoint_slice(hinted, ON_BOTH[1])]

    assert "zone hints ignored: 10.244.3.5:8080 without" in found(objects)["NPT301"]


def test_a_named_target_port_that_no_pod_has_is_found() -> None:
    ports = [{"name": "http", "port": 80, "targetPort": "web", "nodePort": 30080}]
    pod = {
        "metadata": {"name": "web-5", "namespace": "default", "labels": {"app": "web"}},
        "spec": {"containers": [{"ports": [{"name": "http", "containerPort": 8080}]}]},
    }
    objects = [*NODES, service(ports=ports, selector={"app": "web"}), endpoint_slice(*ON_BOTH)]

    assert found(objects, pods=[pod])["NPT106"] == (
        'no Pod has a TCP port named "web"; they have http (8080/TCP)'
    )
    assert "NPT106" not in found(objects)


def test_primary_without_an_address_of_the_family_is_found() -> None:
    dual = service(
        clusterIPs=["10.96.0.10", "fd00::a"],
        ipFamilies=["IPv4", "IPv6"],
        ipFamilyPolicy="RequireDualStack",
    )
    config = ProxyConfig(node_port_addresses=("primary",))

    assert "the node has no IPv6 address" in found([*NODES, dual], config=config)["NPT401"]


def test_what_a_lenient_reading_left_out_is_found() -> None:
    objects = [*NODES, service(), endpoint_slice(endpoint("10.244.1.256", "node1"))]
    cluster = Cluster.from_objects(objects, lenient=True)

    assert "NPT402" in {finding.what.code for finding in check_cluster(cluster)}


def test_findings_can_be_chosen_by_code_name_and_severity() -> None:
    objects = [*NODES, service(sessionAffinity="ClientIP", externalIPs=["198.51.100.7"])]
    every = check(objects)

    def codes(**options: Any) -> set[str]:
        return {finding.what.code for finding in chosen(every, **options)}

    assert codes() == {"NPT101", "NPT205", "NPT302"}
    assert codes(select=["NPT1", "affinity-memory"]) == {"NPT101", "NPT302"}
    assert codes(ignore=["npt2"]) == {"NPT101", "NPT302"}
    assert codes(severity=Severity.ERROR) == {"NPT101"}


def test_every_code_has_a_paragraph_in_the_documentation() -> None:
    text = (FIXTURES.parent / "docs" / "checks.md").read_text()

    assert [code for code in CODES if f"### {code}: {CODES[code].name}\n" not in text] == []


def test_a_github_annotation_is_one_line_whatever_a_name_holds() -> None:
    finding = Finding(
        CODES["NPT101"], "100%\n::error::x", "Service", "default", "we:b", file="a,b.yaml", line=3
    )

    (line,) = github_lines([finding])

    assert line == (
        "::error file=a%2Cb.yaml,line=3,title=NPT101 no-ready-endpoint::"
        "Service default/we:b: 100%25\\n::error::x. "
        "Look at the readiness of the Pods, and at the selector."
    )


def test_sarif_names_the_rule_and_the_place() -> None:
    finding = Finding(CODES["NPT102"], "here", "Service", "default", "web", file="web.yaml", line=7)

    log = to_sarif([finding], "1.2.3")

    (run,) = log["runs"]
    (result,) = run["results"]
    assert log["version"] == "2.1.0"
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "NPT102"
    assert result["level"] == "warning"
    place = result["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "web.yaml"}, "region": {"startLine": 7}}
