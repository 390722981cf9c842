"""Matches on what connection tracking says of the packet.

A packet has no entry before connection tracking has seen it (in raw), where it is not understood
(INVALID) and behind NOTRACK (UNTRACKED). Then `--ctstate` alone decides, whatever stands beside it,
and every other condition fails, negated or not (`conntrack_mt` in net/netfilter/xt_conntrack.c).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from nptables.family import Family
from nptables.iptables.protocols import protocol_name
from nptables.iptables.rule import Match
from nptables.iptables.values import (
    CONNECTION_STATES,
    CONNECTION_STATUSES,
    among,
    mark_and_mask,
)
from nptables.tracing.addressing import Address, is_in, net
from nptables.tracing.matching.conditions import (
    Answer,
    Condition,
    Setting,
    asking,
    inverted,
    unknown_match,
    unknown_option,
)
from nptables.tracing.matching.headers import Builder, Words, port_ranges
from nptables.tracing.routing import LOOPBACK
from nptables.tracing.state import TEMPLATE, State

_STATE_OPTIONS = ("--ctstate", "--state")
# The addresses in an entry that CT made up.
_NOWHERE = {Family.IPV4: "0.0.0.0", Family.IPV6: "::"}  # noqa: S104 (nobody listens)


def tracking_conditions(match: Match, where: str) -> Iterator[Condition]:
    """The conditions of `conntrack` or `state`."""
    options = TRACKING_MATCHES[match.name]
    names_state = any(option.name in _STATE_OPTIONS for option in match.options)
    for option in match.options:
        builder = options.get(option.name)
        if builder is None:
            condition = unknown_option(match, option, where)
        else:
            condition = inverted(builder(option.values), negated=option.negated)
        if option.name not in _STATE_OPTIONS:
            condition = with_entry(condition, without=names_state)
        yield condition


def with_entry(condition: Condition, *, without: bool) -> Condition:
    """The condition for packets with an entry; `without` is the answer for all others."""

    def holds(state: State, setting: Setting) -> Answer:
        return condition(state, setting) if state.has_entry else without

    return holds


def _states(words: Words) -> Condition:
    """`--ctstate` and `--state`: DNAT and SNAT stand beside the state."""
    wanted = among(words[0], CONNECTION_STATES)

    def holds(state: State, setting: Setting) -> Answer:
        # A template has no status, and the packet is the first of a connection: NEW.
        if ("NEW" if state.tracking == TEMPLATE else state.tracking) in wanted:
            return True
        changes = {"DNAT": state.dnat, "SNAT": state.snat}
        listed = [(name, changed) for name, changed in changes.items() if name in wanted]
        if any(changed for _, changed in listed):
            return True
        for name, changed in listed:
            if changed is None:
                return asking(state, setting, ("changed", name), f"its connection has state {name}")
        return False

    return holds


def _status(words: Words) -> Condition:
    wanted = among(words[0], ("NONE", *CONNECTION_STATUSES)) - {"NONE"}

    def holds(state: State, setting: Setting) -> Answer:
        if not wanted:
            return False
        if state.tracking == TEMPLATE:
            return "CONFIRMED" in wanted
        if state.tracking == "NEW":
            # A connection that begins has seen no reply. It is confirmed when its first packet
            # leaves or is delivered; one that the node sends to itself comes by again after that.
            confirmed = setting.from_node and state.in_interface == LOOPBACK
            return confirmed and "CONFIRMED" in wanted
        return asking(state, setting, ("ctstatus", words[0]), f"its connection is {words[0]}")

    return holds


def _original(state: State, setting: Setting) -> State:
    """The packet that the connection began with, as its entry has it."""
    return _template(setting) if state.tracking == TEMPLATE else setting.original


def _reply(state: State, setting: Setting) -> State:
    """The packet whose answer the connection waits for, as its entry has it."""
    return _template(setting) if state.tracking == TEMPLATE else state


def _template(setting: Setting) -> State:
    nowhere = _NOWHERE[setting.family]
    return State(nowhere, 0, nowhere, 0, "", "")


def _address_of(find: Callable[[State, Setting], Address]) -> Builder:
    def build(words: Words) -> Condition:
        network, text = net(words[0]), words[0]

        def holds(state: State, setting: Setting) -> Answer:
            address = find(state, setting)
            found = is_in(address, network)
            if found is not None:
                return found
            return asking(state, setting, (address, "in", text), f"{address} in {text}")

        return holds

    return build


def _port_of(whose: str, find: Callable[[State, Setting], int | None]) -> Builder:
    def build(words: Words) -> Condition:
        ranges, text = port_ranges(words[0]), words[0]

        def holds(state: State, setting: Setting) -> Answer:
            value = find(state, setting)
            if value is not None:
                return any(low <= value <= high for low, high in ranges)
            key = ("port of the connection", whose, text)
            return asking(state, setting, key, f"the {whose} port of the connection is in {text}")

        return holds

    return build


def _protocol(words: Words) -> Condition:
    wanted = protocol_name(words[0]) or words[0].lower()
    return lambda state, setting: state.tracking != TEMPLATE and setting.protocol == wanted


def _direction(words: Words) -> Condition:
    direction = words[0].upper()
    if direction not in ("ORIGINAL", "REPLY"):
        raise ValueError(direction)
    # It is always the first packet of a connection that is followed.
    return lambda _state, _setting: direction == "ORIGINAL"


TRACKING_MATCHES: Mapping[str, Mapping[str, Builder]] = {
    "state": {"--state": _states},
    "conntrack": {
        "--ctstate": _states,
        "--ctstatus": _status,
        "--ctorigsrc": _address_of(lambda state, setting: _original(state, setting).source),
        "--ctorigdst": _address_of(lambda state, setting: _original(state, setting).destination),
        "--ctreplsrc": _address_of(lambda state, setting: _reply(state, setting).destination),
        "--ctrepldst": _address_of(lambda state, setting: _reply(state, setting).source),
        "--ctorigsrcport": _port_of("source", lambda s, it: _original(s, it).source_port),
        "--ctorigdstport": _port_of("destination", lambda s, it: _original(s, it).port),
        "--ctreplsrcport": _port_of("answering", lambda s, it: _reply(s, it).port),
        "--ctrepldstport": _port_of("answered", lambda s, it: _reply(s, it).source_port),
        "--ctproto": _protocol,
        "--ctdir": _direction,
    },
}


def _connection_mark(words: Words) -> Condition:
    value, mask = mark_and_mask(words[0])
    return lambda state, _setting: state.connection_mark & mask == value


def connection_mark_conditions(match: Match, _where: str) -> Iterator[Condition]:
    """The conditions of `connmark`, which holds of no packet without an entry, negated or not."""
    for option in match.options:
        condition = inverted(_connection_mark(option.values), negated=option.negated)
        yield with_entry(condition, without=False)


OF_ENTRIES = ("cluster", "connbytes", "connlabel", "helper")


def entry_conditions(match: Match, where: str) -> Iterator[Condition]:
    """The condition of a match of OF_ENTRIES: its answer is unknown, unless there is no entry.

    `helper` and `connlabel` say no of a packet without one, and their negation yes; `connbytes`
    and `cluster` say no either way.
    """
    negated = any(option.negated for option in match.options)
    unknown = unknown_match(match, where)
    if match.name == "helper":
        yield _helper(unknown, negated=negated)
    else:
        yield with_entry(unknown, without=negated and match.name == "connlabel")


def _helper(unknown: Condition, *, negated: bool) -> Condition:
    def holds(state: State, setting: Setting) -> Answer:
        # A connection that no other one has led to has no helper that it is related to.
        if not state.has_entry or state.tracking in ("NEW", TEMPLATE):
            return negated
        return unknown(state, setting)

    return holds
