"""What iptables would refuse in a rule: somebody damaged the line, or cut it off.

Nobody knows what such a rule asks for or does. To pass it over would say that it does nothing.
"""

from __future__ import annotations

from nptables.iptables.protocols import protocol_name
from nptables.iptables.rule import Match, Rule
from nptables.iptables.tables import MATCHES


def refused_word(rule: Rule) -> str:
    """That a word of a rule is no option, in words; empty where each is."""
    options = (*rule.extra, *(option for match in rule.matches for option in match.options))
    return _refused(next((o.name for o in options if not o.name.startswith("-")), ""))


def refused_without_target(rule: Rule) -> str:
    """That something cannot stand in a rule without a target, in words; empty where all can.

    A target may have been there before the line was damaged. A rule that has one is followed: then
    it is a question whether what is not understood holds.
    """
    if rule.target is not None:
        return ""
    protocol = rule.protocol.value if rule.protocol is not None else "all"
    if rule.extra:
        return _refused(rule.extra[0].name)
    if not (protocol.isdigit() or protocol_name(protocol) or protocol.lower() == "all"):
        return _refused(f"-p {protocol}")
    return _refused(next(filter(None, map(_refused_in, rule.matches)), ""))


def _refused_in(match: Match) -> str:
    """The part of a match that iptables would refuse; empty where it refuses none."""
    known = MATCHES.get(match.name)
    if known is None:
        # Others may have a match that is not known here, but none whose name is cut short.
        if match.name.startswith("-") or any(name.startswith(match.name) for name in MATCHES):
            return f"-m {match.name}"
        return next((o.name for o in match.options if not o.name.startswith("-")), "")
    if match.name == "comment" and not match.options:
        return "-m comment"
    return next((option.name for option in match.options if option.name not in known), "")


def _refused(what: str) -> str:
    return what and f"{what} cannot stand there"
