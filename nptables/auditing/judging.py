"""Judging nodes: whether packets fare there as the cluster says, and why not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from nptables.auditing import table_lines
from nptables.auditing.causes import Case, Found, causes_of
from nptables.auditing.differing import Differing
from nptables.auditing.effects import Ground, notice
from nptables.auditing.foreign import foreign_rules
from nptables.auditing.in_flight import settled
from nptables.auditing.movements import Movement, states_of
from nptables.auditing.sharing import Expected, Sharing
from nptables.auditing.tables import NodeTables
from nptables.auditing.verdicts import NodeCause, NodeResult, Verdict
from nptables.checks import codes
from nptables.errors import IncompleteRuleset, InvalidInput, NptablesError
from nptables.evidence import Evidence, Form
from nptables.evidence.handlers import handlers
from nptables.evidence.kubeproxy import configuration_of, kube_proxy_of
from nptables.evidence.node_names import node_of
from nptables.evidence.other_rules import leftovers
from nptables.evidence.snapshot import Snapshot, TableText
from nptables.family import Family
from nptables.gcpause import collector_paused
from nptables.model import Cluster, Node, ProxyConfig
from nptables.model.kubeproxy import Version
from nptables.model.kubeproxy.versions import read_version
from nptables.model.objects import Key
from nptables.model.times import changed, seconds_of
from nptables.tracing import missing_tables
from nptables.translation.facts_from_rules import shown_facts

# Seconds: a change waits for minSyncPeriod (one, unless the configuration says otherwise), and then
# for a sync, which takes seconds where there are very many Services.
GRACE = 10.0
_FORMS = {Form.FRAGMENT: "it holds a part of the rules only"}
_SHOWN = frozenset({"interfaces", "nfacct", "tcpBeLiberal", "randomFully"})


@attrs.frozen
class Options:
    """What is known besides the cluster and the snapshots.

    `configuration` is the KubeProxyConfiguration of nodes that do not show theirs, `version` that
    of kube-proxy on all of them, or empty. Where no `movements` are known, what changed up to
    `grace` seconds before a snapshot was taken, or after it, counts as on its way.
    """

    configuration: Mapping[str, Any] | None = None
    version: str = ""
    movements: tuple[Movement, ...] = ()
    watched: bool = False
    grace: float = GRACE

    def __attrs_post_init__(self) -> None:
        """Refuse a version that is none: nodes would be judged by another one's rules."""
        if self.version:
            read_version(self.version)


class Judge:
    """Judges nodes of one cluster, one after the other; what they share is made once."""

    def __init__(self, cluster: Cluster, options: Options | None = None) -> None:
        self.cluster = cluster = cluster.comparable
        self.options = options or Options()
        self._sharing = Sharing(cluster, states_of(cluster, self.options.movements))
        self._changed = changed(cluster)
        self._configs: dict[tuple[str, str], ProxyConfig] = {}

    def judge(self, name: str, snapshot: Snapshot | Evidence) -> NodeResult:
        """The result for the node of that name; never raises what a snapshot may make it raise."""
        if isinstance(snapshot, Evidence):
            snapshot = Snapshot(snapshot.rulesets, attrs.evolve(snapshot, rulesets=()))
        try:
            # Lines by the ten thousands, and no cycles: collecting between them only costs time.
            with collector_paused():
                return self._judge(name, snapshot)
        except IncompleteRuleset as error:
            return NodeResult.unreadable(name, str(error))
        except InvalidInput as error:
            return NodeResult.unreadable(name, str(error.problems[0]))
        except NptablesError as error:
            return NodeResult.unreadable(name, str(error))

    def _judge(self, name: str, snapshot: Snapshot) -> NodeResult:
        rest = snapshot.rest
        if rest.form in _FORMS:
            return NodeResult.unreadable(name, _FORMS[rest.form])
        if rest.form is Form.SAVED and not any(
            isinstance(t, TableText) or t.tables for t in snapshot.tables
        ):
            # A dump that failed leaves an empty file more often than a node has no table at all.
            return NodeResult.unreadable(name, "it is empty")
        if not snapshot.tables:
            gaps = "; ".join(map(str, rest.gaps))
            return NodeResult.unreadable(name, f"it has no tables{f' ({gaps})' if gaps else ''}")
        if name not in self.cluster.nodes:
            name = node_of(rest, self.cluster.nodes) or name
        if self.cluster.nodes and name not in self.cluster.nodes:
            return NodeResult.unreadable(name, "the cluster has no Node of that name or address")
        node = self.cluster.node(name)
        config = self._config(node, rest)
        one = _OneNode(self, node, config, snapshot)
        return one.result()

    def _config(self, node: Node, rest: Evidence) -> ProxyConfig:
        """The configuration and version that a snapshot shows, else those that are known."""
        process = kube_proxy_of(rest)
        shown = configuration_of(process) if process is not None and process.arguments else None
        if process is not None and process.configuration is not None:
            shown = configuration_of(process)
        document = shown if shown is not None else self.options.configuration
        told = process.version if process is not None else ""
        # kubelet and kube-proxy are mostly of one version; nodeInfo says nothing better.
        version = self.options.version or told or node.kubelet_version
        if Version.parse(version) is None:
            version = ""
        # What the node is called is for the rules to show: its own Node is what it should be.
        document = {k: v for k, v in (document or {}).items() if k != "hostnameOverride"}
        key = json.dumps(document, sort_keys=True, default=str), version
        found = self._configs.get(key)
        if found is None:
            if document:
                found = ProxyConfig.from_kube_proxy(document, version=version or None)
            else:
                found = ProxyConfig.defaults(version or None)
            self._configs[key] = found
        return found

    def expected(self, node: Node, config: ProxyConfig, family: Family) -> Expected:
        """What the node should have."""
        return self._sharing.expected(node, config, family)

    @property
    def sharing(self) -> Sharing:
        """What nodes share."""
        return self._sharing

    @property
    def changed(self) -> Mapping[Key, float]:
        """When Services were last changed."""
        return self._changed

    def beyond(self, services: Iterable[str]) -> frozenset[str]:
        """Those of some Services that are in namespaces of which the cluster's objects are not."""
        backing = self.cluster.backing
        if backing is None:
            return frozenset()
        return frozenset(name for name in services if not backing.knows(name))

    def on_their_way(self, rest: Evidence) -> frozenset[str]:
        """The Services that changed about when a node was read: nothing is concluded of them."""
        # What was watched is known state by state: see `movements`.
        if self.options.watched or not self._changed:
            return frozenset()
        taken = seconds_of(rest.taken) if rest.taken else None
        # A snapshot without a time is taken for as old as the last change that is known.
        moment = taken if taken is not None else max(self._changed.values())
        limit = moment - self.options.grace
        return frozenset("/".join(key) for key, time in self._changed.items() if time >= limit)


class _OneNode:
    """One node while it is judged."""

    def __init__(self, judge: Judge, node: Node, config: ProxyConfig, snapshot: Snapshot) -> None:
        self._judge = judge
        self._config = config
        self._snapshot = snapshot
        self._tables = NodeTables(snapshot)
        self._in_flight: set[str] = set()
        facts = snapshot.rest.facts
        if facts is not None:
            node = attrs.evolve(node, facts=node.facts.over(facts) if node.facts.told else facts)
        untold = not node.facts.told.issuperset(_SHOWN)
        for index in range(len(self._tables) if untold else 0):
            node = shown_facts(self._tables.telling(index)).added_to(node)
        self._node = node

    def result(self) -> NodeResult:
        name, version = self._node.name, str(self._config.version)
        differing: list[tuple[int, Expected]] = []
        fitting: list[Family] = []
        beside: list[NodeCause] = []
        for family in self._tables.families:
            index = self._tables.serving(family)
            if index is None:
                beside.append(_two_backends(family))
                continue
            expected = self._judge.expected(self._node, self._config, family)
            if expected.shared.moving:
                expected, moved = settled(expected, self._tables.lines(index))
                self._in_flight |= moved
            texts = self._tables.text(index)
            rest = None if texts is None else table_lines.rest_of(texts, expected)
            beside += foreign_rules(self._tables, index, rest, expected, self._ground(expected))
            if rest is not None and table_lines.rest_fits(rest, expected):
                fitting.append(family)
            else:
                differing.append((index, expected))
        evidence = self._snapshot.rest
        if differing:
            evidence = attrs.evolve(evidence, rulesets=self._tables.all_parsed())
            handling = handlers(evidence)
            if handling.by_iptables is False:
                why = handling.instead(name)
                cause = NodeCause(codes.OTHER_PROXY, why, handling.others[0].who.value)
                return NodeResult(name, Verdict.UNKNOWN, (cause,), version=version)
            if missing := list(self._missing_tables(differing)):
                why = f"the {evidence.form.value} has no {' and no '.join(missing)}"
                return NodeResult.unreadable(name, f"{why}: its rules are unknown")
        cosmetic, found, fits = self._looked_at(differing)
        fitting += fits
        causes = [*beside, *self._leftovers(evidence)]
        if found:
            causes = [*self._causes(found, fitting, evidence), *causes]
        verdict = Verdict.DIFFERS if causes else Verdict.COSMETIC if cosmetic else Verdict.OK
        return NodeResult(name, verdict, tuple(causes), len(self._in_flight), version)

    def _missing_tables(self, differing: Iterable[tuple[int, Expected]]) -> Iterator[str]:
        """The tables with rules for Services that a dump may lack although the node has them."""
        # A reading of the kernel leaves no table out.
        if self._snapshot.rest.form is Form.SNAPSHOT:
            return
        for index, expected in differing:
            if expected.translation.ports:
                for table in sorted(missing_tables(self._tables.ruleset(index))):
                    yield f"{expected.shared.family.value} table {table}"

    def _looked_at(
        self, differing: Iterable[tuple[int, Expected]]
    ) -> tuple[bool, list[Found], list[Family]]:
        """Whether something is written differently, what packets notice, and families that fit."""
        cosmetic, found, fitting = False, [], []
        on_their_way = self._judge.on_their_way(self._snapshot.rest)
        for index, expected in differing:
            desired = expected.translation
            seen = Differing.between(self._tables.ruleset(index), desired)
            seen = seen.without(self._judge.beyond(seen.services))
            left = seen.without(on_their_way)
            self._in_flight |= seen.services.keys() - left.services.keys()
            cosmetic = cosmetic or bool(seen.plan.cosmetic)
            if not left:
                fitting.append(expected.shared.family)
                continue
            noticed = notice(left, self._ground(expected))
            if noticed:
                found.append(Found(left, noticed, expected, self._tables.lines(index)))
            else:
                cosmetic = True
                fitting.append(expected.shared.family)
        return cosmetic, found, fitting

    def _causes(
        self, found: Sequence[Found], fitting: Sequence[Family], evidence: Evidence
    ) -> list[NodeCause]:
        return causes_of(
            Case(
                self._node,
                found[0].expected.shared.cluster,
                self._config,
                evidence,
                found,
                fitting,
                self._judge.sharing,
                self._judge.changed,
            )
        )

    def _ground(self, expected: Expected) -> Ground:
        return Ground(self._node, expected.shared.cluster, self._config)

    def _leftovers(self, evidence: Evidence) -> Iterator[NodeCause]:
        for text in leftovers(evidence):
            yield NodeCause(codes.LEFTOVERS, text, text)


def _two_backends(family: Family) -> NodeCause:
    text = f"the tables of both backends hold rules for Services of {family.value}"
    return NodeCause(codes.LEFTOVERS, text, text)


def audit(
    cluster: Cluster,
    snapshots: Mapping[str, Evidence | Snapshot] | Iterable[tuple[str, Evidence | Snapshot]],
    *,
    configuration: Mapping[str, Any] | None = None,
    version: str = "",
    movements: Iterable[Movement] | None = None,
    grace: float = GRACE,
) -> Iterator[NodeResult]:
    """Judge nodes by the effect of their rules, each as its snapshot comes.

    What nodes share is made once, and nothing is kept of a node that is done: memory does not grow
    with their number. `group_causes` makes the causes of a fleet of the results.

    Args:
        cluster: The objects as they were before the first node was read.
        snapshots: What is known of each node, by the name of its Node.
        configuration: The KubeProxyConfiguration of nodes whose snapshots do not show theirs.
        version: The kube-proxy of all nodes; empty for what each snapshot, or its Node, says.
        movements: What changed in the cluster until the last node was read, where it was watched.
        grace: Where it was not watched, for how many seconds a change may be on its way to a node.

    Returns:
        A result for each snapshot, in their order.

    Raises:
        InvalidInput: For a version that is none, once the first result is asked for.

    >>> results = list(audit(cluster, snapshots))  # doctest: +SKIP
    >>> [cause.code.name for cause in group_causes(results)]  # doctest: +SKIP
    ['kube-proxy-behind']
    """
    watched = movements is not None
    judge = Judge(cluster, Options(configuration, version, tuple(movements or ()), watched, grace))
    pairs = snapshots.items() if isinstance(snapshots, Mapping) else snapshots
    for name, snapshot in pairs:
        yield judge.judge(name, snapshot)
