"""The agent against a kernel that is only memory, with a clock that we turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from nptables.agent import Agent, Engine, Options
from nptables.agent.core.health import Health
from nptables.agent.core.loop import PodCIDRsChanged
from nptables.errors import KernelBusy, KernelRefused
from nptables.family import Family
from nptables.iptables.changes import Step
from nptables.kernel.tables.canaries import CANARY_LINE
from nptables.model import Cluster, NodeFacts, ProxyConfig
from nptables.sources.apiserver import (
    ENDPOINT_SLICES,
    SERVICES,
    Changed,
    Listed,
    Trouble,
    node_named,
)
from nptables.testing import FakeKernel
from nptables.translation import translate
from tests.support.objects import endpoint_slice, node, service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nptables.iptables import Ruleset

NODE = node_named("node1")
RESOURCES = {"Service": SERVICES, "EndpointSlice": ENDPOINT_SLICES, "Node": NODE}
JSON = dict[str, Any]


class Told:
    """A Reporter that remembers what it was told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **named: self.calls.append((name, args or named))

    def of(self, name: str) -> list[Any]:
        return [args for called, args in self.calls if called == name]


class Rig:
    """An agent, its kernels, and the objects that its API server has."""

    def __init__(self, config: ProxyConfig | None = None, **options: Any) -> None:
        self.now = 1000.0
        self.refuse = 0
        self.told = Told()
        self.kernel = FakeKernel(Family.IPV4, before_commit=self._before_commit)
        self.kernel6 = FakeKernel(Family.IPV6)
        self.flows: list[Any] = []
        observe = options.get("observe", False)
        clean = None if observe else self._clean
        self.engines = [
            Engine(self.kernel, observe=observe, clean_flows=clean),
            Engine(self.kernel6, observe=observe, clean_flows=clean),
        ]
        self.agent = Agent(
            node_name="node1",
            config=config or ProxyConfig(),
            options=Options(**options),
            engines=self.engines,
            reporter=self.told,
            health=Health(timeout=0),
            prepare=lambda _node, _config: NodeFacts(),
            clock=lambda: self.now,
            random=lambda: 0.0,
        )
        self.objects: dict[tuple[str, str], JSON] = {}

    def _before_commit(self, step: Step) -> None:
        if self.refuse:
            self.refuse -= 1
            raise KernelRefused("no", table=step.table, step=step.purpose)

    def _clean(self, family: Family, before: Any, after: Any, local: Any) -> int:
        self.flows.append((family, dict(before), dict(after), local))
        return 0

    def list(
        self, *objects: JSON, kinds: tuple[str, ...] = ("Service", "EndpointSlice", "Node")
    ) -> None:
        self.objects |= {(o["kind"], o["metadata"]["name"]): o for o in objects}
        for kind in kinds:
            found = [o for (k, _), o in self.objects.items() if k == kind]
            self.agent.take(Listed(RESOURCES[kind], Cluster.from_objects(found, lenient=True)))

    def put(self, obj: JSON, triggered: float | None = None) -> None:
        kind, name = obj["kind"], obj["metadata"]["name"]
        self.objects[kind, name] = obj
        cluster = Cluster.from_objects([obj], lenient=True)
        value = [*cluster.services.values(), *cluster.slices.values(), *cluster.nodes.values()][0]
        namespace = "" if kind == "Node" else "default"
        self.agent.take(
            Changed(RESOURCES[kind], namespace, name, value, cluster.problems, triggered)
        )

    def delete(self, kind: str, name: str) -> None:
        del self.objects[kind, name]
        self.agent.take(Changed(RESOURCES[kind], "" if kind == "Node" else "default", name, None))

    def synced(self, family: Family = Family.IPV4) -> list[Any]:
        """The outcomes of the syncs and verifications of a family."""
        return [args[1] for args in self.told.of("synced") if args[1].family is family]

    def run_with_changes(self, seconds: float, every: float) -> None:
        """Let time pass while an EndpointSlice changes all the time."""
        until, turn = self.now + seconds, 0
        while self.now < until:
            turn += 1
            self.put(endpoint_slice("busy", f"10.244.9.{turn % 200 + 1}"))
            self.run(every)

    def run(self, seconds: float) -> None:
        """Let time pass, doing what is due when it is due."""
        until = self.now + seconds
        while True:
            wait = self.agent.step()
            if self.now + wait > until:
                self.now = until
                return
            self.now += wait

    def expected(self, family: Family = Family.IPV4) -> dict[str, Any]:
        """The chains that a translation from scratch has."""
        cluster = Cluster.from_objects(self.objects.values(), lenient=True)
        made = translate(cluster, cluster.node("node1"), self.agent.config, family)
        return {name: dict(table.chains) for name, table in made.tables.items()}

    def actual(self, kernel: FakeKernel | None = None) -> dict[str, Any]:
        tables = (kernel or self.kernel).read().tables
        found = {name: dict(table.chains) for name, table in tables.items() if name != "mangle"}
        for chains in found.values():
            assert chains.pop("KUBE-PROXY-CANARY") == (CANARY_LINE,)
        return found

    def in_sync(self) -> bool:
        return _sorted(self.actual()) == _sorted(self.expected()) and _sorted(
            self.actual(self.kernel6)
        ) == _sorted(self.expected(Family.IPV6))


def _sorted(tables: dict[str, Any]) -> dict[str, Any]:
    """Chains as multisets: the order among different service ports means nothing."""
    return {t: {c: sorted(lines) for c, lines in chains.items()} for t, chains in tables.items()}


WEB = service("web", node_port=30080)
WEB_1 = endpoint_slice("web", "10.244.0.5")
WEB_2 = endpoint_slice("web", "10.244.0.5", "10.244.1.6")
DNS = service("dns", cluster_ip="10.96.0.53", port=53, protocol="UDP")
DNS_1 = endpoint_slice("dns", "10.244.0.6", protocol="UDP")


@pytest.fixture
def rig() -> Rig:
    """An agent that did its first sync."""
    rig = Rig()
    rig.list(WEB, WEB_1, node())
    rig.run(0.1)
    assert rig.in_sync()
    return rig


@pytest.mark.parametrize("missing", ["Service", "EndpointSlice"])
def test_nothing_is_programmed_before_both_lists_are_complete(missing: str) -> None:
    rig = Rig()
    kinds = tuple(kind for kind in RESOURCES if kind != missing)
    rig.list(WEB, WEB_1, node(), kinds=kinds)
    rig.run(600)
    assert rig.kernel.commits == []
    rig.list(kinds=(missing,))
    rig.run(1)
    assert rig.in_sync()


def test_rules_from_before_the_start_stay_until_the_lists_are_complete(rig: Rig) -> None:
    before = rig.kernel.read().to_save()
    again = Rig()
    again.kernel.restore(before)
    again.list(WEB, node(), kinds=("Service", "Node"))
    again.run(600)
    assert again.kernel.read().to_save() == before


def test_the_node_is_awaited_for_thirty_seconds() -> None:
    rig = Rig()
    rig.list(WEB, WEB_1, kinds=("Service", "EndpointSlice"))
    rig.run(29)
    assert rig.kernel.commits == []
    rig.run(2)
    assert rig.in_sync()


def test_a_node_without_an_address_is_awaited_too() -> None:
    rig = Rig()
    bare = node()
    bare["status"] = {}
    rig.list(WEB, WEB_1, bare)
    rig.run(5)
    assert rig.kernel.commits == []
    rig.put(node())
    rig.run(1)
    assert rig.in_sync()


NODE_CIDR = ProxyConfig(detect_local_mode="NodeCIDR")


def test_the_pod_networks_are_awaited_longer_and_not_forever() -> None:
    rig = Rig(NODE_CIDR)
    rig.list(WEB, WEB_1, node())
    rig.run(290)
    assert rig.kernel.commits == []
    with pytest.raises(PodCIDRsChanged, match="no podCIDRs after 300 s"):
        rig.run(20)


def test_other_pod_networks_end_the_agent() -> None:
    rig = Rig(NODE_CIDR)
    rig.list(WEB, WEB_1, node(podCIDRs=["10.244.0.0/24"]))
    rig.run(1)
    assert rig.in_sync()
    with pytest.raises(PodCIDRsChanged, match=r"10\.244\.9\.0/24"):
        rig.put(node(podCIDRs=["10.244.9.0/24"]))


def test_a_changed_endpoint_reaches_the_kernel_in_one_commit_of_its_chains(rig: Rig) -> None:
    rig.run(5)
    before = len(rig.kernel.commits)
    rig.put(WEB_2)
    rig.run(0.1)
    assert rig.in_sync()
    (commit,) = rig.kernel.commits[before:]
    assert ":KUBE-SERVICES" not in commit


def test_many_changes_within_the_minimal_period_cost_one_sync(rig: Rig) -> None:
    rig.run(5)
    rig.put(WEB_2)
    rig.run(0.01)
    count = len(rig.synced())
    for _ in range(20):
        rig.put(WEB_1)
        rig.put(WEB_2)
        rig.put(WEB_1)
        rig.run(0.03)
    assert len(rig.synced()) == count
    rig.run(1)
    assert len(rig.synced()) == count + 1
    assert rig.in_sync()


def test_a_new_list_after_410_changes_only_what_is_different(rig: Rig) -> None:
    rig.run(5)
    before = len(rig.kernel.commits)
    rig.list()
    rig.run(5)
    assert rig.kernel.commits[before:] == []
    rig.list(WEB_2)
    rig.run(5)
    assert rig.in_sync()


def test_what_a_new_list_lacks_is_removed(rig: Rig) -> None:
    del rig.objects["Service", "web"]
    rig.list()
    rig.run(5)
    assert rig.in_sync()
    assert "KUBE-EXT-" not in rig.kernel.read().to_save()


def test_trouble_with_the_api_server_changes_nothing(rig: Rig) -> None:
    before = rig.kernel.read().to_save()
    rig.agent.take(Trouble(SERVICES, "no", 500, 3.0))
    rig.run(100)
    assert rig.kernel.read().to_save() == before


def test_a_refused_sync_is_tried_again_and_converges(rig: Rig) -> None:
    rig.run(5)
    rig.refuse = 10**6
    rig.put(WEB_2)
    rig.run(20)
    failures = rig.told.of("failed")
    assert [failure.retry_in for (failure,) in failures] == [1, 2, 4, 8, 16]
    assert rig.agent.health.pending_since is not None
    rig.refuse = 0
    rig.run(16)
    assert rig.in_sync()
    assert rig.agent.health.pending_since is None


def test_one_family_that_fails_does_not_keep_the_other_waiting(rig: Rig) -> None:
    rig.run(5)
    rig.refuse = 10**6
    six = service("six", cluster_ip="fd00::10", port=81)
    rig.put(six)
    rig.put(endpoint_slice("six", "fd00:1::5"))
    rig.put(WEB_2)
    rig.run(0.1)
    assert _sorted(rig.actual(rig.kernel6)) == _sorted(rig.expected(Family.IPV6))


def test_the_other_family_follows_however_long_one_fails(rig: Rig) -> None:
    rig.run(5)
    rig.refuse = 10**6
    rig.put(WEB_2)
    rig.run(100)
    six = service("six", cluster_ip="fd00::10", port=81)
    rig.put(six)
    rig.put(endpoint_slice("six", "fd00:1::5"))
    rig.run(1.1)
    assert _sorted(rig.actual(rig.kernel6)) == _sorted(rig.expected(Family.IPV6))
    assert {failure.family for (failure,) in rig.told.of("failed")} == {Family.IPV4}
    assert all(failure.writing for (failure,) in rig.told.of("failed"))
    # The oldest change that waits is that of the family that fails.
    assert rig.agent.health.pending_since == 1005.1


def test_a_new_configuration_makes_nothing_that_waits_look_younger(rig: Rig) -> None:
    rig.run(5)
    rig.refuse = 10**6
    rig.put(WEB_2)
    since = rig.agent.health.pending_since
    assert since is not None
    for _ in range(10):
        rig.run(30)
        rig.agent.reconfigure(ProxyConfig())
    assert rig.agent.health.pending_since == since


def flush(rig: Rig, *tables: str, chains: bool = False) -> None:
    """What `iptables -F`, and with `chains` then `-X`, leaves."""
    for name in tables:
        table = rig.kernel._tables[name]
        for chain in list(table.chains):
            table.chains[chain] = []
            if chains and chain not in table.policies:
                del table.chains[chain]


@pytest.mark.parametrize("chains", [False, True])
@pytest.mark.parametrize("table", ["nat", "filter", "mangle"])
def test_a_flushed_table_is_repaired_within_the_check_period(
    *,
    rig: Rig,
    table: str,
    chains: bool,
) -> None:
    rig.run(5)
    flush(rig, table, chains=chains)
    rig.run(rig.agent.config.sync_period + 1)
    assert rig.in_sync()
    assert rig.kernel.read().lines("mangle", "KUBE-PROXY-CANARY") == (CANARY_LINE,)
    assert rig.told.of("flushed")


def test_a_missing_jump_is_repaired_within_the_check_period(rig: Rig) -> None:
    del rig.kernel._tables["nat"].chains["OUTPUT"][0]
    rig.run(rig.agent.config.sync_period + 1)
    assert rig.in_sync()


def test_an_altered_rule_is_repaired_at_the_next_verification_and_reported(rig: Rig) -> None:
    lines = rig.kernel._tables["nat"].chains["KUBE-MARK-MASQ"]
    lines[0] = lines[0].replace("0x4000/0x4000", "0x8000/0x8000")
    rig.run(rig.agent.options.verify_period + 1)
    assert rig.in_sync()
    ((family, drift),) = rig.told.of("drift")
    assert family is Family.IPV4
    assert {line.chain for line in drift.lines} == {"KUBE-MARK-MASQ"}


@pytest.mark.parametrize("every", [0.05, 0.4, 10])
def test_changes_that_never_end_postpone_no_repair_of_a_flush(*, rig: Rig, every: float) -> None:
    rig.put(service("busy", cluster_ip="10.96.0.9"))
    rig.run_with_changes(100, every)
    flush(rig, "filter")
    rig.told.calls.clear()
    rig.run_with_changes(rig.agent.config.sync_period + 1, every)
    rig.run(2)
    assert rig.in_sync()
    assert rig.told.of("flushed")


@pytest.mark.parametrize("every", [0.05, 0.4, 10])
def test_changes_that_never_end_postpone_no_verification(*, rig: Rig, every: float) -> None:
    rig.put(service("busy", cluster_ip="10.96.0.9"))
    rig.run_with_changes(100, every)
    rig.kernel._tables["nat"].chains["KUBE-MARK-MASQ"][0] = "-A KUBE-MARK-MASQ -j RETURN"
    rig.run_with_changes(rig.agent.options.verify_period + 1, every)
    rig.run(2)
    assert rig.in_sync()
    ((_, drift),) = rig.told.of("drift")
    assert {line.chain for line in drift.lines} == {"KUBE-MARK-MASQ"}


def test_what_a_sync_finds_broken_is_reported_like_what_a_verification_finds(rig: Rig) -> None:
    rig.run(5)
    flush(rig, "nat", chains=True)
    rig.put(WEB_2)
    rig.run(0.1)
    assert rig.in_sync()
    ((family, drift),) = rig.told.of("drift")
    assert family is Family.IPV4
    assert "KUBE-SERVICES" in {line.chain for line in drift.lines}


def test_a_canary_that_cannot_be_planted_now_is_planted_before_the_next_check() -> None:
    rig = Rig()
    refused = []

    def refuse(step: Step) -> None:
        # Once with the first sync, once in a commit of its own behind it.
        if step.table == "mangle" and len(refused) < 2:
            refused.append(step)
            raise KernelRefused("not now", table=step.table, step=step.purpose)

    rig.kernel.before_commit = refuse
    rig.list(WEB, WEB_1, DNS, DNS_1, node())
    rig.run(1)
    assert rig.agent.synced
    assert len(refused) == 2
    assert rig.told.of("failed") == []
    expected = rig.expected()
    # All that is to be counted is: the rules, and the frontends of UDP.
    assert rig.engines[0].rule_counts.rules["nat"] == sum(
        len(lines) for chain, lines in expected["nat"].items() if chain.startswith("KUBE-")
    )
    assert [f.address for f in rig.engines[0].rule_counts.udp()] == ["10.96.0.53"]
    rig.run(31)
    assert rig.in_sync()
    assert rig.told.of("flushed") == []


def test_the_node_is_in_sync_before_what_was_written_is_read_back() -> None:
    """Nothing but the rules is waited for; the very next thing that is done is to verify them."""
    rig = Rig()
    reads: list[bool] = []
    read = rig.kernel.read

    def counted() -> Ruleset:
        reads.append(rig.agent.synced)
        return read()

    rig.kernel.read = counted  # type: ignore[method-assign]
    rig.list(WEB, WEB_1, DNS, DNS_1, node())
    assert rig.agent.step() == 0
    assert reads == [False]
    assert rig.agent.synced
    assert [outcome.verified for outcome in rig.synced()] == [False]
    rig.run(1)
    assert reads == [False, True]
    assert [(outcome.verified, bool(outcome.plan)) for outcome in rig.synced()] == [
        (False, True),
        (True, False),
    ]


def test_what_breaks_between_the_first_sync_and_its_verification_is_repaired_at_once() -> None:
    rig = Rig()
    rig.list(WEB, WEB_1, DNS, DNS_1, node())
    rig.agent.step()
    rig.kernel._tables["nat"].chains["KUBE-MARK-MASQ"][0] = "-A KUBE-MARK-MASQ -j RETURN"
    rig.run(0.1)
    assert rig.in_sync()
    ((_, drift),) = rig.told.of("drift")
    assert {line.chain for line in drift.lines} == {"KUBE-MARK-MASQ"}


def test_the_first_sync_is_one_call_that_plants_the_canaries_too() -> None:
    """Each call of the restore program costs what its tables do, so there is one."""
    rig = Rig()
    calls: list[list[str]] = []
    commit = rig.kernel.commit

    def counted(steps: Sequence[Step]) -> None:
        calls.append([step.table for step in steps])
        commit(steps)

    rig.kernel.commit = counted  # type: ignore[method-assign]
    rig.list(WEB, WEB_1, DNS, DNS_1, node())
    rig.run(5)
    assert calls == [["filter", "nat", "mangle"]]
    assert rig.in_sync()


def test_a_verification_that_finds_nothing_writes_nothing_and_reports_nothing(rig: Rig) -> None:
    before = len(rig.kernel.commits)
    rig.run(rig.agent.options.verify_period * 3)
    assert rig.kernel.commits[before:] == []
    assert rig.told.of("drift") == []


def test_tables_that_cannot_be_read_keep_no_change_waiting(rig: Rig) -> None:
    def refused() -> None:
        raise KernelBusy("reading the tables: the program was killed by signal 11")

    rig.kernel.read, read = refused, rig.kernel.read  # type: ignore[assignment,method-assign]
    rig.agent.engines[0].missing = lambda: ()  # type: ignore[method-assign]
    rig.run(301)
    assert [failure.task.value for (failure,) in rig.told.of("failed")] == ["verify"]
    rig.put(WEB_2)
    rig.run(5)
    rig.kernel.read = read  # type: ignore[method-assign]
    assert rig.in_sync()


def test_rules_and_chains_of_others_survive_everything(rig: Rig) -> None:
    rig.kernel.restore(
        "*nat\n:DOCKER - [0:0]\n-A DOCKER -j RETURN\n-I PREROUTING -j DOCKER\nCOMMIT\n"
    )
    rig.put(WEB_2)
    rig.run(400)
    rig.delete("Service", "web")
    rig.run(400)
    assert rig.kernel.read().lines("nat", "DOCKER") == ("-A DOCKER -j RETURN",)
    assert "-A PREROUTING -j DOCKER" in rig.kernel.read().lines("nat", "PREROUTING")


def test_observing_writes_nothing_and_reports_what_differs() -> None:
    rig = Rig(observe=True, settle=15)
    rig.list(WEB, WEB_1, node())
    rig.run(60)
    assert rig.kernel.commits == []
    assert rig.told.of("drift")


def test_observing_waits_for_the_other_proxy_before_it_calls_a_difference_drift(rig: Rig) -> None:
    watching = Rig(observe=True, settle=15)
    watching.kernel.restore(rig.kernel.read().to_save())
    watching.kernel6.restore(rig.kernel6.read().to_save())
    watching.list(WEB, WEB_1, node())
    watching.run(30)
    watching.put(WEB_2)
    watching.run(10)
    assert watching.told.of("drift") == []
    rig.put(WEB_2)
    rig.run(2)
    watching.kernel._tables = rig.kernel._tables
    watching.run(400)
    assert watching.told.of("drift") == []
    watching.kernel._tables["nat"].chains["KUBE-MARK-MASQ"].clear()
    watching.run(400)
    assert watching.told.of("drift")


def observer(rig: Rig) -> Rig:
    """An observer of the tables that the agent of a rig keeps."""
    watching = Rig(observe=True, settle=15)
    watching.kernel._tables, watching.kernel6._tables = rig.kernel._tables, rig.kernel6._tables
    watching.list(*rig.objects.values())
    watching.run(1)
    return watching


@pytest.mark.parametrize("every", [1, 10])
def test_what_lasts_is_reported_however_much_changes_meanwhile(*, rig: Rig, every: float) -> None:
    rig.put(service("busy", cluster_ip="10.96.0.9"))
    rig.put(endpoint_slice("busy", "10.244.9.9"))
    rig.run(5)
    watching = observer(rig)
    rig.kernel._tables["nat"].chains["KUBE-MARK-MASQ"].clear()
    for turn in range(int(330 / every)):
        # The other proxy is always a change behind.
        for each in (watching, rig):
            each.put(endpoint_slice("busy", f"10.244.9.{turn % 200 + 1}"))
            each.run(every)
    (first, *_) = watching.told.of("drift")
    assert [(line.kind, line.chain) for line in first[1].lines] == [("added", "KUBE-MARK-MASQ")]
    assert all(
        {line.chain for line in drift.lines} == {"KUBE-MARK-MASQ"}
        for _, drift in watching.told.of("drift")
    )
    # New drift is told once, and again with regular verifications only.
    assert len(watching.told.of("drift")) <= 3
    # Whole tables are read at most every 15 s for each family.
    assert len(watching.synced()) <= 330 / 15 + 2


def test_drift_that_somebody_mends_is_said_to_be_over(rig: Rig) -> None:
    watching = observer(rig)
    kept = list(rig.kernel._tables["nat"].chains["KUBE-MARK-MASQ"])
    rig.kernel._tables["nat"].chains["KUBE-MARK-MASQ"].clear()
    watching.run(400)
    assert watching.agent.syncs[0].differences.drift is not None
    assert [args[-1] for args in watching.told.of("synced") if args[1].family is Family.IPV4][
        -1
    ] == 1
    rig.kernel._tables["nat"].chains["KUBE-MARK-MASQ"][:] = kept
    watching.run(400)
    assert watching.agent.syncs[0].differences.drift is None
    assert watching.told.of("settled") == [(Family.IPV4,)]


def test_udp_frontends_before_and_after_are_handed_to_the_cleaning(rig: Rig) -> None:
    rig.put(DNS)
    rig.put(DNS_1)
    rig.run(5)
    rig.flows.clear()
    rig.delete("Service", "dns")
    rig.run(5)
    ((family, before, after, _local),) = rig.flows
    assert family is Family.IPV4
    assert [(f.address, f.port) for f in before] == [("10.96.0.53", 53)]
    assert list(before.values()) == [frozenset({("10.244.0.6", 8080)})]
    assert after == {}


def test_changes_of_tcp_services_look_at_no_connection(rig: Rig) -> None:
    rig.flows.clear()
    rig.put(WEB_2)
    rig.run(5)
    assert rig.flows == []


def test_an_object_that_cannot_be_used_is_reported_once(rig: Rig) -> None:
    bad = service("bad", cluster_ip="10.96.0.300")
    rig.put(bad)
    rig.put(bad)
    (problems,) = rig.told.of("problems")
    assert problems[0][0].subject == "Service default/bad"


def test_another_configuration_is_followed(rig: Rig) -> None:
    rig.agent.reconfigure(ProxyConfig(masquerade_all=True, cluster_cidrs=("10.244.0.0/16",)))
    rig.run(1)
    assert rig.in_sync()


def test_a_changed_zone_is_followed(rig: Rig) -> None:
    hinted = endpoint_slice("web", "10.244.0.5", "10.244.1.6")
    for zone, entry in zip(("a", "b"), hinted["endpoints"], strict=True):
        entry["hints"] = {"forZones": [{"name": zone}]}
    rig.put(hinted)
    moved = node()
    moved["metadata"]["labels"]["topology.kubernetes.io/zone"] = "b"
    rig.put(moved)
    rig.run(5)
    assert rig.in_sync()
    assert "10.244.0.5:8080" not in rig.kernel.read().to_save()


def test_other_addresses_of_the_node_are_followed() -> None:
    config = ProxyConfig(node_port_addresses=("192.168.0.0/24",))
    rig = Rig(config)
    rig.list(WEB, WEB_1, node())
    rig.run(5)
    rig.agent.take_facts(NodeFacts(interfaces={"eth0": ("192.168.0.77/24",)}))
    rig.run(5)
    assert "-d 192.168.0.77/32" in rig.kernel.read().to_save()


def test_a_pod_that_brings_an_interface_is_no_reason_to_translate_anything(rig: Rig) -> None:
    rig.run(5)
    count = len(rig.told.of("synced"))
    rig.agent.follow_addresses({"veth1": ["fe80::1/64"], "eth0": ["192.168.0.2/24"]})
    rig.run(5)
    assert len(rig.told.of("synced")) == count
    assert rig.engines[0].local_addresses == {"192.168.0.2"}
    assert rig.engines[1].local_addresses == {"fe80::1"}


def test_of_several_networks_the_addresses_that_node_ports_answer_on_are_followed() -> None:
    config = ProxyConfig(node_port_addresses=("192.168.0.0/24",))
    rig = Rig(config)
    rig.list(WEB, WEB_1, node())
    rig.run(5)
    rig.agent.follow_addresses({"eth0": ["192.168.0.2/24"], "veth1": ["10.9.9.9/32"]})
    rig.run(5)
    count = len(rig.told.of("synced"))
    rig.agent.follow_addresses({"eth0": ["192.168.0.2/24"], "veth2": ["10.9.9.8/32"]})
    rig.run(5)
    assert len(rig.told.of("synced")) == count
    assert "-d 192.168.0.2/32" in rig.kernel.read().to_save()


def test_a_cluster_that_grows_large_loses_its_comments_and_gets_them_back(rig: Rig) -> None:
    many = [f"10.{244 + n // 65536}.{n // 256 % 256}.{n % 256}" for n in range(1001)]
    rig.put(endpoint_slice("web", *many))
    rig.run(5)
    assert rig.in_sync()
    rig.put(WEB_1)
    rig.run(5)
    assert rig.in_sync()


def test_the_node_going_and_coming_back_decides_whether_it_is_eligible(rig: Rig) -> None:
    assert rig.agent.health.node_eligible
    rig.list()
    rig.delete("Node", "node1")
    rig.run(5)
    assert not rig.agent.health.node_eligible
    rig.put(node())
    assert rig.agent.health.node_eligible
    assert rig.in_sync()
    assert rig.told.of("node") == [{"known": True}, {"known": False}, {"known": True}]


def test_the_trigger_times_of_slices_reach_whoever_counts_them(rig: Rig) -> None:
    rig.run(5)
    rig.put(WEB_2, triggered=123.0)
    rig.run(5)
    pending = rig.told.of("synced")[-1][2]
    assert pending.triggered == {("default", "web-a"): (Family.IPV4, 123.0)}
    assert pending.slices == {("default", "web-a")}


def test_a_second_agent_that_takes_over_issues_nothing(rig: Rig) -> None:
    successor = Rig()
    successor.kernel._tables = rig.kernel._tables
    successor.kernel6._tables = rig.kernel6._tables
    successor.list(WEB, WEB_1, node())
    successor.run(60)
    assert successor.kernel.commits == []
    assert successor.in_sync()


def test_removing_takes_everything_of_ours_and_nothing_else(rig: Rig) -> None:
    rig.kernel.restore("*nat\n:DOCKER - [0:0]\n-A DOCKER -j RETURN\nCOMMIT\n")
    for engine in rig.engines:
        engine.remove()
    text = rig.kernel.read().to_save()
    assert "DOCKER" in text
    # The kubelet keeps KUBE-FIREWALL as well, so it stays.
    assert [
        line for line in text.splitlines() if "KUBE" in line and "KUBE-FIREWALL" not in line
    ] == []
