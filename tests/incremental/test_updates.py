"""What one change becomes: chains to write and delete, lines of shared chains, commits."""

from __future__ import annotations

import doctest
from typing import Any

import pytest

import nptables.incremental.update
from nptables import Cluster, Family, ProxyConfig, translate
from nptables.errors import KernelBusy, KernelRefused
from nptables.incremental import Changes, IncrementalTranslator
from nptables.kernel.reconciler import Reconciler, SyncResult
from nptables.testing import FakeKernel
from tests.support.clusters import endpoint, endpoint_slice, node, service

WEB, API = "10.244.1.1", "10.244.1.2"


class Following:
    """A cluster of two Services with an endpoint each, and a kernel that holds its rules."""

    def __init__(self, *more: dict[str, Any]) -> None:
        objects = [
            node(),
            service("api", clusterIP="10.96.0.1", ports=[{"port": 80, "nodePort": 30001}]),
            service("web", clusterIP="10.96.0.2", ports=[{"port": 80, "nodePort": 30002}]),
            endpoint_slice(endpoint(API), of="api"),
            endpoint_slice(endpoint(WEB), of="web"),
            *more,
        ]
        cluster = Cluster.from_objects(objects)
        self.node, self.config = cluster.node("node1"), ProxyConfig()
        self.kernel = FakeKernel()
        self.reconciler = Reconciler(
            self.kernel, IncrementalTranslator(self.node, self.config, Family.IPV4)
        )
        self.reconciler.pending.add(Changes.everything(cluster, self.node, self.config))
        self.reconciler.sync()
        self.kernel.commits.clear()

    def change(self, *objects: dict[str, Any]) -> SyncResult:
        """Put objects, and bring the change to the kernel."""
        cluster = Cluster.from_objects(objects)
        self.reconciler.pending.add(Changes(dict(cluster.services), dict(cluster.slices)))
        return self.reconciler.sync()


def test_an_endpoint_more_writes_its_chain_and_the_one_that_leads_to_it() -> None:
    result = Following().change(endpoint_slice(endpoint(WEB), endpoint("10.244.1.9"), of="web"))

    kinds = {chain.partition("-")[2][:3] for chain in result.update.write}
    assert kinds == {"SVC", "SEP"}
    assert len(result.update.write) == 2
    assert not result.update.delete
    assert not result.update.shared
    assert not result.read


def test_a_change_puts_the_whole_ruleset_together_neither_as_it_was_nor_as_it_shall_be() -> None:
    """That costs what the cluster does: 0.2 s of a change where there are 10,000 Services."""
    result = Following().change(endpoint_slice(endpoint(WEB), endpoint("10.244.1.9"), of="web"))

    assert result.applied.commits == 1
    for whole in (result.plan.before, result.plan.desired):
        assert "_made" not in vars(whole)


def test_an_endpoint_less_is_one_commit_with_its_deletion() -> None:
    following = Following()
    following.change(endpoint_slice(endpoint(WEB), endpoint("10.244.1.9"), of="web"))
    following.kernel.commits.clear()

    result = following.change(endpoint_slice(endpoint(WEB), of="web"))

    (commit,) = following.kernel.commits
    (gone,) = result.update.delete
    assert f"-X {gone}\nCOMMIT" in commit
    assert gone not in following.kernel.read().tables["nat"].chains


def test_a_chain_that_others_use_stays_and_does_not_stop_the_rest() -> None:
    following = Following()
    following.change(endpoint_slice(endpoint(WEB), endpoint("10.244.1.9"), of="web"))
    nat = following.kernel.read().tables["nat"].chains
    (used,) = (c for c, lines in nat.items() if any("-destination 10.244.1.9:" in x for x in lines))
    following.kernel.restore(f"*nat\n:OTHERS - [0:0]\n-A OTHERS -j {used}\nCOMMIT\n")

    result = following.change(endpoint_slice(endpoint("10.244.1.7"), of="web"))

    nat = following.kernel.read().tables["nat"].chains
    assert result.applied.kept == (("nat", used),)
    assert nat[used] == ()
    assert any("10.244.1.7:" in line for lines in nat.values() for line in lines)


def test_the_last_endpoint_that_goes_moves_lines_between_nat_and_filter() -> None:
    result = Following().change(endpoint_slice(of="web"))

    shared = result.update.shared
    assert [line.split(" -j ")[1][:9] for line in shared["nat", "KUBE-SERVICES"].removed] == [
        "KUBE-SVC-"
    ]
    assert len(shared["nat", "KUBE-NODEPORTS"].removed) == 1
    assert not shared["nat", "KUBE-SERVICES"].added
    (refusal,) = shared["filter", "KUBE-SERVICES"].added
    assert refusal.endswith("-j REJECT --reject-with icmp-port-unreachable")


def test_packets_are_refused_before_they_are_no_longer_translated_and_the_other_way_round() -> None:
    following = Following()

    following.change(endpoint_slice(of="web"))
    assert [commit.splitlines()[0] for commit in following.kernel.commits] == ["*filter", "*nat"]

    following.kernel.commits.clear()
    following.change(endpoint_slice(endpoint(WEB), of="web"))
    assert [commit.splitlines()[0] for commit in following.kernel.commits] == ["*nat", "*filter"]


def test_a_service_more_stands_above_the_last_line_of_the_services() -> None:
    following = Following()

    following.change(
        service("db", clusterIP="10.96.0.3", ports=[{"port": 80, "nodePort": 30003}]),
        endpoint_slice(endpoint("10.244.1.3"), of="db"),
    )

    lines = following.kernel.read().lines("nat", "KUBE-SERVICES")
    assert "-d 10.96.0.3/32" in lines[0]
    assert lines[-1].endswith("-j KUBE-NODEPORTS")
    assert all(":KUBE-SERVICES" not in commit for commit in following.kernel.commits)


def test_a_service_that_claims_the_address_of_an_older_one_stands_below_it() -> None:
    following = Following(
        service(
            "old",
            clusterIP="10.96.0.8",
            ports=[{"port": 80, "nodePort": 30008}],
            creationTimestamp="2026-01-01T00:00:00Z",
        ),
        endpoint_slice(endpoint("10.244.1.8"), of="old"),
    )

    following.change(
        service(
            "a-new-one",
            clusterIP="10.96.0.8",
            ports=[{"port": 80, "nodePort": 30009}],
            creationTimestamp="2026-02-01T00:00:00Z",
        ),
        endpoint_slice(endpoint("10.244.1.9"), of="a-new-one"),
    )

    lines = following.kernel.read().lines("nat", "KUBE-SERVICES")
    rivals = [line.split('"')[1] for line in lines if "-d 10.96.0.8/32" in line]
    assert rivals == ["default/old cluster IP", "default/a-new-one cluster IP"]


def test_the_younger_of_two_rivals_that_is_made_anew_with_an_older_date_takes_the_packets() -> None:
    def rival(name: str, month: int) -> dict[str, Any]:
        return service(
            name,
            clusterIP="10.96.0.8",
            ports=[{"port": 80, "nodePort": 30000 + len(name)}],
            creationTimestamp=f"2026-{month:02}-01T00:00:00Z",
        )

    following = Following(
        rival("one", 2),
        rival("other", 3),
        endpoint_slice(endpoint("10.244.1.8"), of="one"),
        endpoint_slice(endpoint("10.244.1.9"), of="other"),
    )

    following.change(rival("other", 1))

    lines = following.kernel.read().lines("nat", "KUBE-SERVICES")
    rivals = [line.split('"')[1] for line in lines if "-d 10.96.0.8/32" in line]
    assert rivals == ["default/other cluster IP", "default/one cluster IP"]


def test_a_rival_that_is_made_anew_with_one_address_less_gives_its_place_up() -> None:
    """Only lines go, but those that stay have to stand behind those of the older Service."""

    def rival(name: str, number: int, date: str, *addresses: str) -> dict[str, Any]:
        return service(
            name, clusterIP=f"10.96.0.{number}", ports=[{"port": 80, "nodePort": 30000 + number}],
            externalIPs=list(addresses), creationTimestamp=date,
        )  # fmt: skip

    following = Following(
        rival("a", 6, "2026-01-01T00:00:00Z", "198.51.100.1", "198.51.100.2"),
        rival("b", 7, "2026-01-02T00:00:00Z", "198.51.100.1"),
        endpoint_slice(endpoint("10.244.1.6"), of="a"),
        endpoint_slice(endpoint("10.244.1.7"), of="b"),
    )

    following.change(rival("a", 6, "2026-01-03T00:00:00Z", "198.51.100.1"))

    lines = following.kernel.read().lines("nat", "KUBE-SERVICES")
    for_both = [line for line in lines if "-d 198.51.100.1/32" in line]
    assert [line.partition("default/")[2][0] for line in for_both] == ["b", "a"]


def test_an_address_that_becomes_a_balancers_too_keeps_its_lines_in_their_order() -> None:
    def balanced(*addresses: str) -> dict[str, Any]:
        return service(
            "web",
            type="LoadBalancer",
            clusterIP="10.96.0.2",
            ports=[{"port": 80, "nodePort": 30002}],
            externalIPs=["198.51.100.1"],
            loadBalancerSourceRanges=["203.0.113.0/24"],
            status={"loadBalancer": {"ingress": [{"ip": address} for address in addresses]}},
        )

    following = Following()
    following.change(balanced())

    following.change(balanced("198.51.100.1"))

    lines = following.kernel.read().lines("nat", "KUBE-SERVICES")
    said = [line.split('"')[1] for line in lines if "-d 198.51.100.1/32" in line]
    assert said == ["default/web external IP", "default/web loadbalancer IP"]


def test_many_lines_to_delete_rewrite_a_shared_chain_and_many_to_add_do_not() -> None:
    following = Following()
    many = [
        service(f"s{n}", clusterIP=f"10.96.1.{n}", ports=[{"port": 80, "nodePort": 31000 + n}])
        for n in range(1, 41)
    ]

    following.change(*many, *(endpoint_slice(endpoint(WEB), of=f"s{n}") for n in range(1, 41)))
    assert not any(":KUBE-SERVICES - [0:0]" in commit for commit in following.kernel.commits)

    following.kernel.commits.clear()
    for n in range(1, 41):
        following.reconciler.pending.service_gone(("default", f"s{n}"))
    following.reconciler.sync()

    rewritten = [commit for commit in following.kernel.commits if commit.startswith("*nat")]
    assert ":KUBE-SERVICES - [0:0]" in rewritten[0]
    assert "-D KUBE-SERVICES" not in rewritten[0]
    assert len(following.kernel.read().lines("nat", "KUBE-SERVICES")) == 3


def test_what_changes_no_rule_reaches_no_kernel() -> None:
    following = Following()

    result = following.change(
        endpoint_slice(endpoint(WEB, targetRef={"kind": "Pod", "name": "other"}), of="web")
    )

    assert not result.update
    assert following.kernel.commits == []


def test_a_service_that_goes_and_comes_before_a_sync_costs_nothing() -> None:
    following = Following()
    (web,) = Cluster.from_objects(
        [service("web", clusterIP="10.96.0.2", ports=[{"port": 80, "nodePort": 30002}])]
    ).services.values()

    following.reconciler.pending.service_gone(web.key)
    following.reconciler.pending.service(web)
    following.reconciler.sync()

    assert following.kernel.commits == []


def test_crossing_the_border_of_a_large_cluster_rewrites_every_endpoint_rule() -> None:
    following = Following()
    thousand = [endpoint(f"10.9.{n // 250}.{n % 250 + 1}") for n in range(999)]

    result = following.change(endpoint_slice(*thousand, of="web", name="web-2"))

    assert result.update.everything
    held = following.kernel.read().tables["nat"].chains
    assert not any(
        "--comment" in line
        for chain, lines in held.items()
        if chain.startswith("KUBE-SEP-")
        for line in lines
    )


def test_an_update_is_past_once_another_is_accepted() -> None:
    following = Following()
    translator = following.reconciler.translator
    (web,) = Cluster.from_objects([endpoint_slice(of="web")]).slices.items()
    first = translator.prepare(Changes(slices=dict([web])))
    second = translator.prepare(Changes(slices=dict([web])))
    before = first.previous
    translator.accept(second)

    with pytest.raises(ValueError, match="current state"):
        translator.accept(first)
    with pytest.raises(RuntimeError, match="outdated"):
        _ = before.tables


def test_an_update_still_says_what_changed_once_it_is_accepted() -> None:
    following = Following()

    update = following.change(endpoint_slice(of="web")).update

    (name,) = update.before
    assert str(name) == "default/web"
    assert update.before[name].chains
    assert not update.after[name].chains
    assert set(update.delete) == set(update.before[name].chains)
    assert update.shared["filter", "KUBE-SERVICES"].added
    assert update


def test_a_follower_refuses_a_translator_of_the_other_family() -> None:
    translator = IncrementalTranslator(Cluster().node("node1"), ProxyConfig(), Family.IPV6)

    with pytest.raises(ValueError, match="IPv6"):
        Reconciler(FakeKernel(), translator)


def test_whoever_asks_for_it_has_the_kernel_read_and_repaired() -> None:
    following = Following()
    following.kernel.restore("*nat\n:KUBE-NODEPORTS - [0:0]\nCOMMIT\n")

    result = following.reconciler.sync(read=True)

    assert result.read
    assert not result.update
    assert result.drift is not None
    assert list(result.drift.tables["nat"].changes) == ["KUBE-NODEPORTS"]
    assert len(following.kernel.read().lines("nat", "KUBE-NODEPORTS")) == 2


def test_what_the_cluster_changed_meanwhile_is_no_drift() -> None:
    following = Following()
    following.kernel.restore("*nat\n:KUBE-MARK-MASQ - [0:0]\nCOMMIT\n")
    following.reconciler.pending.service_gone(("default", "web"))

    result = following.reconciler.sync(read=True)

    assert "10.96.0.2" not in following.kernel.read().to_save()
    assert result.drift is not None
    assert list(result.drift.tables["nat"].changes) == ["KUBE-MARK-MASQ"]


def test_what_a_refused_sync_found_changed_is_told() -> None:
    following = Following()
    # What `iptables -t nat -F; iptables -t nat -X` leaves.
    for chain, lines in list(following.kernel._tables["nat"].chains.items()):
        lines.clear()
        if chain not in following.kernel._tables["nat"].policies:
            del following.kernel._tables["nat"].chains[chain]

    result = following.change(endpoint_slice(endpoint("10.244.1.9"), of="web"))

    assert not result.read
    assert result.applied.replanned == 1
    assert result.drift is not None
    assert {"KUBE-MARK-MASQ", "KUBE-SERVICES"} <= set(result.drift.tables["nat"].changes)
    assert len(result.drift.tables["nat"].insert) == 3
    assert "filter" not in result.drift.tables


def test_after_an_error_nobody_knows_what_is_drift() -> None:
    following = Following()

    def refuse(_step: object) -> None:
        raise KernelRefused("no")

    following.kernel.before_commit = refuse
    with pytest.raises(KernelRefused):
        following.change(endpoint_slice(endpoint("10.244.1.9"), of="web"))
    assert following.reconciler.writing
    following.kernel.before_commit = None
    assert following.reconciler.sync().drift is None


def test_tables_that_cannot_be_read_are_no_failure_to_write() -> None:
    following = Following()

    def busy() -> None:
        raise KernelBusy("not now")

    following.kernel.read = busy  # type: ignore[assignment,method-assign]
    with pytest.raises(KernelBusy):
        following.reconciler.sync(read=True)
    assert not following.reconciler.writing
    assert following.reconciler.certain


def test_a_translator_that_holds_a_cluster_from_the_start_has_its_rules() -> None:
    objects = [node(), service(), endpoint_slice(endpoint(WEB))]
    cluster = Cluster.from_objects(objects)
    own, config = cluster.node("node1"), ProxyConfig()

    translator = IncrementalTranslator.of(cluster, own, config, Family.IPV4)

    assert translator.translation() == translate(cluster, own, config, Family.IPV4)


def test_the_ruleset_of_an_update_is_a_translation_that_is_made_when_it_is_looked_at() -> None:
    following = Following()
    slices = Cluster.from_objects([endpoint_slice(of="web")]).slices
    update = following.reconciler.translator.prepare(Changes(slices=dict(slices)))

    assert update.previous == following.reconciler.translator.translation()
    assert update.previous == update.previous
    assert update.previous != update.desired
    assert update.desired.to_save() != update.previous.to_save()
    assert len(update.desired.decisions) == 2
    assert "IPV4" in repr(update.desired)
    with pytest.raises(AttributeError, match="no attribute nothing"):
        _ = update.desired.nothing


def test_the_example_of_the_translator_is_true() -> None:
    outcome = doctest.testmod(nptables.incremental.update)

    assert outcome.attempted > 0
    assert outcome.failed == 0
