"""What a rule does with a packet that it matches."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Protocol

import attrs

from nptables.family import Family
from nptables.iptables.rule import Rule, Target
from nptables.iptables.tables import TARGETS
from nptables.iptables.values import FULL_MARK, Unsettled, mark_and_mask, number
from nptables.model.addresses import parse_ip
from nptables.tracing.state import State
from nptables.tracing.surroundings.addressing import Address, Somewhere


class Kind(enum.Enum):
    """What follows from an action."""

    NEXT = "next"
    ACCEPT = "accept"
    DROP = "drop"
    REFUSE = "refuse"
    RETURN = "return"
    JUMP = "jump"
    GOTO = "goto"
    CHANGE = "change"
    TRANSLATE = "translate"
    UNKNOWN = "unknown"


class Translator(Protocol):
    """What translations need to know about the node."""

    @property
    def family(self) -> Family:
        """The family of the packet."""

    def masquerade_address(self, state: State) -> Address:
        """The address that MASQUERADE gives to a packet."""

    def redirect_address(self, state: State) -> Address:
        """The address that REDIRECT sends a packet to."""


Change = Callable[[State, Translator], State]


@attrs.frozen
class Action:
    """What a rule does: `chain` for jumps, `change` for changes, `text` for what is unknown."""

    kind: Kind
    chain: str = ""
    text: str = ""
    change: Change | None = None


NEXT = Action(Kind.NEXT)

# They leave the walk of the packet as it is: they write logs, count, or touch fields that no
# routing decision depends on.
_WITHOUT_EFFECT = frozenset({
    "AUDIT", "CHECKSUM", "CLASSIFY", "CONNSECMARK", "DSCP", "ECN", "HL", "IDLETIMER", "LED", "LOG",
    "NFLOG", "RATEEST", "SECMARK", "SET", "TCPMSS", "TCPOPTSTRIP", "TEE", "TOS", "TRACE", "TTL",
    "ULOG",
})  # fmt: skip

_UNKNOWN = {
    "NFQUEUE": "handed to a program outside the kernel (NFQUEUE {})",
    "QUEUE": "handed to a program outside the kernel (QUEUE)",
    "TPROXY": "given to a local proxy (TPROXY {})",
    "SYNPROXY": "answered by SYNPROXY, which opens the connection itself",
    "HMARK": "given a mark that HMARK computes",
    "CLUSTERIP": "taken by CLUSTERIP",
    "DNPT": "translated by prefix (DNPT)",
    "SNPT": "translated by prefix (SNPT)",
    "NETMAP": "translated by network (NETMAP {})",
}


def compile_action(rule: Rule, *, is_chain: Callable[[str], bool]) -> Action:
    """What a rule does. A target that is neither known nor a chain is of kind UNKNOWN."""
    target = rule.target
    if target is None:
        return NEXT
    if target.goto:
        return Action(Kind.GOTO, chain=target.name)
    name = target.name
    simple = {"ACCEPT": Kind.ACCEPT, "DROP": Kind.DROP, "RETURN": Kind.RETURN}.get(name)
    if simple is not None:
        return Action(simple)
    if name == "REJECT":
        return Action(Kind.REFUSE, text=_value(target, "--reject-with"))
    if name in _WITHOUT_EFFECT:
        return NEXT
    if name in _UNKNOWN:
        words = " ".join(option.value for option in target.options)
        return Action(Kind.UNKNOWN, text=_UNKNOWN[name].format(words).replace(" )", ")"))
    builder = _BUILDERS.get(name)
    if builder is None:
        if name in TARGETS and not is_chain(name):
            return Action(Kind.UNKNOWN, text=f"given to target {name}")
        return Action(Kind.JUMP, chain=name)
    try:
        return builder(target)
    except (Unsettled, ValueError):
        return Action(Kind.UNKNOWN, text=f"given to {name} with options that are not understood")


def _value(target: Target, name: str) -> str:
    option = target.option(name)
    return option.value if option is not None else ""


def _mark(target: Target) -> Action:
    clear, flip = _mark_change(target)
    return Action(
        Kind.CHANGE,
        change=lambda state, _node: state._replace(mark=(state.mark & ~clear) ^ flip),
    )


def _mark_change(target: Target) -> tuple[int, int]:
    """The bits that are cleared, and then flipped, by any spelling of a mark."""
    for option in target.options:
        if option.name == "--set-xmark":
            value, mask = mark_and_mask(option.value)
            return mask, value
        if option.name == "--set-mark":
            value, mask = mark_and_mask(option.value)
            return mask | value, value
        if option.name == "--and-mark":
            return ~number(option.value) & FULL_MARK, 0
        if option.name == "--or-mark":
            return number(option.value), number(option.value)
        if option.name == "--xor-mark":
            return 0, number(option.value)
    raise ValueError("no mark")


def _connection_mark(target: Target) -> Action:
    save, restore = target.option("--save-mark"), target.option("--restore-mark")
    if save is None and restore is None:
        clear, flip = _mark_change(target)
        return Action(
            Kind.CHANGE,
            change=lambda state, _node: state._replace(
                connection_mark=(state.connection_mark & ~clear) ^ flip
            ),
        )
    both = target.option("--mask")
    packet, connection = target.option("--nfmask") or both, target.option("--ctmask") or both
    nfmask = number(packet.value) if packet is not None else FULL_MARK
    ctmask = number(connection.value) if connection is not None else FULL_MARK
    if target.option("--left-shift-mark") or target.option("--right-shift-mark"):
        raise ValueError("shifted marks")
    if save is not None:

        def saved(state: State, _node: Translator) -> State:
            mark = (state.connection_mark & ~ctmask) ^ (state.mark & nfmask)
            return state._replace(connection_mark=mark & FULL_MARK)

        return Action(Kind.CHANGE, change=saved)

    def restored(state: State, _node: Translator) -> State:
        mark = (state.mark & ~nfmask) ^ (state.connection_mark & ctmask)
        return state._replace(mark=mark & FULL_MARK)

    return Action(Kind.CHANGE, change=restored)


def _no_tracking(target: Target) -> Action:
    if target.name == "CT" and target.option("--notrack") is None:
        return NEXT
    return Action(Kind.CHANGE, change=lambda state, _node: state._replace(tracking="UNTRACKED"))


def _new_destination(target: Target) -> Action:
    address, port, ports_given = nat_range(_value(target, "--to-destination"))

    def translated(state: State, _node: Translator) -> State:
        return state._replace(
            destination=state.destination if address is None else address,
            port=port if ports_given else state.port,
            dnat=True,
        )

    return Action(Kind.TRANSLATE, change=translated)


def _new_source(target: Target) -> Action:
    address, port, _ = nat_range(_value(target, "--to-source"))

    def translated(state: State, _node: Translator) -> State:
        source = state.source if address is None else address
        return state._replace(source=source, source_port=port, snat=True)

    return Action(Kind.TRANSLATE, change=translated)


def _masquerade(_target: Target) -> Action:
    def translated(state: State, node: Translator) -> State:
        return state._replace(source=node.masquerade_address(state), source_port=None, snat=True)

    return Action(Kind.TRANSLATE, change=translated)


def _redirect(target: Target) -> Action:
    _, port, ports_given = nat_range(f":{_value(target, '--to-ports')}".rstrip(":"))

    def translated(state: State, node: Translator) -> State:
        return state._replace(
            destination=node.redirect_address(state),
            port=port if ports_given else state.port,
            dnat=True,
        )

    return Action(Kind.TRANSLATE, change=translated)


def nat_range(text: str) -> tuple[Address | None, int | None, bool]:
    """Address, port and whether a port is given, in `ADDRESS[-ADDRESS][:PORT[-PORT]]`.

    A range of addresses is an address that is somewhere in it, a range of ports is None.
    Raises ValueError.
    """
    address_text, ports = _split_ports(text)
    port: int | None = None
    if ports:
        low, _, high = ports.partition("/")[0].partition("-")
        port = number(low) if not high or high == low else None
    first, _, last = (_canonical(part) for part in address_text.strip("[]").partition("-"))
    if not first:
        return None, port, bool(ports)
    if last and last != first:
        family = Family.of(first)
        return Somewhere.of(f"one of {first} to {last}", family), port, bool(ports)
    return first, port, bool(ports)


def _canonical(text: str) -> str:
    return parse_ip(text) or text


def _split_ports(text: str) -> tuple[str, str]:
    if text.startswith("["):
        address, _, ports = text.partition("]")
        return address + "]", ports.lstrip(":")
    if text.count(":") > 1:
        return text, ""
    address, _, ports = text.partition(":")
    return address, ports


_BUILDERS: dict[str, Callable[[Target], Action]] = {
    "MARK": _mark,
    "CONNMARK": _connection_mark,
    "CT": _no_tracking,
    "NOTRACK": _no_tracking,
    "DNAT": _new_destination,
    "SNAT": _new_source,
    "MASQUERADE": _masquerade,
    "REDIRECT": _redirect,
}
