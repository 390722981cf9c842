"""Nodes where others than kube-proxy's rules handle Services, traced by what they show of it.

The dumps stand in fixtures/cases, written by hand after what the programs write. Each has the
Service web/shop, cluster IP 10.96.20.20:80 and node port 31080, with an endpoint on each of two
nodes; what is right stands beside each test.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nptables import Cluster, Ruleset, trace
from nptables.cli import main
from nptables.evidence import Evidence, Form, Process
from nptables.evidence.handlers import handlers
from nptables.sources import evidence_in
from nptables.tracing import Packet
from nptables.tracing.explanation.words import tree_lines
from tests.support.scenarios import FIXTURES
from tests.tracing.test_cases import Asker

if TYPE_CHECKING:
    from pathlib import Path

    from nptables.evidence.handling import Handling

CASES = FIXTURES / "cases"
# Who takes packets for Services before iptables has them: eBPF programs, OVN's and Antrea's flows.
BEFORE = {
    "cilium-alone": "Cilium",
    "ovn-kubernetes": "OVN-Kubernetes",
    "antrea-proxy-all": "Antrea's proxy",
    "calico-ebpf": "Calico's eBPF data plane",
}
# Who gets what no rule translates: IPVS is asked where packets are delivered.
BEHIND = {
    "ipvs-dump": "kube-proxy in mode ipvs",
    "kube-router-proxy": "kube-router's service proxy",
}
NODE_PORT, CLUSTER_IP = "nodeport:31080", "10.96.20.20:80"


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Asker:
    return Asker(capsys)


def dump(case: str) -> Ruleset:
    return Ruleset.from_save((CASES / case / "dump.txt").read_text())


def seen(case: str, **more: Any) -> Handling:
    return handlers(Evidence(Form.SAVED, (dump(case),), **more))


def who(handling: Handling) -> dict[str, str]:
    return {each.who.value: each.certainty.value for each in handling.sightings}


@pytest.mark.parametrize("to", [NODE_PORT, CLUSTER_IP])
@pytest.mark.parametrize("case", BEFORE)
def test_who_takes_packets_before_the_rules_is_named_and_the_verdict_is_unknown(
    ask: Asker, case: str, to: str
) -> None:
    said = ask(case, "outside", to, node="node-a", files=())

    assert said.code == 1
    (outcome,) = said.outcomes
    assert (outcome["verdict"], outcome["share"]) == ("unknown", "1")
    assert said.answer.startswith(
        f"not known: Services on node-a are probably handled by {BEFORE[case]} ("
    )
    assert list(said.reasons) == ["handled-elsewhere"]
    assert outcome["path"], "what rules there are is still shown"


def test_the_end_of_the_way_leaves_who_takes_the_packet_to_the_answer() -> None:
    # The answer says it in full, and would be repeated at the end of each branch.
    answer = trace(dump("cilium-alone"), Packet("10.96.20.20", 80), Cluster().node("node-a"))

    (outcome,) = answer.outcomes
    assert "handled by Cilium" in outcome.text
    *_, end = tree_lines(answer.outcomes)
    assert end == "=> all: not known 10.96.20.20:80 on node-a"


@pytest.mark.parametrize("case", BEFORE)
def test_the_cluster_beside_the_dump_changes_nothing_of_that(ask: Asker, case: str) -> None:
    said = ask(case, "outside", "svc:web/shop", node="node-a")

    assert [outcome["verdict"] for outcome in said.outcomes] == ["unknown"]
    assert BEFORE[case] in said.answer


@pytest.mark.parametrize("case", BEHIND)
def test_what_no_rule_translates_is_up_to_ipvs(ask: Asker, case: str) -> None:
    said = ask(case, "outside", CLUSTER_IP, node="node-a", files=())

    assert said.code == 1
    verdicts = {o["verdict"] for d in said.document["distributions"] for o in d["outcomes"]}
    # kube-router refuses what its sets hold and do not hold, which is a hypothesis beside it.
    assert "unknown" in verdicts <= {"unknown", "refused"}
    assert said.answer.startswith(
        f"not known: Services on node-a are probably handled by {BEHIND[case]} ("
    )
    assert "`ipvsadm -Ln` on node-a tells" in said.answer
    assert "leaves" not in said.text


def test_a_dump_of_mode_ipvs_is_unknown_whether_or_not_its_sets_are_at_hand(ask: Asker) -> None:
    for to in (NODE_PORT, CLUSTER_IP):
        said = ask("ipvs-dump", "outside", to, node="node-a", files=())
        assert [outcome["verdict"] for outcome in said.outcomes] == ["unknown"]


def test_a_dump_of_a_kubelet_without_any_proxy_says_that_it_does_not_show_one(ask: Asker) -> None:
    # kube-proxy in mode nftables has nothing in iptables.
    said = ask("nftables-mode", "outside", NODE_PORT, node="node-a", files=())

    assert [outcome["verdict"] for outcome in said.outcomes] == ["unknown"]
    assert said.answer.startswith("not known: nothing here shows who handles Services on node-a: ")
    assert said.document["handlers"] == [
        {
            "who": "nobody",
            "certainty": "possible",
            "signs": [
                "no rule of nat leads to Services",
                (
                    "though it is a node of a cluster (chains KUBE-KUBELET-CANARY, "
                    "KUBE-IPTABLES-HINT, FLANNEL-POSTRTG)"
                ),
            ],
        }
    ]


def test_the_nft_table_of_kube_proxy_tells_its_mode() -> None:
    native = json.loads((CASES / "nftables-mode" / "native.json").read_text())["nftables"]
    evidence = Evidence(Form.SNAPSHOT, (dump("nftables-mode"),), native=tuple(native))

    answer = trace(
        dump("nftables-mode"), Packet("10.96.20.20", 80), Cluster().node("n"), evidence=evidence
    )

    assert who(handlers(evidence)) == {"kube-proxy-nftables": "likely"}
    assert [o.verdict.value for o in answer.outcomes] == ["unknown"]
    assert answer.reasons[0].text.startswith(
        "Services on n are probably handled by kube-proxy in mode nftables (nft table ip "
        "kube-proxy), not by these rules"
    )


def test_cilium_beside_kube_proxys_rules_may_be_its_companion(ask: Asker) -> None:
    # Cilium runs with kube-proxy unless it is told to replace it: its chains prove nothing.
    said = ask("cilium-beside-kube-proxy", "outside", NODE_PORT, node="node-a", files=())

    assert said.code == 0
    assert {o["destination"]: o["share"] for o in said.outcomes} == {
        "10.244.1.5": "1/2",
        "10.244.2.6": "1/2",
    }
    assert who(seen("cilium-beside-kube-proxy")) == {
        "kube-proxy-iptables": "likely",
        "cilium": "possible",
    }
    assert any("Cilium may handle Services on node-a too" in n for n in said.document["notes"])


def test_an_agent_of_cilium_that_was_told_to_replace_kube_proxy_does() -> None:
    agent = Process("cilium-agent", 7, ("--config-dir=/tmp", "--kube-proxy-replacement=true"))

    found = seen("cilium-beside-kube-proxy", processes=(agent,))

    assert who(found) == {"cilium": "sure", "kube-proxy-iptables": "possible"}
    assert found.by_iptables is False


def test_rules_of_antrea_alone_do_not_make_it_the_proxy_for_node_ports() -> None:
    # Antrea's own proxy is for Pods, unless proxyAll is on.
    assert who(seen("antrea-leftover")) == {"kube-proxy-iptables": "likely", "antrea": "possible"}


def test_rules_for_the_node_ports_of_antrea_make_it_the_proxy() -> None:
    text = (
        "*nat\n:PREROUTING ACCEPT [0:0]\n:ANTREA-PREROUTING - [0:0]\n"
        "-A PREROUTING -j ANTREA-PREROUTING\n"
        "-A ANTREA-PREROUTING -m set --match-set ANTREA-NODEPORT-IP dst,dst "
        "-j DNAT --to-destination 169.254.0.252\nCOMMIT\n"
    )
    (found,) = handlers(evidence_in(text)).others

    assert (found.who.value, found.certainty.value) == ("antrea", "likely")
    assert found.signs == ("rules for the set ANTREA-NODEPORT-IP of proxyAll",)


@pytest.mark.parametrize("facts", [(), ("--facts", f"{CASES}/iptables-after-ipvs/facts.yaml")])
def test_chains_of_mode_ipvs_that_nothing_leads_to_are_left_over(
    ask: Asker, facts: tuple[str, ...]
) -> None:
    # KUBE-SERVICES is written anew by the mode that runs, and here it leads to KUBE-SVC- chains.
    said = ask("iptables-after-ipvs", "node", NODE_PORT, node="node-a", options=facts)

    assert said.code == 0
    assert {h["who"]: h["certainty"] for h in said.document["handlers"]} == {
        "kube-proxy-iptables": "likely",
        "kube-proxy-ipvs": "leftover",
    }


def test_a_rule_that_mode_iptables_left_behind_acts_all_the_same(ask: Asker) -> None:
    # The REJECT of filter is walked before IPVS has the packet; the node port has no such rule.
    refused = ask("stale-reject-after-ipvs", "node", "svc:web/shop", node="node-a")
    untouched = ask("stale-reject-after-ipvs", "outside", NODE_PORT, node="node-a")

    assert [o["verdict"] for o in refused.outcomes] == ["refused"]
    assert [o["verdict"] for o in untouched.outcomes] == ["unknown"]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ((), {"kube-proxy-iptables": "sure", "kube-proxy-ipvs": "leftover"}),
        (("--proxy-mode=ipvs",), {"kube-proxy-ipvs": "sure", "kube-proxy-iptables": "leftover"}),
        (
            ("--proxy-mode", "nftables"),
            {
                "kube-proxy-nftables": "sure",
                "kube-proxy-iptables": "leftover",
                "kube-proxy-ipvs": "leftover",
            },
        ),
    ],
)
def test_a_kube_proxy_that_runs_settles_which_of_its_modes_acts(
    mode: tuple[str, ...], expected: dict[str, str]
) -> None:
    found = seen("iptables-after-ipvs", processes=(Process("kube-proxy", 1, mode),))

    assert who(found) == expected


def test_the_mode_may_stand_in_its_configuration() -> None:
    process = Process("kube-proxy", 1, configuration={"mode": "ipvs"})

    assert who(seen("iptables-after-ipvs", processes=(process,)))["kube-proxy-ipvs"] == "sure"


def test_addresses_on_the_interface_of_ipvs_leave_open_what_no_rule_translates() -> None:
    facts = {"interfaces": {"lo": ["127.0.0.1/8"], "kube-ipvs0": ["10.96.20.99/32"]}}
    node = Cluster().node("n", facts)

    answer = trace(dump("iptables-after-ipvs"), Packet("10.96.20.99", 80), node)

    assert [o.verdict.value for o in answer.outcomes] == ["unknown"]
    assert "kube-proxy in mode ipvs (chain nat KUBE-NODE-PORT, chain nat KUBE-LOAD-BALANCER, " in (
        answer.reasons[0].text
    )


def test_facts_that_are_named_beside_a_dump_tell_who_handles_services_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rules are those of OVN-Kubernetes by no chain: only its interface shows it."""
    (tmp_path / "facts.yaml").write_text(
        "interfaces: {lo: [127.0.0.1/8], eth0: [192.0.2.11/24], ovn-k8s-mp0: [10.244.1.1/24]}\n"
    )
    case = CASES / "docker-forward-drop"
    given = ["--snapshot", str(case / "dump.txt"), "--facts", str(tmp_path / "facts.yaml")]

    assert main(["trace", *given, "--from", "outside", "--to", "192.0.2.11:31080", "-4"]) == 1
    assert "handled by" in (said := capsys.readouterr().out)
    assert "OVN-Kubernetes (interface ovn-k8s-mp0)" in said

    compared = main(["diff", str(case / "local.yaml"), "--node", "node1", *given])
    assert (compared, capsys.readouterr().out) == (1, "")


def test_nothing_is_said_of_who_handles_services_by_half_a_dump() -> None:
    text = (CASES / "nat-only" / "filter-only.txt").read_text()

    assert handlers(Evidence(Form.SAVED, (Ruleset.from_save(text),))).sightings == ()


@pytest.mark.parametrize("case", ["ipvs-dump", "old-xlb-local", "cilium-beside-kube-proxy"])
def test_lines_that_somebody_took_out_of_a_dump_tell_what_they_tell(case: str) -> None:
    # As `iptables-save | grep KUBE-S` prints them: no hook, and not all that kube-proxy has.
    lines = [x for x in (CASES / case / "dump.txt").read_text().splitlines() if " KUBE-S" in x]
    names = sorted({line.split()[1] for line in lines if not line.startswith("-A PRE")})
    cut = "\n".join(["*nat", *(f":{n} - [0:0]" for n in names if n.startswith("KUBE-"))])
    rules = [line for line in lines if line.startswith("-A KUBE-")]
    ruleset = Ruleset.from_save("\n".join([cut, *rules, "COMMIT", ""]))

    found = handlers(Evidence(Form.SAVED, (ruleset,)))

    expected = "kube-proxy-ipvs" if case == "ipvs-dump" else "kube-proxy-iptables"
    assert who(found) == {expected: "likely"}


def test_rules_of_a_host_without_kubernetes_are_followed_as_they_are() -> None:
    rules = Ruleset.from_save((FIXTURES / "dumps" / "docker.legacy.ipv4.save").read_text())
    node = Cluster().node("host", {"interfaces": {"eth0": ["192.168.0.2/24"]}})

    answer = trace(rules, Packet("192.168.0.2", 22), node)

    assert {o.verdict.value for d in answer.distributions for o in d.outcomes} == {"node"}


def test_where_everything_was_looked_at_nobody_is_nobody() -> None:
    facts = Cluster().node("n", {"interfaces": {"lo": ["127.0.0.1/8"]}}).facts
    text = "*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n"
    evidence = Evidence(
        Form.SNAPSHOT, (Ruleset.from_save(text),), facts=facts, native=(), processes=()
    )

    assert who(handlers(evidence)) == {"nobody": "likely"}


def test_where_nobody_handles_services_the_rules_are_what_counts() -> None:
    """Nothing takes a packet before or behind rules that are not there: the node itself gets it."""
    node = Cluster().node("n", {"interfaces": {"eth0": ["192.168.0.2/24"]}})
    tables = "".join(
        f"*{table}\n:{hook} ACCEPT [0:0]\nCOMMIT\n"
        for table, hook in (("nat", "PREROUTING"), ("filter", "INPUT"))
    )
    rules = Ruleset.from_save(tables)
    evidence = Evidence(Form.SNAPSHOT, (rules,), facts=node.facts, native=(), processes=())
    assert who(handlers(evidence)) == {"nobody": "likely"}

    answer = trace(rules, Packet("192.168.0.2", 30080), node, evidence=evidence)

    assert handlers(evidence).instead("n") == ""
    assert handlers(evidence).by_iptables is None
    assert [outcome.verdict.value for outcome in answer.outcomes] == ["node"]


def test_what_is_compared_or_written_elsewhere_is_told_who_does_the_work() -> None:
    assert seen("ipvs-dump").instead("node-a") == (
        "Services on node-a are probably handled by kube-proxy in mode ipvs (nat KUBE-SERVICES "
        "uses the sets of mode ipvs, chain nat KUBE-NODE-PORT, chain nat KUBE-LOAD-BALANCER), not "
        "by the rules of mode iptables (`ipvsadm -Ln` on node-a tells)"
    )
    for case in ("cilium-beside-kube-proxy", "antrea-leftover", "nftables-mode"):
        assert seen(case).instead("node-a") == ""


_LINES = [line for case in (*BEFORE, *BEHIND, "nftables-mode", "cilium-beside-kube-proxy")
          for line in (CASES / case / "dump.txt").read_text().splitlines()
          if line.startswith("-A ") and " -m set " not in line]  # fmt: skip


@given(st.lists(st.sampled_from(_LINES), max_size=12))
def test_any_rules_have_an_answer_and_only_one_certainty_for_each_program(lines: list[str]) -> None:
    chains = sorted({line.split()[1] for line in lines} - {"PREROUTING", "OUTPUT"})
    text = "\n".join(
        ["*nat", ":PREROUTING ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]",
         *(f":{name} - [0:0]" for name in chains), *lines, "COMMIT", ""]
    )  # fmt: skip
    for form in Form:
        found = handlers(Evidence(form, (Ruleset.from_save(text),)))

        assert len({each.who for each in found.sightings}) == len(found.sightings)
        assert all(each.signs for each in found.sightings)
        assert bool(found.instead("n")) is (found.by_iptables is False)


def test_the_chains_of_service_ports_are_told_and_no_others() -> None:
    """KUBE-FW-MINE lacks the sixteen characters of a hash: it belongs to another program."""
    text = (
        "*nat\n:PREROUTING ACCEPT [0:0]\n:KUBE-SERVICES - [0:0]\n:KUBE-NODEPORTS - [0:0]\n"
        ":KUBE-SVC-ABCDEFGHIJKLMNOP - [0:0]\n:KUBE-FW-MINE - [0:0]\n"
        "-A PREROUTING -j KUBE-SERVICES\n-A KUBE-SERVICES -j KUBE-NODEPORTS\nCOMMIT\n"
    )

    (found,) = handlers(Evidence(Form.SAVED, (Ruleset.from_save(text),))).sightings

    assert found.signs == ("chain nat KUBE-SVC-ABCDEFGHIJKLMNOP",)
