"""Why a node differs: the causes that can be told, the one that explains most first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import attrs

from nptables.auditing import table_lines
from nptables.auditing.differing import Differing, Kind
from nptables.auditing.effects import Noticed
from nptables.auditing.in_flight import settled
from nptables.auditing.sharing import NOBODY, Expected, Sharing
from nptables.auditing.verdicts import NodeCause
from nptables.checks import codes
from nptables.checks.finding import Code
from nptables.evidence import Evidence
from nptables.evidence.kubeproxy import configuration_of, kube_proxy_of, seems_stopped
from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.model import Cluster, Node, ProxyConfig
from nptables.model.kubeproxy import VERSIONS, Version
from nptables.model.objects import Key
from nptables.model.times import in_words
from nptables.translation import chains
from nptables.translation.explanation.disagreement import disagreement
from nptables.translation.facts_from_rules import suspicions
from nptables.translation.fixed import JUMPS
from nptables.words import counted, listed

# Of the Services that changed since a time, so many differ where kube-proxy stopped then.
_MOST = 0.8
_NAMED = 3


@attrs.frozen
class Found:
    """What differs on a node in one family, and what packets notice of it."""

    differing: Differing
    noticed: Noticed
    expected: Expected
    lines: Mapping[str, table_lines.TableLines]

    @property
    def family(self) -> Family:
        """The family."""
        return self.differing.plan.family

    @property
    def current(self) -> Ruleset:
        """What the node has."""
        return self.differing.plan.before


@attrs.frozen
class Case:
    """Everything by which causes are told on one node."""

    node: Node
    cluster: Cluster
    config: ProxyConfig
    evidence: Evidence
    found: Sequence[Found]
    fitting: Sequence[Family]
    sharing: Sharing
    changed: Mapping[Key, float]


def causes_of(case: Case) -> list[NodeCause]:
    """Why packets notice something on a node.

    A table that was flushed, another configuration, version or name explains all that differs;
    only where none of these does each Service is looked at by itself.
    """
    # The surest first: each asks for more work, and explains by less evidence, than the one before.
    for explain in (_flushed, _other_version, _configuration, _other_name):
        found = list(explain(case))
        if found:
            return found
    return list(_by_service(case))


def _cause(case: Case, code: Code, message: str, about: str = "") -> NodeCause:
    """A cause of all that differs."""
    services: dict[str, None] = {}
    for found in case.found:
        of_all = found.noticed.services if found.noticed.all_looked_at else ()
        services.update(dict.fromkeys(of_all or found.differing.services))
    return NodeCause(code, message, about, tuple(services), _example(case.found))


def _example(found: Sequence[Found]) -> str:
    return next((each.noticed.example for each in found if each.noticed.example), "")


def _flushed(case: Case) -> Iterator[NodeCause]:
    gone = []
    for found in case.found:
        for table in ("nat", "filter"):
            there = found.current.tables.get(table)
            held = there.chains if there is not None else {}
            jumps = [line for line in JUMPS[table] if line.endswith(f" -j {chains.SERVICES}")]
            leads = any(line in lines for line in jumps for lines in held.values())
            wanted = found.expected.translation.lines(table, chains.SERVICES)
            # kube-proxy notices a flush by its canaries, but looks for them once per syncPeriod
            # only (`Monitor` in pkg/util/iptables/iptables.go).
            if not leads or (table == "nat" and wanted and not held.get(chains.SERVICES)):
                gone.append(f"{found.family.value} {table}")
    if gone:
        where = " and ".join(gone)
        yield _cause(case, codes.FLUSHED, f"no rule leads packets to Services in {where}")


def _other_version(case: Case) -> Iterator[NodeCause]:
    """The version whose rules the node has exactly, where it is another."""
    own = case.config
    fitting = []
    for version in VERSIONS:
        config = _as_version(own, version)
        # Versions with the same habits make the same rules, and cannot be told by them.
        if config.habits != own.habits and all(
            _fits(found, case.sharing.expected(case.node, config, found.family))
            for found in case.found
        ):
            fitting.append(str(version))
    if fitting:
        words = fitting[0] if len(fitting) == 1 else f"{fitting[0]} to {fitting[-1]}"
        message = f"its rules are those of kube-proxy {words}, and {own.version} was expected"
        yield _cause(case, codes.OTHER_VERSION, message, f"{words} for {own.version}")


def _as_version(config: ProxyConfig, version: Version) -> ProxyConfig:
    """A configuration as another version has it; what it would refuse is not asked for here."""
    other = ProxyConfig.defaults(version)
    return attrs.evolve(config, version=other.version, habits=other.habits)


def _fits(found: Found, other: Expected) -> bool:
    """Whether a node has other rules than those that were expected, in whatever state it may be."""
    in_its_state, _ = settled(other, found.lines)
    return table_lines.fits(found.lines, in_its_state)


def _configuration(case: Case) -> Iterator[NodeCause]:
    seen: dict[str, dict[str, None]] = {}
    for found in case.found:
        for suspicion in suspicions(found.current, found.expected.translation, case.node):
            seen.setdefault(suspicion.field, {})[suspicion.value] = None
    for field, values in seen.items():
        about = f"{field}: {' and '.join(values)}"
        yield _cause(case, codes.OTHER_CONFIGURATION, f"its rules seem to come from {about}", about)


def _other_name(case: Case) -> Iterator[NodeCause]:
    """The name under which the rules of the node would be right, where it is another."""
    services = {_key(service) for found in case.found for service in found.differing.services}
    # Where other Services differ as well, the name does not explain it all.
    if not all(map(partial(_asks_for_name, case.cluster), services)):
        return
    called = case.evidence.node
    process = kube_proxy_of(case.evidence)
    shown = configuration_of(process) if process is not None else None
    override = (shown or {}).get("hostnameOverride")
    names = {name: "" for name in (override, called) if isinstance(name, str) and name}
    for found in case.found:
        seen = disagreement(case.cluster, case.node, case.config, [found.current])
        if seen is not None and seen.fits:
            names.setdefault(seen.fits, f": they would be right for {seen.fits}")
    names.setdefault(NOBODY, "")
    names.pop(case.node.name, None)
    for name, whose in names.items():
        node = attrs.evolve(case.node, metadata=attrs.evolve(case.node.metadata, name=name))
        if all(
            _fits(found, case.sharing.expected(node, case.config, found.family))
            for found in case.found
        ):
            said = (
                f" (the node calls itself {called})" if called not in ("", case.node.name) else ""
            )
            message = f"kube-proxy uses the name of another node{whose}{said}"
            yield _cause(case, codes.OTHER_NODE_NAME, message)
            return


def _asks_for_name(cluster: Cluster, key: Key) -> bool:
    """Whether rules of a Service depend on what the node is called."""
    service = cluster.services.get(key)
    return service is not None and (
        service.internal_policy_local
        or service.external_policy_local
        or any(e.node_hints for s in cluster.slices_of(service) for e in s.endpoints)
    )


def _by_service(case: Case) -> Iterator[NodeCause]:
    """What remains: rules that are damaged, and rules that are old."""
    kinds: dict[str, dict[Family, Kind]] = {}
    for found in case.found:
        for service in found.differing.services:
            kinds.setdefault(service, {})[found.family] = found.differing.kind(service)
    damaged = sorted(s for s, by in kinds.items() if Kind.DAMAGED in by.values())
    fixed = [place for found in case.found for place in found.differing.fixed]
    if damaged or fixed:
        what = listed([*fixed, *(_chains_of(case, s) for s in damaged)], _NAMED)
        text = f"no state of the cluster explains these rules: {what}"
        yield NodeCause(codes.DAMAGED, text, "", tuple(damaged), _example(case.found))
    old = {service: by for service, by in kinds.items() if service not in damaged}
    if old:
        yield _old(case, old)


def _chains_of(case: Case, service: str) -> str:
    places = next(
        f.differing.services[service] for f in case.found if service in f.differing.services
    )
    return f"{service} ({listed(places, _NAMED)})"


def _old(case: Case, old: Mapping[str, Mapping[Family, Kind]]) -> NodeCause:
    """Why rules are those of an earlier state of the cluster."""
    services = tuple(sorted(old))
    example = _example(case.found)
    since, whole = _since(case, services)
    after = f" since {in_words(since)}" if since is not None else ""
    count = _counted(old)
    if seems_stopped(case.evidence):
        text = f"no kube-proxy runs, and nothing that changed{after} is there: {count}"
        return NodeCause(codes.STOPPED, text, "", services, example)
    behind = [found.family for found in case.found]
    # kube-proxy syncs each family by itself, and one may fail while the other goes on.
    if case.fitting and all(_served_by(case, s, case.fitting) for s in services):
        families = " and ".join(family.value for family in behind)
        text = f"{families} is behind{after}, and {case.fitting[0].value} is not: {count}"
        return NodeCause(codes.FAMILY_BEHIND, text, families, services, example)
    if whole:
        return NodeCause(
            codes.BEHIND, f"nothing that changed{after} is there: {count}", "", services, example
        )
    text = f"newer changes are there and these are not: {count}"
    return NodeCause(codes.MISSED, text, "", services, example)


def _served_by(case: Case, service: str, families: Sequence[Family]) -> bool:
    namespace, _, name = service.partition("/")
    found = case.cluster.services.get((namespace, name))
    return found is not None and any(family in found.cluster_ips for family in families)


def _since(case: Case, old: Sequence[str]) -> tuple[float | None, bool]:
    """Since when nothing is known on the node, and whether that explains all that is old.

    It does where nearly all that changed since the first of them is old: kube-proxy knows none of
    it. Where no object says when it changed, many old ones at once are taken for the same.
    """
    times = case.changed
    known = {s: times[key] for s in old if (key := _key(s)) in times}
    if not known:
        return None, len(old) > 1
    since = min(known.values())
    later = [key for key, time in times.items() if time >= since]
    # Services that are gone have no object any more that could say when they changed.
    gone = len(old) - len(known)
    share = (len(known) + gone) / (len(later) + gone)
    return since, share >= _MOST


def _key(service: str) -> Key:
    namespace, _, name = service.partition("/")
    return namespace, name


_WORDS = {
    Kind.OLDER: "with earlier endpoints or ports",
    Kind.MISSING: "without rules",
    Kind.STALE: "that are gone",
}


def _counted(old: Mapping[str, Mapping[Family, Kind]]) -> str:
    counts: dict[Kind, int] = {}
    for kinds in old.values():
        kind = next(iter(kinds.values()))
        counts[kind] = counts.get(kind, 0) + 1
    parts = [f"{n} {_WORDS[kind]}" for kind, n in counts.items()]
    return f"{counted(len(old), 'Service')}, {' and '.join(parts)}"
