"""What monitoring is told, in kube-proxy's names and meanings where it has them.

Names, labels and buckets are those of kube-proxy 1.36 (`kubeproxy_*`); ours begin with
`nptables_`. No label holds anything that comes from an object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from nptables.agent.core.engine import Outcome
from nptables.agent.core.rule_counts import RuleCounts
from nptables.agent.core.store import Pending
from nptables.errors import MissingPackage
from nptables.family import Family
from nptables.translation.fixed import INVALID_DROPPED
from nptables.translation.service_port import ACCEPTED_ON_LOCALHOST

# 1 ms doubling fifteen times, as kube-proxy's.
SYNC_BUCKETS = tuple(0.001 * 2**power for power in range(15))
# The 0 at the beginning is kube-proxy's, too: MergeBuckets in
# k8s.io/component-base/metrics/buckets.go adds to a list that has a zero already.
PROGRAMMING_BUCKETS = (
    0.0,
    0.25,
    0.5,
    *range(1, 60),
    *range(60, 120, 5),
    *range(120, 301, 30),
)
_FAMILY = ("ip_family",)
_COUNTER_NAMES = {
    INVALID_DROPPED: (
        "kubeproxy_iptables_ct_state_invalid_dropped_packets",
        "packets dropped by iptables to work around conntrack problems",
    ),
    ACCEPTED_ON_LOCALHOST: (
        "kubeproxy_iptables_localhost_nodeports_accepted_packets",
        "Number of packets accepted on nodeports of loopback interface",
    ),
}
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Reads the nfacct counters: name to packets and bytes. Raises OSError.
ReadCounters = Callable[[], Mapping[str, tuple[int, int]]]


class Metrics:
    """The agent's metrics in a registry of their own. Raises MissingPackage.

    `wall` gives seconds since the epoch, `read_counters` the nfacct counters of the node.
    """

    def __init__(self, wall: Callable[[], float], read_counters: ReadCounters) -> None:
        try:
            import prometheus_client as prometheus  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise MissingPackage(
                "prometheus-client", extra="agent", purpose="keep metrics"
            ) from error
        # kube-proxy has no *_created series, and dashboards would count them as more of the same.
        prometheus.disable_created_metrics()
        self._prometheus = prometheus
        self._wall = wall
        self.registry: Any = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=self.registry)
        prometheus.PlatformCollector(registry=self.registry)
        self.registry.register(_Counters(read_counters))
        sync = "kubeproxy_sync_proxy_rules_"
        self._duration = self._histogram(
            f"{sync}duration_seconds", "SyncProxyRules latency in seconds", SYNC_BUCKETS
        )
        self._full = self._histogram(
            "kubeproxy_sync_full_proxy_rules_duration_seconds",
            "SyncProxyRules latency in seconds for full resyncs",
            SYNC_BUCKETS,
        )
        self._partial = self._histogram(
            "kubeproxy_sync_partial_proxy_rules_duration_seconds",
            "SyncProxyRules latency in seconds for partial resyncs",
            SYNC_BUCKETS,
        )
        self._programming = self._histogram(
            "kubeproxy_network_programming_duration_seconds",
            "In Cluster Network Programming Latency in seconds",
            PROGRAMMING_BUCKETS,
        )
        self._last = self._gauge(
            f"{sync}last_timestamp_seconds",
            "The last time proxy rules were successfully synced",
            _FAMILY,
        )
        self._last_queued = self._gauge(
            f"{sync}last_queued_timestamp_seconds",
            "The last time a sync of proxy rules was queued",
            _FAMILY,
        )
        self._endpoints_pending = self._gauge(
            f"{sync}endpoint_changes_pending", "Pending proxy rules Endpoint changes"
        )
        self._endpoints_total = self._counter(
            f"{sync}endpoint_changes_total", "Cumulative proxy rules Endpoint changes"
        )
        self._services_pending = self._gauge(
            f"{sync}service_changes_pending", "Pending proxy rules Service changes"
        )
        self._services_total = self._counter(
            f"{sync}service_changes_total", "Cumulative proxy rules Service changes"
        )
        self._rules = self._gauge(
            f"{sync}iptables_total",
            "Total number of iptables rules owned by kube-proxy",
            ("table", "ip_family"),
        )
        self._rules_last = self._gauge(
            f"{sync}iptables_last",
            "Number of iptables rules written by kube-proxy in last sync",
            ("table", "ip_family"),
        )
        self._failures = self._counter(
            f"{sync}iptables_restore_failures_total",
            "Cumulative proxy iptables restore failures",
            _FAMILY,
        )
        self._partial_failures = self._counter(
            f"{sync}iptables_partial_restore_failures_total",
            "Cumulative proxy iptables partial restore failures",
            _FAMILY,
        )
        self._no_local = self._gauge(
            f"{sync}no_local_endpoints_total",
            "Number of services with a Local traffic policy and no endpoints",
            ("ip_family", "traffic_policy"),
        )
        self._flows_seconds = self._histogram(
            "kubeproxy_conntrack_reconciler_sync_duration_seconds",
            "ReconcileConntrackFlowsLatency latency in seconds",
            SYNC_BUCKETS,
        )
        self._flows_deleted = self._counter(
            "kubeproxy_conntrack_reconciler_deleted_entries_total",
            "Cumulative conntrack flows deleted by conntrack reconciler",
            _FAMILY,
        )
        self._healthz = self._counter(
            "kubeproxy_proxy_healthz_total", "Cumulative proxy healthz HTTP status", ("code",)
        )
        self._livez = self._counter(
            "kubeproxy_proxy_livez_total", "Cumulative proxy livez HTTP status", ("code",)
        )
        self._drift = self._counter(
            "nptables_drift_total",
            "How often rules were found changed by others",
            _FAMILY,
        )
        self._drift_now = self._gauge(
            "nptables_drift_lines",
            "Rule lines that differ and are not repaired, as of the last comparison",
            _FAMILY,
        )
        self._flushed = self._counter(
            "nptables_flushed_total", "Checks that found canaries or jumps missing", _FAMILY
        )
        self._watch_failures = self._counter(
            "nptables_watch_failures_total",
            "Failed requests to the API server; code 0: no answer",
            ("resource", "code"),
        )
        self._bad_objects = self._counter(
            "nptables_unusable_objects_total",
            "Problems found in objects that are left out in whole or in part",
            ("kind",),
        )
        self._lost_events = self._counter(
            "nptables_event_failures_total", "Kubernetes Events that could not be written"
        )
        self._began = wall()
        self._totals = (0, 0)
        self._synced_totals: dict[Family, tuple[int, int]] = {}

    def render(self) -> bytes:
        """The metrics as text for Prometheus."""
        found: bytes = self._prometheus.generate_latest(self.registry)
        return found

    def queued(self, services: int, endpoints: int, families: Iterable[Family]) -> None:
        """The totals of changes seen so far; a sync is queued for them."""
        self._services_total.inc(services - self._totals[0])
        self._endpoints_total.inc(endpoints - self._totals[1])
        self._totals = (services, endpoints)
        for family in families:
            self._synced_totals.setdefault(family, (0, 0))
            self._last_queued.labels(family.value).set(self._wall())
        self._count_pending()

    def synced(
        self, outcome: Outcome, pending: Pending, seconds: float, counts: RuleCounts, differing: int
    ) -> None:
        """A sync or a verification of a family succeeded; so many rule lines differ still."""
        family, now = outcome.family, self._wall()
        label = family.value
        self._synced_totals[family] = self._totals
        self._count_pending()
        if outcome.plan or not outcome.verified or pending:
            # Reading the rules and finding all of them there is no sync of any.
            self._duration.labels(label).observe(seconds)
            (self._full if outcome.read else self._partial).labels(label).observe(seconds)
        self._last.labels(label).set(now)
        for of, triggered in pending.triggered.values():
            # What happened before the start says nothing of how fast this is.
            if of is family and triggered > self._began:
                self._programming.labels(label).observe(max(0.0, now - triggered))
        self._count_rules(outcome, counts)
        for policy, count in counts.no_local.items():
            self._no_local.labels(label, policy).set(count)
        self._drift_now.labels(label).set(differing)
        if outcome.flows is not None and not outcome.flows.problem:
            self._flows_seconds.labels(label).observe(outcome.flows.seconds)
            self._flows_deleted.labels(label).inc(outcome.flows.deleted)

    def failed(self, family: Family, *, partial: bool) -> None:
        """Rules could not be written."""
        self._failures.labels(family.value).inc()
        if partial:
            self._partial_failures.labels(family.value).inc()

    def drift(self, family: Family) -> None:
        """Somebody changed our rules."""
        self._drift.labels(family.value).inc()

    def flushed(self, family: Family) -> None:
        """Canaries or jumps are gone."""
        self._flushed.labels(family.value).inc()

    def watch_failed(self, resource: str, code: int) -> None:
        """A request to the API server failed."""
        self._watch_failures.labels(resource, str(code)).inc()

    def problems(self, kind: str) -> None:
        """An object is left out, in whole or in part."""
        known = kind if kind in ("Service", "EndpointSlice", "Node") else "other"
        self._bad_objects.labels(known).inc()

    def event_lost(self) -> None:
        """A Kubernetes Event could not be written."""
        self._lost_events.inc()

    def probed(self, probe: str, code: int) -> None:
        """A health probe was answered."""
        (self._healthz if probe == "healthz" else self._livez).labels(str(code)).inc()

    def _count_pending(self) -> None:
        """A change is pending until every family has it."""
        # By the family that is furthest behind.
        synced = list(self._synced_totals.values()) or [self._totals]
        self._services_pending.set(self._totals[0] - min(services for services, _ in synced))
        self._endpoints_pending.set(self._totals[1] - min(endpoints for _, endpoints in synced))

    def _count_rules(self, outcome: Outcome, counts: RuleCounts) -> None:
        family = outcome.family.value
        for name, total in counts.rules.items():
            self._rules.labels(name, family).set(total)
            changes = outcome.plan.tables.get(name)
            written = (
                sum(len(c.added or c.after or ()) for c in changes.changes.values())
                if changes is not None
                else 0
            )
            self._rules_last.labels(name, family).set(written)

    def _histogram(self, name: str, text: str, buckets: Sequence[float]) -> Any:
        return self._prometheus.Histogram(
            name, text, _FAMILY, buckets=buckets, registry=self.registry
        )

    def _gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Any:
        return self._prometheus.Gauge(name, text, labels, registry=self.registry)

    def _counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Any:
        return self._prometheus.Counter(name, text, labels, registry=self.registry)


class _Counters:
    """The nfacct counters, read when somebody asks."""

    def __init__(self, read: ReadCounters) -> None:
        self._read = read

    def collect(self) -> Iterable[Any]:
        from prometheus_client.core import CounterMetricFamily  # noqa: PLC0415 - an extra

        try:
            found = self._read()
        except OSError:
            return
        for counter, (name, text) in _COUNTER_NAMES.items():
            if counter in found:
                yield CounterMetricFamily(name, text, value=found[counter][0])
