"""The rows of a listing: `iptables -L`, with or without `-n`, `-v`, `-x` and `--line-numbers`.

What the columns hold is what `print_rule_details` and `print_ifaces` in iptables/xshared.c write,
and their forerunners in iptables/iptables.c up to 1.8.7: protocols by number or by name, `--` or
nothing in the column of fragments, `anywhere` without `-n`.
"""

from __future__ import annotations

import re

from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables.listing.words import read_words, unread_match
from nptables.iptables.protocols import c_number, protocol_name
from nptables.iptables.spelling import normal_form
from nptables.iptables.values import Unsettled, is_everything, network
from nptables.iptables.words import bare

_WORD = re.compile(r"\S+")
_COUNTER = re.compile(r"\d+[KMGTP]?")
_PROTOCOL = re.compile(r"!?(?:\d{1,3}|[a-z][a-z0-9.-]*)")
_FRAGMENTS = frozenset({"--", "-f", "!f"})
_V4 = re.compile(r"!?\d{1,3}(?:\.\d{1,3}){3}(?:/\S+)?")
_V6 = re.compile(r"!?[0-9a-fA-F]*:[0-9a-fA-F:]*[0-9a-fA-F.]*(?:/\S+)?")
_EVERYWHERE = "anywhere"
_GOTO = "[goto]"
# Targets that print words behind the columns whatever their options.
_TALKING = frozenset({"DNAT", "SNAT", "NETMAP", "REJECT", "MARK", "CONNMARK", "LOG"})


@frozen
class Columns:
    """Which columns rows have, by their title."""

    numbers: bool = False
    counters: bool = False
    interfaces: bool = False

    @staticmethod
    def of(title: str) -> Columns | None:
        """The columns under a title line; None for another line."""
        words = title.split()
        if "target" not in words or "prot" not in words or "source" not in words:
            return None
        return Columns("num" in words, "pkts" in words, "in" in words)


@frozen
class Row:
    """One rule of a listing as the line that `iptables-save` prints for it.

    `target` is what it jumps to, empty for nothing. `unread` are words that are not understood;
    the line has an unknown match for them. `behind` is what stands behind the columns, and
    `silent` tells that the words of a target are not there that it always prints.
    """

    line: str
    target: str
    unread: tuple[str, ...] = ()
    behind: str = ""
    silent: bool = False


def family_of_row(line: str) -> Family | None:
    """The family of a row by its addresses, None where it has none."""
    for word in line.split():
        if _V4.fullmatch(word):
            return Family.IPV4
        if word.count(":") > 1 and _V6.fullmatch(word):
            return Family.IPV6
    return None


def read_row(line: str, chain: str, columns: Columns, family: Family, more: str = "") -> Row | None:
    """The rule in a row; None for another line.

    `more` is text behind it that belongs to it and is not understood.
    """
    fields = _fields(line, columns)
    if fields is None:
        return None
    rest = line[fields.end :].strip()
    goto = rest.startswith(_GOTO)
    rest = rest.removeprefix(_GOTO).strip()
    parts = ["-A", bare(chain)]
    unread: list[str] = []
    for option, word in (("-s", fields.source), ("-d", fields.destination)):
        text = _network(option, word, family)
        if text is None:
            unread.append(f"{'source' if option == '-s' else 'destination'} {word}")
        elif text:
            parts.append(text)
    for option, word in (("-i", fields.came_in), ("-o", fields.goes_out)):
        if word.lstrip("!") not in ("*", "any", ""):
            parts.append(f"{'! ' if word[0] == '!' else ''}{option} {bare(word.lstrip('!'))}")
    protocol = _protocol(fields.protocol)
    if protocol is None:
        unread.append(f"protocol {fields.protocol}")
    parts += protocol or []
    if fields.fragments in ("-f", "!f"):
        parts.append("-f" if fields.fragments == "-f" else "! -f")
    parts += [unread_match(text) for text in unread]
    words = read_words(rest, "" if goto else fields.target, family)
    parts += [*words.matches, *([unread_match(more)] if more else [])]
    if fields.target:
        parts += ["-g" if goto else "-j", bare(fields.target)]
        parts += words.options
    unread += [*words.unread, *([more] if more else [])]
    # The printed order of options, and what is printed though nobody gave it.
    return Row(
        normal_form(" ".join(parts), family),
        fields.target,
        tuple(unread),
        rest,
        silent=not words.told and not goto and fields.target in _TALKING,
    )


@frozen
class _Fields:
    target: str
    protocol: str
    fragments: str
    came_in: str
    goes_out: str
    source: str
    destination: str
    end: int


def _fields(line: str, columns: Columns) -> _Fields | None:
    words = list(_WORD.finditer(line))
    texts = [word[0] for word in words]
    first = 0
    if columns.numbers:
        if not texts or not texts[0].isdecimal():
            return None
        first = 1
    if columns.counters:
        if len(texts) < first + 2 or not all(
            _COUNTER.fullmatch(text) for text in texts[first : first + 2]
        ):
            return None
        first += 2
    begin = _protocol_position(texts, first, columns)
    if begin is None:
        return None
    target = texts[first] if begin > first else ""
    protocol, at = texts[begin], begin + 1
    fragments = "--"
    if at < len(texts) and texts[at] in _FRAGMENTS:
        fragments = texts[at]
        at += 1
    came_in = goes_out = ""
    if columns.interfaces:
        if len(texts) < at + 2:
            return None
        came_in, goes_out = texts[at : at + 2]
        at += 2
    if len(texts) < at + 2 or not _PROTOCOL.fullmatch(protocol):
        return None
    source, destination = texts[at : at + 2]
    if not (_is_interface(came_in) and _is_interface(goes_out)):
        return None
    # With a third address there is a word too many before the columns of addresses.
    if not (_is_end(source) and _is_end(destination)) or any(
        map(_is_plain, texts[at + 2 : at + 3])
    ):
        return None
    end = words[at + 1].end()
    return _Fields(target, protocol, fragments, came_in, goes_out, source, destination, end)


def _protocol_position(texts: list[str], first: int, columns: Columns) -> int | None:
    """Where the protocol stands: behind the target, or instead of it where there is none."""
    for position in (first, first + 1):
        if position + 1 < len(texts) and texts[position + 1] in _FRAGMENTS:
            return position
    # ip6tables up to 1.8 leaves the column of fragments empty.
    # Then only the addresses tell where the columns are; the source stands so far behind the
    # protocol.
    between = 3 if columns.interfaces else 1
    for position in (first + 1, first):
        at = position + between
        if at + 1 < len(texts) and _is_plain(texts[at]) and _is_plain(texts[at + 1]):
            return position
    return None


def _is_plain(word: str) -> bool:
    return bool(_V4.fullmatch(word) or _V6.fullmatch(word)) or word.lstrip("!") == _EVERYWHERE


def is_broken_row(text: str) -> bool:
    """Whether a line that is not a row has its columns: then it was a rule, which is unknown."""
    words = text.split()
    return sum(map(_is_plain, words)) > 1 or "--" in words


def _is_interface(word: str) -> bool:
    """Whether a word may stand in a column of interfaces: a star is every one, and in no name."""
    return "*" not in word or word.lstrip("!") == "*"


def _is_end(word: str) -> bool:
    """Whether a word may be an address, a network, or the name of one."""
    return re.fullmatch(r"!?[A-Za-z0-9_.:-]+(?:/[A-Za-z0-9.:]+)?", word) is not None


def _network(option: str, word: str, family: Family) -> str | None:
    """An address column as an option, empty for every address, None for a name."""
    negated = word.startswith("!")
    word = word.lstrip("!")
    if word == _EVERYWHERE:
        word = "0.0.0.0/0" if family is Family.IPV4 else "::/0"
    try:
        printed = network(word, family)
    except (Unsettled, ValueError):
        return None
    if is_everything(printed, family) and not negated:
        return ""
    return f"{'! ' if negated else ''}{option} {printed}"


def _protocol(word: str) -> list[str] | None:
    """A protocol column as an option, None for an unknown name."""
    sign = "! " if word.startswith("!") else ""
    word = word.lstrip("!")
    if word in ("all", "0") and not sign:
        return []
    if protocol_name(word) is None and c_number(word, 255) is None:
        return None
    return [f"{sign}-p {protocol_name(word) or word}"]
