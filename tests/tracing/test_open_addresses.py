"""A dump alone: unknown addresses of the node are asked about, and not guessed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nptables import Cluster, Family, Ruleset, trace
from nptables.cli import main
from nptables.model import NodeFacts
from nptables.tracing import Packet, Verdict, packet_between
from nptables.translation.facts_from_rules import with_shown_addresses
from tests.support.scenarios import FIXTURES
from tests.tracing.test_cases import Asker

if TYPE_CHECKING:
    from collections.abc import Mapping

CASES = FIXTURES / "cases"
# The node's address in this case, as its Node object has it. Nothing in the dump says so.
OWN = "192.168.7.21"
IS_OWN, IS_OTHER = f"{OWN} is an address of n", f"{OWN} is not an address of n"
# FORWARD and INPUT that differ in what they drop show which of the two a packet passed.
TABLES = """\
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
{nat}COMMIT
*filter
:INPUT {input} [0:0]
:FORWARD {forward} [0:0]
:OUTPUT ACCEPT [0:0]
COMMIT
"""


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Asker:
    return Asker(capsys)


def by_hypothesis(document: Mapping[str, Any]) -> dict[str, set[str]]:
    return {
        " and ".join(found["hypotheses"][0]): {o["verdict"] for o in found["outcomes"]}
        for found in document["distributions"]
    }


def tables(nat: str = "", *, on_input: str = "ACCEPT", forward: str = "ACCEPT") -> Ruleset:
    return Ruleset.from_save(TABLES.format(nat=nat, input=on_input, forward=forward))


def test_a_node_port_of_a_dump_alone_is_one_on_any_address_of_the_node(ask: Asker) -> None:
    said = ask("old-xlb-local", "outside", "nodeport:32204", node="n", files=())

    assert [outcome["verdict"] for outcome in said.outcomes] == ["dropped"]
    assert said.outcomes[0]["destinationIsExact"] is False
    assert "has no local endpoints" in said.answer
    assert (
        "the addresses of n are unknown: one that no rule names stands for them"
        in (said.document["notes"])
    )


def test_an_address_that_nobody_places_is_asked_about(ask: Asker) -> None:
    said = ask("old-xlb-local", "outside", f"{OWN}:32204", node="n", files=())

    assert by_hypothesis(said.document) == {IS_OWN: {"dropped"}, IS_OTHER: {"leaves"}}
    assert said.answer.startswith(f"does not arrive: if {IS_OWN}: DROP: nat KUBE-XLB-")
    assert [c["command"] for d in said.document["distributions"] for c in d["checks"]] == [
        "ip -brief address", "ip -brief address",
    ]  # fmt: skip
    # What leaves is told as what it is: an answer for one of two cases.
    assert (
        said.text.count("it leaves unchanged") == said.text.count(f"- if {IS_OTHER}: no rule") == 1
    )


@pytest.mark.parametrize(
    ("told", "files"),
    [(("--node-address", OWN), ()), ((), ("cluster.yaml",))],
    ids=["--node-address", "the Node object"],
)
def test_an_address_that_somebody_told_of_is_not_asked_about(
    ask: Asker, told: tuple[str, ...], files: tuple[str, ...]
) -> None:
    said = ask(
        "old-xlb-local", "outside", f"{OWN}:32204", node="worker-01", files=files, options=told
    )

    assert [outcome["verdict"] for outcome in said.outcomes] == ["dropped"]


def test_one_told_address_leaves_others_open(ask: Asker) -> None:
    told = ("--node-address", "192.168.7.99")

    said = ask("old-xlb-local", "outside", f"{OWN}:32204", node="n", files=(), options=told)

    assert by_hypothesis(said.document) == {IS_OWN: {"dropped"}, IS_OTHER: {"leaves"}}


def test_a_told_address_is_the_one_that_node_ports_are_asked_at(ask: Asker) -> None:
    told = ("--node-address", OWN, "--node-address", "fd00::21")

    said = ask("old-xlb-local", "outside", "nodeport:32204", node="n", files=(), options=told)

    assert said.document["packet"]["destination"] == OWN


def test_127_0_0_1_is_its_sender_only_where_the_sender_is_another_host(ask: Asker) -> None:
    # From the node itself it is the node port on loopback, which the old rules drop.
    said = ask("old-xlb-local", OWN, "127.0.0.1:32204", node="n", files=())

    assert by_hypothesis(said.document) == {IS_OTHER: {"stays"}, IS_OWN: {"dropped"}}
    assert f"if {IS_OTHER}: 127.0.0.1 is {OWN} itself" in said.answer


@pytest.mark.parametrize("address", ["10.108.2.154", "10.44.0.56"])
def test_what_the_rules_place_is_not_asked_about(ask: Asker, address: str) -> None:
    # The first is a cluster IP of theirs; 10.32.0.0/12 is what they spare as the network of Pods.
    said = ask("old-xlb-local", "outside", f"{address}:81", node="n", files=())

    assert by_hypothesis(said.document) == {"": {"leaves"}}


def test_a_load_balancer_ip_may_be_the_nodes_own_as_that_of_k3s_is(ask: Asker) -> None:
    # A hostPort rule for what is LOCAL stands before KUBE-SERVICES: 10.42.0.9 has port 80 then.
    said = ask("portmap-hostport", "203.0.113.7", "192.0.2.21:80", node="n", files=())

    found = {
        "192.0.2.21 is an address of n" in way: {o["destination"] for o in d["outcomes"]}
        for d in said.document["distributions"]
        for way in d["hypotheses"]
    }
    assert found == {True: {"10.42.0.9"}, False: {"10.42.1.8"}}


def test_the_jumps_for_node_ports_show_addresses_of_the_node(ask: Asker) -> None:
    # nodePortAddresses makes a jump to KUBE-NODEPORTS for each address: here 192.0.2.11.
    said = ask("node-port-addresses-shown", "outside", "nodeport:31080", node="n", files=())

    assert said.code == 0
    assert said.document["packet"]["destination"] == "192.0.2.11"
    rules = Ruleset.from_save((CASES / "node-port-addresses-shown/dump.txt").read_text())
    alone = Cluster().node("n")
    assert with_shown_addresses(alone, [rules]).facts.addresses == ("192.0.2.11",)
    known = Cluster().node("n", {"interfaces": {"eth0": ["192.0.2.99/24"]}})
    assert with_shown_addresses(known, [rules]) is known


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (None, {IS_OWN: {Verdict.NODE}, IS_OTHER: {Verdict.DROPPED}}),
        (NodeFacts(addresses=(OWN,)), {"": {Verdict.NODE}}),
        ({"interfaces": {"eth0": ["192.168.7.1/24"]}}, {"": {Verdict.DROPPED}}),
    ],
    ids=["nothing", "told", "interfaces"],
)
def test_only_what_nobody_knows_is_a_hypothesis(
    facts: object, expected: dict[str, set[Verdict]]
) -> None:
    answer = trace(tables(forward="DROP"), Packet(OWN, 80), Cluster().node("n", facts))

    assert expected == {
        d.hypothesis: {outcome.verdict for outcome in d.outcomes} for d in answer.distributions
    }


def test_a_sender_that_may_be_the_node_is_asked_about_where_it_matters() -> None:
    # What the node sends passes OUTPUT, what comes in PREROUTING, where no rule is.
    only_output = "-A OUTPUT -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.1.1.1:8080\n"
    node = Cluster().node("n", NodeFacts(addresses=("192.168.7.1",)))

    answer = trace(tables(only_output), Packet("192.168.7.1", 80, source=OWN), node)

    assert {d.hypothesis: {o.verdict for o in d.outcomes} for d in answer.distributions} == {
        IS_OTHER: {Verdict.NODE},
        IS_OWN: {Verdict.ENDPOINT},
    }


def test_sender_and_destination_may_be_the_same_address() -> None:
    answer = trace(tables(on_input="DROP"), Packet(OWN, 80, source=OWN), Cluster().node("n"))

    assert {d.hypothesis: d.outcomes[0].verdict for d in answer.distributions} == {
        IS_OWN: Verdict.DROPPED,
        IS_OTHER: Verdict.LEAVES,
    }


@pytest.mark.parametrize("address", ["255.255.255.255", "224.0.0.9", "0.0.0.0"])
def test_no_host_has_such_an_address(address: str) -> None:
    answer = trace(tables(), Packet(address, 80, "UDP"), Cluster().node("n"))

    assert [d.hypothesis for d in answer.distributions] == [""]


def test_what_stands_for_a_nodes_addresses_is_none_that_a_rule_names() -> None:
    rules = tables(
        "-A PREROUTING -d 192.168.7.5/32 -p tcp -j DNAT --to-destination 10.1.1.1\n"
        "-A PREROUTING -d 127.0.0.0/8 -p tcp -j DNAT --to-destination 10.1.1.2\n"
    )
    node = Cluster().node("n")

    answer = trace(rules, packet_between("outside", "nodeport:30080", node=node), node)

    assert [o.verdict for d in answer.distributions for o in d.outcomes] == [Verdict.NODE]


def test_an_address_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    dump = str(CASES / "old-xlb-local/dump.txt")
    ends = ("--from", "outside", "--to", "nodeport:1")

    assert main(["trace", "--snapshot", dump, *ends, "--node-address", "eth0"]) == 2
    assert '"eth0" is not an IP address' in capsys.readouterr().err


@pytest.mark.parametrize("command", ["render", "diff", "check"])
def test_other_commands_take_a_told_address_for_one_of_the_nodes(
    command: str, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    # A network of nodePortAddresses that has none of the Node object's addresses, but the told one.
    config = tmp_path / "kube-proxy.yaml"
    config.write_text(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
        "nodePortAddresses: [10.9.9.0/24]\n"
    )
    cluster = str(CASES / "behind/cluster.yaml")
    given = [cluster, "--node", "node-a", "--config", str(config)]
    dump = tmp_path / "dump.txt"
    assert main(["render", *given, "--node-address", "10.9.9.9"]) == 0
    dump.write_text(shown := capsys.readouterr().out)

    assert "-A KUBE-SERVICES -d 10.9.9.9/32 " in shown
    more = [] if command == "render" else ["--snapshot", str(dump)]
    main([command, *given, *more, "--node-address", "10.9.9.9"])
    with_address = capsys.readouterr()
    if command == "diff":
        assert with_address.out == ""
    if command == "check":
        assert "matches no address" not in with_address.out + with_address.err


ADDRESSES = st.sampled_from([OWN, "10.96.0.1", "192.0.2.7", "127.0.0.1"])


@given(
    ADDRESSES, ADDRESSES, st.sampled_from(["ACCEPT", "DROP"]), st.sampled_from(["ACCEPT", "DROP"])
)
def test_whatever_is_open_each_case_is_the_answer_for_who_knows(
    source: str, destination: str, on_input: str, forward: str
) -> None:
    """Each hypothesis about an address gives what is found where it is known to hold."""
    rules = tables(on_input=on_input, forward=forward)
    packet = Packet(destination, 80, source=source)
    open_answer = trace(rules, packet, Cluster().node("n"))
    ends = {source, destination} - {"127.0.0.1"}

    for own in (set(), {source}, {destination}, {source, destination}):
        mine = sorted(own & ends)
        interfaces = {"lo": ["127.0.0.1/8"], "eth0": [f"{address}/32" for address in mine]}
        known = trace(rules, packet, Cluster().node("n", {"interfaces": interfaces}))
        conditions = {
            f"{address} is {'an' if address in own else 'not an'} address of n" for address in ends
        }
        fitting = [
            d for d in open_answer.distributions if any(set(w) <= conditions for w in d.hypotheses)
        ]
        expected = {o.verdict for d in known.distributions for o in d.outcomes}
        assert expected == {o.verdict for d in fitting for o in d.outcomes}


def test_ipv6_is_asked_about_as_well() -> None:
    text = TABLES.format(nat="", input="ACCEPT", forward="DROP")
    rules = Ruleset.from_save(text, family=Family.IPV6)

    answer = trace(rules, Packet("2001:db8::7", 80), Cluster().node("n"))

    assert {d.hypothesis: d.outcomes[0].verdict for d in answer.distributions} == {
        "2001:db8::7 is an address of n": Verdict.NODE,
        "2001:db8::7 is not an address of n": Verdict.DROPPED,
    }
    assert json.dumps(answer.to_json())


def test_a_client_outside_the_cluster_is_no_endpoint_of_a_dump(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A chain of an endpoint asks whether the source is the endpoint itself, for a Pod only."""
    dump = FIXTURES / "cases" / "docker-forward-drop" / "dump.txt"
    main(["trace", "--snapshot", str(dump), "--from", "outside", "--to", "nodeport:30080"])
    said = " ".join(capsys.readouterr().out.split())

    assert "reaches the endpoint 10.233.64.5:80" in said
    assert "a client outside the cluster in 10.233.64.5/32" not in said
