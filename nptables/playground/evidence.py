"""What a state has of nodes: sorted by the node that it is of, and by what it is."""

from __future__ import annotations

from collections.abc import Mapping

from nptables.answering import Say
from nptables.answering.evidence import NodeHas
from nptables.answering.tracing import NodeRules, rules_on, told_sets
from nptables.cache import Cache
from nptables.errors import InvalidInput, Problem
from nptables.evidence import Evidence
from nptables.family import Family
from nptables.model import Cluster, Node
from nptables.playground.reading import Evidences
from nptables.playground.state import Held, State
from nptables.sources.evidence import Beside, beside_rules
from nptables.sources.uploaded_evidence import evidence_of
from nptables.tracing.sets import Sets

# Bytes of one file, unpacked.
_MOST_UNPACKED = 64 * 2**20
_EACH = 500_000


def read_evidences(
    state: State, family: Family | None, names: frozenset[str], cache: Cache
) -> Evidences:
    """What there is of nodes; `names` are those of the cluster. Raises InvalidInput."""
    found = Evidences()
    # Without objects nothing else says which of several files is of which node.
    by_file = not state.files and len([1 for held in state.evidence if not _beside(held)]) > 1
    for held in state.evidence:
        text = held.data if isinstance(held.data, str) else ""
        beside = _beside(held)
        if beside is Beside.CONNECTIONS:
            found.connections = text
        elif beside is Beside.SETS:
            found.sets = (text, held.name)
        else:
            named = held.stem if held.stem in names else ""
            evidence = _kept(cache, held, family, named or state.node)
            if by_file:
                named = evidence.node or held.stem
            _sort(NodeHas(evidence, held.name), named, names, state.node, found)
    return found


def _beside(held: Held) -> Beside | None:
    return beside_rules(held.data) if isinstance(held.data, str) else None


def _kept(cache: Cache, held: Held, family: Family | None, node: str) -> Evidence:
    return cache.get(
        ("evidence", held, family, node),
        lambda: evidence_of(held.name, held.data, family, node=node, most=_MOST_UNPACKED),
        _EACH + len(held.data),
    )


def _sort(has: NodeHas, named: str, names: frozenset[str], node: str, found: Evidences) -> None:
    """Put evidence to the node that is meant, or to another one by its name."""
    whose = named or (has.evidence.node if has.evidence.node in names else "")
    is_of_other = bool(whose and node and whose != node)
    if is_of_other or (found.meant is not None and whose):
        found.others[whose] = has
    elif found.meant is None:
        found.meant, found.name = has, named
    else:
        example = next(iter(sorted(names)), "worker-2")
        raise InvalidInput([
            Problem(
                "of which node is it? Another file has what the node has",
                hint=f"call the file as its node, such as {example}.txt (Rename, above the text). "
                "If both are of one node, as those of iptables-save and ip6tables-save, put them "
                "into one file",
                file=has.path,
            )
        ])  # fmt: skip


def sets_of(there: Evidences, say: Say) -> Sets | None:
    """The sets in a file of their own, or None. Raises InvalidInput."""
    return None if there.sets is None else told_sets(*there.sets, say)


def followed_there(
    there: Evidences, cluster: Cluster | None, node: Node, family: Family
) -> Mapping[str, tuple[Node, NodeRules]]:
    """What other nodes have, for a packet that passes them. Raises InvalidInput."""
    nodes = {} if cluster is None else cluster.nodes
    return {
        name: rules_on(nodes[name], has, family)
        for name, has in there.others.items()
        if name != node.name and name in nodes
    }
