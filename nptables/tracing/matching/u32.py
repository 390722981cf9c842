"""The u32 match, on the parts of a packet's headers that are known.

A test is `LOCATION=RANGES` with locations such as `0>>22&0x3C@0>>16`: read four bytes at an offset,
shift, mask, and with `@` go on from there (`u32_match_it` in net/netfilter/xt_u32.c).
"""

from __future__ import annotations

import re

from nptables.iptables.protocols import NAMES, c_number
from nptables.tracing.addressing import Address, number
from nptables.tracing.matching.conditions import Answer, Condition, Setting, asking
from nptables.tracing.state import State

_NUMBERS = {name: number for number, name in NAMES.items()}
_WITH_PORTS = ("tcp", "udp", "udplite", "sctp", "dccp")
_TOKEN = re.compile(r"\s*(0[xX][0-9a-fA-F]+|[0-9]+|&&|<<|>>|[&@=,:])")
_FULL = 0xFFFFFFFF

# Bytes of a header as values, None where they are not known.
Header = dict[int, int]
Word = tuple[int, int]  # value, and which bits of it are known


def u32_condition(text: str, where: str) -> Condition:
    """The condition of a u32 expression. Raises ValueError where it cannot be read."""
    tests = _parse(text)

    def holds(state: State, setting: Setting) -> Answer:
        header = _header(state, setting)
        answers = [_test(location, ranges, header) for location, ranges in tests]
        if False in answers:
            return False
        if None not in answers:
            return True
        return asking(
            state,
            setting,
            ("u32", where, text),
            f"the packet's bytes fit u32 {text}",
            f"the packet's bytes do not fit u32 {text}",
        )

    return holds


Location = list[tuple[str, int]]
Test = tuple[Location, list[tuple[int, int]]]


def _parse(text: str) -> list[Test]:
    tokens = _tokens(text)
    tests: list[Test] = []
    while tokens:
        location: Location = [("read", _take_number(tokens))]
        while tokens and tokens[0] in ("&", "<<", ">>", "@"):
            operator = tokens.pop(0)
            location.append((operator, _take_number(tokens)))
        if not tokens or tokens.pop(0) != "=":
            raise ValueError("u32: no =")
        ranges = []
        while True:
            low = _take_number(tokens)
            high = low
            if tokens and tokens[0] == ":":
                tokens.pop(0)
                high = _take_number(tokens)
            ranges.append((low, high))
            if not tokens or tokens[0] != ",":
                break
            tokens.pop(0)
        tests.append((location, ranges))
        if tokens and tokens.pop(0) != "&&":
            raise ValueError("u32: no &&")
    if not tests:
        raise ValueError("u32: nothing to test")
    return tests


def _tokens(text: str) -> list[str]:
    found, position = [], 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"u32: {text[position:]}")
        found.append(match[1])
        position = match.end()
    return found


def _take_number(tokens: list[str]) -> int:
    value = c_number(tokens.pop(0)) if tokens else None
    if value is None:
        raise ValueError("u32: a number is missing")
    return value


def _test(location: Location, ranges: list[tuple[int, int]], header: Header) -> bool | None:
    base, word = 0, (0, 0)
    for operator, operand in location:
        if operator == "read":
            word = _read(header, operand)
        elif operator == "@":
            if word[1] != _FULL:
                return None
            base += word[0]
            word = _read(header, base + operand)
        else:
            word = _applied(operator, operand, word)
    value, known = word
    if known == _FULL:
        return any(low <= value <= high for low, high in ranges)
    least, most = value & known, (value & known) | (~known & _FULL)
    if all(high < least or low > most for low, high in ranges):
        return False
    return True if any(low <= least and most <= high for low, high in ranges) else None


def _applied(operator: str, operand: int, word: Word) -> Word:
    value, known = word
    if operator == "&":
        return value & operand, known | (~operand & _FULL)
    # In C such a shift is undefined: most processors shift by what is left after dividing by 32,
    # others leave zeros.
    if operand > 31:
        return 0, 0
    if operator == "<<":
        return (value << operand) & _FULL, (known << operand | (1 << operand) - 1) & _FULL
    return value >> operand, known >> operand | (_FULL << (32 - operand)) & _FULL


def _read(header: Header, offset: int) -> Word:
    value = known = 0
    for position in range(4):
        byte = header.get(offset + position)
        value, known = value << 8 | (byte or 0), known << 8 | (0 if byte is None else 0xFF)
    return value, known


def _header(state: State, setting: Setting) -> Header:
    """The bytes that are the same in every packet of this kind, without IP options."""
    header: Header = {}
    protocol = _NUMBERS.get(setting.protocol)
    width = setting.family.host_prefix // 8
    if width == 4:
        # Version 4 and five words: no options, as hosts send packets.
        header[0], start, length = 0x45, 12, 20
        if protocol is not None:
            header[9] = protocol
    else:
        start, length = 8, 40
        if protocol is not None:
            header[6] = protocol
    _put_address(header, start, state.source, width)
    _put_address(header, start + width, state.destination, width)
    if setting.protocol in _WITH_PORTS:
        _put_port(header, length, state.source_port)
        _put_port(header, length + 2, state.port)
    return header


def _put_address(header: Header, offset: int, address: Address, width: int) -> None:
    if isinstance(address, str):
        for position, byte in enumerate(number(address).to_bytes(width)):
            header[offset + position] = byte


def _put_port(header: Header, offset: int, port: int | None) -> None:
    if port is not None:
        header[offset], header[offset + 1] = port >> 8, port & 0xFF
