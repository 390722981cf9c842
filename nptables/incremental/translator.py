"""The translator that follows changes."""

from __future__ import annotations

from nptables.family import Family
from nptables.incremental.changes import Changes
from nptables.incremental.state import State, draft
from nptables.incremental.update import Update
from nptables.model import Cluster, Node, ProxyConfig
from nptables.translation.assembly import Translation


class IncrementalTranslator:
    """Holds a cluster as one node sees it, and says what changes in its rules.

    `prepare` gives the update that some changes make, and keeps the translator as it is;
    `accept` makes it part of the translator. So an update that the kernel refused is simply not
    accepted, and the next one is prepared from its changes and the later ones together.

    After any sequence of changes `translation()` equals, byte for byte, what `translate` makes of
    the same objects. A change costs what the Services cost that it concerns, whatever the size of
    the cluster, with two exceptions: a change of everything (see `Update.everything`), and a
    shared chain that has to be rewritten.

    It starts without Services. It belongs to one thread at a time.

    >>> from nptables import Cluster, Family, ProxyConfig
    >>> from nptables.incremental import Changes, IncrementalTranslator
    >>> cluster = Cluster()
    >>> translator = IncrementalTranslator(cluster.node("node1"), ProxyConfig(), Family.IPV4)
    >>> update = translator.prepare(Changes.between(Cluster(), cluster))
    >>> bool(update)
    False
    """

    def __init__(self, node: Node, config: ProxyConfig, family: Family) -> None:
        self._state = State(node, config, family)
        self._generation = 0

    @classmethod
    def of(
        cls, cluster: Cluster, node: Node, config: ProxyConfig, family: Family
    ) -> IncrementalTranslator:
        """A translator that holds a cluster from the start."""
        translator = cls(node, config, family)
        translator.accept(translator.prepare(Changes.everything(cluster, node, config)))
        return translator

    @property
    def family(self) -> Family:
        """The address family of the rules."""
        return self._state.family

    def prepare(self, changes: Changes) -> Update:
        """What the changes change in the rules. The translator stays as it is."""
        # The number and not the translator decides: after an accept() there is another one, and
        # older updates are past.
        generation = self._generation
        return Update(draft(self._state, changes), lambda: self._generation == generation)

    def accept(self, update: Update) -> None:
        """Make an update part of the translator: the kernel has it.

        Raises ValueError for one that was prepared before another was accepted, or elsewhere.
        """
        if update.draft.state is not self._state or not update.is_current():
            raise ValueError("only an update of the translator's current state can be accepted")
        update.draft.settle()
        self._generation += 1

    def translation(self) -> Translation:
        """The whole ruleset as of the last accepted update. Costs what the cluster does."""
        return self._state.translation()
