"""Defaults of a KubeProxyConfiguration, as kube-proxy fills them in.

Source: SetDefaults_KubeProxyConfiguration in pkg/proxy/apis/config/v1alpha1/defaults.go. A field
that is a number or a duration there takes 0 for nothing; one that is a pointer takes null only.
"""

from __future__ import annotations

from typing import Any

import pytest

from nptables import InvalidInput, ProxyConfig
from nptables.model.conntrack import ConntrackConfig


def read(**fields: Any) -> ProxyConfig:
    return ProxyConfig.from_kube_proxy(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            **fields,
        }
    )


# What kubeadm writes (`kubectl -n kube-system get configmap kube-proxy`).
KUBEADM: dict[str, Any] = {
    "bindAddress": "0.0.0.0",
    "bindAddressHardFail": False,
    "clientConnection": {
        "acceptContentTypes": "",
        "burst": 0,
        "contentType": "",
        "kubeconfig": "/var/lib/kube-proxy/kubeconfig.conf",
        "qps": 0,
    },
    "clusterCIDR": "10.244.0.0/16",
    "configSyncPeriod": "0s",
    "conntrack": {
        "maxPerCore": None,
        "min": None,
        "tcpBeLiberal": False,
        "tcpCloseWaitTimeout": None,
        "tcpEstablishedTimeout": None,
        "udpStreamTimeout": "0s",
        "udpTimeout": "0s",
    },
    "detectLocal": {"bridgeInterface": "", "interfaceNamePrefix": ""},
    "detectLocalMode": "",
    "enableProfiling": False,
    "healthzBindAddress": "",
    "hostnameOverride": "",
    "iptables": {
        "localhostNodePorts": None,
        "masqueradeAll": False,
        "masqueradeBit": None,
        "minSyncPeriod": "0s",
        "syncPeriod": "0s",
    },
    "metricsBindAddress": "",
    "mode": "",
    "nodePortAddresses": None,
    "oomScoreAdj": None,
    "portRange": "",
    "showHiddenMetricsForVersion": "",
}


def test_what_kubeadm_writes_is_all_default() -> None:
    config = read(**KUBEADM)
    assert config == ProxyConfig(
        bind_address="0.0.0.0",
        cluster_cidrs=("10.244.0.0/16",),
        kubeconfig="/var/lib/kube-proxy/kubeconfig.conf",
        sync_period=30,
        min_sync_period=1,
        config_sync_period=900,
        masquerade_bit=14,
        localhost_node_ports=True,
        healthz_bind_address="0.0.0.0:10256",
        metrics_bind_address="127.0.0.1:10249",
        conntrack=ConntrackConfig(
            max_per_core=32768,
            min=131072,
            tcp_established_timeout=86400,
            tcp_close_wait_timeout=3600,
        ),
    )


def test_a_zero_of_conntrack_leaves_the_kernels_value() -> None:
    zero = read(
        conntrack={
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        }
    )
    assert zero.conntrack == ConntrackConfig(
        max_per_core=None, min=None, tcp_established_timeout=None, tcp_close_wait_timeout=None
    )


def test_a_zero_of_the_masquerade_bit_is_a_bit() -> None:
    assert read(iptables={"masqueradeBit": 0}).masquerade_mark == "0x1"


@pytest.mark.parametrize("address", ["::", "fd00::1"])
def test_with_an_ipv6_bind_address_probes_and_metrics_are_on_ipv6(address: str) -> None:
    config = read(bindAddress=address, healthzBindAddress="")
    assert config.healthz_bind_address == "[::]:10256"
    assert config.metrics_bind_address == "[::1]:10249"


def test_a_default_counts_where_periods_are_compared() -> None:
    with pytest.raises(InvalidInput, match="1s is longer than syncPeriod"):
        read(iptables={"minSyncPeriod": "0s", "syncPeriod": "500ms"})


@pytest.mark.parametrize(
    ("section", "slip", "meant"),
    [
        ("iptables", "masqueradeBitt", "masqueradeBit"),
        ("conntrack", "maxPerCores", "maxPerCore"),
        ("detectLocal", "bridgeInterfaces", "bridgeInterface"),
    ],
)
def test_an_unknown_field_inside_a_section_is_named_with_the_one_that_is_near(
    section: str, slip: str, meant: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(**{section: {slip: 1}})

    (problem,) = caught.value.problems
    assert problem.path == (section, slip)
    assert meant in problem.hint


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.1:9999", "10.0.0.1:9999"), ("[::1]:80", "[::1]:80"), ("10.0.0.1:65535",) * 2,
        ("10.0.0.1", "10.0.0.1:10249"), ("::1", "[::1]:10249"),
    ],
)  # fmt: skip
def test_an_address_to_listen_on_may_have_a_port(text: str, address: str) -> None:
    assert read(metricsBindAddress=text).metrics_bind_address == address


@pytest.mark.parametrize("text", ["10.0.0.1:x", "10.0.0.1:0", "10.0.0.1:65536", "host:80"])
def test_an_address_to_listen_on_has_a_number_of_a_port(text: str) -> None:
    with pytest.raises(InvalidInput) as error:
        read(metricsBindAddress=text)

    assert "is not an address and port" in str(error.value)


def test_a_gate_that_is_null_is_off_as_go_reads_it() -> None:
    read_so = [read(featureGates={"AllowServiceExternalIPs": on}) for on in (True, False, None)]

    assert [config.allow_service_external_ips for config in read_so] == [True, False, False]
