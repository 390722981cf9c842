"""With which configuration a kube-proxy runs, by its command line and its file."""

from __future__ import annotations

from typing import Any

import pytest

from nptables import ProxyConfig
from nptables.evidence import Evidence, Form, Process
from nptables.evidence.kubeproxy import configuration_of, kube_proxy_of
from nptables.evidence.signs import mode_of

HEAD = {"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration"}


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ((), {}),
        (("--cluster-cidr=10.244.0.0/16",), {"clusterCIDR": "10.244.0.0/16"}),
        (("--cluster-cidr", "10.244.0.0/16"), {"clusterCIDR": "10.244.0.0/16"}),
        (("--masquerade-all", "--v=2"), {"iptables": {"masqueradeAll": True}}),
        (
            ("--masquerade-all=false", "--iptables-masquerade-bit=10"),
            {"iptables": {"masqueradeAll": False, "masqueradeBit": 10}},
        ),
        (
            ("--nodeport-addresses=10.0.0.0/8,192.168.0.0/16",),
            {"nodePortAddresses": ["10.0.0.0/8", "192.168.0.0/16"]},
        ),
        (("--hostname-override=a", "--hostname-override=b"), {"hostnameOverride": "b"}),
        (("--", "--hostname-override=a"), {}),
        (("--kubeconfig=/var/lib/kube-proxy/kubeconfig", "--v", "2"), {}),
    ],
)
def test_flags_are_read_as_the_fields_that_they_set(
    arguments: tuple[str, ...], fields: dict[str, Any]
) -> None:
    found = configuration_of(Process("kube-proxy", 1, arguments))

    assert found == {**HEAD, **fields}
    ProxyConfig.from_kube_proxy(found)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # What strconv.ParseBool takes, in any case; anything else stays as it is, for the reader.
        ("1", True), ("t", True), ("T", True), ("true", True), ("TRUE", True), ("True", True),
        ("0", False), ("f", False), ("F", False), ("false", False), ("FALSE", False),
        ("False", False), ("yes", "yes"), ("2", "2"),
    ],
)  # fmt: skip
def test_a_switch_is_read_as_go_reads_it(text: str, value: object) -> None:
    process = Process("kube-proxy", 1, (f"--masquerade-all={text}",))

    assert configuration_of(process) == {**HEAD, "iptables": {"masqueradeAll": value}}


def test_beside_a_file_only_the_name_of_the_node_counts() -> None:
    arguments = ("--config=/c", "--hostname-override=worker-1", "--cluster-cidr=10.0.0.0/8")
    process = Process("kube-proxy", 1, arguments, {**HEAD, "clusterCIDR": "10.244.0.0/16"})

    assert configuration_of(process) == {
        **HEAD, "clusterCIDR": "10.244.0.0/16", "hostnameOverride": "worker-1",
    }  # fmt: skip


def test_a_file_that_nobody_read_leaves_the_configuration_open() -> None:
    assert configuration_of(Process("kube-proxy", 1, ("--config", "/c"))) is None


def test_what_a_flag_cannot_mean_is_left_to_whoever_reads_the_configuration() -> None:
    found = configuration_of(Process("kube-proxy", 1, ("--iptables-masquerade-bit=x",)))

    assert found == {**HEAD, "iptables": {"masqueradeBit": "x"}}


def test_kube_proxy_is_found_among_the_processes() -> None:
    proxy = Process("kube-proxy", 7)

    assert kube_proxy_of(Evidence(Form.SNAPSHOT, processes=(Process("felix"), proxy))) is proxy
    assert kube_proxy_of(Evidence(Form.SNAPSHOT)) is None


def test_a_mode_that_nobody_has_read_is_unknown() -> None:
    """It may stand in the file that `--config` names, and in a log that was not seen whole."""
    assert mode_of(Process("kube-proxy", 7, ("--config=/etc/kube-proxy.yaml",))) == ""
    assert mode_of(Process("kube-proxy", version="v1.29.0")) == ""
    assert mode_of(Process("kube-proxy", 7, ("--v=2",))) == "iptables"
    read = Process("kube-proxy", 7, ("--config=x",), configuration={"mode": "ipvs"})
    assert mode_of(read) == "ipvs"


def test_the_mode_is_that_of_the_configuration_file_and_else_of_the_last_flag() -> None:
    """With `--config` kube-proxy passes over its other flags."""
    flags = ("--proxy-mode=iptables", "--proxy-mode", "nftables")
    read = Process("kube-proxy", 7, ("--config=x", *flags), configuration={"mode": "ipvs"})

    assert mode_of(Process("kube-proxy", 7, flags)) == "nftables"
    assert mode_of(read) == "ipvs"
