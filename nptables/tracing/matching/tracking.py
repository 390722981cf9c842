"""Matches on what connection tracking says of the packet."""

from __future__ import annotations

from collections.abc import Mapping

from nptables.iptables.protocols import protocol_name
from nptables.tracing.matching.answers import Answer, Condition, Setting, asking
from nptables.tracing.matching.headers import Builder, Words, port_ranges
from nptables.tracing.state import State
from nptables.tracing.surroundings.addressing import Address, is_in, net


def _states(words: Words) -> Condition:
    """`--ctstate` and `--state`: DNAT and SNAT stand beside the state (`xt_conntrack.c`)."""
    wanted = frozenset(words[0].upper().split(","))

    def holds(state: State, _setting: Setting) -> Answer:
        return (
            state.tracking in wanted
            or (state.dnat and "DNAT" in wanted)
            or (state.snat and "SNAT" in wanted)
        )

    return holds


def _status(words: Words) -> Condition:
    wanted = frozenset(words[0].upper().split(","))

    def holds(state: State, setting: Setting) -> Answer:
        if state.tracking in ("NEW", "INVALID", "UNTRACKED"):
            # A connection that begins has seen no reply and is confirmed after POSTROUTING only.
            return False
        return asking(state, setting, ("ctstatus", words[0]), f"its connection is {words[0]}")

    return holds if wanted != {"NONE"} else lambda _state, _setting: False


def _original_source(words: Words) -> Condition:
    return lambda state, setting: _address(setting.original.source, words[0], state, setting)


def _original_destination(words: Words) -> Condition:
    return lambda state, setting: _address(setting.original.destination, words[0], state, setting)


def _reply_source(words: Words) -> Condition:
    return lambda state, setting: _address(state.destination, words[0], state, setting)


def _reply_destination(words: Words) -> Condition:
    return lambda state, setting: _address(state.source, words[0], state, setting)


def _address(address: Address, text: str, state: State, setting: Setting) -> Answer:
    found = is_in(address, net(text))
    if found is not None:
        return found
    return asking(state, setting, (address, "in", text), f"{address} in {text}")


def _original_source_port(words: Words) -> Condition:
    return lambda state, setting: _port(setting.original.source_port, words[0], state, setting)


def _original_port(words: Words) -> Condition:
    return lambda state, setting: _port(setting.original.port, words[0], state, setting)


def _reply_source_port(words: Words) -> Condition:
    return lambda state, setting: _port(state.port, words[0], state, setting)


def _reply_port(words: Words) -> Condition:
    return lambda state, setting: _port(state.source_port, words[0], state, setting)


def _port(value: int | None, text: str, state: State, setting: Setting) -> Answer:
    if value is not None:
        return any(low <= value <= high for low, high in port_ranges(text))
    return asking(state, setting, ("port of the connection", text), f"the source port is in {text}")


def _protocol(words: Words) -> Condition:
    wanted = protocol_name(words[0]) or words[0].lower()
    return lambda _state, setting: setting.protocol == wanted


def _direction(words: Words) -> Condition:
    return lambda _state, _setting: words[0].upper() == "ORIGINAL"


TRACKING_MATCHES: Mapping[str, Mapping[str, Builder]] = {
    "state": {"--state": _states},
    "conntrack": {
        "--ctstate": _states,
        "--ctstatus": _status,
        "--ctorigsrc": _original_source,
        "--ctorigdst": _original_destination,
        "--ctreplsrc": _reply_source,
        "--ctrepldst": _reply_destination,
        "--ctorigsrcport": _original_source_port,
        "--ctorigdstport": _original_port,
        "--ctreplsrcport": _reply_source_port,
        "--ctrepldstport": _reply_port,
        "--ctproto": _protocol,
        "--ctdir": _direction,
    },
}
