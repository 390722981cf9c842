"""The source addresses that a packet may have, in classes that no rule distinguishes.

Everything that looks at a source (a rule with a network, a route, the node's own addresses) is
constant within a class, so that one address stands for all of it.

Who is at an address is told in the words of a cluster: the node, Pods, other nodes, or outside.
"""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import cached_property

from nptables.effects.rules.lines import Span
from nptables.family import Family
from nptables.model import Cluster, Node
from nptables.tracing.addressing import NO_SOURCE, Net, net
from nptables.tracing.network import Network, Site


def span_of(network: Net) -> Span:
    """The first and last address of a network whose mask has no gaps."""
    return network.base, network.base | (((1 << network.bits) - 1) ^ network.mask)


class Space:
    """All addresses of a family, cut into intervals, each of which is of one class.

    `starts` are the first addresses of the intervals, `kinds` the classes of these, `traits` what
    is known of each class: equal traits are one class.
    """

    def __init__(
        self, family: Family, starts: Sequence[int], kinds: Sequence[int], traits: list[Hashable]
    ) -> None:
        self.family = family
        self.starts = starts
        self.kinds = kinds
        self.traits = traits

    @classmethod
    def undivided(cls, family: Family) -> Space:
        """A space of one class, and one of what is no source."""
        whole = cls(family, (0,), (0,), [()])
        return whole.divided([span_of(net(text)) for text in NO_SOURCE[family]])

    @property
    def last(self) -> int:
        """The last address of all."""
        return int((1 << self.family.host_prefix) - 1)

    def kind_of(self, address: int) -> int:
        """The class of an address."""
        return self.kinds[bisect_right(self.starts, address) - 1]

    @cached_property
    def usable(self) -> list[int]:
        """The classes of addresses that a packet may have as its source."""
        refused = [span_of(net(text)) for text in NO_SOURCE[self.family]]
        firsts: dict[int, int] = {}
        for start, kind in zip(self.starts, self.kinds, strict=True):
            firsts.setdefault(kind, start)
        return [
            kind
            for kind, start in firsts.items()
            if not any(first <= start <= last for first, last in refused)
        ]

    def intervals(self, kind: int) -> Sequence[Span]:
        """The intervals of a class."""
        return self._intervals[kind]

    @cached_property
    def _intervals(self) -> dict[int, list[Span]]:
        found: dict[int, list[Span]] = {}
        ends = [*(start - 1 for start in self.starts[1:]), self.last]
        for first, last, kind in zip(self.starts, ends, self.kinds, strict=True):
            found.setdefault(kind, []).append((first, last))
        return found

    def divided(self, spans: Iterable[Span]) -> Space:
        """The space with each class cut by spans: addresses in other spans are other classes."""
        events: dict[int, int] = {}
        for number, (first, last) in enumerate(dict.fromkeys(spans)):
            for point in (first, last + 1):
                events[point] = events.get(point, 0) ^ (1 << number)
        starts = sorted({*self.starts, *(point for point in events if point <= self.last)})
        within = 0
        tags: list[Hashable] = []
        for start in starts:
            within ^= events.get(start, 0)
            tags.append((self.kind_of(start), within))
        return self._numbered(starts, tags)

    def told_apart(self, spans: Iterable[Span], traits: Callable[[int], Hashable]) -> Space:
        """The space with its classes cut at the ends of spans, where `traits` of these differ."""
        # Something may change where a span begins and behind its end, and nowhere else.
        points = {point for first, last in spans for point in (first, last + 1)}
        starts = sorted({*self.starts, *(point for point in points if point <= self.last)})
        kinds = [self.kind_of(start) for start in starts]
        tags = [(kind, traits(start)) for start, kind in zip(starts, kinds, strict=True)]
        return self._numbered(starts, tags)

    def _numbered(self, starts: Sequence[int], tags: Sequence[Hashable]) -> Space:
        numbers: dict[Hashable, int] = {}
        kinds = [numbers.setdefault(tag, len(numbers)) for tag in tags]
        return Space(self.family, starts, kinds, list(numbers))


def text_of(address: int, family: Family) -> str:
    """The canonical text of an address that is given as a number."""
    if family is Family.IPV4:
        return ".".join(str(address >> shift & 255) for shift in (24, 16, 8, 0))
    return _text_of_ipv6(address)


def _text_of_ipv6(address: int) -> str:
    from ipaddress import IPv6Address  # noqa: PLC0415 - slow to import, and rarely needed

    return str(IPv6Address(address))


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
