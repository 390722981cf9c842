"""When two rules, or two chains, are equal: by text, by normal form, or except for comments.

Texts are compared first, since nearly all are equal; the normal form of a line is computed only
where its text differs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables.spelling import normal_form

# Quoted words are consumed whole, so that what looks like a comment inside one is left alone.
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_COMMENT = re.compile(rf' -m comment --comment (?:{_QUOTED}|[^\s"]+)|({_QUOTED})')

# It counts on the order in which iptables prints options: addresses, interfaces, protocol, then
# matches, then the target.
_PACKETS = re.compile(
    r"-A \S+(?: (?:! )?-s \S+)?(?: (?P<not>! )?-d (?P<to>\S+))?(?:(?: !)? -[io] \S+)*"
    r"(?: -p (?P<protocol>\S+))?(?:.*? --dport (?P<port>\S+))?"
)


def can_be_restored(line: str) -> bool:
    """Whether a line may stand in a text for iptables-restore.

    The kernel can hold a comment with a line break; written out, what follows the break would be
    read as a line of its own.
    """
    return "\n" not in line


def without_comments(line: str) -> str:
    """The line without its `-m comment` matches."""
    if " -m comment " not in line:
        return line
    return _COMMENT.sub(lambda found: found[1] or "", line)


def same_rules(
    before: Sequence[str], after: Sequence[str], family: Family, *, ignoring_comments: bool
) -> bool:
    """Whether two chains hold the same rules in the same order."""
    if len(before) != len(after):
        return False
    form = _bare_form if ignoring_comments else normal_form
    return all(
        old == new or form(old, family) == form(new, family)
        for old, new in zip(before, after, strict=True)
    )


def _bare_form(line: str, family: Family) -> str:
    return without_comments(normal_form(line, family))


@frozen
class Multisets:
    """How two chains differ as multisets: lines only in one, and pairs that say the same.

    `cosmetic` are pairs of lines whose comments alone differ.
    """

    removed: tuple[str, ...]
    added: tuple[str, ...]
    cosmetic: tuple[tuple[str, str], ...]


def compare_multisets(before: Sequence[str], after: Sequence[str], family: Family) -> Multisets:
    """Which lines two chains do not share, equal lines counted as often as they occur."""
    removed, added = list(surplus(before, after)), list(surplus(after, before))
    if not removed or not added:
        return Multisets(tuple(removed), tuple(added), ())
    removed, added, _ = _pair_off(removed, added, lambda line: normal_form(line, family))
    removed, added, cosmetic = _pair_off(removed, added, lambda line: _bare_form(line, family))
    return Multisets(tuple(removed), tuple(added), cosmetic)


def surplus(lines: Iterable[str], others: Iterable[str]) -> Iterator[str]:
    """The lines left when each of `others` takes away the first line equal to it, as `-D` does.

    These are the lines that occur more often than among the others, in their order.
    """
    left = Counter(others)
    for line in lines:
        if left[line] > 0:
            left[line] -= 1
        else:
            yield line


def _pair_off(
    removed: list[str], added: list[str], form: Callable[[str], str]
) -> tuple[list[str], list[str], tuple[tuple[str, str], ...]]:
    """Take lines of equal form out of both lists."""
    waiting: dict[str, list[str]] = {}
    for line in removed:
        waiting.setdefault(form(line), []).append(line)
    pairs, left = [], []
    for line in added:
        partners = waiting.get(form(line))
        if partners:
            pairs.append((partners.pop(0), line))
        else:
            left.append(line)
    gone = [line for lines in waiting.values() for line in lines]
    # The inner one are those that found a partner, so what is left has the order that it came in.
    in_order = list(surplus(removed, list(surplus(removed, gone))))
    return in_order, left, tuple(pairs)


def in_order(lines: Sequence[str], wanted: Sequence[str], family: Family) -> bool:
    """Whether a shared chain decides as `wanted` does, which has the same lines in some order.

    The order counts among lines for the same packets, which is the same destination address,
    protocol and port, or no single address and the same protocol and port. Lines without a port
    stand last, in their order, which means nothing where each is for a single address.
    """
    if lines == wanted:
        return True
    found, rest = _by_packets(lines, family)
    want, wanted_rest = _by_packets(wanted, family)
    last, wanted_last = [form for _, form in rest], [form for _, form in wanted_rest]
    if last != wanted_last and not (
        sorted(last) == sorted(wanted_last) and _for_single_addresses(last, family)
    ):
        return False
    # A line for all ports stands before one for a single port, and may decide first.
    if rest and rest[0][0] < len(lines) - len(rest):
        return False
    return all(len(group) == 1 or found.get(key) == group for key, group in want.items())


def _for_single_addresses(forms: Sequence[str], family: Family) -> bool:
    """Whether each line is for packets to one address, and no two for the same."""
    found = [_PACKETS.match(form) for form in forms]
    to = [match["to"] or "" if match is not None and not match["not"] else "" for match in found]
    host = f"/{family.host_prefix}"
    return len(set(to)) == len(to) and all(address.endswith(host) for address in to)


def _by_packets(
    lines: Sequence[str], family: Family
) -> tuple[dict[tuple[str, str, str], list[str]], list[tuple[int, str]]]:
    """The bare forms of lines by the packets they are for, and with their place those without."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    rest = []
    host = f"/{family.host_prefix}"
    for place, line in enumerate(lines):
        form = _bare_form(line, family)
        packets = _PACKETS.match(form)
        if packets is None or packets["port"] is None:
            rest.append((place, form))
            continue
        to = packets["to"] or ""
        single = to if to.endswith(host) and not packets["not"] else ""
        groups.setdefault((single, packets["protocol"] or "", packets["port"]), []).append(form)
    return groups, rest
