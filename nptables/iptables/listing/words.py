"""What extensions print behind the columns of a listing, taken apart into matches and options."""

from __future__ import annotations

from collections.abc import Iterator

from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables.listing.matches import MATCHES
from nptables.iptables.listing.targets import TARGETS
from nptables.iptables.unshown import UNREAD_MATCH
from nptables.iptables.values import Unsettled
from nptables.iptables.words import always_quoted


@frozen
class Words:
    """What stands behind the columns: matches and the target's options, as a rule has them.

    What cannot be understood is a match of its own (`UNREAD_MATCH`) among the others, and `unread`
    has it. `told` tells that there were words of the target, even if they say what is usual.
    """

    matches: tuple[str, ...]
    options: tuple[str, ...]
    unread: tuple[str, ...]
    told: bool


def read_words(rest: str, target: str, family: Family) -> Words:
    """The words behind the columns of a row; `target` is the name in the target column."""
    pieces = list(_pieces(rest, target, family))
    return Words(
        tuple(
            unread_match(text) if kind == "unread" else text
            for kind, text in pieces
            if kind != "target"
        ),
        tuple(text for kind, text in pieces if kind == "target" and text),
        tuple(text for kind, text in pieces if kind == "unread"),
        told=any(kind == "target" for kind, _ in pieces),
    )


def read_one(rest: str, position: int, family: Family) -> tuple[str, int] | None:
    """The match at a position, empty where its values are not understood, and where it ends."""
    found = _piece(rest, position, "", family)
    return None if found is None else ("" if found[0] == "unread" else found[1], found[2])


def unread_match(words: str) -> str:
    """The match that stands for words that cannot be understood."""
    return f"-m {UNREAD_MATCH} --words {always_quoted(words)}"


def _pieces(rest: str, target: str, family: Family) -> Iterator[tuple[str, str]]:
    if rest.count("/*") != rest.count("*/"):
        # A comment that does not end, or that has the end of a comment in it.
        yield "unread", rest.strip()
        return
    position, waiting = 0, ""
    while position < len(rest):
        if rest[position].isspace():
            position += 1
            continue
        found = _piece(rest, position, target, family)
        if found is None:
            end = _end_of_word(rest, position)
            waiting = f"{waiting} {rest[position:end]}".lstrip()
            position = end
            continue
        if waiting:
            yield "unread", waiting
            waiting = ""
        kind, text, position = found
        yield kind, text
    if waiting:
        yield "unread", waiting


def _piece(rest: str, position: int, target: str, family: Family) -> tuple[str, str, int] | None:
    """What is understood at a position: what it is, its text, and where it ends."""
    for kind, forms in (("target", TARGETS.get(target, ())), ("match", MATCHES)):
        for pattern, read in forms:
            found = pattern.match(rest, position)
            if found is None or not found[0]:
                continue
            end = found.end()
            if end < len(rest) and not rest[end].isspace():
                continue
            try:
                return kind, read(found, family), end
            except (Unsettled, ValueError):
                # Words of a match that is known, with a value that is not: unknown as a whole.
                return "unread", found[0], end
    return None


def _end_of_word(rest: str, position: int) -> int:
    end = position
    while end < len(rest) and not rest[end].isspace():
        end += 1
    return end
