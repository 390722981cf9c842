"""What nft may leave out of a rule, for comparing what was read with what iptables-save prints."""

from __future__ import annotations

import re
from collections import Counter

from nptables.family import Family
from nptables.iptables.nftables.targets import EFFECTLESS
from nptables.iptables.rule import Option, Rule, Target
from nptables.iptables.spelling import normal_form

# What stands for a match or a target of which not all is shown.
_STANDING = ("unread", "holds")
_BASE = ("source", "destination", "in_interface", "out_interface", "protocol", "fragment")
_LIST = re.compile(r"[\d:]+")


def _named(option: Option) -> tuple[bool, str, str]:
    name = {"--state": "--ctstate"}.get(option.name, option.name)
    return option.negated, name, " ".join(option.values)


def _matches(rule: Rule) -> Counter[object]:
    """Each option of a match; those that say one thing together are one.

    `-m state` is `-m conntrack`, one port of `multiport` is a port, and comments say nothing.
    """
    found: Counter[object] = Counter()
    for match in rule.matches:
        options = [_named(option) for option in match.options]
        if match.name in ("recent", "statistic", "set", "policy"):
            found[match.name, tuple(options)] += 1
        elif match.name not in ("comment", *_STANDING):
            key = "conntrack" if match.name == "state" else match.name
            for negated, name, value in options:
                if key == "multiport" and _LIST.fullmatch(value) and name != "--ports":
                    protocol = str(rule.protocol and rule.protocol.value)
                    found[protocol, negated, name[:-1], value] += 1
                else:
                    found[key, negated, name, value] += 1
    return found


def _target(rule: Rule) -> tuple[str, bool, tuple[tuple[str, str], ...]] | None:
    target = rule.target
    if target is None or target.name in EFFECTLESS:
        return None
    options = tuple((option.name, option.value) for option in target.options)
    # Both names of it are printed in the same way.
    return ("CT", False, (("--notrack", ""),)) if target.name == "NOTRACK" else (
        target.name, target.goto, options)  # fmt: skip


def _is_open(target: Target | None) -> bool:
    return target is not None and target.name == "unread"


def fault(saved: str, read: str, family: Family) -> str:
    """What a line that was read claims that the saved one does not say; empty for nothing."""
    truth = Rule.parse(normal_form(saved, family), family)
    claim = Rule.parse(normal_form(read, family), family)
    if _is_open(claim.target):
        return ""
    standing = any(match.name in _STANDING for match in claim.matches)
    if surplus := _matches(claim) - _matches(truth):
        return f"asks for {list(surplus)}"
    if not standing and (missing := _matches(truth) - _matches(claim)):
        return f"does not ask for {list(missing)}"
    for name in _BASE:
        mine, theirs = getattr(claim, name), getattr(truth, name)
        if mine != theirs and not (mine is None and standing):
            return f"has the {name} {mine}"
    mine, theirs = _target(claim), _target(truth)
    # Flags of a target may be missing where something stands for them.
    partly = (
        standing and mine and theirs and mine[:2] == theirs[:2] and set(mine[2]) < set(theirs[2])
    )
    return f"does {claim.target}" if mine != theirs and not partly else ""
