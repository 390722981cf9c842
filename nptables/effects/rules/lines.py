"""What a rule line says of addresses, ports and chains, told from its text alone.

Two lines that differ in the names of chains and in single addresses alone have the same template.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from nptables.family import Family
from nptables.model.addresses import pack_ip, parse_ip

_COMMENT = re.compile(r' -m comment --comment (?:"(?:[^"\\]|\\.)*"|\S+)', re.DOTALL)
_TARGET = re.compile(r" -([jg]) (\S+)")
_RECENT = re.compile(r" --name (\S+)")
_PORT = re.compile(r" --dport ([0-9]+)(?= |$)")
_V4 = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
_V6 = r"[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7}(?:\.[0-9]+\.[0-9]+\.[0-9]+)?"
_ADDRESSES = {
    Family.IPV4: re.compile(rf"(?<![\w.:-])({_V4})(?:/([0-9.]+)|-({_V4}))?"),
    Family.IPV6: re.compile(rf"(?<![\w.:-])({_V6})(?:/([\w.:]+)|-({_V6}))?"),
}
_SET = re.compile(r" --match-set (\S+)")
# What looks at more of a port than whether it is the one that is named.
_PORTS = re.compile(
    r"--dports |--ports |--dport [0-9]*:|port-range |--ct[a-z]*port | -m set | -m u32 "
)
_DNAT = re.compile(r" --to-destination (\S+)")
# They stand for what is left out of a template; no rule has them.
_HOST, _CHAIN, _PORT_MARK = "\x00", "\x01", "\x02"

# First and last address, as numbers.
Span = tuple[int, int]


class Words(NamedTuple):
    """A line, taken apart.

    `template` has neither the chain nor the comment, and marks where `hosts` (single addresses),
    `ports` (single destination ports), `target` and `lists` (names of `recent` lists) stand.
    `spans` are the networks and ranges that it names, `sets` the sets. `ranged` lines look at ports
    in other ways than whether they are one of `ports`. `sources_open` says why it is not known
    which sources it tells
    apart, or is empty. `target` is empty without one.
    """

    template: str
    hosts: tuple[str, ...]
    ports: tuple[int, ...]
    target: str
    lists: tuple[str, ...]
    spans: tuple[Span, ...]
    sets: tuple[str, ...]
    ranged: bool
    sources_open: str


class Reader:
    """Takes lines of one family apart, each once."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self._known: dict[str, Words] = {}

    def read(self, line: str) -> Words:
        """The words of a line."""
        # What follows the name of the chain.
        text = line.split(" ", 2)[2] if line.count(" ") > 1 else ""
        found = self._known.get(text)
        if found is None:
            found = self._known[text] = self._taken_apart(f" {text}")
        return found

    def _taken_apart(self, text: str) -> Words:
        if "--comment" in text:
            text = _COMMENT.sub("", text)
        target = _TARGET.search(text)
        if target is not None:
            text = f"{text[: target.start(2)]}{_CHAIN}{text[target.end(2) :]}"
        lists: tuple[str, ...] = ()
        if " -m recent " in text:
            lists = tuple(_RECENT.findall(text))
            text = _RECENT.sub(f" --name {_CHAIN}", text)
        ports = tuple(int(port) for port in _PORT.findall(text))
        ranged = _PORTS.search(text) is not None
        sets = tuple(_SET.findall(text)) if " -m set " in text else ()
        text = _PORT.sub(f" --dport {_PORT_MARK}", text)
        hosts: list[str] = []
        spans: list[Span] = []
        trouble = "a rule looks at single bytes of the packet (u32)" if " -m u32 " in text else ""

        def name(match: re.Match[str]) -> str:
            nonlocal trouble
            span = _span(match[1], match[2], match[3])
            if span is None:
                return match[0]
            if span == _GAPS:
                trouble = f"a rule has a network mask with gaps: {match[0]}"
            # A single address stays out of the template: it may be another one in an equal rule.
            elif span[0] == span[1]:
                hosts.append(parse_ip(match[1]) or match[1])
                return _HOST
            else:
                spans.append(span)
            return match[0]

        template = _ADDRESSES[self.family].sub(name, text)
        return Words(
            template,
            tuple(hosts),
            ports,
            "" if target is None else target[2],
            lists,
            tuple(spans),
            sets,
            ranged,
            trouble,
        )


_GAPS = (-1, -1)


def _span(address: str, mask: str | None, last: str | None) -> Span | None:
    """The first and last address that words name; None for what is no address after all."""
    packed = pack_ip(address)
    if packed is None:
        return None
    bits = 8 * len(packed)
    first, full = int.from_bytes(packed), (1 << bits) - 1
    if last is not None:
        packed_last = pack_ip(last)
        return None if packed_last is None else (first, int.from_bytes(packed_last))
    if mask is None:
        return first, first
    if mask.isascii() and mask.isdigit() and int(mask) <= bits:
        rest = full >> int(mask)
    else:
        packed_mask = pack_ip(mask)
        if packed_mask is None or len(packed_mask) != len(packed):
            return None
        rest = full ^ int.from_bytes(packed_mask)
        # What is left of a mask without gaps is a row of ones, and one more than that is a power of
        # two.
        if rest & (rest + 1):
            return _GAPS
    first &= full ^ rest
    return first, first | rest


class Translation(NamedTuple):
    """Where a line sends packets: None keeps what they have. `wide` is one of several places."""

    address: str | None
    port: int | None
    wide: bool = False


def translation(line: str) -> Translation | None:
    """Where DNAT or REDIRECT in a line sends packets, or None where it does neither."""
    if " -j REDIRECT" in line:
        found = re.search(r" --to-ports ([0-9]+)(?:-([0-9]+))?", line)
        port = None if found is None or found[2] else int(found[1])
        return Translation("", port, wide=found is not None and found[2] is not None)
    if " -j DNAT" not in line:
        return None
    match = _DNAT.search(line)
    text = match[1] if match is not None else ""
    address, port_text = _ends(text)
    if "-" in text or (address and pack_ip(address) is None):
        return Translation(None, None, wide=True)
    if port_text and not port_text.isdigit():
        return Translation(None, None, wide=True)
    return Translation(address or None, int(port_text) if port_text else None)


def _ends(text: str) -> tuple[str, str]:
    if text.startswith("["):
        address, _, port = text[1:].partition("]")
        return address, port.lstrip(":")
    if text.count(":") > 1:
        return text, ""
    address, _, port = text.partition(":")
    return address, port


def without_comment(line: str) -> str:
    """A line without its comments."""
    return _COMMENT.sub("", line) if "--comment" in line else line
