"""What programs print for people, as they print it, and what is told by it."""

from __future__ import annotations

import pytest

from nptables.evidence.node import Process
from nptables.evidence.printed import (
    date_shown,
    host_named,
    interfaces_shown,
    kernel_shown,
    kube_proxy_logged,
    processes_shown,
    routes_shown,
    sets_shown,
    settings_shown,
)
from nptables.family import Family
from tests.support import bundles

OLD_IFCONFIG = """\
eth0      Link encap:Ethernet  HWaddr 02:42:0a:00:00:07
          inet addr:10.0.0.7  Bcast:10.0.0.255  Mask:255.255.255.0
          inet6 addr: fe80::42:aff:fe00:7/64 Scope:Link
"""


def test_interfaces_are_all_there_where_ip_lists_all() -> None:
    assert interfaces_shown(bundles.ADDRESSES) == {
        "lo": ["127.0.0.1/8", "::1/128"],
        "eth0": ["10.0.0.7/24"],
    }


def test_of_a_listing_without_idle_interfaces_lo_is_left_out() -> None:
    """Whoever has `lo` says that there are no others: `ip -o addr` does not show the rest."""
    text = (
        "1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever\n"
        "3: eth0    inet 10.0.0.7/24 brd 10.0.0.255 scope global eth0\\       valid_lft forever\n"
        "4: wg0    inet 10.9.0.1 peer 10.9.0.2/32 scope global wg0\\       valid_lft forever\n"
    )
    assert interfaces_shown(text) == {"eth0": ["10.0.0.7/24"], "wg0": ["10.9.0.1/32"]}


@pytest.mark.parametrize(
    "text",
    [
        bundles.IFCONFIG,
        OLD_IFCONFIG,
    ],
)
def test_both_forms_of_ifconfig_are_read(text: str) -> None:
    assert interfaces_shown(text) == {"eth0": ["10.0.0.7/24", "fe80::42:aff:fe00:7/64"]}


def test_routes_of_the_main_table_alone_are_read() -> None:
    """Of both families; a default route without a gateway is told by what only IPv6 prints."""
    assert routes_shown(bundles.ROUTES) == [
        {"dst": "0.0.0.0/0", "gateway": "10.0.0.1", "dev": "eth0", "prefsrc": "10.0.0.7",
         "metric": 100},
        {"dst": "10.0.0.0/24", "dev": "eth0", "prefsrc": "10.0.0.7"},
        {"dst": "10.244.9.0/24", "type": "blackhole"},
        {"dst": "fe80::/64", "dev": "eth0", "metric": 256},
        {"dst": "::/0", "type": "unreachable", "dev": "lo", "metric": 4294967295},
    ]  # fmt: skip


def test_a_route_over_several_lines_is_one() -> None:
    text = "default proto static\n\tnexthop via 10.0.0.1 dev eth0 weight 1\n"

    assert routes_shown(text) == [{"dst": "0.0.0.0/0", "gateway": "10.0.0.1", "dev": "eth0"}]
    (only,) = routes_shown("default dev wg0 metric 5\n", Family.IPV6)
    assert only["dst"] == "::/0"


def test_settings_have_their_path() -> None:
    """`sysctl` puts dots for slashes, and slashes for the dots in names of interfaces."""
    text = "net.ipv4.conf.eth0/100.rp_filter = 2\nnet.ipv4.ip_local_port_range = 32768\t60999\n"

    assert settings_shown(text) == {
        "net/ipv4/conf/eth0.100/rp_filter": "2",
        "net/ipv4/ip_local_port_range": "32768 60999",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sun Nov 29 12:20:00 UTC 2026\n", "2026-11-29T12:20:00Z"),
        ("Sun 29 Nov 2026 12:20:00 PM UTC\n", "2026-11-29T12:20:00Z"),
        ("Sun Nov 29 12:20:00 PM UTC 2026\n", "2026-11-29T12:20:00Z"),
        ("2026-11-29 13:20:00.5 +0100 CET m=+0.1\n", "2026-11-29T12:20:00Z"),
        ("2026-11-29T12:20:00Z", "2026-11-29T12:20:00Z"),
        ("Sun Nov 29 12:20:00 CET 2026\n", ""),
        ("Sun Nov 39 12:20:00 UTC 2026\n", ""),
        ("no time\n", ""),
    ],
)
def test_a_date_counts_where_it_tells_its_zone(text: str, expected: str) -> None:
    """Abbreviations other than UTC mean different zones to different people."""
    assert expected == date_shown(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("node-1.example.com\n", "node-1.example.com"),
        ("", ""),
        ("localhost\n", ""),
        ("hostname: command not found\n", ""),
        ("a\nb\n", ""),
    ],
)
def test_a_hostname_is_one_name(text: str, expected: str) -> None:
    assert expected == host_named(text)


def test_uname_tells_the_name_and_the_kernel() -> None:
    assert kernel_shown(bundles.UNAME) == (
        "ip-10-0-0-7.ec2.internal",
        "5.10.199-190.747.amzn2.x86_64",
    )
    assert kernel_shown("uname: command not found") == ("", "")


def test_processes_that_handle_services_are_found_without_secrets() -> None:
    """In the tree of `ps f` too; others, and headings, are passed over."""
    text = bundles.PS + (
        "root  3000  5.0  1.0 5000 400 ?  Ssl  Nov20  1:00 /usr/local/bin/k3s server --token abc\n"
        "root  4000  5.0  1.0 5000 400 ?  S  12:00  0:00 grep kube-proxy\n"
    )
    assert (
        Process("kube-proxy", 2211,
                ("--config=/var/lib/kube-proxy/config.conf", "--hostname-override=node")),
        Process("k3s-server", 3000, ("server", "--token", "(left out)")),
    ) == processes_shown(text)  # fmt: skip


def test_a_log_tells_the_version_and_the_mode() -> None:
    """The last mode counts: kube-proxy fell back to iptables where IPVS was not there."""
    assert Process("kube-proxy", mode="iptables", version="v1.29.0") == kube_proxy_logged(
        bundles.LOG
    )
    old = (
        'I1 flags.go:33] FLAG: --hostname-override="node-a"\n'
        "I1 server.go:443] Version: v1.17.9\nW1 server_others.go] Using ipvs Proxier.\n"
        "I1 server_others.go:186] Using iptables Proxier.\n"
    )
    assert Process(
        "kube-proxy", 0, ("--hostname-override=node-a",), mode="iptables", version="v1.17.9"
    ) == kube_proxy_logged(old)
    docker = '{"log":"I1129 server.go:652] \\"Version info\\" version=\\"v1.22.3\\"\\n"}'
    assert Process("kube-proxy", version="v1.22.3") == kube_proxy_logged(docker)
    assert kube_proxy_logged("I1129 nothing of it\n") is None


def test_sets_are_read_from_both_lists_of_ipset() -> None:
    """The EKS collector has both, one behind the other."""
    listed = (
        "Name: POOL\nType: hash:ip\nRevision: 4\nHeader: family inet hashsize 1024 maxelem 65536\n"
        "Size in memory: 248\nReferences: 1\nNumber of entries: 2\nMembers:\n10.0.0.1\n10.0.0.2\n\n"
    )
    saved = (
        "create POOL hash:ip family inet hashsize 1024 maxelem 65536\n"
        "add POOL 10.0.0.1\nadd POOL 10.0.0.2\n"
    )
    assert saved == sets_shown(listed)
    assert saved == sets_shown(f"{listed}\n{saved}")
