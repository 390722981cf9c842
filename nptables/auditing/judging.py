"""Judging one node: whether packets fare there as the cluster says, and why not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from nptables.auditing import quick
from nptables.auditing.causes import Case, Found, causes_of
from nptables.auditing.differing import Differing
from nptables.auditing.movements import Movement, states_of
from nptables.auditing.noticing import Ground, Noticed, effects_between, notice
from nptables.auditing.sharing import Expected, Sharing
from nptables.auditing.times import changed, seconds_of
from nptables.auditing.verdicts import NodeCause, NodeResult, Verdict
from nptables.checks import codes
from nptables.errors import IncompleteRuleset, InvalidInput, NptablesError, SaveSyntaxError
from nptables.evidence import Evidence, Form
from nptables.evidence.beside import leftovers
from nptables.evidence.handlers import handlers
from nptables.evidence.kubeproxy import configuration_of, kube_proxy_of
from nptables.evidence.serving import decide
from nptables.evidence.snapshot import Snapshot
from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.iptables.ruleset import BUILT_IN_CHAINS, chain_of, parse_lines
from nptables.model import Cluster, Node, ProxyConfig
from nptables.model.kubeproxy import Version
from nptables.model.objects import Key
from nptables.translation import chains
from nptables.translation.chains import ServicePortName
from nptables.translation.collector import collector_paused
from nptables.translation.collisions import Claim
from nptables.translation.fixed import JUMPS
from nptables.translation.service_port import PortRules
from nptables.translation.signs import shown_facts

GRACE = 10.0
_FORMS = {Form.FRAGMENT: "it holds a part of the rules only"}
# Rules of these chains show facts that nobody has told.
_TELLING = ("nat", "filter")
_TELLING_CHAINS = (chains.FORWARD, chains.NODEPORTS, chains.POSTROUTING, chains.SERVICES)
_SHOWN = frozenset({"interfaces", "nfacct", "tcpBeLiberal", "randomFully"})
_STOPS = (" -j DROP", " -j REJECT", " -j DNAT", " -j REDIRECT")
_PASSES = (" -j ACCEPT", " -j RETURN")


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


class Judge:
    """Judges nodes of one cluster, one after the other; what they share is made once."""

    def __init__(self, cluster: Cluster, options: Options | None = None) -> None:
        self.cluster = cluster
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
        if not snapshot.tables:
            gaps = "; ".join(map(str, rest.gaps))
            return NodeResult.unreadable(name, f"it has no tables{f' ({gaps})' if gaps else ''}")
        if name not in self.cluster.nodes and rest.node in self.cluster.nodes:
            name = rest.node
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

    def on_their_way(self, rest: Evidence) -> frozenset[str]:
        """The Services that changed about when a node was read: nothing is concluded of them."""
        if self.options.watched or not self._changed:
            return frozenset()
        taken = seconds_of(rest.taken) if rest.taken else None
        moment = taken if taken is not None else max(self._changed.values())
        limit = moment - self.options.grace
        return frozenset("/".join(key) for key, time in self._changed.items() if time >= limit)


class _OneNode:
    """One node while it is judged."""

    def __init__(self, judge: Judge, node: Node, config: ProxyConfig, snapshot: Snapshot) -> None:
        self._judge = judge
        self._config = config
        self._snapshot = snapshot
        self._parsed: dict[int, Ruleset] = {}
        self._texts: dict[int, dict[str, quick.TableLines] | None] = {}
        self._in_flight: set[str] = set()
        facts = snapshot.rest.facts
        if facts is not None:
            node = attrs.evolve(node, facts=node.facts.over(facts) if node.facts.told else facts)
        untold = not node.facts.told.issuperset(_SHOWN)
        for index in range(len(snapshot.tables) if untold else 0):
            node = shown_facts(self._telling(index)).added_to(node)
        self._node = node

    def result(self) -> NodeResult:
        tables = self._snapshot.tables
        name, version = self._node.name, str(self._config.version)
        differing: list[tuple[int, Expected]] = []
        fitting: list[Family] = []
        beside: list[NodeCause] = []
        families = [f for f in Family if any(table.family is f for table in tables)]
        for family in families:
            index = self._serving(family)
            if index is None:
                beside.append(_two_backends(family))
                continue
            expected = self._judge.expected(self._node, self._config, family)
            expected = self._in_states(expected, index)
            texts = self._text(index)
            if texts is not None and quick.fits(texts, expected):
                fitting.append(family)
            else:
                differing.append((index, expected))
        evidence = self._snapshot.rest
        if differing:
            evidence = attrs.evolve(evidence, rulesets=self._all_parsed())
            handling = handlers(evidence)
            if handling.by_iptables is False:
                why = handling.instead(name)
                cause = NodeCause(codes.OTHER_PROXY, why, handling.others[0].who.value)
                return NodeResult(name, Verdict.UNKNOWN, (cause,), version=version)
        cosmetic, found, fits = self._looked_at(differing)
        fitting += fits
        causes: list[NodeCause] = [*beside, *self._foreign(families), *self._leftovers(evidence)]
        if found:
            causes = [*self._causes(found, fitting, evidence), *causes]
        verdict = Verdict.DIFFERS if causes else Verdict.COSMETIC if cosmetic else Verdict.OK
        return NodeResult(name, verdict, tuple(causes), len(self._in_flight), version)

    def _looked_at(
        self, differing: Iterable[tuple[int, Expected]]
    ) -> tuple[bool, list[Found], list[Family]]:
        """Whether something is written differently, what packets notice, and families that fit."""
        cosmetic, found, fitting = False, [], []
        on_their_way = self._judge.on_their_way(self._snapshot.rest)
        for index, expected in differing:
            desired = expected.translation
            seen = Differing.between(self._ruleset(index), desired)
            left = seen.without(on_their_way)
            self._in_flight |= seen.services.keys() - left.services.keys()
            cosmetic = cosmetic or bool(seen.plan.cosmetic)
            if not left:
                fitting.append(expected.shared.family)
                continue
            noticed = notice(left, self._ground(expected))
            if noticed:
                found.append(Found(left, noticed, expected, self._lines(index)))
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
                found[0].expected.translation.cluster,
                self._config,
                evidence,
                found,
                fitting,
                self._judge.sharing,
                self._judge.changed,
            )
        )

    def _ground(self, expected: Expected) -> Ground:
        return Ground(self._node, expected.translation.cluster, self._config)

    def _foreign(self, families: Iterable[Family]) -> Iterator[NodeCause]:
        """Rules of others that take packets to Services before they come to kube-proxy's."""
        for family in families:
            index = self._serving(family)
            if index is None or not (lines := self._in_front(index)):
                continue
            current = self._ruleset(index)
            expected = self._judge.expected(self._node, self._config, family)
            ground = self._ground(expected)
            for table, line in lines:
                services = _likeliest_first(line, expected)
                noticed = self._noticed_of(current, table, line, services, ground)
                if noticed:
                    text = f"{family.value} {table}: {line}"
                    yield NodeCause(
                        codes.FOREIGN_RULE, text, text, noticed.services, noticed.example
                    )

    def _noticed_of(
        self, current: Ruleset, table: str, line: str, services: Sequence[str], ground: Ground
    ) -> Noticed:
        content = current.tables[table]
        lines = list(content.chains[chain_of(line)])
        lines.remove(line)
        without = attrs.evolve(
            content,
            chains={**content.chains, chain_of(line): tuple(lines)},
            line_counters={},
            order=(),
        )
        after = attrs.evolve(current, tables={**current.tables, table: without}, comments=())
        return effects_between(current, after, services, ground)

    def _in_front(self, index: int) -> list[tuple[str, str]]:
        """Lines of built-in chains that end a packet's way before the first jump of ours."""
        found = []
        texts = self._text(index)
        for table, jumps in JUMPS.items():
            for chain in BUILT_IN_CHAINS[table]:
                if texts is not None:
                    held = texts.get(table)
                    lines = [] if held is None else held.of_chain(chain)
                else:
                    lines = list(self._ruleset(index).lines(table, chain))
                ours = [i for i, line in enumerate(lines) if line in jumps]
                stops = (*_STOPS, *(_PASSES if table == "nat" else ()))
                found += [
                    (table, line)
                    for line in lines[: ours[0] if ours else 0]
                    if any(stop in line for stop in stops)
                ]
        return found

    def _leftovers(self, evidence: Evidence) -> Iterator[NodeCause]:
        for text in leftovers(evidence):
            yield NodeCause(codes.LEFTOVERS, text, text)

    def _in_states(self, expected: Expected, index: int) -> Expected:
        """With each Service that moved in a state that the node has, or else in its last one."""
        moving = expected.shared.moving
        if not moving:
            return expected
        tables = self._lines(index)
        rules: dict[ServicePortName, PortRules] = {}
        claims: list[Claim] = []
        for key, states in moving.items():
            made = [
                {n: expected.shared.rules_of(s, expected.context) for n, s in ports.items()}
                for ports in states
            ]
            chosen = _chosen(made, tables)
            if chosen is None:
                chosen = len(states) - 1
            elif len(states) > 1:
                self._in_flight.add("/".join(key))
            rules |= made[chosen]
            claims += [state.claim for state in states[chosen].values()]
        return expected.with_states(rules, claims)

    def _serving(self, family: Family) -> int | None:
        """Which of the tables of a family are kube-proxy's; None where two may be."""
        places = [i for i, t in enumerate(self._snapshot.tables) if t.family is family]
        if len(places) == 1:
            return places[0]
        rulesets = [self._ruleset(place) for place in places]
        decided = decide(rulesets)
        if decided is None:
            return None
        return next(p for p, r in zip(places, rulesets, strict=True) if r is decided[0])

    def _text(self, index: int) -> dict[str, quick.TableLines] | None:
        table = self._snapshot.tables[index]
        if isinstance(table, Ruleset) or table.unread:
            return None
        if index not in self._texts:
            self._texts[index] = quick.tables_in(table.text)
        return self._texts[index]

    def _lines(self, index: int) -> Mapping[str, quick.TableLines]:
        texts = self._text(index)
        return texts if texts is not None else _as_lines(self._ruleset(index))

    def _ruleset(self, index: int) -> Ruleset:
        found = self._parsed.get(index)
        if found is None:
            table = self._snapshot.tables[index]
            try:
                found = table if isinstance(table, Ruleset) else table.ruleset()
            except SaveSyntaxError as error:
                text = f"its tables are cut off or damaged: {error}"
                raise NptablesError(text) from error
            if found.remarks.cut_off:
                raise NptablesError("its tables are cut off")
            self._parsed[index] = found
        return found

    def _all_parsed(self) -> tuple[Ruleset, ...]:
        return tuple(self._ruleset(index) for index in range(len(self._snapshot.tables)))

    def _telling(self, index: int) -> Ruleset:
        """The chains that show facts, or all of them."""
        texts = self._text(index)
        family = self._snapshot.tables[index].family
        if texts is None or not set(_TELLING) <= texts.keys():
            return self._ruleset(index)
        lines: list[str] = []
        for name in _TELLING:
            table = texts[name]
            told = [chain for chain in _TELLING_CHAINS if chain in table.names]
            lines += [f"*{name}", *(f":{chain} - [0:0]" for chain in told)]
            lines += [line for chain in told for line in table.of_chain(chain)]
            lines.append("COMMIT")
        return parse_lines(lines, range(1, len(lines) + 1), family)


_WORD = re.compile(r"[0-9a-f.:]*[0-9a-f]")


def _likeliest_first(line: str, expected: Expected) -> list[str]:
    """The Services, those first whose addresses or ports a rule names."""
    words = set(_WORD.findall(line))
    named: list[str] = []
    others: list[str] = []
    for key, service in expected.shared.cluster.services.items():
        ports = {str(n) for port in service.ports for n in (port.port, port.node_port)}
        addresses = {*service.cluster_ips.values(), *service.external_ips}
        mine = not words.isdisjoint(ports | addresses)
        (named if mine else others).append("/".join(key))
    return [*named, *others]


def _two_backends(family: Family) -> NodeCause:
    text = f"the tables of both backends hold rules for Services of {family.value}"
    return NodeCause(codes.LEFTOVERS, text, text)


def _as_lines(ruleset: Ruleset) -> dict[str, quick.TableLines]:
    return {
        name: quick.TableLines(
            [line for lines in table.chains.values() for line in lines], frozenset(table.chains)
        )
        for name, table in ruleset.tables.items()
    }


def _chosen(
    made: Sequence[Mapping[ServicePortName, PortRules]],
    tables: Mapping[str, quick.TableLines],
) -> int | None:
    """The state of a Service that the node has: the one with the most lines that all are there.

    A Service that is in none of its states there is not chosen for one without any rule.
    """
    best, most = None, -1
    every = {name for one in made for name in one}
    for place, rules in enumerate(made):
        size = 0
        fits = True
        for each in rules.values():
            for (table, _), lines in each.shared.items():
                size += len(lines)
                fits = fits and table in tables and all(x in tables[table].following for x in lines)
            size += sum(map(len, each.chains.values()))
            fits = fits and "nat" in tables and all(map(tables["nat"].holds, each.chains.values()))
        absent = every - rules.keys()
        if fits and not any(_mentions(tables, made, name) for name in absent) and size > most:
            best, most = place, size
    return best


def _mentions(
    tables: Mapping[str, quick.TableLines],
    made: Sequence[Mapping[ServicePortName, PortRules]],
    name: ServicePortName,
) -> bool:
    """Whether the node has chains of a service port in any of its states."""
    wanted = {chain for one in made if name in one for chain in one[name].chains}
    return "nat" in tables and bool(wanted & tables["nat"].names)
