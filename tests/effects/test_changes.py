"""What a reviewer meets: fifteen changes, and what packets notice of each on node2.

node2 has 192.168.0.2 and the Pods of 10.244.2.0/24, node1 192.168.0.1 and 10.244.1.0/24; all Pods
are in 10.244.0.0/16, and 192.168.0.2 is the node's only address beside 127.0.0.1.
"""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from nptables import Cluster, Family, ProxyConfig, Ruleset, compare_effects, translate
from nptables.effects import Effects, NodeState
from nptables.effects.words import sentences, summary
from nptables.sources import load_objects
from nptables.tracing import read_sets
from nptables.tracing.sets import Sets
from tests.support.clusters import endpoint, endpoint_slice, node, service

NEAR = endpoint("10.244.2.5", "node2")
FAR = endpoint("10.244.1.6", "node1")
OTHER_FAR = endpoint("10.244.1.7", "node1")
ON_EITHER = endpoint_slice(NEAR, FAR)
ON_THE_OTHER = endpoint_slice(FAR)
WRITTEN = "rules that are only written differently"


def state(*objects: dict[str, Any], on: str = "node2", **config: Any) -> NodeState:
    """The rules of node2, or those that a kube-proxy of another name makes there."""
    cluster = Cluster.from_objects([node("node1"), node("node2"), *objects])
    document = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clusterCIDR": "10.244.0.0/16",
        **config,
    }
    read = ProxyConfig.from_kube_proxy(document)
    rules = translate(cluster, cluster.node(on), read, Family.IPV4)
    return NodeState(rules, cluster.node("node2"), cluster, read)


def edited(whose: NodeState, *edits: tuple[str, str]) -> NodeState:
    """The state with its rules edited; what is edited must be there."""
    (rules,) = whose.rulesets
    text = rules.to_save()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return NodeState(Ruleset.from_save(text), whose.node, whose.cluster, whose.config)


def said(before: NodeState, after: NodeState) -> list[str]:
    """The effects in words; nothing may be unknown."""
    found: Effects = compare_effects(before, after)
    assert found.unknown == ()
    return list(sentences(found.effects))


def test_the_policy_cluster_becomes_local() -> None:
    before = state(service(), ON_THE_OTHER)
    after = state(service(externalTrafficPolicy="Local"), ON_THE_OTHER)

    assert said(before, after) == [
        (
            "default/web node port 30080 on node2, from outside and other nodes: was sent "
            "to 10.244.1.6:8080, source hidden, now dropped (no local endpoint)"
        ),
        (
            "default/web node port 30080 on node2, from pods but for 10.244.1.6: source "
            "hidden before, now kept"
        ),
    ]


def test_a_replica_more() -> None:
    before = state(service(), ON_THE_OTHER)
    after = state(service(), endpoint_slice(FAR, OTHER_FAR))

    assert said(before, after) == [
        (
            "default/web node port 30080 on node2, from anywhere: reached 10.244.1.6:8080, "
            "now 2 endpoints (10.244.1.7:8080 new)"
        ),
        (
            "default/web node port 127.0.0.1:30080 on node2, from this node: reached "
            "10.244.1.6:8080, now 2 endpoints (10.244.1.7:8080 new)"
        ),
        (
            "default/web cluster IP 10.96.0.10:80 on node2, from anywhere: reached "
            "10.244.1.6:8080, now 2 endpoints (10.244.1.7:8080 new)"
        ),
    ]


def test_a_replica_that_moved() -> None:
    before = state(service(externalTrafficPolicy="Local"), endpoint_slice(NEAR))
    after = state(service(externalTrafficPolicy="Local"), ON_THE_OTHER)

    assert said(before, after) == [
        (
            "default/web node port 30080 on node2, from outside and other nodes: was sent "
            "to 10.244.2.5:8080, source kept, now dropped (no local endpoint)"
        ),
        (
            "default/web node port 30080 on node2, from pods, and from this node: reached "
            "10.244.2.5:8080, now 10.244.1.6:8080"
        ),
        (
            "default/web node port 127.0.0.1:30080 on node2, from this node: reached "
            "10.244.2.5:8080, now 10.244.1.6:8080"
        ),
        (
            "default/web cluster IP 10.96.0.10:80 on node2, from anywhere: reached "
            "10.244.2.5:8080, now 10.244.1.6:8080"
        ),
    ]


def test_a_port_that_was_renamed_on_one_side() -> None:
    ports = [{"name": "http", "port": 80, "nodePort": 30080}]
    named = endpoint_slice(FAR, ports=[{"name": "http", "port": 8080}])
    before = state(service(ports=ports), named)
    after = state(service(ports=[{**ports[0], "name": "web"}]), named)

    assert said(before, after) == [
        (
            "default/web:web node port 30080 on node2, from anywhere: was sent to "
            "10.244.1.6:8080, source hidden, now refused (no endpoint)"
        ),
        (
            "default/web:web node port 127.0.0.1:30080 on node2, from 127.0.0.0/8: was sent "
            "to 10.244.1.6:8080, source hidden, now refused (no endpoint)"
        ),
        (
            "default/web:web node port 127.0.0.1:30080 on node2, from 192.168.0.2: was sent "
            "to 10.244.1.6:8080, source hidden, now dropped (block incoming localnet "
            "connections: filter KUBE-FIREWALL)"
        ),
        (
            "default/web:web cluster IP 10.96.0.10:80 on node2, from outside, other nodes "
            "and this node: was sent to 10.244.1.6:8080, source hidden, now refused (no "
            "endpoint)"
        ),
        (
            "default/web:web cluster IP 10.96.0.10:80 on node2, from pods: was sent to "
            "10.244.1.6:8080, source kept, now refused (no endpoint)"
        ),
    ]


def balancer(**spec: Any) -> dict[str, Any]:
    return service(
        type="LoadBalancer",
        status={"loadBalancer": {"ingress": [{"ip": "203.0.113.10"}]}},
        **spec,
    )


def test_source_ranges_that_are_added() -> None:
    before = state(balancer(), ON_THE_OTHER)
    after = state(balancer(loadBalancerSourceRanges=["198.51.100.0/24"]), ON_THE_OTHER)

    assert said(before, after) == [
        (
            "default/web load-balancer IP 203.0.113.10:80 on node2, from outside, other "
            "nodes, pods and this node but for 198.51.100.0/24: was sent to "
            "10.244.1.6:8080, source hidden, now dropped (not in loadBalancerSourceRanges)"
        ),
    ]


def test_another_node_port() -> None:
    before = state(service(), ON_THE_OTHER)
    after = state(service(ports=[{"port": 80, "nodePort": 30081}]), ON_THE_OTHER)

    assert said(before, after) == [
        (
            "default/web node port 30080 on node2, from anywhere: was sent to "
            "10.244.1.6:8080, source hidden, now left to the node itself"
        ),
        (
            "default/web node port 127.0.0.1:30080 on node2, from 127.0.0.0/8: was sent to "
            "10.244.1.6:8080, source hidden, now left to the node itself"
        ),
        (
            "default/web node port 127.0.0.1:30080 on node2, from 192.168.0.2: was sent to "
            "10.244.1.6:8080, source hidden, now dropped (block incoming localnet "
            "connections: filter KUBE-FIREWALL)"
        ),
        (
            "default/web node port 30081 on node2, from anywhere: was left to the node "
            "itself, now sent to 10.244.1.6:8080, source hidden"
        ),
        (
            "default/web node port 127.0.0.1:30081 on node2, from 127.0.0.0/8: was left to "
            "the node itself, now sent to 10.244.1.6:8080, source hidden"
        ),
        (
            "default/web node port 127.0.0.1:30081 on node2, from 192.168.0.2: was dropped "
            "(block incoming localnet connections: filter KUBE-FIREWALL), now sent to "
            "10.244.1.6:8080, source hidden"
        ),
    ]


def test_two_services_that_share_an_external_ip_now() -> None:
    api = {
        "name": "api", "clusterIP": "10.96.0.20", "type": "ClusterIP", "ports": [{"port": 80}],
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    web = {
        "type": "ClusterIP", "ports": [{"port": 80}], "externalIPs": ["198.51.100.9"],
        "creationTimestamp": "2026-01-02T00:00:00Z",
    }  # fmt: skip
    behind = endpoint_slice(OTHER_FAR, of="api")
    before = state(service(**web), service(**api), ON_THE_OTHER, behind)
    shared = service(**api, externalIPs=["198.51.100.9"])
    after = state(service(**web), shared, ON_THE_OTHER, behind)

    assert said(before, after) == [
        (
            "default/web external IP 198.51.100.9:80 on node2, from anywhere: reached "
            "10.244.1.6:8080, now 10.244.1.7:8080"
        ),
    ]


def test_affinity_that_is_switched_on() -> None:
    before = state(service(), ON_EITHER)
    after = state(service(sessionAffinity="ClientIP"), ON_EITHER)

    assert said(before, after) == [
        (
            "default/web node port 30080 on node2, from anywhere: clients kept to no "
            "endpoint before, now to one for 3 h"
        ),
        (
            "default/web node port 127.0.0.1:30080 on node2, from this node: clients kept "
            "to no endpoint before, now to one for 3 h"
        ),
        (
            "default/web cluster IP 10.96.0.10:80 on node2, from anywhere: clients kept to "
            "no endpoint before, now to one for 3 h"
        ),
    ]


def test_an_endpoint_that_is_terminating() -> None:
    ending = {**NEAR, "conditions": {"ready": False, "serving": True, "terminating": True}}
    before = state(service(externalTrafficPolicy="Local"), ON_EITHER)
    after = state(service(externalTrafficPolicy="Local"), endpoint_slice(ending, FAR))

    assert said(before, after) == [
        (
            "default/web node port 30080 on node2, from pods, and from this node: reached 2 "
            "endpoints, now 10.244.1.6:8080 (10.244.2.5:8080 gone)"
        ),
        (
            "default/web node port 127.0.0.1:30080 on node2, from this node: reached 2 "
            "endpoints, now 10.244.1.6:8080 (10.244.2.5:8080 gone)"
        ),
        (
            "default/web cluster IP 10.96.0.10:80 on node2, from anywhere: reached 2 "
            "endpoints, now 10.244.1.6:8080 (10.244.2.5:8080 gone)"
        ),
    ]


def test_a_hostname_override_that_is_wrong() -> None:
    before = state(service(externalTrafficPolicy="Local"), ON_EITHER)
    after = state(service(externalTrafficPolicy="Local"), ON_EITHER, on="node1")

    assert said(before, after) == [
        (
            "default/web node port 30080 on node2, from outside and other nodes: reached "
            "10.244.2.5:8080, now 10.244.1.6:8080"
        ),
    ]


def test_forward_drop_put_in_front() -> None:
    before = state(service(), ON_THE_OTHER)
    first = '-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes load'

    assert said(before, edited(before, (first, f"-A FORWARD -j DROP\n{first}"))) == [
        (
            "default/web node port 30080 on node2, from outside, other nodes and pods: was "
            "sent to 10.244.1.6:8080, source hidden, now dropped (by a rule of filter "
            "FORWARD)"
        ),
        (
            "default/web cluster IP 10.96.0.10:80 on node2, from outside and other nodes: "
            "was sent to 10.244.1.6:8080, source hidden, now dropped (by a rule of filter "
            "FORWARD)"
        ),
        (
            "default/web cluster IP 10.96.0.10:80 on node2, from pods: was sent to "
            "10.244.1.6:8080, source kept, now dropped (by a rule of filter FORWARD)"
        ),
    ]


def test_a_masquerade_rule_that_is_lost() -> None:
    before = state(service(), ON_THE_OTHER)
    rule = (
        "-A KUBE-POSTROUTING -m comment --comment "
        '"kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully\n'
    )

    assert said(before, edited(before, (rule, ""))) == [
        ("default/web node port 30080 on node2, from anywhere: source hidden before, now kept"),
        (
            "default/web node port 127.0.0.1:30080 on node2, from this node: source hidden "
            "before, now kept"
        ),
        (
            "default/web cluster IP 10.96.0.10:80 on node2, from outside, other nodes, this "
            "node and 10.244.1.6: source hidden before, now kept"
        ),
    ]


def test_kube_nodeports_that_is_no_longer_last() -> None:
    """The external IP is the node's own, and its port that of another Service's node port."""
    web = service(externalIPs=["192.168.0.2"], ports=[{"port": 30090, "nodePort": 30080}])
    api = service("api", clusterIP="10.96.0.20", ports=[{"port": 80, "nodePort": 30090}])
    before = state(web, api, ON_THE_OTHER, endpoint_slice(OTHER_FAR, of="api"))
    lines = before.rulesets[0].lines("nat", "KUBE-SERVICES")
    old = "\n".join(lines)
    new = "\n".join((lines[-1], *lines[:-1]))

    assert said(before, edited(before, (old, new))) == [
        (
            "default/web external IP 192.168.0.2:30090 on node2, from anywhere: reached "
            "10.244.1.6:8080, now 10.244.1.7:8080"
        ),
    ]


def test_an_endpoint_chain_that_was_emptied() -> None:
    """What is masqueraded on its way out of lo gets an address of another interface.

    `inet_select_addr` of net/ipv4/devinet.c passes over those of scope host; KUBE-FIREWALL drops
    what comes from there to 127.0.0.1 untranslated.
    """
    before = state(service(), endpoint_slice(FAR, OTHER_FAR))
    (rules,) = before.rulesets
    (chain,) = [
        name for name, lines in rules.tables["nat"].chains.items()
        if any("--to-destination 10.244.1.7:8080" in line for line in lines)
    ]  # fmt: skip
    lines = "".join(f"{line}\n" for line in rules.lines("nat", chain))

    assert said(before, edited(before, (lines, ""))) == [
        (
            "default/web node port 30080 on node2, from anywhere: was sent to 2 endpoints, "
            "source hidden, now 1/2 sent to 10.244.1.6:8080, source hidden, 1/2 left to the "
            "node itself"
        ),
        (
            "default/web node port 127.0.0.1:30080 on node2, from this node: was sent to 2 "
            "endpoints, source hidden, now 1/2 sent to 10.244.1.6:8080, source hidden, 1/2 "
            "dropped (block incoming localnet connections: filter KUBE-FIREWALL)"
        ),
        (
            "default/web cluster IP 10.96.0.10:80 on node2, from outside, other nodes and "
            "this node: was sent to 2 endpoints, source hidden, now 1/2 sent to "
            "10.244.1.6:8080, source hidden, 1/2 sent on as it is"
        ),
        (
            "default/web cluster IP 10.96.0.10:80 on node2, from pods: was sent to 2 "
            "endpoints, source kept, now 1/2 sent to 10.244.1.6:8080, source kept, 1/2 sent "
            "on as it is"
        ),
    ]


def test_masquerade_all() -> None:
    before = state(service(), ON_THE_OTHER)
    after = state(service(), ON_THE_OTHER, iptables={"masqueradeAll": True})

    assert said(before, after) == [
        (
            "default/web cluster IP 10.96.0.10:80 on node2, from pods but for 10.244.1.6: "
            "source kept before, now hidden"
        ),
    ]


def test_services_of_the_same_form_are_told_by_their_own_ports() -> None:
    """Both lose their endpoint for another; only the ports of the Pods tell them apart."""

    def both(address: str) -> NodeState:
        objects: list[dict[str, Any]] = []
        for number, port in enumerate((8080, 9090)):
            name = ("web", "api")[number]
            objects += [
                service(
                    name, type="ClusterIP", clusterIP=f"10.96.0.{number + 1}", ports=[{"port": 80}]
                ),
                endpoint_slice(
                    endpoint(address, "node1"), of=name, ports=[{"name": "", "port": port}]
                ),
            ]
        return state(*objects)

    assert said(both("10.244.1.6"), both("10.244.1.7")) == [
        (
            f"default/{name} cluster IP 10.96.0.{number}:80 on node2, from anywhere: "
            f"reached 10.244.1.6:{port}, now 10.244.1.7:{port}"
        )
        for name, number, port in (("web", 1, 8080), ("api", 2, 9090))
    ]


def test_what_is_dropped_at_the_nodes_own_address_concerns_its_node_ports() -> None:
    """No text of the Service differs: only packets to 192.168.0.2 meet another rule."""
    before = state(service(), ON_THE_OTHER)
    mangle = "*mangle\n:PREROUTING ACCEPT [0:0]\n{}COMMIT\n*nat\n"
    before = edited(before, ("*nat\n", mangle.format("")))
    drop = "-A PREROUTING -d 192.168.0.2/32 -p tcp -j DROP\n"

    after = edited(
        before, (":PREROUTING ACCEPT [0:0]\nCOMMIT", f":PREROUTING ACCEPT [0:0]\n{drop}COMMIT")
    )

    found = said(before, after)
    assert any(text.startswith("default/web node port 30080 on node2") for text in found)
    assert all("now dropped" in text for text in found)


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ((0, 0, 0), "packets notice nothing"),
        ((1, 0, 0), "1 effect"),
        ((2, 0, 0), "2 effects"),
        ((0, 1, 0), f"packets notice nothing, 1 frontend has {WRITTEN}"),
        ((0, 2, 0), f"packets notice nothing, 2 frontends have {WRITTEN}"),
        ((0, 0, 1), "no known effect, 1 class of packets whose effect is unknown"),
        ((1, 0, 2), "1 effect, 2 classes of packets whose effect is unknown"),
    ],
)  # fmt: skip
def test_a_summary_counts_what_was_found(counts: tuple[int, int, int], text: str) -> None:
    (effect, *_) = compare_effects(
        state(service(), ON_THE_OTHER), state(service(), ON_EITHER)
    ).effects

    effects, cosmetic, unknown = counts
    found = Effects((effect,) * effects, 0, cosmetic, (effect,) * unknown)

    assert summary(found) == text


def test_without_a_cluster_the_comments_of_rules_give_the_names() -> None:
    """Two dumps and nothing else: kube-proxy wrote the Service beside the rules."""
    dumps = [
        NodeState(Ruleset.from_save(found.rulesets[0].to_save()), found.node)
        for found in (state(service(), ON_THE_OTHER), state(service(), endpoint_slice(OTHER_FAR)))
    ]

    effects = compare_effects(*dumps).effects

    named = {(e.service, e.kind) for e in effects if not e.addresses or e.addresses != ("",)}
    assert {service for service, _ in named} == {"default/web"}


def test_a_rule_about_one_port_of_pods_concerns_the_services_that_lead_to_it() -> None:
    """All Pods listen at 8080; of those of api another port is dropped."""
    objects: list[dict[str, Any]] = []
    for number, (name, port) in enumerate((("web", 8080), ("api", 8080)), 1):
        objects += [
            service(
                name, type="ClusterIP", clusterIP=f"10.96.0.{number}",
                ports=[{"port": 80, "targetPort": port}],
            ),
            endpoint_slice(
                endpoint(f"10.244.1.{number}", "node1"), of=name, ports=[{"name": "", "port": port}]
            ),
        ]  # fmt: skip
    before = state(*objects)
    dropped = "".join(
        f"-A FORWARD -d 10.244.1.{number}/32 -p tcp -m tcp --dport {port} -j DROP\n"
        for number, port in ((1, 8080), (2, 9090))
    )
    after = edited(before, ("-A FORWARD -m conntrack", f"{dropped}-A FORWARD -m conntrack"))

    found = said(before, after)

    assert any(text.startswith("default/web cluster IP 10.96.0.1:80") for text in found)
    assert not any("default/api" in text for text in found)


@pytest.mark.parametrize("length", [2, 70, 250])
@pytest.mark.parametrize("whose", ["", "-d 10.244.1.6/32 -p tcp -m tcp --dport 8080 "])
def test_a_drop_behind_many_chains_is_an_effect_or_unknown(length: int, whose: str) -> None:
    """The last of chains that call one another drops now; nobody follows as many as 70.

    All packets come to the first, or those to the endpoint alone.
    """
    before = state(service(), ON_THE_OTHER)
    first = '-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes load'
    chains = "".join(f":C{n} - [0:0]\n" for n in range(length))
    jumps = "".join(f"-A C{n} -j C{n + 1}\n" for n in range(length - 1))

    def ending(target: str) -> NodeState:
        last = f"-A C{length - 1} -j {target}\n"
        declared = (":KUBE-FORWARD - [0:0]\n", f"{chains}:KUBE-FORWARD - [0:0]\n")
        return edited(before, declared, (first, f"-A FORWARD {whose}-j C0\n{jumps}{last}{first}"))

    found = compare_effects(ending("RETURN"), ending("DROP"))

    assert found.cosmetic == 0
    assert found.effects if length < 60 else found.unknown


@pytest.mark.parametrize("family", [Family.IPV4, Family.IPV6])
def test_node_ports_are_compared_although_the_addresses_of_the_node_are_unknown(
    family: Family,
) -> None:
    """Manifests in a repository have no Node: the policy Local drops what Cluster sends on."""
    six = family is Family.IPV6
    pod, address = ("fd00:10:244::6", "fd00:10:96::9") if six else ("10.244.1.6", "10.96.0.9")
    backend = {
        **endpoint_slice({"addresses": [pod], "conditions": {"ready": True}}),
        "addressType": family.value,
    }

    def rules(policy: str) -> NodeState:
        spec = {
            "type": "NodePort", "externalTrafficPolicy": policy, "clusterIP": address,
            "clusterIPs": [address], "ipFamilies": [family.value],
            "ports": [{"port": 80, "nodePort": 30080}],
        }  # fmt: skip
        web = {**service(), "spec": spec}
        cluster = Cluster.from_objects([web, backend])
        made = translate(cluster, cluster.node("worker"), ProxyConfig(), family)
        return NodeState(made, cluster.node("worker"), cluster, ProxyConfig())

    found = compare_effects(rules("Cluster"), rules("Local"))

    (effect,) = [each for each in found.effects if each.to_json()["to"] == "nodePort:30080"]
    document = effect.to_json()
    assert (document["before"]["verdict"], document["after"]["verdict"]) == ("endpoint", "dropped")
    assert document["service"] == "default/web"
    sources = [{each["source"] for each in document[s]["outcomes"]} for s in ("before", "after")]
    assert sources == [{"rewritten"}, {None}]
    assert document["addresses"] == []
    assert "241." not in " ".join(sentences(found.effects))


@pytest.mark.parametrize("there", ["nat", "filter", ""])
def test_a_table_that_a_dump_lacks_leaves_open_what_packets_notice(there: str) -> None:
    """It may hold the rules that are right, or such as refuse everything: nobody has seen them."""
    after = state(service(), ON_THE_OTHER)
    (rules,) = after.rulesets
    seen = {name: table for name, table in rules.tables.items() if name == there}
    lacking = attrs.evolve(rules, tables=seen)
    missing = {"nat", "filter"} - {there}

    def having(rules: Ruleset) -> NodeState:
        return attrs.evolve(after, rules=rules, unknown_tables=missing)

    found = compare_effects(having(lacking), having(rules))

    assert (found.effects, found.same, found.cosmetic) == ((), 0, 0)
    assert {each.to for each in found.unknown} == {
        "nodePort:30080", "127.0.0.1:30080", "10.96.0.10:80",
    }  # fmt: skip
    assert all("whose rules are unknown, may" in text for text in sentences(found.unknown))
    fates = [each.to_json()[when] for each in found.unknown for when in ("before", "after")]
    assert {("unknown", None)} == {(each["verdict"], each["source"]) for each in fates}
    # What is the same in both states is no difference, whatever it is.
    assert compare_effects(having(lacking), having(lacking)).unknown == ()


def test_the_addresses_of_a_node_that_one_input_has_count_for_both() -> None:
    """Two states of one node: that manifests say nothing of it makes it no other one."""
    after = state(service(), ON_THE_OTHER)
    assert after.cluster is not None
    bare = Cluster()
    nothing = translate(bare, bare.node("node2"), ProxyConfig(), Family.IPV4)
    before = NodeState(nothing, bare.node("node2"), bare, ProxyConfig())
    known = attrs.evolve(before, node=after.node)

    for one, other, told in ((before, after, known), (after, before, known)):
        expected = (told, after) if one is before else (after, told)
        found = compare_effects(one, other)
        assert compare_effects(*expected) == found
        assert all(effect.cases[0].conditions == ((),) for effect in found.effects)
    assert said(before, after)[-1] == (
        "default/web cluster IP 10.96.0.10:80 on node2, from pods: was sent on as it is, now sent "
        "to 10.244.1.6:8080, source kept"
    )


def test_json_says_whether_the_source_stays() -> None:
    """From Pods: kept by the policy Local, and with an endpoint that hides everybody, mixed."""
    local = state(service(externalTrafficPolicy="Local"), endpoint_slice(FAR, OTHER_FAR))
    changes = {
        ("rewritten", "kept"): (state(service(), endpoint_slice(FAR, OTHER_FAR)), local),
        ("kept", "mixed"): (local, edited(local, ("-s 10.244.1.7/32 ", ""))),
    }
    for expected, (before, after) in changes.items():
        found = [
            (effect["before"]["source"], effect["after"]["source"])
            for effect in (each.to_json() for each in compare_effects(before, after).effects)
            if effect["to"] == "nodePort:30080" and effect["from"] not in (["outside"], ["node"])
        ]
        assert expected in found, found


def test_that_no_endpoint_is_local_is_no_effect_where_the_nodes_of_the_pods_are_unknown() -> None:
    """Manifests tell that there will be Pods, and not where: both Services have the same two."""
    labels = {"app": "web"}
    web = service(selector=labels)
    pods = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "web"}]},
            },
        },
    }

    def rules(policy: str) -> NodeState:
        made = {**web, "spec": {**web["spec"], "externalTrafficPolicy": policy}}
        cluster = load_objects([made, pods]).cluster
        there = cluster.node("worker", {"interfaces": {"eth0": ["192.0.2.1/24"]}})
        made_rules = translate(cluster, there, ProxyConfig(), Family.IPV4)
        return NodeState(made_rules, there, cluster, ProxyConfig(), supposed=True)

    found = compare_effects(rules("Cluster"), rules("Local"))

    documents = [each.to_json() for each in found.unknown]
    assert found.effects == ()
    assert {document["to"] for document in documents} == {"nodePort:30080"}
    after = [document["after"] for document in documents]
    assert [each["verdict"] for each in after] == ["unknown"] * len(after)
    assert "the nodes of its Pods are unknown" in " ".join(sentences(found.unknown))


def test_the_members_of_a_set_decide_for_whom_a_rule_is_new() -> None:
    before = state(service(), ON_THE_OTHER)
    first = '-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes load'
    after = edited(before, (first, f"-A FORWARD -m set --match-set bad src -j DROP\n{first}"))
    sets = read_sets("create bad hash:ip family inet\nadd bad 203.0.113.9\n")

    found = compare_effects(*before.rulesets, *after.rulesets, before.node, sets=sets)

    assert found.unknown == ()
    named = {source for each in found.effects for source in each.to_json()["from"]}
    assert "203.0.113.9/32" in named


# What comes to everybody, and what comes to one endpoint alone.
OF_WHOM = pytest.mark.parametrize("whose", ["", "-d 10.244.1.6/32 -p tcp -m tcp --dport 8080 "])


def dropping(whose: str, match: str, sets: Sets) -> tuple[NodeState, NodeState]:
    """What there is with and without a DROP of what a set holds, behind a jump of some packets."""
    plain = state(service(), ON_THE_OTHER)
    first = '-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes load'
    edits = (
        (":KUBE-FORWARD - [0:0]\n", ":C - [0:0]\n:KUBE-FORWARD - [0:0]\n"),
        (first, f"-A FORWARD {whose}-j C\n-A C -m set --match-set {match} -j DROP\n{first}"),
    )
    return attrs.evolve(plain, sets=sets), attrs.evolve(edited(plain, *edits), sets=sets)


@OF_WHOM
def test_the_networks_and_ports_of_a_set_decide_for_whom_a_rule_is_new(whose: str) -> None:
    """The endpoint listens at 8080, so of the two networks one alone has its packets dropped."""
    sets = read_sets(
        "create doors hash:net,port\nadd doors 198.51.100.0/24,tcp:8080\n"
        "add doors 203.0.113.0/24,tcp:80\n"
    )

    found = compare_effects(*dropping(whose, "doors src,dst", sets))

    assert found.unknown == ()
    assert {"198.51.100.0/24"} == {
        source for each in found.effects for source in each.to_json()["from"]
    }


@OF_WHOM
def test_of_a_set_that_a_program_fills_nobody_knows_for_whom_a_rule_is_new(whose: str) -> None:
    """It can be asked for one address, and not which there are."""
    sets: Sets = {"bad": lambda sides: sides[0].address == "203.0.113.9"}

    found = compare_effects(*dropping(whose, "bad src", sets))

    assert found.effects == ()
    assert {"a program fills set bad, so its members are unknown"} == {
        each.problem for each in found.unknown
    }


def test_what_is_dropped_in_one_hook_alone_is_not_dropped_in_another() -> None:
    """Tables of nftables have only the chains that somebody used; a Pod is behind FORWARD."""
    web = state(service(), ON_THE_OTHER)
    (rules,) = web.rulesets
    nat = "*nat\n" + rules.to_save().partition("*nat\n")[2].partition("COMMIT\n")[0] + "COMMIT\n"

    def dropping_in(chain: str) -> NodeState:
        text = f"*filter\n:{chain} ACCEPT [0:0]\n-A {chain} -p tcp -j DROP\nCOMMIT\n{nat}"
        return attrs.evolve(web, rules=Ruleset.from_save(text))

    found = said(dropping_in("FORWARD"), dropping_in("INPUT"))

    assert (
        "default/web cluster IP 10.96.0.10:80 on node2, from pods: was dropped (by a rule of "
        "filter FORWARD), now sent to 10.244.1.6:8080, source kept"
    ) in found


def test_the_source_is_told_of_a_fate_that_arrives_and_of_no_other() -> None:
    """A node port hides the source from the endpoint; without endpoints there is none to see it."""
    found = compare_effects(state(service(), ON_THE_OTHER), state(service(), endpoint_slice()))

    documents = [each.to_json() for each in found.effects]
    told = {
        (document["to"], from_, document["before"]["source"], document["after"]["source"])
        for document in documents
        for from_ in document["from"]
    }
    assert ("nodePort:30080", "outside", "rewritten", None) in told
    assert {None} == {document["after"]["source"] for document in documents}


@pytest.mark.parametrize(
    ("seconds", "text"), [(90, "90 s"), (120, "2 min"), (3660, "61 min"), (7200, "2 h")]
)
def test_how_long_a_client_is_kept_is_told_exactly(seconds: int, text: str) -> None:
    keeping = {"clientIP": {"timeoutSeconds": seconds}}
    after = state(service(sessionAffinity="ClientIP", sessionAffinityConfig=keeping), ON_EITHER)

    assert {f"clients kept to no endpoint before, now to one for {text}"} == {
        each.partition(": ")[2] for each in said(state(service(), ON_EITHER), after)
    }
