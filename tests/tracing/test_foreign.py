"""Rules of other programs, where the answer is worked out by hand from the dump."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from nptables import Cluster, Ruleset, Trace, trace
from nptables.tracing import Packet, Verdict
from tests.support.scenarios import FIXTURES

if TYPE_CHECKING:
    from nptables.model import Node

CLIENT = "203.0.113.9"
DEFAULT = {"dst": "default", "gateway": "192.168.0.1", "dev": "eth0"}


def rules(name: str) -> Ruleset:
    return Ruleset.from_save((FIXTURES / "dumps" / name).read_text())


def node(routes: list[dict[str, str]] | None = None, **interfaces: list[str]) -> Node:
    own = {"lo": ["127.0.0.1/8"], "eth0": ["192.168.0.2/24"], **interfaces}
    return Cluster().node("host", {"interfaces": own, "routes": [DEFAULT, *(routes or [])]})


def docker_host() -> Node:
    return node(
        [
            {"dst": "172.17.0.0/16", "dev": "docker0"},
            {"dst": "172.20.0.0/16", "dev": "br-app"},
            {"dst": "172.21.0.0/16", "dev": "br-int"},
            {"dst": "10.244.1.0/24", "dev": "cni0"},
        ],
        docker0=["172.17.0.1/16"],
        cni0=["10.244.1.1/24"],
    )


def by_docker(packet: Packet) -> Trace:
    return trace(rules("docker.legacy.ipv4.save"), packet, docker_host())


def only(answer: Trace) -> tuple[str, str, str]:
    (distribution,) = answer.distributions
    (outcome,) = distribution.outcomes
    assert outcome.share == 1
    return outcome.verdict.value, outcome.where, outcome.whence


def test_a_published_port_of_docker_reaches_the_container_with_the_clients_address() -> None:
    # nat DOCKER: ! -i docker0 --dport 9090 -> 172.17.0.2:90; filter: -o docker0 -> DOCKER ACCEPTs
    # 172.17.0.2:90; nat POSTROUTING masquerades 172.17.0.0/16 only.
    answer = by_docker(Packet("192.168.0.2", 9090, source=CLIENT))

    assert only(answer) == ("endpoint", "172.17.0.2:90", CLIENT)


def test_docker_drops_what_is_forwarded_to_a_pod_by_the_policy() -> None:
    # No rule of FORWARD is about cni0, and the policy is DROP.
    answer = by_docker(Packet("10.244.1.5", 80, source=CLIENT))

    assert only(answer) == ("dropped", "10.244.1.5:80", CLIENT)
    assert answer.outcomes[0].rule is not None
    assert answer.outcomes[0].rule.line == ":FORWARD DROP"
    assert "policy is DROP" in answer.reasons[0].text


def test_docker_drops_a_port_of_a_container_that_is_not_published() -> None:
    assert only(by_docker(Packet("172.17.0.2", 22, source=CLIENT)))[0] == "dropped"


def test_docker_keeps_networks_apart() -> None:
    # STAGE-1: -i docker0 ! -o docker0 -> STAGE-2: -o br-app -> DROP
    answer = by_docker(Packet("172.20.0.2", 80, source="172.17.0.2"))

    assert only(answer)[0] == "dropped"
    assert answer.outcomes[0].rule is not None
    assert answer.outcomes[0].rule.chain == "DOCKER-ISOLATION-STAGE-2"


def test_a_container_leaves_with_the_hosts_address() -> None:
    # FORWARD -i docker0 ! -o docker0 ACCEPT; POSTROUTING -s 172.17.0.0/16 ! -o docker0 MASQUERADE:
    # the way out is eth0, whose address is 192.168.0.2.
    answer = by_docker(Packet("198.51.100.1", 53, "udp", source="172.17.0.2"))

    assert only(answer) == ("leaves", "198.51.100.1:53", "192.168.0.2")


def verdicts(answer: Trace) -> dict[str, set[str]]:
    for distribution in answer.distributions:
        assert sum((o.share for o in distribution.outcomes), Fraction(0)) == 1
    return {d.hypothesis: {o.verdict.value for o in d.outcomes} for d in answer.distributions}


def test_firewalld_refuses_a_closed_port_and_drops_the_members_of_a_set() -> None:
    # INPUT -> INPUT_ZONES: set bad -> IN_drop (DROP); 203.0.113.9 is not in 10.0.0.0/8, so
    # -i eth0 -> IN_public, which REJECTs at its end. The set is asked in five tables: one question.
    answer = trace(
        rules("firewalld.legacy.ipv4.save"), Packet("192.168.0.2", 9999, source=CLIENT), node()
    )

    assert verdicts(answer) == {
        f"set bad does not hold the source ({CLIENT})": {"refused"},
        f"set bad holds the source ({CLIENT})": {"dropped"},
    }


def test_firewalld_lets_ssh_in() -> None:
    # IN_public_allow --dport 22 ACCEPT
    answer = trace(
        rules("firewalld.legacy.ipv4.save"), Packet("192.168.0.2", 22, source=CLIENT), node()
    )

    assert sorted(verdicts(answer).values(), key=str) == [{"dropped"}, {"node"}]


def test_firewalld_lets_the_trusted_zone_in_everywhere() -> None:
    # INPUT_ZONES: -s 10.0.0.0/8 -> IN_trusted, which ends in ACCEPT
    answer = trace(
        rules("firewalld.legacy.ipv4.save"), Packet("192.168.0.2", 9999, source="10.1.2.3"), node()
    )

    assert sorted(verdicts(answer).values(), key=str) == [{"dropped"}, {"node"}]


def test_firewalld_forwards_to_a_pod_only_between_members_of_its_set() -> None:
    # FORWARD_ZONES: set bad (src) -> FWD_drop: FWD_drop_allow accepts where set bad holds the
    # destination, else DROP. Everybody else -> FWD_public: FWD_public_allow accepts -o eth0 only,
    # and the way to the pod is cni0; then REJECT.
    forwarding = node([{"dst": "10.244.1.0/24", "dev": "cni0"}], cni0=["10.244.1.1/24"])
    answer = trace(
        rules("firewalld.legacy.ipv4.save"), Packet("10.244.1.5", 80, source=CLIENT), forwarding
    )

    source, destination = f"the source ({CLIENT})", "the destination (10.244.1.5)"
    assert verdicts(answer) == {
        f"set bad does not hold {source}": {"refused"},
        f"set bad holds {source} and set bad does not hold {destination}": {"dropped"},
        f"set bad holds {source} and set bad holds {destination}": {"pod"},
    }


def calico(address: str, device: str) -> Trace:
    place = node([{"dst": address, "dev": device}])
    packet = Packet(address, 80, source=CLIENT)
    return trace(rules("calico.legacy.ipv4.save"), packet, place)


def test_calico_admits_the_sources_that_its_policy_names() -> None:
    # cali-tw-...: the policy marks 0x10000 where its set holds the source (ports 80, 443, ...), and
    # "Return if policy accepted" ends the chain; else "Drop if no policies passed packet".
    found = verdicts(calico("10.65.0.2", "cali12d4a061371"))

    policy = {text: verdict for text, verdict in found.items() if "cali40s:" in text}
    admitted = {text: v for text, v in policy.items() if "does not hold the source" not in text}
    refused = {text: v for text, v in policy.items() if "not hold the source" in text}
    assert {"dropped"} in refused.values()
    assert {"dropped"} not in admitted.values()


def test_calico_drops_what_goes_to_an_interface_it_does_not_know() -> None:
    # cali-to-wl-dispatch: "Unknown interface" DROP
    answer = calico("10.65.0.9", "cali999")

    assert {v for d in answer.distributions for v in (o.verdict for o in d.outcomes)} == {
        Verdict.DROPPED
    }


def test_kube_router_admits_what_its_policys_sets_hold_and_refuses_the_rest() -> None:
    # KUBE-POD-FW: the policy marks 0x10000 where both sets hold; without the mark REJECT. Then nat:
    # masqueraded where the source is a pod, and the destination neither a pod nor a node.
    place = node([{"dst": "10.244.1.0/24", "dev": "kube-bridge"}])
    packet = Packet("10.244.1.7", 80, source=CLIENT)

    answer = trace(rules("kube-router.legacy.ipv4.save"), packet, place)

    both = ("KUBE-SRC-PTSHDLVXQVPA4QDH holds", "KUBE-DST-BZ6VRWU2GWSO5BQF holds")
    for distribution in answer.distributions:
        (outcome,) = distribution.outcomes
        for conditions in distribution.hypotheses:
            text = " and ".join(conditions)
            admitted = all(part in text for part in both)
            assert (outcome.verdict is Verdict.POD) is admitted, text
    sources = {o.source_rewritten for d in answer.distributions for o in d.outcomes if o.arrives}
    assert sources == {True, False}
