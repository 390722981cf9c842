"""Nothing that an object, a configuration or a node says can smuggle anything into a rule."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nptables import Cluster, Family, InvalidInput, ProxyConfig, translate
from tests.support.clusters import endpoint, endpoint_slice, node, service

HOSTILE = [
    "web\n-A INPUT -j ACCEPT",
    'web" -j ACCEPT -m comment --comment "',
    "web\\",
    "-jACCEPT",
    "--delete-all",
    "web\x00",
    "wéb",
    "a b",
    "$(reboot)",
    "\x1b[2J",
    "x" * 500_000,
]

# Every option that the translation writes; a line with any other was not written by it.
OPTIONS = {
    "-A", "-s", "-d", "-i", "-p", "-m", "-j", "--comment", "--dport", "--set-xmark", "--mark",
    "--ctstate", "--dst-type", "--src-type", "--to-destination", "--mode", "--probability",
    "--rcheck", "--seconds", "--reap", "--set", "--name", "--mask", "--rsource", "--reject-with",
    "--random-fully", "--nfacct-name",
}  # fmt: skip
QUOTED = re.compile(r'"[^"\\]*"')


def check(text: str) -> None:
    for line in text.splitlines():
        assert line.isascii()
        assert line.isprintable()
        if line.startswith("-A"):
            words = QUOTED.sub("", line).split()
            assert {word for word in words if word.startswith("-")} <= OPTIONS
            assert words.count("-A") == 1
            assert '"' not in QUOTED.sub("", line)


def rules(objects: list[dict[str, Any]], **config: Any) -> str:
    cluster = Cluster.from_objects(objects, lenient=True)
    document = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        **config,
    }
    parsed = ProxyConfig.from_kube_proxy(document)
    texts = [translate(cluster, cluster.node("node1"), parsed, f).to_save() for f in Family]
    return "".join(texts)


def everything(text: str) -> list[dict[str, Any]]:
    """Objects with `text` in every field that could end up in a rule, one field each."""
    good = endpoint("10.0.0.1")
    port = {"port": 80, "nodePort": 30080}
    return [
        node("node1"),
        service(text),
        service("a", text),
        service("b", clusterIP=text),
        service("c", clusterIP="10.96.0.3", clusterIPs=[text, "10.96.0.3"]),
        service("d", clusterIP="10.96.0.4", ports=[{**port, "name": text}]),
        service("e", clusterIP="10.96.0.5", ports=[{**port, "protocol": text}]),
        service("f", clusterIP="10.96.0.6", ports=[{"port": text}]),
        service("g", clusterIP="10.96.0.7", externalIPs=[text]),
        service("h", clusterIP="10.96.0.8", sessionAffinity=text),
        service(
            "i",
            clusterIP="10.96.0.9",
            type="LoadBalancer",
            loadBalancerSourceRanges=[text, "10.0.0.0/8"],
            status={"loadBalancer": {"ingress": [{"ip": text}, {"ip": "203.0.113.10"}]}},
        ),
        service("j", clusterIP="10.96.0.10", type=text, externalTrafficPolicy=text),
        endpoint_slice(good, of="i"),
        endpoint_slice(good, of=text, name="x"),
        endpoint_slice(endpoint(text), good, of="g"),
        endpoint_slice({**good, "nodeName": text, "hints": {"forZones": [{"name": text}]}}, of="h"),
        endpoint_slice(good, of="d", ports=[{"name": text, "port": 80}]),
        endpoint_slice(good, of="e", ports=[{"port": text}], addressType=text),
    ]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_in_any_field_reaches_no_rule(text: str) -> None:
    saved = rules(everything(text))
    check(saved)
    assert "KUBE-SVC-" in saved
    assert text not in saved


@given(st.text())
def test_no_text_in_any_field_reaches_a_rule_with_a_line_break_or_an_option(text: str) -> None:
    check(rules(everything(text)))


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize(
    "config",
    [
        lambda t: {"clusterCIDR": t},
        lambda t: {"bindAddress": t},
        lambda t: {"hostnameOverride": t},
        lambda t: {"nodePortAddresses": [t]},
        lambda t: {"detectLocalMode": t},
        lambda t: {"detectLocalMode": "BridgeInterface", "detectLocal": {"bridgeInterface": t}},
        lambda t: {
            "detectLocalMode": "InterfaceNamePrefix",
            "detectLocal": {"interfaceNamePrefix": t},
        },
        lambda t: {"iptables": {"masqueradeBit": t}},
        lambda t: {"iptables": {"syncPeriod": t}},
    ],
)
def test_hostile_text_in_the_configuration_is_refused_with_the_field(
    config: Any, text: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        rules([node("node1")], **config(text))
    assert all(
        len(str(problem)) < 600 and str(problem).isprintable() for problem in caught.value.problems
    )


def test_hostile_interface_addresses_are_refused() -> None:
    cluster = Cluster.from_objects([node("node1")])
    with pytest.raises(InvalidInput, match="is not an address with prefix"):
        cluster.node("node1", {"interfaces": {"eth0": ["10.0.0.1/24\n-A INPUT -j ACCEPT"]}})
