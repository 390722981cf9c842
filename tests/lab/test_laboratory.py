"""The laboratory itself: what it measures is what happens, and nothing of it stays behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.laboratory.addresses import FAMILIES, HOSTS, NODE1, NODE2, SERVED
from tests.lab.laboratory.lab import REFUSED, SILENCE, Question, answered
from tests.lab.laboratory.probing import PROTOCOLS, Probe
from tests.lab.laboratory.traffic import sctp
from tests.support.documentation import DOCS, blocks
from tests.support.netns import LOCK_WAIT, remove_orphans
from tests.support.requirements import requires

if TYPE_CHECKING:
    from tests.lab.laboratory.addresses import Family
    from tests.lab.laboratory.lab import Laboratory

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]
POD1A = NODE1.pods[0]
REJECTION = {"IPV4": "icmp-port-unreachable", "IPV6": "icmp6-port-unreachable"}
# Part of it are the questions for an IPv6 neighbour: without an answer to them nobody is refused.
ICMP = {"IPV4": "icmp", "IPV6": "icmpv6"}
NOBODY_LISTENS = 8081


def test_without_rules_hosts_see_each_other_as_they_are(lab: Laboratory) -> None:
    pod2a = NODE2.pods[0]
    lab.check(
        {
            Question("pod2a", POD1A.address, SERVED): answered("pod1a", seeing=pod2a.address),
            Question("node1", POD1A.address, SERVED): answered("pod1a", seeing=NODE1.bridge),
            Question("pod1a", NODE2.address, SERVED): answered("node2", seeing=POD1A.address),
            Question("client", NODE1.address, NOBODY_LISTENS): REFUSED,
            Question("node1", POD1A.address, NOBODY_LISTENS): REFUSED,
        }
    )


def test_the_example_of_its_page_holds(lab: Laboratory) -> None:
    """docs/laboratory.md shows a test: it is called as pytest would call it."""
    (program,) = blocks(DOCS / "laboratory.md", "python")
    names: dict[str, Any] = {}
    exec(compile(program, "laboratory.md", "exec"), names)

    (test,) = (each for name, each in names.items() if name.startswith("test_"))
    test(lab)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("chain", ["FORWARD", "INPUT"])
def test_what_a_rule_drops_is_silence_and_what_it_rejects_is_refused(
    lab: Laboratory, chain: str, family: Family
) -> None:
    destination = POD1A.address if chain == "FORWARD" else NODE1.address
    endpoint = "pod1a" if chain == "FORWARD" else "node1"
    question = Question("node2", destination, SERVED)
    node = lab.namespaces["node1"]
    packets = ("-s", NODE2.address.of(family), "!", "-p", ICMP[family])

    node.iptables(family, "-A", chain, *packets, "-j", "DROP")
    lab.check({question: SILENCE}, families=[family])

    node.iptables(family, "-F", chain)
    reject = ("-j", "REJECT", "--reject-with", REJECTION[family])
    node.iptables(family, "-A", chain, *packets, *reject)
    lab.check({question: REFUSED}, families=[family])

    node.iptables(family, "-F", chain)
    lab.check({question: answered(endpoint, seeing=NODE2.address)}, families=[family])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_sender_on_the_node_meets_the_same_outcomes(lab: Laboratory, family: Family) -> None:
    question = Question("node1", POD1A.address, SERVED)
    node = lab.namespaces["node1"]

    node.iptables(family, "-A", "OUTPUT", "-d", POD1A.address.of(family), "-j", "DROP")
    lab.check({question: SILENCE}, families=[family])

    node.iptables(family, "-F", "OUTPUT")
    reject = ("-j", "REJECT", "--reject-with", REJECTION[family])
    node.iptables(family, "-A", "OUTPUT", "-d", POD1A.address.of(family), *reject)
    lab.check({question: REFUSED}, families=[family])


def test_a_thousand_probes_at_once_are_all_answered(lab: Laboratory) -> None:
    probes = [
        Probe("client", NODE1.address.of(family), SERVED, protocol)
        for family in FAMILIES
        for protocol in PROTOCOLS
    ]

    answers = lab.probe_all(probes * 170)

    assert {str(answer) for answer in answers} == {
        "answered by node1, which saw 203.0.113.10",
        "answered by node1, which saw 2001:db8:203::10",
    }


def test_a_load_notices_a_lost_first_packet_a_refusal_and_a_reset(lab: Laboratory) -> None:
    node = lab.namespaces["node1"]
    to_node = Probe("node2", NODE1.address.ipv4, SERVED)
    reset = ("-j", "REJECT", "--reject-with", "tcp-reset")

    with lab.prober.load([to_node], established=2) as undisturbed:
        pass
    with lab.prober.load([to_node], established=0) as lost:
        lose_a_first_packet(lab)
    with lab.prober.load([to_node], established=2) as ended:
        node.iptables("IPV4", "-A", "INPUT", "-p", "tcp", *reset)

    assert not undisturbed[0].failures
    assert undisturbed[0].counts["opened"] > 0
    assert undisturbed[0].counts["kept open"] == 2
    assert lost[0].failures == {"new: SYN sent again": 1}
    assert any(failure.startswith("new: ") for failure in ended[0].failures)
    assert sum(n for what, n in ended[0].failures.items() if what.startswith("established: ")) == 2


def lose_a_first_packet(lab: Laboratory) -> None:
    """Drop first packets until one was."""
    node = lab.namespaces["node1"]
    rule = ("INPUT", "-p", "tcp", "--syn", "-j", "DROP")
    node.iptables("IPV4", "-A", *rule)
    list_rules = [node.program("IPV4"), "-w", LOCK_WAIT, "-v", "-x", "-n", "-L", "INPUT"]
    # Two lines of headings, then the rule with the number of its packets.
    while node.run(list_rules).stdout.splitlines()[2].split()[0] == "0":
        pass
    node.iptables("IPV4", "-D", *rule)


def test_the_checksum_of_sctp_is_crc32c() -> None:
    # The check value of CRC-32C in every catalogue of such sums.
    assert sctp._checksum(b"123456789") == 0xE3069283.to_bytes(4, "little")


def test_a_damaged_sctp_packet_is_none() -> None:
    packet = sctp.init(1000, 80, 7)

    assert sctp.parse(packet) == sctp.Packet(1000, 80, sctp.INIT, 7)
    for position in range(len(packet)):
        damaged = bytearray(packet)
        damaged[position] ^= 1
        assert sctp.parse(bytes(damaged)) is None


BUILD_AND_WAIT = """
import sys
from tests.lab.laboratory.lab import laboratory
with laboratory("nft"):
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_nothing_stays_of_a_laboratory_whose_process_was_killed() -> None:
    requires("root", "netns", "nft", "bridge netfilter", "conntrack")
    with subprocess.Popen(
        [sys.executable, "-c", BUILD_AND_WAIT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as builder:
        assert builder.stdout
        assert builder.stdout.readline() == "ready\n"
        children = Path(f"/proc/{builder.pid}/task/{builder.pid}/children").read_text().split()
        assert children
        assert len(left_by(builder.pid)) == len(HOSTS)
        watched = [os.pidfd_open(int(child)) for child in children]
        os.kill(builder.pid, signal.SIGKILL)
    for descriptor in watched:
        # Readable when the process has ended; it does so by itself, its standard input being gone.
        assert select.select([descriptor], [], [], 60)[0]
        os.close(descriptor)
    assert len(left_by(builder.pid)) == len(HOSTS)

    remove_orphans()

    assert not left_by(builder.pid)


def left_by(process: int) -> list[str]:
    """Return the namespaces that a process has made."""
    return [path.name for path in Path("/run/netns").glob(f"nptables-test-{process}-*")]
