"""One rule of `nft list` as the line that `iptables-save` prints for it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables.listing.words import read_one
from nptables.iptables.nftables.matches import MATCHES
from nptables.iptables.nftables.parts import Parts
from nptables.iptables.nftables.targets import TARGETS
from nptables.iptables.values import Unsettled

_COUNTER = re.compile(r'counter(?: packets \d+ bytes \d+| name "?[^\s"]+"?)?(?=\s|$)')
_HANDLE = re.compile(r"\s*# handle \d+\s*$")
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"')
_WORD = re.compile(r'"(?:\\.|[^"\\])*"|\{[^{}]*\}|[^\s"{]+|\S')
_SPACES = re.compile(r"\s{2,}")
_OUTSIDE = re.compile(r'("(?:\\.|[^"\\])*")|\s+')
# How a statement begins that decides about the packet, or changes it.
_ACTS = re.compile(
    r"(?:.*?\s)?(?:accept|drop|return|continue|jump|goto|dnat|snat|masquerade|redirect|reject|queue"
    r"|tproxy|notrack|synproxy|dup|fwd|set|xt target|vmap|add|update|delete)(?=\s|$)"
)
_XT_TARGET = re.compile(r'xt target "?([A-Za-z0-9_-]+)"?(?=\s|$)')
_XT_MATCH = re.compile(r'(?:# ?xt_|xt match "?)([A-Za-z0-9_-]+)"?(?=\s|$)')

# What stands for a match or target of iptables without its name.
UNNAMED = "xt, unnamed"
NOTHING_PRINTED = "a statement of which nft prints nothing"
NO_TARGET = "a target of which nft prints nothing, if there is one"


@frozen
class NftRule:
    """A rule that was read.

    `unread` are words that are not understood, or whose values are not printed. `target` is the
    chain or target, empty for none.
    """

    line: str
    target: str
    unread: tuple[str, ...]


def empty_statements(text: str, indent: int) -> int:
    """How many statements of a rule print nothing: each leaves one more blank.

    `indent` is how far the chain's rules are indented.
    """
    body = text.expandtabs(8).rstrip()
    leading = max(len(body) - len(body.lstrip()) - indent, 0)
    # Behind the counter stands the target alone.
    plain = _QUOTED.sub('""', _HANDLE.sub("", body).strip()).partition("counter")[0]
    return leading + sum(len(found) - 1 for found in _SPACES.findall(plain))


def read_rule(
    text: str,
    chain: str,
    family: Family,
    *,
    doubts: Sequence[str] = (),
    known_writer: bool = False,
    exact: bool = True,
    always: frozenset[str] = frozenset(),
) -> NftRule:
    """The rule that a line of a chain says.

    `doubts` are conditions that it may have besides; `NO_TARGET` says that a target may be missing.
    `known_writer` tells that whoever wrote it asks for nothing that nft prints in part, `exact`
    that nft shows of everything else at least that it is there. Matches in `always` hold for every
    packet, whatever their values are.
    """
    parts = Parts(family, known_writer, exact, always)
    words = _OUTSIDE.sub(lambda m: m[1] or " ", _HANDLE.sub("", text)).strip()
    counted = False
    position, waiting = 0, ""
    while position < len(words):
        if words[position] == " ":
            position += 1
            continue
        counter = _COUNTER.match(words, position)
        piece = counter.end() if counter else _piece(words, position, parts, acting=counted)
        if piece is None:
            found = _WORD.match(words, position)
            end = found.end() if found is not None else position + 1
            waiting = f"{waiting} {words[position:end]}".lstrip()
            position = end
            continue
        _not_read(waiting, parts, acting=counted and counter is None)
        waiting, position = "", piece
        counted = counted or counter is not None
    _not_read(waiting, parts, acting=counted)
    for doubt in doubts:
        if doubt != NO_TARGET:
            parts.not_read(doubt)
        elif not parts.target and not parts.logs:
            parts.hidden_target(doubt)
    # iptables puts a counter into every rule: this one is not its own, or its end was cut off.
    if not (counted or parts.target or parts.logs):
        parts.hidden_target(NO_TARGET)
    target = parts.target or parts.logs
    return NftRule(parts.line(chain), target.split()[1] if target else "", tuple(parts.unread))


def acts(text: str) -> bool:
    """Whether there is a word in a rule that decides about the packet, or changes it."""
    return _ACTS.match(text.strip()) is not None


def _not_read(words: str, parts: Parts, *, acting: bool) -> None:
    """Words that are not understood: a target behind the counter, or where they say so."""
    if not words:
        return
    if acting or _ACTS.match(words):
        parts.hidden_target(words)
    else:
        parts.not_read(words)


def _piece(words: str, position: int, parts: Parts, *, acting: bool) -> int | None:
    """Take what is understood at a position: where it ends, or None."""
    for forms, is_target in ((TARGETS, True), (MATCHES, False)):
        for pattern, read in forms:
            found = pattern.match(words, position)
            if found is None or not found[0]:
                continue
            if is_target and parts.target and found[0].startswith("log"):
                continue
            try:
                read(found, parts)
            except (Unsettled, ValueError, KeyError):
                _unsettled(found[0], parts, is_target=is_target)
            return found.end()
    return _compatible(words, position, parts, acting=acting)


def _compatible(words: str, position: int, parts: Parts, *, acting: bool) -> int | None:
    """The same for what nft has no words for and shows as something of iptables."""
    if words.startswith(UNNAMED, position):
        _unsettled(UNNAMED, parts, is_target=acting)
        return position + len(UNNAMED)
    for pattern, is_target in ((_XT_TARGET, True), (_XT_MATCH, acting)):
        if (named := pattern.match(words, position)) is not None:
            if not is_target and named[1] in parts.always:
                parts.holds(named[0])
            else:
                _unsettled(named[0], parts, is_target=is_target)
            return named.end()
    if words.startswith("# ", position) and not acting:
        # Up to nftables 1.0.5 what has no translation is shown as a listing shows it.
        one = read_one(words, position + 2, parts.family)
        if one is not None:
            text, end = one
            if text:
                parts.verbatim(text)
            else:
                parts.not_read(words[position + 2 : end])
            return end
    return None


def _unsettled(words: str, parts: Parts, *, is_target: bool) -> None:
    if is_target:
        parts.hidden_target(words)
    else:
        parts.not_read(words)
