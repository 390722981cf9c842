"""The parts of one rule while it is read, and the resulting line."""

from __future__ import annotations

import re
from collections.abc import Callable

import attrs

from nptables.family import Family
from nptables.iptables.protocols import c_number, protocol_name
from nptables.iptables.spelling import normal_form
from nptables.iptables.unshown import HOLDS_MATCH, UNREAD_MATCH, UNREAD_TARGET
from nptables.iptables.values import Unsettled
from nptables.iptables.words import always_quoted, bare

# Matches that iptables loads for the protocol of a rule.
_OF_PROTOCOLS = ("tcp", "udp", "udplite", "sctp", "dccp")


@attrs.define
class Match:
    """One `-m NAME` with its options, each with the words behind it."""

    name: str
    options: dict[str, str] = attrs.field(factory=dict)

    def text(self) -> str:
        """The match as a rule has it."""
        return " ".join([f"-m {self.name}", *self.options.values()])


@attrs.define
class Parts:
    """What was read of a rule.

    `unread` are words that are not understood or whose values are not printed; a match, or the
    target, stands for each. `told` says that the protocol has words of its own, `exact` that nft
    shows what it has no words for (from nftables 1.0.6 and iptables 1.8.8 on). Matches in `always`
    hold for every packet, whatever their values are.
    """

    family: Family
    known_writer: bool = False
    exact: bool = True
    always: frozenset[str] = frozenset()
    base: dict[str, str] = attrs.field(factory=dict)
    matches: list[Match] = attrs.field(factory=list)
    target: str = ""
    logs: str = ""
    unread: list[str] = attrs.field(factory=list)
    told: bool = False

    def base_option(self, option: str, value: str, *, negated: bool = False) -> None:
        """An option of iptables itself. Raises Unsettled where it is there with another value."""
        text = f"{'! ' if negated else ''}{option} {value}".rstrip()
        if self.base.setdefault(option, text) != text:
            raise Unsettled(text)

    def protocol(self, name: str, *, negated: bool = False) -> None:
        """The protocol, which other words may have told before."""
        known = protocol_name(name)
        if known is None and c_number(name, 255) is None:
            raise Unsettled(name)
        self.base_option("-p", known or name, negated=negated)

    def option(self, match: str, option: str, value: str, *, negated: bool = False) -> None:
        """An option of a match: of the last one if it may have been given there."""
        last = self.matches[-1] if self.matches else None
        if last is None or last.name != match or option in last.options:
            last = Match(match)
            self.matches.append(last)
        last.options[option] = f"{'! ' if negated else ''}{option} {value}".rstrip()

    def of_protocol(self, name: str, option: str, value: str, *, negated: bool = False) -> None:
        """An option of a protocol's match, which asks for that protocol too."""
        if name not in _OF_PROTOCOLS:
            raise Unsettled(name)
        self.protocol(name)
        self.option(name, option, value, negated=negated)

    def verbatim(self, text: str) -> None:
        """A match with its options as a rule has them."""
        self.matches.append(Match(text.removeprefix("-m ")))

    def not_read(self, words: str) -> None:
        """Words of a match that are not understood, or whose values are not printed."""
        self.unread.append(words)
        self.matches.append(Match(UNREAD_MATCH, {"--words": f"--words {always_quoted(words)}"}))

    def holds(self, words: str) -> None:
        """A match whose values are not printed, and that holds for every packet."""
        self.unread.append(words)
        self.matches.append(Match(HOLDS_MATCH, {"--words": f"--words {always_quoted(words)}"}))

    def jump(self, text: str) -> None:
        """The target with its options. What logs may stand beside another one, and is dropped."""
        if self.target:
            raise Unsettled(text)
        self.target = text

    def line(self, chain: str) -> str:
        """The line that `iptables-save` prints for the rule."""
        order = ("-s", "-d", "-i", "-o", "-p", "-f")
        words = [f"-A {bare(chain)}", *(self.base[each] for each in order if each in self.base)]
        words += [match.text() for match in self.matches]
        words += [self.target or self.logs]
        return normal_form(" ".join(filter(None, words)), self.family)

    def hidden_target(self, words: str) -> None:
        """A target whose effect is unknown."""
        self.unread.append(words)
        self.target = f"-j {UNREAD_TARGET} --words {always_quoted(words)}"


# Adds what the words of a pattern say to the parts. Raises Unsettled where that is not all of it.
Read = Callable[["re.Match[str]", Parts], None]


def readers(*table: tuple[str, Read]) -> tuple[tuple[re.Pattern[str], Read], ...]:
    """What reads the words that fit each pattern, up to the end of a word."""
    return tuple((re.compile(rf"(?:{pattern})(?=\s|$)"), read) for pattern, read in table)
