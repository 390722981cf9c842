"""Matches on the node's memory or on chance: statistic, recent, set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from shlex import quote

from nptables.iptables.rule import Match
from nptables.iptables.values import number
from nptables.tracing.matching.answers import Answer, Condition, Setting, asking, inverted
from nptables.tracing.sets import Side
from nptables.tracing.state import State
from nptables.tracing.surroundings.addressing import Address

_STEPS = 1 << 31


def _statistic(match: Match) -> Condition:
    """One in so many. The kernel keeps a probability in steps of 1/2^31 (`xt_statistic.c`)."""
    mode = match.option("--mode")
    if mode is not None and mode.value == "random":
        chance_option = match.option("--probability")
        if chance_option is None:
            raise ValueError("statistic without --probability")
        negated = chance_option.negated or mode.negated
        steps = round(Fraction(_decimal(chance_option.value)) * _STEPS)
        chance = Fraction(min(steps, _STEPS), _STEPS)
    else:
        every, packet = match.option("--every"), match.option("--packet")
        if every is None or number(every.value) < 1:
            raise ValueError("statistic without --every")
        negated = every.negated
        reachable = packet is None or number(packet.value) < number(every.value)
        chance = Fraction(1 if reachable else 0, number(every.value))
    chance = 1 - chance if negated else chance
    if chance in (0, 1):
        sure = chance == 1
        return lambda _state, _setting: sure
    return lambda _state, _setting: chance


def _decimal(text: str) -> str:
    if not text or len(text) > 40 or not all(char in "0123456789." for char in text):
        raise ValueError(text)
    return text


def _recent(match: Match) -> Condition:
    """Whether an address is remembered; `--set` always matches (`recent_mt` in xt_recent.c)."""
    if (option := match.option("--set")) is not None:
        negated = option.negated
        return lambda _state, _setting: not negated
    name_option = match.option("--name")
    name = name_option.value if name_option is not None else "DEFAULT"
    seconds_option, hits = match.option("--seconds"), match.option("--hitcount")
    seconds = number(seconds_option.value) if seconds_option is not None else 0
    by_destination = match.option("--rdest") is not None
    asked = next((o for o in match.options if o.name in ("--rcheck", "--update", "--remove")), None)
    if asked is None:
        raise ValueError("recent without a command")
    when = f" in the last {seconds:,} s" if seconds else ""
    how_often = f" at least {hits.value} times" if hits is not None else ""

    def holds(state: State, setting: Setting) -> Answer:
        who = state.destination if by_destination else state.source
        endpoint = setting.endpoint_behind(name)
        place = f"at {endpoint}" if endpoint else f"by list {name}"
        key = ("recent", name, seconds, hits.value if hits is not None else "", str(who))
        return asking(
            state,
            setting,
            key,
            f"{_whom(who)} seen {place}{how_often}{when}",
            f"{_whom(who)} not seen{how_often}{when}",
            check=f"cat {quote(f'/proc/net/xt_recent/{name}')}",
        )

    return inverted(holds, negated=asked.negated)


def _whom(address: Address) -> str:
    return f"client {address}" if isinstance(address, str) else str(address)


def _set(match: Match) -> Condition:
    """Whether an ipset holds the packet's addresses, ports or interfaces."""
    option = match.option("--match-set")
    if option is None or len(option.values) != 2:
        raise ValueError("set without --match-set")
    name, sides = option.values
    # They ask for more than whether the set holds an entry.
    special = ("--packets", "--bytes", "--return-nomatch")
    counted = tuple(o.name for o in match.options if o.name.startswith(special))

    def holds(state: State, setting: Setting) -> Answer:
        values = tuple(_side(side, state, setting) for side in sides.split(","))
        members = setting.set_holds(name, values) if not counted else None
        if members is not None:
            return members
        listed = ", ".join(
            str(state.source if side == "src" else state.destination) for side in sides.split(",")
        )
        word = "source" if sides == "src" else "destination" if sides == "dst" else f"{sides} pair"
        return asking(
            state,
            setting,
            ("set", name, sides, str(state.source), str(state.destination), state.port, counted),
            f"set {name} holds the {word} ({listed})",
            f"set {name} does not hold the {word} ({listed})",
            check=_set_check(name, sides, state),
        )

    return inverted(holds, negated=option.negated)


def _set_check(name: str, sides: str, state: State) -> str:
    address = {"src": state.source, "dst": state.destination}.get(sides)
    if isinstance(address, str):
        return f"ipset test {quote(name)} {address}"
    return f"ipset list {quote(name)}"


def _side(side: str, state: State, setting: Setting) -> Side:
    if side == "src":
        return Side(state.source, state.source_port, state.in_interface, setting.protocol)
    return Side(state.destination, state.port, state.out_interface, setting.protocol)


MEMORY_MATCHES: Mapping[str, Callable[[Match], Condition]] = {
    "statistic": _statistic,
    "recent": _recent,
    "set": _set,
}
