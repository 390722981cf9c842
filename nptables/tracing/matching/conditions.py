"""What a match can answer, and what it may look at.

Some only the node, the time or the packet's contents could answer.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from fractions import Fraction
from operator import attrgetter
from typing import NamedTuple, Protocol

from nptables.family import Family
from nptables.iptables.rule import Match, Option
from nptables.iptables.unshown import HOLDS_MATCH, UNREAD_MATCH
from nptables.tracing.addressing import Address, Net, Somewhere, is_in
from nptables.tracing.sets import Side
from nptables.tracing.state import Check, State


class Ask(NamedTuple):
    """A question whose answer decides whether a match holds.

    Equal keys are the same question. `text` says what is so where the answer is yes,
    `otherwise` where it is no. The match holds where the answer is `holds_if`. `yes` and `no`
    are the packet as it is known after the answer. `check` is a command that tells the answer.
    """

    key: Hashable
    text: str
    otherwise: str
    yes: State
    no: State
    holds_if: bool = True
    about: tuple[Hashable, Net] | None = None
    check: Check | None = None


Answer = bool | Fraction | Ask


class Setting(Protocol):
    """Where a packet is, and what does not change while it is on one node."""

    @property
    def family(self) -> Family:
        """The family of the packet."""

    @property
    def protocol(self) -> str:
        """The protocol in lower case, such as `tcp`."""

    @property
    def tcp_flags(self) -> frozenset[str]:
        """The TCP flags that are set."""

    @property
    def icmp(self) -> tuple[int, int]:
        """The ICMP type and code."""

    @property
    def original(self) -> State:
        """The packet as its connection began, before any translation."""

    @property
    def place(self) -> str:
        """The node, for telling its questions from those of another."""

    @property
    def from_node(self) -> bool:
        """Whether the packet comes from the node itself."""

    def is_local(self, address: Address, interface: str | None = "") -> bool | None:
        """Whether an address is the node's own, or that of one interface; None where unknown."""

    def is_broadcast(self, address: Address, interface: str | None = "") -> bool | None:
        """Whether an address is a broadcast address of a network, or of that of an interface."""

    def is_anycast(self, address: Address, interface: str | None = "") -> bool | None:
        """Whether an address is that of all routers of a network, or of that of an interface."""

    def refusal(self, address: Address) -> str | None:
        """The kind of route that ends packets to an address, such as `blackhole`; None: unknown."""

    def lacks_interface(self, name: str) -> bool:
        """Whether the node surely has no interface of that name."""

    def endpoint_behind(self, chain: str) -> str | None:
        """The destination that a chain of the nat table translates to, where it does."""

    def set_holds(self, name: str, sides: tuple[Side, ...]) -> bool | None:
        """Whether a set holds a packet; None where the set's members are not known."""


Condition = Callable[[State, Setting], Answer]


def inverted(condition: Condition, *, negated: bool) -> Condition:
    """The condition, or its opposite."""
    if not negated:
        return condition

    def opposite(state: State, setting: Setting) -> Answer:
        answer = condition(state, setting)
        if isinstance(answer, bool):
            return not answer
        if isinstance(answer, Fraction):
            return 1 - answer
        return answer._replace(holds_if=not answer.holds_if)

    return opposite


def asking(
    state: State, setting: Setting, key: Hashable, text: str, otherwise: str = "", check: str = ""
) -> Ask:
    """A question whose answer does not tell anything else about the packet.

    `check` is a command that tells the answer on the node.
    """
    command = Check(setting.place, check) if check else None
    otherwise = otherwise or _denied(text)
    return Ask((setting.place, key), text, otherwise, state, state, check=command)


def _denied(text: str) -> str:
    for word, denied in ((" is ", " is not "), (" in ", " not in ")):
        before, found, behind = text.partition(word)
        if found:
            return f"{before}{denied}{behind}"
    return f"it is not so that {text}"


def source_in(network: Net, text: str) -> Condition:
    """Whether the source is in a network."""
    return _end_in(
        attrgetter("source"), lambda state, narrowed: state._replace(source=narrowed), network, text
    )


def destination_in(network: Net, text: str) -> Condition:
    """Whether the destination is in a network."""
    return _end_in(
        attrgetter("destination"),
        lambda state, narrowed: state._replace(destination=narrowed),
        network,
        text,
    )


def _end_in(
    end_of: Callable[[State], Address],
    with_end: Callable[[State, Somewhere], State],
    network: Net,
    text: str,
) -> Condition:
    def holds(state: State, _setting: Setting) -> Answer:
        end = end_of(state)
        found = is_in(end, network)
        if found is not None or isinstance(end, str):
            return bool(found)
        return Ask(
            (end.text, network),
            f"{end} in {text}",
            f"{end} outside {text}",
            with_end(state, end.narrowed(network, inside=True)),
            with_end(state, end.narrowed(network, inside=False)),
            about=(end.text, network),
        )

    return holds


def source_is_endpoint(network: Net, text: str) -> Condition:
    """Whether the source is the endpoint that the chain of the rule translates to.

    A client outside the cluster is none.
    """
    in_network = source_in(network, text)

    def holds(state: State, setting: Setting) -> Answer:
        if isinstance(state.source, Somewhere) and state.source.outside:
            return False
        return in_network(state, setting)

    return holds


# They match whatever comes: a comment is for readers, nfacct counts, and of one that a reader
# writes for such a match only the values are not shown.
NEVER_IN_THE_WAY = frozenset({"comment", "nfacct", HOLDS_MATCH})


def in_words(where: str) -> str:
    """`rule 2 of filter FORWARD` for the rule at position 1: people and iptables count from 1."""
    place, position = where.rsplit(" ", 1)
    return f"rule {int(position) + 1} of {place}"


def unknown_condition(key: str, text: str) -> Condition:
    """A question of its own: whether `text` holds."""

    def holds(state: State, setting: Setting) -> Answer:
        return asking(state, setting, ("unknown", key), f"{text} holds", f"{text} does not hold")

    return holds


def unknown_option(match: Match, option: Option, where: str) -> Condition:
    """A question of its own about one option of a match whose others are known."""
    text = f"{match.name} {option.name} {option.value}".strip()
    holds = unknown_condition(f"{where}: {text}", f"the match {text}")
    return inverted(holds, negated=option.negated)


def unknown_match(match: Match, where: str) -> Condition:
    """A question of its own about a whole match, or about words that no reader understood."""
    if match.name == UNREAD_MATCH:
        words = " ".join(option.value for option in match.options)
        text = f'the condition "{words}" of {in_words(where)}'
        return unknown_condition(f"{where}: {words}", text)
    text = " ".join(
        part
        for option in match.options
        for part in (*(["!"] if option.negated else []), option.name, *option.values)
    )
    return unknown_condition(
        f"{where}: {match.name} {text}", f"the match {match.name} {text}".strip()
    )
