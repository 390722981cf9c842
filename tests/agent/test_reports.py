"""What logs and metrics say of what the agent does."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest

from nptables.agent.metrics import Metrics
from nptables.agent.process import Log, ServiceManager
from nptables.agent.reports import Reports
from nptables.errors import KernelBusy
from nptables.sources.apiserver import SERVICES, Trouble, Watching
from tests.agent.test_loop import DNS, DNS_1, WEB, WEB_1, WEB_2, Rig, flush
from tests.support.objects import endpoint_slice, node, service


class Watched(Rig):
    """A rig whose agent reports as a running one does."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.stream = io.StringIO()
        self.wall = 5000.0
        self.metrics = Metrics(lambda: self.wall, dict)
        log = Log(self.stream, level="debug", as_json=True, wall=lambda: self.now)
        self.agent._reporter = self.reports = Reports(
            log,
            self.metrics,
            ServiceManager({}),
            health=self.agent.health,
            rule_counts={engine.family: engine.rule_counts for engine in self.engines},
            observe=self.agent.options.observe,
            wall=lambda: self.wall,
            after_sync=lambda: None,
        )

    def value(self, series: str) -> float:
        """The value of a series such as `name{label="x"}`."""
        text = self.metrics.render().decode()
        found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
        assert found is not None, series
        return float(found[1])

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event]


def test_drift_that_an_observer_sees_is_a_number_until_it_is_over() -> None:
    watching = Watched(observe=True, settle=15)
    watching.list(WEB, WEB_1, node())
    watching.run(10)
    lines = 'nptables_drift_lines{ip_family="IPv4"}'
    assert watching.value(lines) == 0
    watching.run(10)
    # All rules are missing: those in our chains, the jumps and the chains that stay empty.
    assert watching.value(lines) > 20
    assert watching.logged("rules differ from what they should be")
    other = Rig()
    other.list(WEB, WEB_1, node())
    other.run(1)
    watching.kernel._tables = other.kernel._tables
    watching.run(301)
    assert watching.value(lines) == 0
    (line,) = watching.logged("the rules are what they should be again")
    assert line["family"] == "IPv4"


@pytest.fixture
def rig() -> Watched:
    rig = Watched()
    rig.list(WEB, WEB_1, node())
    rig.run(5)
    return rig


def test_changes_are_pending_until_they_are_synced(rig: Watched) -> None:
    sync = "kubeproxy_sync_proxy_rules_"
    rig.put(WEB_2)
    rig.put(DNS)
    assert rig.value(f"{sync}service_changes_pending") == 1
    assert rig.value(f"{sync}endpoint_changes_pending") == 1
    rig.run(5)
    assert rig.value(f"{sync}service_changes_pending") == 0
    assert rig.value(f"{sync}endpoint_changes_pending") == 0
    assert rig.value(f"{sync}service_changes_total") == 2
    assert rig.value(f"{sync}endpoint_changes_total") == 2
    (line,) = [x for x in rig.logged("synced") if x["services"] and x["family"] == "IPv4"]
    assert line["services"] == ["default/dns"]
    assert line["slices"] == ["default/web-a"]
    assert "seconds" in line


def test_how_long_a_change_took_counts_from_its_trigger(rig: Watched) -> None:
    name = "kubeproxy_network_programming_duration_seconds"
    rig.wall = 5020.0
    rig.put(WEB_2, triggered=5018.6)
    rig.run(5)
    # 5020 - 5018.6 is 1.4 s.
    assert rig.value(f'{name}_bucket{{ip_family="IPv4",le="1.0"}}') == 0
    assert rig.value(f'{name}_bucket{{ip_family="IPv4",le="2.0"}}') == 1


def test_what_happened_before_the_start_or_in_another_family_took_no_time_of_ours(
    rig: Watched,
) -> None:
    name = "kubeproxy_network_programming_duration_seconds_count"
    rig.wall = 5020.0
    rig.put(WEB_2, triggered=4999.0)
    rig.run(5)
    assert f"{name}{{" not in rig.metrics.render().decode()
    rig.put(WEB_1, triggered=5010.0)
    rig.run(5)
    assert rig.value(f'{name}{{ip_family="IPv4"}}') == 1
    assert f'{name}{{ip_family="IPv6"}}' not in rig.metrics.render().decode()


def test_full_and_partial_syncs_are_told_apart(rig: Watched) -> None:
    full = 'kubeproxy_sync_full_proxy_rules_duration_seconds_count{ip_family="IPv4"}'
    partial = 'kubeproxy_sync_partial_proxy_rules_duration_seconds_count{ip_family="IPv4"}'
    assert rig.value(full) == 1
    rig.put(WEB_2)
    rig.run(5)
    assert (rig.value(full), rig.value(partial)) == (1, 1)


def test_the_number_of_rules_follows_changes(rig: Watched) -> None:
    for obj in (WEB_2, DNS, DNS_1, endpoint_slice("web", "10.244.0.5")):
        rig.put(obj)
        rig.run(5)
        for table in ("nat", "filter"):
            rules = sum(
                len(lines)
                for chain, lines in rig.expected()[table].items()
                if chain.startswith("KUBE-")
            )
            series = (
                f'kubeproxy_sync_proxy_rules_iptables_total{{ip_family="IPv4",table="{table}"}}'
            )
            assert rig.value(series) == rules


def test_services_without_local_endpoints_are_counted_by_policy(rig: Watched) -> None:
    name = "kubeproxy_sync_proxy_rules_no_local_endpoints_total"
    external = f'{name}{{ip_family="IPv4",traffic_policy="external"}}'
    internal = f'{name}{{ip_family="IPv4",traffic_policy="internal"}}'
    rig.put(service("web", node_port=30080, externalTrafficPolicy="Local"))
    rig.put(endpoint_slice("web", "10.244.1.6", node="node2"))
    rig.run(5)
    assert (rig.value(external), rig.value(internal)) == (1, 0)
    rig.put(endpoint_slice("web", "10.244.0.5"))
    rig.run(5)
    assert rig.value(external) == 0


def test_a_failed_sync_is_counted_and_said_with_the_time_of_the_next(rig: Watched) -> None:
    rig.refuse = 2
    rig.put(WEB_2)
    rig.run(0.1)
    family = '{ip_family="IPv4"}'
    failures = "kubeproxy_sync_proxy_rules_iptables_restore_failures_total"
    partial = "kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total"
    assert rig.value(failures + family) == 1
    assert rig.value(partial + family) == 1
    (line,) = rig.logged("the rules could not be brought up to date")
    assert line["level"] == "error"
    assert line["retryIn"] == 1
    assert line["family"] == "IPv4"
    assert f'{failures}{{ip_family="IPv6"}}' not in rig.metrics.render().decode()


def test_tables_that_cannot_be_read_are_no_failed_restore(rig: Watched) -> None:
    def busy() -> None:
        raise KernelBusy("reading the tables: not now")

    rig.kernel.read = busy  # type: ignore[assignment,method-assign]
    rig.run(60)
    assert {line["task"] for line in rig.logged("the rules could not be brought up to date")} == {
        "check"
    }
    assert "restore_failures_total{" not in rig.metrics.render().decode()


def test_a_change_is_pending_until_both_families_have_it(rig: Watched) -> None:
    pending = "kubeproxy_sync_proxy_rules_service_changes_pending"
    rig.refuse = 10**6
    rig.put(DNS)
    rig.run(5)
    assert rig.value(pending) == 1
    rig.refuse = 0
    rig.run(60)
    assert rig.value(pending) == 0


def test_a_repair_is_counted_and_said_with_its_lines(rig: Watched) -> None:
    lines = rig.kernel._tables["nat"].chains["KUBE-MARK-MASQ"]
    lines[0] = "-A KUBE-MARK-MASQ -j RETURN"
    rig.run(301)
    assert rig.value('nptables_drift_total{ip_family="IPv4"}') == 1
    (line,) = rig.logged("repaired rules that somebody changed")
    assert "--A KUBE-MARK-MASQ -j RETURN" in line["diff"]
    assert "+-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000" in line["diff"]


def test_a_long_repair_is_cut_in_the_log(rig: Watched) -> None:
    flush(rig, "nat", chains=True)
    rig.run(31)
    assert rig.value('nptables_flushed_total{ip_family="IPv4"}') == 1
    (line,) = rig.logged("repaired rules that somebody changed")
    assert len(line["diff"]) == 21
    assert line["diff"][-1].startswith("and ")


def test_of_many_services_in_a_sync_the_log_names_ten_and_counts_the_others(rig: Watched) -> None:
    many = [service(f"many-{n:02}", cluster_ip=f"10.96.1.{n + 1}") for n in range(13)]
    rig.list(WEB, WEB_1, node(), *many)
    rig.run(5)
    line = rig.logged("synced")[-1]
    assert line["services"] == [*(f"default/many-{n:02}" for n in range(10)), "and 3 more"]


def test_a_watch_that_cannot_be_had_is_a_warning_and_its_return_is_said(rig: Watched) -> None:
    trouble = Trouble(SERVICES, "the API server: no", 503, 3.0)
    rig.agent.take(Watching(SERVICES))
    rig.agent.take(trouble)
    rig.agent.take(trouble)
    rig.agent.take(Watching(SERVICES))
    said = rig.logged("the API server cannot be watched")
    assert [line["level"] for line in said] == ["debug", "warning"]
    assert rig.logged("watching again")[0]["resource"] == "services"
    assert rig.value('nptables_watch_failures_total{code="503",resource="services"}') == 2


def test_objects_that_are_left_out_are_counted_by_kind_and_never_by_name(rig: Watched) -> None:
    rig.put(service("bad", cluster_ip="10.96.0.300"))
    assert rig.value('nptables_unusable_objects_total{kind="Service"}') >= 1
    assert "Service default/bad" in rig.logged("left out of the rules")[0]["problem"]
    assert b"bad" not in rig.metrics.render()


def test_what_is_odd_about_the_cluster_is_said_once(rig: Watched) -> None:
    rig.put(service("twin"))
    rig.put(service("other"))
    rig.run(301)
    rig.run(301)
    assert [x for x in rig.logged("a likely mistake in the cluster") if "leftOut" not in x]
