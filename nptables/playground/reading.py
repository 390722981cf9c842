"""What a state holds, read by the readers of the library, and kept while it does not change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from nptables.answering import Say, silent
from nptables.answering.inputs import Inputs, configuration, inputs_of, is_for_each_node
from nptables.cache import Cache
from nptables.errors import InvalidInput, Problem, printable
from nptables.evidence import Evidence, node_names
from nptables.evidence.kubeproxy import kube_proxy_of
from nptables.family import Family
from nptables.model import Cluster, Node, NodeFacts
from nptables.playground.protocol import Instead, View
from nptables.playground.state import CONFIG, FACTS, Held, State
from nptables.sources import (
    FoundConfig,
    Input,
    Loaded,
    Sets,
    config_in,
    facts_in,
    load_texts,
)
from nptables.sources.recognising import is_of_a_node
from nptables.sources.text.files import text_of
from nptables.sources.text.pieces import Pieces
from nptables.sources.uploaded_files import sets_of, stand_for_a_tree
from nptables.translation import Translation
from nptables.words import listed

if TYPE_CHECKING:
    from nptables.answering.evidence import NodeHas

# A node where the input has none.
_ANY = "node"
_NO_MANIFESTS = (
    "Trace follows a packet in the rules of the node. The other views need what the cluster says, "
    "too: in the tab Manifests, what `kubectl get services,endpointslices,nodes,pods -A -o yaml` "
    "prints"
)
# What was made of input is kept as long as its characters, and something for each, are no more.
_MOST_KEPT = 25_000_000
_EACH = 500_000
# Characters of documents: those of a large input, before and after an edit, and some more.
_MOST_PIECES = 8_000_000


class Elsewhere(InvalidInput):
    """There is no answer to what is asked, but one to something that is near; see `Instead`."""

    def __init__(self, problem: Problem, instead: Sequence[Instead]) -> None:
        super().__init__([problem])
        self.instead = instead


def _instead(
    title: str,
    *,
    view: View | None = None,
    keep: list[str] | None = None,
    evidence: Sequence[str] = (),
) -> Instead:
    return {"title": title, "view": view, "keep": keep, "evidence": list(evidence)}


def _refuse_rules(state: State) -> None:
    """Say where rules belong that somebody has put among the manifests."""
    moved = [
        held.name for held in state.files if isinstance(held.data, str) and is_of_a_node(held.data)
    ]
    if moved:
        hint = "it belongs to the tab Evidence, and the objects of the cluster stay here"
        problem = Problem("this is what a node has, and no manifest", hint=hint, file=moved[0])
        raise Elsewhere(problem, [_instead("Move it to Evidence", evidence=moved)])


def _each_alone(sets: Sets, state: State) -> list[Instead]:
    """The files in the folder of each set, but for those of a set below it."""
    folders = sorted((one.name for one in sets.judged), key=len, reverse=True)
    found: dict[str, list[str]] = {folder: [] for folder in folders}
    for held in state.files:
        above = (f for f in folders if f in (".", held.name) or held.name.startswith(f"{f}/"))
        if (folder := next(above, None)) is not None:
            found[folder].append(held.name)
    alone = [
        _instead(f"Keep only {printable(one.name, 80)}", keep=found[one.name])
        for one in sets.judged
        if found[one.name]
    ]
    return [*alone, _instead("See the findings of all", view="findings")]


class Reader:
    """Reads states; what does not change between two of them is read once."""

    def __init__(self) -> None:
        self._cache = Cache(_MOST_KEPT)
        self._pieces = Pieces(_MOST_PIECES)

    def forget(self) -> None:
        """Forget everything: there is no memory for it."""
        self._cache.forget()
        self._pieces.forget()

    def ahead(self, state: State, most: int) -> tuple[int, int]:
        """Parse about `most` characters more; how many of all need no more parsing, and all."""
        files = (*state.files, *(state.before.files if state.before is not None else ()))
        done = 0
        for held in files:
            text = text_of(held.name, held.data)
            ready = self._pieces.ahead(text, most) if isinstance(text, Input) else len(held.data)
            done += ready
            if ready < len(held.data):
                break
        return done, size_of(files)

    def sets(self, state: State) -> Sets:
        """The sets of objects: one, unless files stand in folders or for folders.

        Raises InvalidInput where there is evidence only.
        """
        if not state.files and state.evidence:
            problem = Problem("there are no manifests to look at", hint=_NO_MANIFESTS)
            raise Elsewhere(problem, [_instead("Follow a packet in it", view="trace")])
        if not stand_for_a_tree((held.name, held.data) for held in state.files):
            # In a folder what holds no objects is passed over.
            _refuse_rules(state)
            return Sets((self._loaded(state),))
        files = [(held.name, held.data) for held in state.files]
        return self._cache.get(
            ("sets", state.files), lambda: sets_of(files), _EACH + size_of(state.files)
        )

    def loaded(self, state: State) -> Loaded:
        """The objects. Raises InvalidInput where there are none or something is wrong."""
        sets = self.sets(state)
        loaded = sets.only
        if len(sets.judged) > 1 and not sets.problems:
            names = listed(printable(one.name, 80) for one in sets.judged)
            message = f"there are {len(sets.judged)} sets, each a cluster of its own: {names}"
            hint = "keep the files of one of them for more than its findings"
            raise Elsewhere(Problem(message, hint=hint), _each_alone(sets, state))
        if not loaded.usable:
            raise InvalidInput(loaded.problems)
        return loaded

    def _loaded(self, state: State) -> Loaded:
        return self._cache.get(
            ("objects", state.files), lambda: self._load(state.files), _EACH + size_of(state.files)
        )

    def _load(self, files: tuple[Held, ...]) -> Loaded:
        texts = (text_of(held.name, held.data) for held in files)
        return load_texts(texts, parse=self._pieces.parse_text)

    def config(self, state: State) -> FoundConfig | None:
        """The configuration of kube-proxy, or None. Raises InvalidInput."""
        if not state.config.strip():
            return None
        source = Input(CONFIG, state.config)
        return self._cache.get(("config", state.config), lambda: config_in(source), _EACH)

    def facts(self, state: State) -> NodeFacts | None:
        """The facts, or None. Raises InvalidInput."""
        if not state.facts.strip():
            return None
        source = Input(FACTS, state.facts)
        return self._cache.get(("facts", state.facts), lambda: facts_in(source), _EACH)

    def inputs(
        self,
        state: State,
        loaded: Loaded | None = None,
        *,
        family: Family | None = None,
        node: str | None = None,
        like: Node | None = None,
        node_has: NodeHas | None = None,
        say: Say = silent,
    ) -> Inputs:
        """Everything that rules are made from; `loaded` is one of several sets.

        Raises InvalidInput.
        """
        return inputs_of(
            loaded or self.loaded(state),
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
        return self._cache.get(key, inputs.translate, _EACH + size_of(state.files))

    def node_has(self, state: State, family: Family | None, say: Say = silent) -> Evidences:
        """What is there of nodes. Raises InvalidInput."""
        if not state.evidence:
            return Evidences()
        # It knows every form that there is, which takes its time to import.
        from nptables.playground.evidence import read_evidences  # noqa: PLC0415

        found = read_evidences(state, family, self._names(state), self._cache)
        if found.meant is not None:
            for gap in found.meant.evidence.gaps:
                say(str(gap))
        return found

    def _names(self, state: State) -> frozenset[str]:
        """The nodes that there are, as far as the objects can be read."""
        try:
            return frozenset(self.loaded(state).cluster.nodes) if state.files else frozenset()
        except InvalidInput:
            return frozenset()


@attrs.define
class Evidences:
    """What there is of nodes: of the one that is meant, of others, and beside the rules.

    `name` is that of the one that is meant where its file alone says it.
    """

    meant: NodeHas | None = None
    name: str = ""
    others: dict[str, NodeHas] = attrs.field(factory=dict)
    connections: str | None = None
    sets: tuple[str, str] | None = None

    @property
    def evidence(self) -> Evidence | None:
        """That of the node that is meant."""
        return None if self.meant is None else self.meant.evidence

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.meant or self.others or self.connections or self.sets)


def size_of(files: tuple[Held, ...]) -> int:
    """How many characters or bytes files have."""
    return sum(len(held.data) for held in files)


def default_node(
    cluster: Cluster, state: State, found: FoundConfig | None, evidence: Evidence | None
) -> str:
    """The node that counts where none is chosen: that of the input, else the first.

    Without any Node object every name will do for the rules that a cluster makes.
    """
    override = "" if found is None else found.hostname_override
    known = "" if evidence is None else node_names.node_of(evidence, cluster.nodes)
    first = next(iter(sorted(cluster.nodes)), _ANY if cluster.services else "")
    return state.node or override or known or first


def node_of(reader: Reader, state: State, say: Say, evidence: Evidence | None = None) -> str | None:
    """The node that is shown; which one of several is said where nobody chose it."""
    return node_in(reader.loaded(state), reader, state, say, evidence)


def node_in(
    loaded: Loaded, reader: Reader, state: State, say: Say, evidence: Evidence | None = None
) -> str | None:
    """The node of one set, as `node_of`."""
    kube_proxy = None if evidence is None else kube_proxy_of(evidence)
    found = configuration(reader.config(state), loaded.proxy_config, kube_proxy)
    name = default_node(loaded.cluster, state, found, evidence)
    if name == _ANY and not loaded.cluster.nodes:
        say("there is no Node in the input: the rules are those of a node called node")
    if not state.node and len(loaded.cluster.nodes) > 1:
        say(f"shown for {name}, the first of {len(loaded.cluster.nodes)} nodes")
    return name or None


def is_about_all_nodes(reader: Reader, state: State) -> bool:
    """Whether the view is of every node: nothing in the state is about one of them."""
    if state.view == "reach":
        return True
    if state.node or state.view not in ("findings", "trace"):
        return False
    there = reader.node_has(state, state.asked_family)
    if state.view == "findings":
        return there.meant is None
    return follows_on_all_nodes(reader, state, there)


def follows_on_all_nodes(reader: Reader, state: State, there: Evidences) -> bool:
    """Whether a packet is followed on every node."""
    if there or not state.files:
        return False
    loaded = reader.loaded(state)
    found = configuration(reader.config(state), loaded.proxy_config)
    return is_for_each_node(loaded, found, state.node, reader.facts(state))
