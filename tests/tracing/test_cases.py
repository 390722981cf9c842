"""Dumps as people post them, beside their clusters: what they asked, and what is right.

The inputs stand in fixtures/cases. What is right was worked out from the rules by hand, and stands
beside each test where it is not plain.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from nptables.cli import main
from tests.support.scenarios import FIXTURES


@dataclass
class Said:
    """What `nptables trace` printed, and its exit code."""

    code: int
    text: str
    document: dict[str, Any]

    @property
    def answer(self) -> str:
        """The first line."""
        return self.text.splitlines()[0]

    @property
    def reasons(self) -> dict[str, str]:
        """The reasons by their codes."""
        return {reason["code"]: reason["text"] for reason in self.document["reasons"]}

    @property
    def outcomes(self) -> list[dict[str, Any]]:
        """The outcomes of the only distribution."""
        (distribution,) = self.document["distributions"]
        return list(distribution["outcomes"])


@dataclass
class Asker:
    """Asks `nptables trace` about the files of a case, as a user does."""

    capsys: pytest.CaptureFixture[str]

    def __call__(
        self,
        case: str,
        source: str,
        to: str,
        *,
        node: str,
        dump: str | None = "dump.txt",
        files: tuple[str, ...] = ("cluster.yaml",),
        options: tuple[str, ...] = (),
    ) -> Said:
        folder = FIXTURES / "cases" / case
        given = [str(folder / name) for name in files]
        given += ["--save", str(folder / dump)] if dump is not None else []
        asked = ["trace", *given, "--node", node, "--from", source, "--to", to, *options]
        self.capsys.readouterr()
        code = main(asked)
        text = self.capsys.readouterr().out
        assert main([*asked, "-o", "json"]) == code
        return Said(code, text, json.loads(self.capsys.readouterr().out))


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Asker:
    return Asker(capsys)


@pytest.mark.parametrize("to", ["node:80", "192.0.2.21:80"])
def test_a_host_port_that_takes_a_services_packets_is_no_endpoint_of_it(
    ask: Asker, to: str
) -> None:
    # PREROUTING jumps to CNI-HOSTPORT-DNAT before KUBE-SERVICES, and that has --dports 80.
    said = ask("portmap-hostport", "outside", to, node="edge-1")

    assert (said.code, said.document["arrives"]) == (1, False)
    (outcome,) = said.outcomes
    assert (outcome["verdict"], outcome["destination"], outcome["port"], outcome["writer"]) == (
        "wrong-endpoint", "10.42.0.9", 80, "CNI portmap",
    )  # fmt: skip
    assert said.answer == (
        "does not arrive: 10.42.0.9:80 gets it, which is not an endpoint of edge/gate:http (it has "
        "10.42.1.8:8000): a rule of CNI portmap for a hostPort sends it there (nat "
        "CNI-DN-a17c0e52d9f6b3348c1de on edge-1)"
    )


def test_without_a_cluster_a_host_port_simply_says_where_it_goes(ask: Asker) -> None:
    said = ask("portmap-hostport", "outside", "node:80", node="edge-1", files=())

    # Whether the client is a Pod (10.42.0.0/24) is open, and changes nothing but the source.
    assert said.code == 0
    outcomes = [o for d in said.document["distributions"] for o in d["outcomes"]]
    assert {(o["verdict"], o["destination"]) for o in outcomes} == {("endpoint", "10.42.0.9")}


@pytest.mark.parametrize(
    ("source", "to"), [("outside", "nodeport:31080"), ("node", "svc:web/shop")]
)
def test_an_endpoint_that_the_cluster_does_not_have_is_a_stale_rule_of_kube_proxy(
    ask: Asker, source: str, to: str
) -> None:
    # The only KUBE-SEP is 10.244.3.99:8080; the slice has 10.244.1.5, .2.6 and .2.7.
    said = ask("antrea-leftover", source, to, node="node-a")

    assert said.code == 1
    assert said.outcomes[0]["writer"] == "kube-proxy"
    assert said.answer == (
        "does not arrive: 10.244.3.99:8080 gets it, which is not an endpoint of web/shop:http (it "
        "has 10.244.1.5:8080, 10.244.2.6:8080, 10.244.2.7:8080): nat KUBE-SEP-HWPNPCKU2NN7VNJM on "
        "node-a sends it there, which does not match the cluster: kube-proxy on node-a is behind "
        "or was stopped"
    )
    assert not any("in use" in text for text in said.reasons.values())


@pytest.mark.parametrize("dump", ["dump.txt", None], ids=["its dump", "our rules"])
def test_the_node_itself_uses_the_endpoints_of_all_nodes_and_the_reasons_say_so(
    ask: Asker, dump: str | None
) -> None:
    said = ask("counters-local-udp", "node", "nodeport:30177", node="node-a", dump=dump)

    assert said.code == 0
    assert {o["destination"]: o["share"] for o in said.outcomes} == {
        "10.244.1.9": "1/2",
        "10.244.2.9": "1/2",
    }
    assert list(said.reasons.values()) == [
        (
            "external traffic policy Local is for senders outside the cluster: for the node "
            "itself 2 endpoints in use, on any node"
        )
    ]


@pytest.mark.parametrize("dump", ["dump.txt", None], ids=["its dump", "our rules"])
def test_a_client_outside_uses_those_of_the_node_and_the_reasons_say_so(
    ask: Asker, dump: str | None
) -> None:
    said = ask("counters-local-udp", "192.0.2.99", "nodeport:30177", node="node-a", dump=dump)

    assert [o["destination"] for o in said.outcomes] == ["10.244.1.9"]
    assert list(said.reasons.values()) == [
        "external traffic policy Local: 1 endpoint on node-a in use"
    ]


def test_a_pod_of_another_node_that_is_answered_past_the_node_gets_reasons_that_agree(
    ask: Asker,
) -> None:
    # KUBE-XLB sends 10.244.0.0/16 to KUBE-SVC without a mark: nobody masquerades.
    said = ask(
        "pod-to-nodeport-oneway", "10.244.1.7", "nodeport:31555", node="node-b", dump="dump-b.txt"
    )

    assert (said.code, said.outcomes[0]["verdict"]) == (1, "one-way")
    assert list(said.reasons) == ["one-way", "external-local-sender"]
    assert "dropped" not in said.text


def test_a_source_outside_the_ranges_of_an_old_kube_proxy_is_told_so_by_name(ask: Asker) -> None:
    # FORWARD of the dump has no jump to KUBE-FIREWALL, so the mark 0x8000 has no effect there.
    said = ask("old-lb-ranges", "203.0.114.9", "198.51.100.100:5678", node="node-a")

    assert said.code == 1
    text = said.reasons["source-range"]
    for part in (
        "loadBalancerSourceRanges", "app/vote", "10.244.1.40/32, 203.0.113.0/24", "203.0.114.9",
        "no rule on its way drops what is marked",
    ):  # fmt: skip
        assert part in text
    assert said.answer == f"does not arrive: {text}"


def test_without_a_cluster_the_load_balancer_ip_may_be_the_nodes_own(ask: Asker) -> None:
    # INPUT and OUTPUT of the dump do jump to KUBE-FIREWALL: whatever is the node's own is dropped.
    said = ask("old-lb-ranges", "203.0.114.9", "198.51.100.100:5678", node="node-a", files=())

    assert said.code == 1
    by_rules = (
        "203.0.114.9 is in none of the ranges 10.244.1.40/32, 203.0.113.0/24 that nat "
        "KUBE-FW-EYMRLSG3GGZQGZWX on node-a admits: by its name and comment these are the "
        "loadBalancerSourceRanges of app/vote:web"
    )
    assert said.answer == f"does not arrive: DROP: {by_rules}"
    neither = (
        "198.51.100.100 is not an address of node-a and 203.0.114.9 is not an address of node-a"
    )
    assert f"- if {neither}: refused: {by_rules}; " in said.text
    assert {
        " and ".join(d["hypotheses"][0]) == neither: [o["verdict"] for o in d["outcomes"]]
        for d in said.document["distributions"]
    } == {True: ["leaves"], False: ["dropped"]}


def test_what_the_mark_to_drop_drops_is_explained_by_who_marked_it(ask: Asker) -> None:
    # From the node OUTPUT does jump to KUBE-FIREWALL; 192.0.2.11 is in none of the ranges.
    said = ask("old-lb-ranges", "node", "198.51.100.100:5678", node="node-a")

    assert said.outcomes[0]["verdict"] == "dropped"
    assert said.reasons == {
        "source-range": "DROP: app/vote has loadBalancerSourceRanges 10.244.1.40/32, "
        "203.0.113.0/24, and 192.0.2.11 is in none of them"
    }


def test_a_source_in_the_old_ranges_arrives(ask: Asker) -> None:
    said = ask("old-lb-ranges", "203.0.113.7", "198.51.100.100:5678", node="node-a")

    assert (said.code, said.outcomes[0]["destination"]) == (0, "10.244.2.30")


def test_a_rule_that_mode_iptables_left_behind_is_stale_and_the_cluster_has_its_say(
    ask: Asker,
) -> None:
    said = ask("stale-reject-after-ipvs", "node", "svc:web/shop", node="node-a")

    assert said.code == 1
    assert said.reasons == {
        "stale-rule": "REJECT: filter KUBE-SERVICES on node-a says that web/shop has no endpoints, "
        "but in the cluster 3 endpoints can take traffic (10.244.1.5:8080, 10.244.2.6:8080, "
        "10.244.2.7:8080): kube-proxy on node-a is in mode ipvs, and the rule was left behind by "
        "mode iptables"
    }


def test_without_a_cluster_a_comment_is_quoted_and_no_more(ask: Asker) -> None:
    said = ask("stale-reject-after-ipvs", "node", "10.96.20.20:80", node="node-a", files=())

    assert 'its comment: "web/shop:http has no endpoints"' in said.answer


def test_an_old_dump_beside_its_cluster_says_that_they_disagree(ask: Asker) -> None:
    said = ask("old-xlb-local", "outside", "nodeport:32204", node="worker-01")

    assert (said.code, said.outcomes[0]["verdict"]) == (1, "dropped")
    assert said.reasons == {
        "stale-rule": "DROP: nat KUBE-XLB-ICKQE4PTG2WGVXBF on worker-01 says that default/edge-ext "
        "has no local endpoints, but in the cluster 1 endpoint on worker-01 can take traffic "
        "(10.44.0.56:80): most likely kube-proxy knows the node by another name (its "
        "--hostname-override), or it is out of date"
    }


def test_an_old_dump_alone_says_who_marked_the_packet_and_quotes_why(ask: Asker) -> None:
    said = ask("old-xlb-local", "outside", "nodeport:32204", node="worker-01", files=())

    assert (said.code, said.outcomes[0]["verdict"]) == (1, "dropped")
    assert said.answer == (
        "does not arrive: DROP: nat KUBE-XLB-ICKQE4PTG2WGVXBF on worker-01 gives the packet the "
        'mark 0x8000 (its comment: "default/edge-ext: has no local endpoints"), and filter '
        "KUBE-FIREWALL on worker-01 drops what has it"
    )


def test_a_policy_that_docker_sets_says_what_to_do(ask: Asker) -> None:
    said = ask(
        "docker-forward-drop", "outside", "nodeport:30080", node="node1", files=("local.yaml",)
    )

    assert said.code == 1
    assert "Docker sets it" in said.reasons["policy-drop"]
    lines = said.text.splitlines()
    assert [line for line in lines if line.startswith(("If ", "In "))] == [
        (
            "If it comes in through docker0 and it does not leave for 10.233.64.5 through docker0 "
            "(`ip route get 10.233.64.5` and `ip route show default` on node1 tell):"
        ),
        "In every other case:",
    ]


def test_where_every_local_service_is_wrong_the_answer_says_that_of_all_of_them(
    ask: Asker,
) -> None:
    # 203.0.113.7 is no Pod; KUBE-EXTERNAL-SERVICES drops what is for 31080 of the node.
    said = ask("other-node-name", "203.0.113.7", "nodeport:31080", node="node-a")

    assert (said.code, said.outcomes[0]["verdict"]) == (1, "dropped")
    by_another_name = (
        "most likely kube-proxy knows the node by another name (its --hostname-override), or it is "
        "out of date"
    )
    assert said.reasons == {
        "stale-rule": "DROP: filter KUBE-EXTERNAL-SERVICES on node-a says that web/shop has no "
        "local endpoints, but in the cluster 1 endpoint on node-a can take traffic "
        f"(10.244.1.5:8080): {by_another_name}",
        "rules-behind": "the rules of node-a and the cluster differ in 2 of 3 service ports (only "
        "in which endpoints are on the node): web/shop:http, web/blog:http; " + by_another_name,
    }
    assert said.document["disagreement"]["cause"] == "other-node-name"


def test_where_one_service_of_several_is_wrong_kube_proxy_is_behind(ask: Asker) -> None:
    said = ask("behind", "203.0.113.7", "nodeport:31082", node="node-a")

    assert {o["destination"]: o["verdict"] for o in said.outcomes} == {
        "10.244.1.33": "wrong-endpoint",
        "10.244.2.9": "endpoint",
    }
    assert said.document["disagreement"]["servicePorts"] == ["web/api:http"]
    assert said.reasons["rules-behind"] == (
        "the rules of node-a and the cluster differ in 1 of 3 service ports: web/api:http; "
        "kube-proxy on node-a is behind or was stopped"
    )


def test_a_service_whose_rules_fit_says_nothing_of_others(ask: Asker) -> None:
    said = ask("behind", "203.0.113.7", "nodeport:31081", node="node-a")

    assert (said.code, said.document["disagreement"]) == (0, None)


@pytest.mark.parametrize(("port", "verdict"), [(31080, "wrong-endpoint"), (31081, "node")])
def test_where_no_service_is_right_the_rules_are_of_another_cluster(
    ask: Asker, port: int, verdict: str
) -> None:
    said = ask("other-cluster", "203.0.113.7", f"nodeport:{port}", node="node-a")

    assert [o["verdict"] for o in said.outcomes] == [verdict]
    assert said.document["disagreement"]["cause"] == "other-cluster"
    assert "look like those of another cluster" in said.reasons["rules-behind"]


def test_what_only_the_rules_claim_is_never_said_of_the_cluster(ask: Asker) -> None:
    # The rules say that default/edge-ext has no local endpoints; the cluster has one there.
    said = ask("old-xlb-local", "outside", "nodeport:32204", node="worker-01")

    for text in said.reasons.values():
        assert "has no endpoint that can take traffic" not in text
        assert "externalTrafficPolicy Local and" not in text
