"""The normal form of a rule line: the text that `iptables-save` 1.8.9 prints for the same rule.

Other versions of iptables, and everyone who writes rules by hand, spell some rules differently:
`--or-mark 0x4000` is `--set-xmark 0x4000/0x4000`. Two lines with one normal form are one rule to
the kernel. The other direction is not promised: a line with anything in it that is not known for
sure is returned as it came, because taking two rules for one is worse than taking one for two.

The spellings are in this module (iptables' own options, the order) and in the tables of `matches`
and `targets`; each names the function of iptables 1.8.9 it comes from. All of them are fed to the
real programs in tests/kernel/test_spelling.py.
"""

from __future__ import annotations

import re

import attrs

from nptables.errors import RuleSyntaxError
from nptables.family import Family
from nptables.iptables.protocols import c_number, protocol_name
from nptables.iptables.rule import Match, Option, Rule, Target
from nptables.iptables.spelling.forms import Forms
from nptables.iptables.spelling.matches import MATCH_FORMS
from nptables.iptables.spelling.targets import TARGET_FORMS
from nptables.iptables.tables import MATCHES, TARGETS, Options
from nptables.iptables.values import (
    FULL_MASKS,
    Unsettled,
    is_everything,
    nat_address,
    network,
    probability,
)

_PORT = r"(?:[1-9][0-9]{0,3}|[1-5][0-9]{4})"
_MARK = r"0x(?:0|[1-9a-f][0-9a-f]{0,7})"
_NAME = r"[A-Za-z0-9_-]+"
_QUOTED = r'"[A-Za-z0-9_-]*+[^"\\\'A-Za-z0-9_-][^"\\\']*+"'
_MATCH = "|".join([
    rf"comment --comment (?:{_NAME}|{_QUOTED})",
    rf"(?:tcp|udp|sctp)(?: --dport {_PORT})?",
    rf"mark (?:! )?--mark {_MARK}/(?!0xffffffff){_MARK}",
    r"conntrack (?:! )?--ctstate (?:INVALID|NEW|RELATED,ESTABLISHED)",
    r"addrtype (?:! )?--(?:src|dst)-type LOCAL",
    rf"nfacct --nfacct-name  {_NAME}",
    r"statistic --mode random --probability (?P<probability>0\.[0-9]{11})",
    (
        rf"recent (?:--set|--rcheck --seconds [1-9][0-9]{{0,6}} --reap) --name {_NAME}"
        r" --mask (?P<mask>[0-9a-f.:]+) --rsource"
    ),
])  # fmt: skip
_TARGET = "|".join([
    r"[A-Z0-9_]+-[A-Z0-9_-]+",
    r"ACCEPT|DROP|RETURN|MASQUERADE(?: --random-fully)?",
    rf"MARK --set-xmark {_MARK}/{_MARK}",
    r"DNAT --to-destination (?P<to>[0-9a-f.:\[\]]+)",
])  # fmt: skip

# The shapes of which a node with Services has a hundred thousand lines: normal as they stand if
# the named parts are. A line that does not fit is looked at word by word.
_USUAL = re.compile(
    rf"-A {_NAME}"
    r"(?: (?:! )?-s (?P<source>[0-9a-f.:/]+))?(?: (?:! )?-d (?P<destination>[0-9a-f.:/]+))?"
    rf"(?: -p (?:tcp|udp|sctp))?(?: -m (?:{_MATCH}))*(?: -j (?:{_TARGET}))?"
)


def _is_normal_at_a_glance(line: str, family: Family) -> bool:
    match = _USUAL.fullmatch(line)
    # Of a named group that occurs twice only the last match can be looked at below.
    if match is None or line.count(" -m statistic ") > 1 or line.count(" -m recent ") > 1:
        return False
    for address in match["source"], match["destination"]:
        # A network of everything is not printed at all.
        if address and (network(address, family) != address or address.endswith("/0")):
            return False
    given, full, to = match["probability"], match["mask"], match["to"]
    return (
        (given is None or probability(given) == given)
        and (full is None or full == FULL_MASKS[family])
        and (to is None or nat_address(to, family) == to)
    )


def normal_form(line: str, family: Family) -> str:
    """The line as `iptables-save` (or `ip6tables-save`) 1.8.9 prints the rule that `line` says.

    `line` begins with `-A`, without counters. A line that is normal, that cannot be read, or in
    which anything is unknown comes back as it is. Applying it twice changes nothing.

    >>> normal_form("-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000", Family.IPV4)
    '-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000'
    >>> normal_form("-A INPUT -p 6 --destination-port ssh -s 10.1.2.3/8 -j ACCEPT", Family.IPV4)
    '-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j ACCEPT'
    """
    try:
        if _is_normal_at_a_glance(line, family):
            return line
        rule = Rule.parse(line, family)
        # What nobody knows may change what the rest of the rule means.
        if rule.unknown:
            return line
        return _settled(rule, family).render()
    except (RuleSyntaxError, Unsettled):
        return line


def _settled(rule: Rule, family: Family) -> Rule:
    target = rule.target
    if target is not None and not target.goto and target.name in TARGETS:
        target = Target(
            target.name,
            _settled_options(
                target.options, TARGETS[target.name], TARGET_FORMS.get(target.name), family
            ),
        )
    return Rule(
        chain=rule.chain,
        source=_settled_network(rule.source, family),
        destination=_settled_network(rule.destination, family),
        in_interface=_settled_interface(rule.in_interface),
        out_interface=_settled_interface(rule.out_interface),
        protocol=_settled_protocol(rule.protocol),
        fragment=rule.fragment,
        matches=tuple(_settled_match(match, family) for match in rule.matches),
        target=target,
    )


def _settled_match(match: Match, family: Family) -> Match:
    forms = MATCH_FORMS.get(match.name)
    return Match(match.name, _settled_options(match.options, MATCHES[match.name], forms, family))


def _settled_options(
    options: tuple[Option, ...], known: Options, forms: Forms | None, family: Family
) -> tuple[Option, ...]:
    """The options with printed values, in printed order; as they are where no forms are known."""
    if forms is None:
        if len(options) > 1:
            raise Unsettled("the order in which these are printed is not known")
        return options
    named: dict[str, Option] = {}
    for option in options:
        if option.name in named:
            raise Unsettled(f"{option.name} given twice")
        named[option.name] = option
    for name, form in forms.values.items():
        if name in named:
            named[name] = attrs.evolve(named[name], values=form(named[name].values, family))
    if forms.whole is not None:
        named = forms.whole(named, family)
    order = list(dict.fromkeys(spec.name for spec in known.values()))
    return tuple(named[name] for name in order if name in named)


def _settled_network(option: Option | None, family: Family) -> Option | None:
    """`-s` and `-d`: prefix length always there, host bits cleared, everything left out."""
    if option is None:
        return None
    printed = network(option.value, family)
    if is_everything(printed, family) and not option.negated:
        return None
    return attrs.evolve(option, values=(printed,))


def _settled_interface(option: Option | None) -> Option | None:
    """`-i +` is every interface and not printed (`save_iface` in iptables/xshared.c)."""
    if option is None or option.value != "+":
        return option
    if option.negated:
        raise Unsettled("no interface at all")
    return None


def _settled_protocol(option: Option | None) -> Option | None:
    """By name where there is one, else by number; `all` is not printed (`save_rule_details`)."""
    if option is None:
        return None
    value = option.value
    if value.lower() == "all" or c_number(value, 255) == 0:
        if option.negated:
            raise Unsettled("no protocol at all")
        return None
    name = protocol_name(value)
    if name is None:
        number = c_number(value, 255)
        # Distributions call these two differently: see `protocols`.
        if number is None or number in (4, 94):
            raise Unsettled(value)
        name = str(number)
    return attrs.evolve(option, values=(name,))
