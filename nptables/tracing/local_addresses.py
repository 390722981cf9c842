"""Whether the two ends of a packet are the node's, if the node's addresses are unknown."""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

from nptables.model.addresses import pack_ip
from nptables.tracing.addressing import Address, Somewhere
from nptables.tracing.hops import Hop
from nptables.tracing.network import Network
from nptables.tracing.packet import Packet
from nptables.tracing.state import ONE, Check, Flow, Questions, World, split

_HOST = re.compile(r" -[sd] ([0-9a-fA-F.:]+)/(?:32|128)(?= )")


class LocalAddresses:
    """What is unknown about the addresses of a node, and the questions about them.

    `conditions` are the answers in words, `notes` the assumptions about unknown addresses.
    """

    def __init__(self, home: Hop, questions: Questions) -> None:
        self._home = home
        self._node = home.network.node.name
        self._questions = questions
        self.conditions: dict[str, None] = {}
        self.notes: dict[str, None] = {}

    def possible(self, packet: Packet) -> Iterator[tuple[Network, Flow]]:
        """The network of the node, once for each answer to which of a packet's ends it has.

        It is asked about an end of which neither the node's facts nor its rules show what it is.
        """
        found = [(self._home.network, Flow({World(): ONE}, None))]
        ends: list[tuple[Address | None, bool]] = [(packet.destination, True)]
        told = packet.origin is not None or packet.source_node
        if not told and packet.source != packet.destination:
            ends.append((packet.source, False))
        for address, likely in ends:
            if not isinstance(address, str) or not self._is_open(address):
                continue
            question, fresh = self._question(address, likely=likely)
            known = found
            found = []
            for network, flow in known:
                yes, no = split(flow.weights, question, fresh=fresh)
                own, foreign = (no, yes) if likely else (yes, no)
                if own:
                    found.append((network.with_own(address), Flow(own, None)))
                if foreign:
                    found.append((network, Flow(foreign, None)))
        yield from found

    def standing_in(self, address: Address) -> Address:
        """The address; a placeholder for the node's addresses is not one that a rule names.

        A rule for one host is about another host, or about an address of the node that is known.
        """
        if not isinstance(address, Somewhere) or address.node != self._node:
            return address
        if self._home.network.has_interfaces:
            note = (
                f"no default route of {self._node} is known, which would tell the address that "
                "others reach it by: one that no rule names stands for it"
            )
        else:
            addresses = self._home.network.node.unknown_addresses(self._home.network.family)
            note = (
                f"the {addresses} of {self._node} are unknown: one that no rule names stands for "
                "them"
            )
        self.notes[note] = None
        named = {
            host
            for book in self._home.books
            for table in book.ruleset.tables.values()
            for lines in table.chains.values()
            for line in lines
            for host in _HOST.findall(line)
        }
        others = (pack_ip(host) for host in named - self._home.network.own)
        hosts = frozenset(int.from_bytes(packed) for packed in others if packed is not None)
        return attrs.evolve(address, hosts=hosts)

    def _is_open(self, address: str) -> bool:
        if not self._home.network.may_be_own(address):
            return False
        # Of most nodes the addresses are known.
        from nptables.translation.facts_from_rules import shows_as_another  # noqa: PLC0415

        return not any(shows_as_another(book.ruleset, address) for book in self._home.books)

    def _question(self, address: str, *, likely: bool) -> tuple[int, bool]:
        """The question whether the node has an address.

        Where it is `likely` the question is whether the node lacks it: what holds without any
        condition is told first.
        """
        node = self._node
        own, other = f"{address} is an address of {node}", f"{address} is not an address of {node}"
        self.conditions.update(dict.fromkeys((own, other)))
        yes, no = (other, own) if likely else (own, other)
        key = ("own address", node, address)
        return self._questions.number(key, yes, no, check=Check(node, "ip -brief address"))
