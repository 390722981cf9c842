"""What a rule does with a packet that it matches."""

from __future__ import annotations

import enum
from collections.abc import Callable

from nptables.immutable import frozen
from nptables.iptables.rule import Rule, Target
from nptables.iptables.tables import EFFECTLESS, TARGETS
from nptables.iptables.unshown import UNREAD_TARGET
from nptables.iptables.values import FULL_MARK, Unsettled, mark_and_mask, number
from nptables.tracing.addressing import with_port
from nptables.tracing.state import TEMPLATE, State
from nptables.tracing.traversal.nat import (
    Change,
    Translator,
    masquerade,
    new_destination,
    new_source,
    redirect,
)


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


@frozen
class Action:
    """What a rule does: `chain` for jumps, `change` for changes, `text` for what is unknown."""

    kind: Kind
    chain: str = ""
    text: str = ""
    change: Change | None = None


NEXT = Action(Kind.NEXT)


def note_of(action: Action, before: State, after: State) -> str:
    """What an action changed of a packet, in words; empty where it changed nothing."""
    if before == after or action.change is None:
        return ""
    found = []
    if (before.destination, before.port) != (after.destination, after.port):
        found.append(f"destination becomes {with_port(after.destination, after.port)}")
    if before.source != after.source:
        found.append(f"source becomes {after.source}")
    if before.mark != after.mark:
        found.append(f"mark becomes {after.mark:#x}")
    if before.connection_mark != after.connection_mark:
        found.append(f"connection mark becomes {after.connection_mark:#x}")
    if after.tracking not in (before.tracking, TEMPLATE):
        found.append(f"connection is {after.tracking}")
    return ", ".join(found)


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
    # A chain may have any name, and one of the table counts before a target of that name.
    if name == UNREAD_TARGET and not is_chain(name):
        words = " ".join(option.value for option in target.options)
        return Action(Kind.UNKNOWN, text=f'given to "{words}", whose effect is unknown')
    simple = {"ACCEPT": Kind.ACCEPT, "DROP": Kind.DROP, "RETURN": Kind.RETURN}.get(name)
    if simple is not None:
        return Action(simple)
    if name == "REJECT":
        return Action(Kind.REFUSE, text=_value(target, "--reject-with"))
    if name in EFFECTLESS:
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
        # Flipped and not set: `mark_tg` in net/netfilter/xt_mark.c. So --set-xmark X/0x0 toggles.
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
            # iptables clears the bits of the value too (iptables-extensions(8), MARK, --set-mark).
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
    shifted = _shift(target)
    if save is None and restore is None:
        clear, flip = _mark_change(target)
        return Action(
            Kind.CHANGE,
            change=_with_entry(
                lambda state, _node: state._replace(
                    connection_mark=shifted((state.connection_mark & ~clear) ^ flip)
                )
            ),
        )
    both = target.option("--mask")
    packet, connection = target.option("--nfmask") or both, target.option("--ctmask") or both
    nfmask = number(packet.value) if packet is not None else FULL_MARK
    ctmask = number(connection.value) if connection is not None else FULL_MARK
    if save is not None:

        def saved(state: State, _node: Translator) -> State:
            # The order of masks and shifts is that of `connmark_tg` in net/netfilter/xt_connmark.c.
            mark = (state.connection_mark & ~ctmask) ^ shifted(state.mark & nfmask)
            return state._replace(connection_mark=mark & FULL_MARK)

        return Action(Kind.CHANGE, change=_with_entry(saved))

    def restored(state: State, _node: Translator) -> State:
        mark = (state.mark & ~nfmask) ^ shifted(state.connection_mark & ctmask)
        return state._replace(mark=mark & FULL_MARK)

    return Action(Kind.CHANGE, change=_with_entry(restored))


def _shift(target: Target) -> Callable[[int], int]:
    """How far CONNMARK moves the bits that it writes (`connmark_tg_shift` in xt_connmark.c)."""
    for option in target.options:
        if option.name in ("--left-shift-mark", "--right-shift-mark"):
            bits = number(option.value)
            if bits >= 32:
                raise ValueError("more bits than a mark has")
            if option.name == "--left-shift-mark":
                return lambda mark: (mark << bits) & FULL_MARK
            return lambda mark: mark >> bits
    return lambda mark: mark


def _with_entry(change: Change) -> Change:
    """The change for packets that connection tracking has an entry for; others stay as they are."""
    return lambda state, node: change(state, node) if state.has_entry else state


def _tracking(target: Target) -> Action:
    """NOTRACK and CT, which leave alone what has an entry or has been exempted before."""
    exempts = target.name == "NOTRACK" or target.option("--notrack") is not None
    # A CT rule attaches a template, and connection tracking puts the real entry in its place
    # (net/netfilter/xt_CT.c, `nf_conntrack_in` in nf_conntrack_core.c).
    after = "UNTRACKED" if exempts else TEMPLATE

    def changed(state: State, _node: Translator) -> State:
        return state._replace(tracking=after) if state.tracking == "INVALID" else state

    return Action(Kind.CHANGE, change=changed)


def _translating(build: Callable[[Target], Change]) -> Callable[[Target], Action]:
    return lambda target: Action(Kind.TRANSLATE, change=build(target))


_BUILDERS: dict[str, Callable[[Target], Action]] = {
    "MARK": _mark,
    "CONNMARK": _connection_mark,
    "CT": _tracking,
    "NOTRACK": _tracking,
    "DNAT": _translating(new_destination),
    "SNAT": _translating(new_source),
    "MASQUERADE": _translating(masquerade),
    "REDIRECT": _translating(redirect),
}
