"""What a state holds, read by the readers of the library, and kept while it does not change."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from nptables.answering import Say, silent
from nptables.answering.evidence import NodeHas
from nptables.answering.following import Followed, followed_in, told_sets
from nptables.answering.inputs import Inputs, configuration, inputs_of
from nptables.errors import InvalidInput, Problem
from nptables.evidence import Evidence, naming
from nptables.evidence.kubeproxy import kube_proxy_of
from nptables.family import Family
from nptables.kept import Kept
from nptables.model import Cluster, Node, NodeFacts
from nptables.playground.state import CONFIG, FACTS, Held, State
from nptables.sources import FoundConfig, Input, Loaded, config_in, facts_in, load_texts
from nptables.sources.evidence import Beside, beside_rules
from nptables.sources.held import evidence_of, text_of
from nptables.sources.text.pieces import Pieces
from nptables.tracing.sets import Sets
from nptables.translation import Translation

# A node where the input has none.
_ANY = "node"
# Of what was made whole: a few states, and what each of them has.
_MOST_KEPT = 40
# Bytes of one file of evidence, unpacked.
_MOST_UNPACKED = 64 * 2**20
# Characters of documents: those of a large input, before and after an edit, and some more.
_MOST_PIECES = 8_000_000


class Reader:
    """Reads states; what does not change between two of them is read once."""

    def __init__(self) -> None:
        self._memory = Kept(_MOST_KEPT)
        self._pieces = Pieces(_MOST_PIECES)

    def forget(self) -> None:
        """Forget everything: there is no memory for it."""
        self._memory.forget()
        self._pieces.forget()

    def loaded(self, state: State) -> Loaded:
        """The objects. Raises InvalidInput where there are none or something is wrong."""
        loaded = self._memory.kept(("objects", state.files), lambda: self._load(state.files))
        if not loaded.usable:
            raise InvalidInput(loaded.problems)
        return loaded

    def _load(self, files: tuple[Held, ...]) -> Loaded:
        texts = (text_of(held.name, held.data) for held in files)
        return load_texts(texts, parse=self._pieces.parse_text)

    def config(self, state: State) -> FoundConfig | None:
        """The configuration of kube-proxy, or None. Raises InvalidInput."""
        if not state.config.strip():
            return None
        source = Input(CONFIG, state.config)
        return self._memory.kept(("config", state.config), lambda: config_in(source))

    def facts(self, state: State) -> NodeFacts | None:
        """The facts, or None. Raises InvalidInput."""
        if not state.facts.strip():
            return None
        source = Input(FACTS, state.facts)
        return self._memory.kept(("facts", state.facts), lambda: facts_in(source))

    def inputs(
        self,
        state: State,
        *,
        family: Family | None = None,
        node: str | None = None,
        like: Node | None = None,
        node_has: NodeHas | None = None,
        say: Say = silent,
    ) -> Inputs:
        """Everything that rules are made from. Raises InvalidInput."""
        return inputs_of(
            self.loaded(state),
            node_name=node or state.node or None,
            given=self.config(state),
            facts=self.facts(state),
            family=family or state.family,
            version=state.asked_version,
            like=like,
            evidence=None if node_has is None else node_has.evidence,
            say=say,
        )

    def rules(self, state: State, inputs: Inputs) -> Translation:
        """The rules of a node, in the family of the inputs, which are those of the state."""
        made_from = (state.files, state.config, state.facts, state.version)
        key = ("rules", made_from, inputs.node.name, inputs.family)
        return self._memory.kept(key, inputs.translate)

    def node_has(self, state: State, family: Family | None, say: Say = silent) -> Evidences:
        """What is there of nodes. Raises InvalidInput."""
        found = Evidences()
        names = self._names(state)
        for held in state.evidence:
            text = held.data if isinstance(held.data, str) else ""
            beside = beside_rules(text)
            if beside is Beside.CONNECTIONS:
                found.connections = text
            elif beside is Beside.SETS:
                found.sets = (text, held.name)
            else:
                self._take(held, state, family, names, found)
        if found.meant is not None:
            for gap in found.meant.evidence.gaps:
                say(str(gap))
        return found

    def _take(
        self,
        held: Held,
        state: State,
        family: Family | None,
        names: frozenset[str],
        found: Evidences,
    ) -> None:
        """Sort evidence: that of the node that is meant, or that of another by its name."""
        named = held.stem if held.stem in names else ""
        node = named or state.node
        evidence = self._memory.kept(
            ("evidence", held, family, node),
            lambda: evidence_of(held.name, held.data, family, node=node, most=_MOST_UNPACKED),
        )
        whose = named or (evidence.node if evidence.node in names else "")
        other = bool(whose and state.node and whose != state.node)
        if other or (found.meant is not None and whose):
            found.others[whose] = NodeHas(evidence, held.name)
        elif found.meant is None:
            found.meant = NodeHas(evidence, held.name)
        else:
            raise InvalidInput([
                Problem(
                    "of which node is it? Another file has what the node has",
                    hint="name the file as the node, such as worker-2.txt",
                    file=held.name,
                )
            ])  # fmt: skip

    def _names(self, state: State) -> frozenset[str]:
        """The nodes that there are, as far as the objects can be read."""
        try:
            return frozenset(self.loaded(state).cluster.nodes) if state.files else frozenset()
        except InvalidInput:
            return frozenset()


@attrs.define
class Evidences:
    """What there is of nodes: of the one that is meant, of others, and beside the rules."""

    meant: NodeHas | None = None
    others: dict[str, NodeHas] = attrs.field(factory=dict)
    connections: str | None = None
    sets: tuple[str, str] | None = None

    @property
    def evidence(self) -> Evidence | None:
        """That of the node that is meant."""
        return None if self.meant is None else self.meant.evidence

    def told_sets(self, say: Say) -> Sets | None:
        """The sets in a file of their own, or None. Raises InvalidInput."""
        return None if self.sets is None else told_sets(*self.sets, say)

    def followed_there(
        self, cluster: Cluster | None, node: Node, family: Family
    ) -> Mapping[str, tuple[Node, Followed]]:
        """What other nodes have, for a packet that passes them. Raises InvalidInput."""
        nodes = {} if cluster is None else cluster.nodes
        found = {}
        for name, has in self.others.items():
            if name == node.name or name not in nodes:
                continue
            has.families(family)
            there = nodes[name]
            if has.evidence.facts is not None:
                there = attrs.evolve(there, facts=there.facts.over(has.evidence.facts))
            found[name] = there, followed_in(has.evidence, family, path=has.path)
        return found


def default_node(
    cluster: Cluster, state: State, found: FoundConfig | None, evidence: Evidence | None
) -> str:
    """The node that counts where none is chosen: that of the input, else the first.

    Without any Node object every name will do for the rules that a cluster makes.
    """
    override = "" if found is None else found.hostname_override
    known = "" if evidence is None else naming.node_of(evidence, cluster.nodes)
    first = next(iter(sorted(cluster.nodes)), _ANY if cluster.services else "")
    return state.node or override or known or first


def node_of(reader: Reader, state: State, say: Say, evidence: Evidence | None = None) -> str | None:
    """The node that is shown; which one of several is said where nobody chose it."""
    loaded = reader.loaded(state)
    kube_proxy = None if evidence is None else kube_proxy_of(evidence)
    found = configuration(reader.config(state), loaded.proxy_config, kube_proxy)
    name = default_node(loaded.cluster, state, found, evidence)
    if name == _ANY and not loaded.cluster.nodes:
        say("there is no Node in the input: the rules are those of a node called node")
    if not state.node and len(loaded.cluster.nodes) > 1:
        say(f"shown for {name}, the first of {len(loaded.cluster.nodes)} nodes")
    return name or None
