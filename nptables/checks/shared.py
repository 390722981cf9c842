"""Rules in the chains that kube-proxy shares with the kubelet, judged by what they do.

Every packet of the node passes these chains, and nobody owns all of their rules. What belongs there
narrows itself: to a mark, or to 127.0.0.0/8. A rule that lost its match (`--mark` between two
versions of iptables, for one) does to every packet what it should do to a few.
"""

from __future__ import annotations

from collections.abc import Iterator

from nptables.errors import RuleSyntaxError
from nptables.iptables import Ruleset
from nptables.iptables.rule import Option, Rule
from nptables.iptables.spelling import normal_form
from nptables.model.addresses import network_contains
from nptables.translation import chains

_DROPPING = ("DROP", "REJECT")
_LOOPBACK = ("127.0.0.0/8", "::1/128")


def wrong_in_shared_chains(rules: Ruleset, masquerade_mark: str) -> list[str]:
    """Sentences about rules in shared chains that drop or change what they should not.

    `masquerade_mark` is the mark of packets to be masqueraded, as iptables prints it; what the
    node itself masquerades by goes before it.
    """
    mark = _masqueraded_by(rules) or int(masquerade_mark, 16)
    return [
        f"{rules.family.value} {table} {chain}: {wrong}: {line}"
        for table, chain, judge in (
            ("filter", chains.FIREWALL, _firewall),
            ("nat", chains.MARK_DROP, _marking),
            ("nat", chains.MARK_MASQ, _marking),
            ("nat", chains.POSTROUTING, _postrouting),
        )
        for line, wrong in judge(list(_parsed(rules, table, chain)), mark)
    ]


Lines = list[tuple[str, Rule]]


def _masqueraded_by(rules: Ruleset) -> int:
    """The mark that KUBE-POSTROUTING asks for, or 0."""
    found = (
        value
        for _, rule in _parsed(rules, "nat", chains.POSTROUTING)
        for _, value, _ in _marks(rule)
        if value
    )
    return next(found, 0)


def _parsed(rules: Ruleset, table: str, chain: str) -> Iterator[tuple[str, Rule]]:
    for line in rules.lines(table, chain):
        try:
            yield line, Rule.parse(normal_form(line, rules.family), rules.family)
        except RuleSyntaxError:
            continue


def _firewall(lines: Lines, masquerade: int) -> Iterator[tuple[str, str]]:
    """KUBE-FIREWALL drops what is marked for it, and what comes to 127.0.0.0/8 from outside."""
    for line, rule in lines:
        if _target(rule) == "RETURN" and _returns_unmarked(rule, ~masquerade):
            return
        if not _drops(rule) or _to_loopback(rule) or _invalid_only(rule):
            continue
        required = _required_mark(rule)
        if required & masquerade:
            yield line, "it drops packets of Services that are marked for masquerading"
        elif not required:
            few = "every packet" if _is_bare(rule) else "packets that are not marked for it"
            yield line, f"it drops {few}"


def _marking(lines: Lines, masquerade: int) -> Iterator[tuple[str, str]]:
    """KUBE-MARK-DROP and KUBE-MARK-MASQ set their bit, and nothing else."""
    for line, rule in lines:
        if _drops(rule):
            yield line, "it drops what is only to be marked"
            continue
        value = _set_mark(rule)
        if value is None:
            continue
        if rule.chain == chains.MARK_DROP and value & masquerade:
            yield line, "it sets the mark for masquerading"
        elif rule.chain == chains.MARK_MASQ and not value & masquerade:
            yield line, f"it does not set the mark for masquerading ({masquerade:#x})"
        elif rule.chain == chains.MARK_MASQ and value & ~masquerade:
            yield line, "it sets marks besides that for masquerading"


def _postrouting(lines: Lines, masquerade: int) -> Iterator[tuple[str, str]]:
    """KUBE-POSTROUTING masquerades what is marked for it, and lets everything else return."""
    guarded = False
    masquerades = [line for line, rule in lines if _target(rule) in ("MASQUERADE", "SNAT")]
    for line, rule in lines:
        if _drops(rule):
            yield line, "it drops packets on their way out"
        elif _target(rule) in ("RETURN", "ACCEPT"):
            if _returns_unmarked(rule, masquerade):
                guarded = True
            elif _is_bare(rule) and masquerades and not guarded:
                yield line, "it lets every packet return, so that none is masqueraded"
                return
        elif line in masquerades and _is_bare(rule) and not guarded:
            yield line, "it masquerades every packet, marked or not"


def _target(rule: Rule) -> str:
    return rule.target.name if rule.target is not None else ""


def _drops(rule: Rule) -> bool:
    return _target(rule) in _DROPPING


def _is_bare(rule: Rule) -> bool:
    """Whether a rule matches every packet."""
    conditions = (
        rule.source, rule.destination, rule.in_interface, rule.out_interface, rule.protocol,
        rule.fragment,
    )  # fmt: skip
    return not any(conditions) and not rule.extra and all(m.name == "comment" for m in rule.matches)


def _to_loopback(rule: Rule) -> bool:
    to = rule.destination
    if to is None or to.negated:
        return False
    address = to.value.partition("/")[0]
    return any(
        (":" in network) == (":" in address) and network_contains(network, address)
        for network in _LOOPBACK
    )


def _invalid_only(rule: Rule) -> bool:
    match = rule.match("conntrack") or rule.match("state")
    if match is None:
        return False
    states = match.option("--ctstate") or match.option("--state")
    return states is not None and not states.negated and states.value == "INVALID"


def _marks(rule: Rule) -> Iterator[tuple[Option, int, int]]:
    for match in rule.matches:
        option = match.option("--mark") if match.name == "mark" else None
        if option is not None:
            value, _, mask = option.value.partition("/")
            try:
                yield option, int(value, 0), int(mask, 0) if mask else 0xFFFFFFFF
            except ValueError:
                continue


def _required_mark(rule: Rule) -> int:
    """The bits that a packet must have for the rule to match."""
    required = 0
    for option, value, mask in _marks(rule):
        if not option.negated:
            required |= value & mask
    return required


def _returns_unmarked(rule: Rule, masquerade: int) -> bool:
    """Whether a rule matches packets without the mark for masquerading."""
    return any(option.negated and value & masquerade for option, value, _ in _marks(rule)) or any(
        not option.negated and mask & masquerade and not value & masquerade
        for option, value, mask in _marks(rule)
    )


def _set_mark(rule: Rule) -> int | None:
    """The bits that a MARK target sets, or None for any other."""
    target = rule.target
    option = target.option("--set-xmark") if target and target.name == "MARK" else None
    try:
        return None if option is None else int(option.value.partition("/")[0], 0)
    except ValueError:
        return None
