"""Who is at an address, in the words of a cluster: the node, Pods, other nodes, or outside."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence

from nptables.effects.rules.lines import Span
from nptables.effects.senders.space import span_of
from nptables.family import Family
from nptables.model import Cluster, Node
from nptables.tracing.addressing import Net, net
from nptables.tracing.network import Network, Site


class Who(enum.Enum):
    """Who has an address; the value is what texts call it."""

    NODE = "this node"
    POD = "pods of this node"
    OTHER_POD = "pods of other nodes"
    OTHER_NODE = "other nodes"
    OUTSIDE = "outside"


class Sites:
    """Who is where, as far as nodes and clusters tell, for one family.

    `networks` are what the node knows of the network around it, before and after; `pod_networks`
    are those of all Pods.
    """

    def __init__(
        self,
        networks: Sequence[Network],
        clusters: Iterable[Cluster],
        pod_networks: Iterable[str],
    ) -> None:
        self._networks = networks
        self._family: Family = networks[0].family
        self._here = [network for each in networks for network in self._nets(each.node.pod_cidrs)]
        self._pods = list(self._nets(pod_networks))
        self._nodes: dict[int, str] = {}
        self._pods_of: dict[int, dict[int, str]] = {}
        for cluster in clusters:
            for name, node in cluster.nodes.items():
                if name not in {each.node.name for each in networks}:
                    self._learn(name, node)

    def _nets(self, texts: Iterable[str]) -> Iterator[Net]:
        for text in texts:
            if Family.of(text) is self._family:
                yield net(text)

    def _learn(self, name: str, node: Node) -> None:
        for found in self._nets(address for _, address in node.addresses):
            self._nodes.setdefault(found.base, name)
        for found in self._nets(node.pod_cidrs):
            self._pods_of.setdefault(found.mask, {}).setdefault(found.base, name)

    def spans(self) -> Iterator[Span]:
        """The spans within which everybody is alike, as far as this goes."""
        yield from (span_of(found) for found in (*self._here, *self._pods))
        yield from ((address, address) for address in self._nodes)
        for mask, bases in self._pods_of.items():
            for base in bases:
                yield span_of(Net(base, mask, self._family.host_prefix))

    def who(self, address: int, text: str) -> Who:
        """Who has an address, given as a number and as text."""
        if any(network.is_local(text) for network in self._networks):
            return Who.NODE
        if any(found.holds(address) for found in self._here):
            return Who.POD
        if address in self._nodes:
            return Who.OTHER_NODE
        if self._pod_node(address) or any(found.holds(address) for found in self._pods):
            return Who.OTHER_POD
        if any(network.place(text).site is Site.POD_HERE for network in self._networks):
            return Who.POD
        return Who.OUTSIDE

    def _pod_node(self, address: int) -> str:
        for mask, bases in self._pods_of.items():
            found = bases.get(address & mask)
            if found is not None:
                return found
        return ""
