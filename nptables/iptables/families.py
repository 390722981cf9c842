"""The family of a saved ruleset, told by its addresses: its text does not say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from nptables.family import Family
from nptables.iptables.ruleset import Ruleset

# Comments may hold addresses of any family.
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"', re.DOTALL)
# Addresses, and what iptables has for one family only.
_EVIDENCE = {
    Family.IPV4: re.compile(
        r" (?:-[sd]|--to-(?:destination|source)|--(?:src|dst)-range|--ct(?:orig|repl)(?:src|dst)) "
        r"[0-9]{1,3}\.[0-9]"
        r"| -p icmp | -m (?:icmp|ttl|realm) | -j (?:TTL|CLUSTERIP) "
        r"| --reject-with icmp-"
    ),
    Family.IPV6: re.compile(
        r" (?:-[sd]|--to-(?:destination|source)|--(?:src|dst)-range|--ct(?:orig|repl)(?:src|dst)) "
        r"\[?[0-9a-fA-F]{0,4}:[0-9a-fA-F:]"
        r"| -p (?:ipv6-icmp|icmpv6) "
        r"| -m (?:icmp6|hl|rt|frag|hbh|dst|eui64|mh|ipv6header|srh) | -j (?:HL|DNPT|SNPT) "
        r"| --reject-with (?:icmp6|adm-prohibited|policy-fail|reject-route)"
    ),
}
# So many lines that tell are enough.
_ENOUGH = 1000


def family_of_rules(ruleset: Ruleset) -> Family | None:
    """The family that the rules of a dump are of; None where they do not tell, or disagree.

    What the dump was read as does not count.
    """
    return family_of_lines(_lines(ruleset))


def family_of_lines(lines: Iterable[str]) -> Family | None:
    """The family that rule lines are of; None where they do not tell, or disagree."""
    found: Counter[Family] = Counter()
    for line in lines:
        words = _QUOTED.sub("", line) if '"' in line else line
        for family, evidence in _EVIDENCE.items():
            if evidence.search(f"{words} ") is not None:
                found[family] += 1
        if found.total() >= _ENOUGH:
            break
    return next(iter(found)) if len(found) == 1 else None


def _lines(ruleset: Ruleset) -> Iterator[str]:
    for table in ruleset.tables.values():
        for lines in table.chains.values():
            yield from lines
