"""UDP connections as `conntrack -L` and /proc print them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nptables import Family
from nptables.translation.flows import Flow, listed_flows
from tests.support.scenarios import FIXTURES

WAYS = (
    "src=10.244.1.9 dst=10.96.0.10 sport=24111 dport=53 {state}src=10.244.1.4 dst=10.244.1.9 "
    "sport=53 dport=24111"
)
FLOW = Flow(("10.96.0.10", 53), ("10.244.1.4", 53), ("10.244.1.9", 24111))


@pytest.mark.parametrize(
    "line",
    [
        (FIXTURES / "cases/udp-stale/conntrack.txt").read_text(),
        f"udp      17 27 {WAYS.format(state='')} [ASSURED] mark=0 use=1",
        # conntrack -L -o extended, and /proc/net/nf_conntrack.
        f"ipv4     2 udp      17 27 {WAYS.format(state='[UNREPLIED] ')} mark=0 zone=0 use=2",
    ],
)
def test_a_listed_connection_is_read(line: str) -> None:
    assert listed_flows(line, Family.IPV4) == [FLOW]
    assert listed_flows(line, Family.IPV6) == []


def test_an_ipv6_connection_is_canonical() -> None:
    line = (
        "udp 17 27 src=fd00::9 dst=fd00:0:0:0::0010 sport=4000 dport=53 "
        "src=fd00::4 dst=fd00::9 sport=53 dport=4000 use=1"
    )

    assert listed_flows(line, Family.IPV6) == [
        Flow(("fd00::10", 53), ("fd00::4", 53), ("fd00::9", 4000))
    ]


@pytest.mark.parametrize(
    "line",
    [
        f"tcp      6 27 ESTABLISHED {WAYS.format(state='')} [ASSURED] use=1",
        "icmp     1 29 src=10.0.0.1 dst=10.0.0.2 type=8 code=0 id=1 src=10.0.0.2 dst=10.0.0.1",
        "udp      17 27 src=10.244.1.9 dst=10.96.0.10 sport=24111 dport=53",
        f"udp      17 27 {WAYS.format(state='')}".replace("10.96.0.10", "300.96.0.10"),
        "conntrack v1.4.7 (conntrack-tools): 1 flow entries have been shown.",
    ],
)
def test_other_lines_are_passed_over(line: str) -> None:
    assert listed_flows(line, Family.IPV4) == []


@given(st.text(alphabet="udp src=dst sport=0123456789.:abcdef \n[]", max_size=200))
def test_no_listing_is_too_broken(text: str) -> None:
    assert all(isinstance(flow, Flow) for flow in listed_flows(f"udp 17 {text}", Family.IPV4))
