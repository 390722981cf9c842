"""From a rule to its conditions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from nptables.iptables import tables
from nptables.iptables.protocols import protocol_name
from nptables.iptables.rule import Match, Rule
from nptables.iptables.values import Unsettled
from nptables.tracing.addressing import Net, net
from nptables.tracing.matching.address_types import address_type_conditions
from nptables.tracing.matching.conditions import (
    NEVER_IN_THE_WAY,
    Answer,
    Condition,
    Setting,
    asking,
    destination_in,
    in_words,
    inverted,
    source_in,
    source_is_endpoint,
    unknown_condition,
    unknown_match,
    unknown_option,
)
from nptables.tracing.matching.headers import HEADER_MATCHES
from nptables.tracing.matching.memory import LIMIT_MATCHES, MEMORY_MATCHES
from nptables.tracing.matching.tracking import (
    OF_ENTRIES,
    TRACKING_MATCHES,
    connection_mark_conditions,
    entry_conditions,
    tracking_conditions,
)
from nptables.tracing.matching.u32 import u32_condition
from nptables.tracing.state import State


class NotUnderstood(Exception):
    """A value of this rule cannot be read; its normal form may be readable."""


def compile_conditions(
    rule: Rule, where: str, endpoint: str | None = None
) -> tuple[Condition, ...]:
    """The conditions of a rule, all of which must hold; the cheap ones first.

    `where` names the rule, for questions that are about it alone; `endpoint` is the destination
    that its chain translates to, if it does. Raises NotUnderstood.
    """
    try:
        return tuple(_conditions(rule, where, endpoint))
    except (Unsettled, ValueError, IndexError) as error:
        raise NotUnderstood(str(error)) from error


def opaque_conditions(rule: Rule, where: str, why: str = "") -> tuple[Condition, ...]:
    """The conditions of a rule whose values cannot be understood: one question."""
    why = f" ({why})" if why else ""
    text = f"the match of {in_words(where)}, which cannot be read{why},"
    return (unknown_condition(f"{where}: {rule.render()}", text),)


def _conditions(rule: Rule, where: str, endpoint: str | None) -> Iterator[Condition]:
    if rule.protocol is not None:
        _refuse_damaged(rule.protocol.value, rule.matches)
        yield inverted(_protocol(rule.protocol.value), negated=rule.protocol.negated)
    if rule.destination is not None:
        network = net(rule.destination.value)
        holds = destination_in(network, rule.destination.value)
        yield inverted(holds, negated=rule.destination.negated)
    if rule.source is not None:
        network = net(rule.source.value)
        # The rule of kube-proxy for an endpoint that calls itself: a client from outside is none,
        # so it is not worth a question.
        hairpin = endpoint is not None and network == _host_network(endpoint)
        holds = (source_is_endpoint if hairpin else source_in)(network, rule.source.value)
        yield inverted(holds, negated=rule.source.negated)
    if rule.in_interface is not None:
        yield inverted(_comes_in(rule.in_interface.value), negated=rule.in_interface.negated)
    if rule.out_interface is not None:
        yield inverted(_goes_out(rule.out_interface.value), negated=rule.out_interface.negated)
    # Connection tracking puts fragments together before any rule sees them (nf_defrag_ipv4), and in
    # IPv6 there is no such option.
    if rule.fragment is not None:
        yield inverted(_never, negated=rule.fragment.negated)
    for match in rule.matches:
        yield from _match_conditions(match, where)
    for option in rule.extra:
        yield unknown_condition(f"{where}: {option.name}", f"the unknown option {option.name}")


def _match_conditions(match: Match, where: str) -> Iterable[Condition]:
    build = MATCHES.get(match.name)
    return (unknown_match(match, where),) if build is None else build(match, where)


def _no_conditions(match: Match, where: str) -> Iterator[Condition]:
    """None, but for words that are none of its own: those of a match whose `-m` was lost."""
    own = tables.MATCHES.get(match.name)
    if own is not None:
        yield from (unknown_option(match, o, where) for o in match.options if o.name not in own)


def _u32_conditions(match: Match, where: str) -> Iterator[Condition]:
    for option in match.options:
        yield inverted(u32_condition(option.value, where), negated=option.negated)


def _header_conditions(match: Match, where: str) -> Iterator[Condition]:
    for option in match.options:
        builder = HEADER_MATCHES[match.name].get(option.name)
        if builder is None:
            yield unknown_option(match, option, where)
        else:
            yield inverted(builder(option.values), negated=option.negated)


def _memory_condition(match: Match, _where: str) -> Iterator[Condition]:
    yield MEMORY_MATCHES[match.name](match)


def _limit_condition(match: Match, where: str) -> Iterator[Condition]:
    yield LIMIT_MATCHES[match.name](match, where)


# Every match of which more is known than its words.
MATCHES: Mapping[str, Callable[[Match, str], Iterable[Condition]]] = {
    **dict.fromkeys(NEVER_IN_THE_WAY, _no_conditions),
    **dict.fromkeys(HEADER_MATCHES, _header_conditions),
    **dict.fromkeys(TRACKING_MATCHES, tracking_conditions),
    **dict.fromkeys(MEMORY_MATCHES, _memory_condition),
    **dict.fromkeys(LIMIT_MATCHES, _limit_condition),
    **dict.fromkeys(OF_ENTRIES, entry_conditions),
    "addrtype": address_type_conditions,
    "connmark": connection_mark_conditions,
    "u32": _u32_conditions,
}


def _host_network(endpoint: str) -> Net | None:
    """The network of an endpoint's address alone."""
    address = endpoint.rpartition(":")[0].strip("[]") or endpoint
    try:
        return net(address)
    except ValueError:
        return None


def _never(_state: State, _setting: Setting) -> Answer:
    return False


_PROTOCOL = re.compile(r"[a-z0-9][a-z0-9.+-]*")


def _refuse_damaged(protocol: str, matches: Iterable[Match]) -> None:
    """Raise ValueError for a protocol of another name than the match that is for it alone."""
    if protocol_name(protocol) is None and not protocol.isdigit():
        for match in matches:
            if match.name in tables.PROTOCOL_MATCHES.values():
                raise ValueError(protocol)


def _protocol(value: str) -> Condition:
    if value.lower() in ("all", "0"):
        return lambda _state, _setting: True
    wanted = protocol_name(value) or value.lower()
    # /etc/protocols may have many more, and none like this.
    if not _PROTOCOL.fullmatch(wanted):
        raise ValueError(value)
    return lambda _state, setting: setting.protocol == wanted


def _comes_in(pattern: str) -> Condition:
    def holds(state: State, setting: Setting) -> Answer:
        if state.in_interface is not None:
            return _fits(state.in_interface, pattern)
        if pattern == "lo" or (not pattern.endswith("+") and setting.lacks_interface(pattern)):
            return False
        text = f"comes in through {pattern}"
        way = state.source if isinstance(state.source, str) else ""
        ask = asking(
            state, setting, ("in", pattern), f"it {text}", f"it does not {_not(text)}",
            check=f"ip route get {way}" if way else "ip route show default",
        )  # fmt: skip
        known = state if pattern.endswith("+") else state._replace(in_interface=pattern)
        return ask._replace(yes=known)

    return holds


def _goes_out(pattern: str) -> Condition:
    def holds(state: State, setting: Setting) -> Answer:
        if state.out_interface is not None:
            return _fits(state.out_interface, pattern)
        if pattern == "lo" or (not pattern.endswith("+") and setting.lacks_interface(pattern)):
            return False
        key = ("out", pattern, state.destination)
        way = f"for {state.destination} through {pattern}"
        check = f"ip route get {state.destination}" if isinstance(state.destination, str) else ""
        ask = asking(
            state, setting, key, f"it leaves {way}", f"it does not leave {way}", check=check
        )
        known = state if pattern.endswith("+") else state._replace(out_interface=pattern)
        return ask._replace(yes=known)

    return holds


def _not(text: str) -> str:
    return text.replace("comes", "come", 1)


def _fits(name: str, pattern: str) -> bool:
    """As the kernel compares: with `+` at the end a prefix, and no interface is an empty name."""
    if pattern.endswith("+"):
        return name.startswith(pattern[:-1])
    return name == pattern
