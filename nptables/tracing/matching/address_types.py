"""The addrtype match: the type that the node's routing tables give an address.

In IPv4 an address has one type, that of its route in the local table, and a rule lists those that
will do. In IPv6 an address may have several: of MULTICAST, UNICAST and UNSPEC it must have each
that is listed, and one of the others (`match_type` and `match_type6` in xt_addrtype.c).
"""

from __future__ import annotations

from collections.abc import Iterator

from nptables.family import Family
from nptables.iptables.rule import Match
from nptables.iptables.values import ADDRESS_TYPES, among
from nptables.tracing.addressing import Address, is_in, net
from nptables.tracing.matching.conditions import (
    Answer,
    Condition,
    Setting,
    asking,
    inverted,
    unknown_option,
)
from nptables.tracing.matching.headers import MULTICAST
from nptables.tracing.state import State

_LIMITS = ("--limit-iface-in", "--limit-iface-out")
_REFUSALS = frozenset({"BLACKHOLE", "UNREACHABLE", "PROHIBIT"})
_UNSPECIFIED = net("::/128")
_MAPPED = net("::ffff:0:0/96")


def address_type_conditions(match: Match, where: str) -> Iterator[Condition]:
    """The conditions of an addrtype match."""
    limits = {option.name for option in match.options} & set(_LIMITS)
    for option in match.options:
        if option.name in ("--src-type", "--dst-type"):
            by_source = option.name == "--src-type"
            holds = _of_type(option.value, by_source=by_source, limit=min(limits, default=""))
            yield inverted(holds, negated=option.negated)
        elif option.name not in _LIMITS:
            yield unknown_option(match, option, where)


def _of_type(words: str, *, by_source: bool, limit: str) -> Condition:
    types = among(words, ADDRESS_TYPES)

    def holds(state: State, setting: Setting) -> Answer:
        address = state.source if by_source else state.destination
        interface = {_LIMITS[0]: state.in_interface, _LIMITS[1]: state.out_interface}.get(limit, "")
        kind = _ipv4 if setting.family is Family.IPV4 else _ipv6
        answer = kind(address, types, setting, interface)
        if answer is not None:
            return answer
        key = ("address type", address, types, limit and interface)
        through = f" at {interface}" if interface else " at its interface" if limit else ""
        text = f"{address} is of type {words} to {setting.place}{through}"
        return asking(state, setting, key, text)

    return holds


def _ipv4(
    address: Address, types: frozenset[str], setting: Setting, interface: str | None
) -> bool | None:
    """Whether the type of an IPv4 address is among others; its interface matters unless empty."""
    multicast = is_in(address, MULTICAST[Family.IPV4])
    special = {
        "MULTICAST": multicast,
        "BROADCAST": setting.is_broadcast(address, interface),
        "LOCAL": setting.is_local(address, interface),
    }
    # Each has one type only: what the kernel knows by the address alone, else by the route in its
    # local table (`__inet_dev_addr_type` in net/ipv4/fib_frontend.c).
    sure = next((kind for kind, found in special.items() if found), None)
    if sure is not None:
        return sure in types
    open_kinds = {kind for kind, found in special.items() if found is None}
    # Where the node has no rules for routing, its local table finds the routes of the main table.
    refusal = setting.refusal(address)
    open_kinds |= _REFUSALS if refusal is None else {refusal.upper()} & _REFUSALS
    possible = open_kinds | {"UNICAST"}
    if possible <= types:
        return True
    return None if possible & types else False


def _ipv6(
    address: Address, types: frozenset[str], setting: Setting, interface: str | None
) -> bool | None:
    multicast = is_in(address, MULTICAST[Family.IPV6])
    unspecified = is_in(address, _UNSPECIFIED)
    others = (multicast, unspecified, is_in(address, _MAPPED))
    unicast = False if True in others else None if None in others else True
    answers: list[bool | None] = [
        found
        for kind, found in (
            ("MULTICAST", multicast), ("UNICAST", unicast), ("UNSPEC", unspecified),
        )
        if kind in types
    ]  # fmt: skip
    routed = types - {"MULTICAST", "UNICAST", "UNSPEC"}
    if routed:
        local = setting.is_local(address, interface)
        found = {"LOCAL": local} if local else {
            "LOCAL": local,
            "ANYCAST": setting.is_anycast(address, interface),
            "UNREACHABLE": _is_refused(address, setting, interface),
        }  # fmt: skip
        listed = [found.get(kind, False) for kind in routed]
        answers.append(True if True in listed else None if None in listed else False)
    return False if False in answers else None if None in answers else True


def _is_refused(address: Address, setting: Setting, interface: str | None) -> bool | None:
    if interface == "":
        refusal = setting.refusal(address)
        return None if refusal is None else bool(refusal)
    # Asked for one interface, the kernel looks for another route.
    return None
