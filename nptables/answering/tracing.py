"""A packet followed in the rules of a node: those that the cluster makes, or those that it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from nptables.answering.inputs import configuration, inputs_of
from nptables.answering.saying import Say, silent
from nptables.answering.versions import Told, config_for
from nptables.errors import InvalidInput, Problem
from nptables.family import Family
from nptables.model import Cluster, Node, NodeFacts, ProxyConfig
from nptables.model.kubeproxy import NEWEST
from nptables.sources import Loaded
from nptables.tracing import Packet, Trace, missing_tables, packet_between, read_sets, trace
from nptables.tracing.services import services_of
from nptables.tracing.sets import IpSet, Sets
from nptables.tracing.traversal.rulebook import Rules

if TYPE_CHECKING:
    from nptables.answering.evidence import NodeHas
    from nptables.evidence import Evidence
    from nptables.reachability import Cell
    from nptables.sources import FoundConfig
    from nptables.translation.flows import Flow


@attrs.frozen
class Setting:
    """What is known of the node; no cluster where none is named."""

    cluster: Cluster | None
    node: Node
    config: ProxyConfig
    family: Family


@attrs.frozen
class NodeRules:
    """The rules to follow, a backend whose tables were not read, and what else a packet meets.

    The contents of `unknown_tables` are unknown.
    """

    rules: Rules
    unread: str = ""
    not_followed: tuple[str, ...] = ()
    unknown_tables: frozenset[str] = frozenset()


@attrs.frozen
class Answer:
    """What becomes of a packet, and what of the node it may have met that rules do not show."""

    trace: Trace
    not_followed: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The answer as plain data."""
        return {**self.trace.to_json(), "unseen": list(self.not_followed)}


def followed_family(
    asked: Family | None, loaded: Loaded | None, there: NodeHas | None, say: Say = silent
) -> Family:
    """The family that is asked for, else that of the cluster if a node's evidence has it too."""
    usual = _only_family(loaded) or Family.IPV4
    if there is None:
        return asked or usual
    found = there.families(asked, say)
    return usual if usual in found else found[0]


def _only_family(loaded: Loaded | None) -> Family | None:
    """The family of a cluster whose Services and Nodes have addresses of one alone."""
    if loaded is None:
        return None
    cluster = loaded.cluster
    found = {family for service in cluster.services.values() for family in service.cluster_ips}
    found |= {Family.of(a) for node in cluster.nodes.values() for _, a in node.addresses}
    return found.pop() if len(found) == 1 else None


def setting_of(
    loaded: Loaded | None,
    *,
    node_name: str | None,
    given: FoundConfig | None,
    facts: NodeFacts | None,
    family: Family,
    version: str | None,
    here: Told | None = None,
    evidence: Evidence | None = None,
    say: Say = silent,
) -> Setting:
    """What is known of the node: see `inputs_of`. Raises InvalidInput."""
    if loaded is not None:
        inputs = inputs_of(
            loaded,
            node_name=node_name,
            given=given,
            facts=facts,
            family=family,
            version=version,
            here=here,
            evidence=evidence,
            say=say,
        )
        return Setting(inputs.cluster, inputs.node, inputs.config, family)
    kube_proxy = None
    if evidence is not None:
        from nptables.evidence.kubeproxy import kube_proxy_of  # noqa: PLC0415 - of evidence alone

        kube_proxy = kube_proxy_of(evidence)
    found = configuration(given, kube_proxy=kube_proxy, say=say)
    override = "" if found is None else found.hostname_override
    known = "" if evidence is None else evidence.node
    if evidence is not None and evidence.facts is not None:
        facts = (facts or NodeFacts()).over(evidence.facts)
    node = Cluster().node(node_name or override or known or "this-node", facts)
    # Without a cluster no rules are made, so their version is not reported.
    config = config_for(found, [], asked=version or str(NEWEST), say=say)
    return Setting(None, node, config, family)


def rules_in(
    evidence: Evidence, family: Family, *, path: str | None = None, backend: str = "auto"
) -> NodeRules:
    """What a packet meets on a node that has what `evidence` says. Raises InvalidInput."""
    # Without evidence the rules are those that the cluster makes.
    from nptables.answering.evidence import in_file  # noqa: PLC0415
    from nptables.evidence import Form  # noqa: PLC0415
    from nptables.evidence.backends import active_rulesets  # noqa: PLC0415
    from nptables.evidence.other_rules import unfollowed  # noqa: PLC0415

    rulesets = in_file(path, lambda: active_rulesets(evidence, family, backend))
    unread = [tables for tables in evidence.unread if tables.family is family]
    # A reading of the kernel leaves no table out; a dump may.
    open_tables = frozenset() if evidence.form is Form.SNAPSHOT else missing_tables(rulesets)
    unread_backend = unread[0].backend if unread else ""
    return NodeRules(rulesets, unread_backend, unfollowed(evidence, family), open_tables)


def rules_on(node: Node, node_has: NodeHas, family: Family) -> tuple[Node, NodeRules]:
    """Another node with what it has, for a packet that passes it. Raises InvalidInput."""
    node_has.families(family)
    evidence = node_has.evidence
    if evidence.facts is not None:
        node = attrs.evolve(node, facts=node.facts.over(evidence.facts))
    return node, rules_in(evidence, family, path=node_has.path, backend=node_has.backend)


def follow(
    source: str,
    destination: str,
    setting: Setting,
    *,
    evidence: Evidence | None = None,
    path: str | None = None,
    backend: str = "auto",
    sets: Sets | None = None,
    connections: str | None = None,
    others: Mapping[str, tuple[Node, NodeRules]] | None = None,
    say: Say = silent,
) -> Answer:
    """What happens to the first packet between two ends.

    Args:
        source: As for `packet_between`.
        destination: As for `packet_between`.
        setting: The node.
        evidence: What the node has; without, the rules are those that the cluster makes.
        path: The file that the evidence is from.
        backend: Which of the node's tables are kube-proxy's.
        sets: The node's sets; without, those that the evidence has.
        connections: What `conntrack -L` printed; without, those that the evidence has.
        others: What other nodes have, by their names.
        say: Called with what is to be known beside the answer.

    Raises:
        InvalidInput: For an end that is not there, or evidence that does not say what serves.
    """
    others = others or {}
    if sets is None:
        sets = told_sets(evidence.ipset if evidence is not None else None, None, say)
    own = None
    if evidence is not None:
        # Without evidence there is nothing to be shown.
        from nptables.translation.facts_from_rules import with_shown_addresses  # noqa: PLC0415

        own = rules_in(evidence, setting.family, path=path, backend=backend)
        rulesets = evidence.of(setting.family)
        setting = attrs.evolve(setting, node=with_shown_addresses(setting.node, rulesets))
        for text in own.not_followed:
            say(text, kind="warning")
    here = {setting.node.name: own} if own is not None else {}
    packet = _packet(source, destination, setting, evidence)
    kept: dict[str, object] = {}
    own = own or _made(setting, packet, kept)
    answer = trace(
        own.rules,
        packet,
        setting.node,
        setting.cluster,
        config=setting.config,
        others={name: (node, found.rules) for name, (node, found) in others.items()},
        sets=sets,
        unread=own.unread,
        kept=kept,
        evidence=evidence,
        unknown_tables={
            **{name: found.unknown_tables for name, found in here.items()},
            **{name: found.unknown_tables for name, (_, found) in others.items()},
        },
    )
    flows = _flows(connections, setting.family, evidence) if packet.protocol == "udp" else []
    if flows:
        from nptables.tracing.explanation.connections import with_connections  # noqa: PLC0415

        answer = with_connections(answer, flows, own.rules, setting.node)
    return Answer(answer, own.not_followed)


def cells_document(cells: Sequence[Cell]) -> dict[str, Any]:
    """One packet on several nodes as plain data, those that fare alike together."""
    traced = [{"nodes": list(cell.nodes), **cell.trace.to_json()} for cell in cells]
    return {"arrives": all(cell.trace.arrives for cell in cells), "nodes": traced}


def told_sets(text: str | None, path: str | None, say: Say = silent) -> Sets:
    """The sets in what `ipset save` printed; what no trace can compare in them is said."""
    if text is None:
        return {}
    from nptables.answering.evidence import in_file  # noqa: PLC0415 - see `rules_in`

    sets = in_file(path, lambda: read_sets(text))
    for name, found in sets.items():
        if isinstance(found, IpSet) and found.open_entries:
            say(
                f"set {name} ({found.type_name}) has {found.open_entries} entries with a part "
                f"that no trace can compare: whether it holds a packet is left open"
            )
    return sets


def _packet(source: str, destination: str, setting: Setting, evidence: Evidence | None) -> Packet:
    """The packet that is meant. Raises InvalidInput."""
    packet = packet_between(
        source, destination, node=setting.node, cluster=setting.cluster, family=setting.family
    )
    if evidence is None:
        return packet
    from nptables.sources.redacted_objects import is_made_up  # noqa: PLC0415 - as above

    if is_made_up(packet.destination):
        # The node's rules have the real address, which none of them names as the Service's.
        hint = "give the address as the node's rules have it, or a node port"
        problem = Problem(f"{destination}: its address is hidden in the objects", hint=hint)
        raise InvalidInput([problem])
    return packet


def _made(setting: Setting, packet: Packet, kept: dict[str, object]) -> NodeRules:
    """The rules that the cluster makes for the node, as far as the packet can meet them."""
    cluster = (setting.cluster or Cluster()).seen_by(setting.config.habits)
    services = services_of(kept, cluster, setting.family)
    return NodeRules(services.rules_for(packet, setting.node, setting.config))


def _flows(listing: str | None, family: Family, evidence: Evidence | None) -> Sequence[Flow]:
    """The UDP connections of the node, as far as they are known."""
    if listing is not None:
        from nptables.translation.flows import listed_flows  # noqa: PLC0415 - seldom given

        return listed_flows(listing, family)
    known = () if evidence is None else evidence.flows or ()
    return [flow for flow in known if Family.of(flow.destination[0]) is family]
