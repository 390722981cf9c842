"""Matches on what came before: how much traffic, and which addresses were remembered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from shlex import quote

from nptables.family import Family
from nptables.iptables.rule import Match
from nptables.iptables.values import number
from nptables.tracing.addressing import Address, with_port
from nptables.tracing.matching.conditions import (
    Answer,
    Condition,
    Setting,
    asking,
    in_words,
    inverted,
)
from nptables.tracing.sets import Side
from nptables.tracing.state import State

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
        # A counter of the rule, and nobody knows where it stands: over many packets it is one in
        # `every`.
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
        # kube-proxy calls the list of an endpoint by its chain, so people can be told the endpoint.
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
        # Counters are not in what `ipset save` prints unless the set has them, and they go on
        # changing.
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


# What `limit` and `hashlimit` take where a rule does not say (libxt_limit.c, libxt_hashlimit.c).
_RATE = "3/hour"
_BURST = "5"
_DIRECTORIES = {Family.IPV4: "ipt_hashlimit", Family.IPV6: "ip6t_hashlimit"}


def _limit(match: Match, where: str) -> Condition:
    """`limit` holds while its rule, whatever it is met by, is below the rate."""
    if any(option.negated for option in match.options):
        raise ValueError("! before --limit")
    rate, burst = _value(match, "--limit", _RATE), _value(match, "--limit-burst", _BURST)
    what = f"the traffic at {in_words(where)}"
    text = f"its limit of {rate} after a burst of {burst}"

    def holds(state: State, setting: Setting) -> Answer:
        ask = asking(
            state, setting, ("limit", where, text), f"{what} is over {text}",
            f"{what} is within {text}",
        )  # fmt: skip
        return ask._replace(holds_if=False)

    return holds


def _hashlimit(match: Match, where: str) -> Condition:
    """`hashlimit` counts apart what differs in the parts of the packet that its mode names."""
    below = match.option("--hashlimit-upto") or match.option("--hashlimit")
    rate = below or match.option("--hashlimit-above")
    if rate is None:
        raise ValueError("hashlimit without a rate")
    name = _value(match, "--hashlimit-name", where)
    burst = _value(match, "--hashlimit-burst", "")
    text = f"{rate.value} after a burst of {burst}" if burst else rate.value
    mode = frozenset(_value(match, "--hashlimit-mode", "").split(","))

    def holds(state: State, setting: Setting) -> Answer:
        whose = _counted_together(mode, state)
        what = f"the traffic{whose} in hashlimit {name}"
        listed = quote(f"/proc/net/{_DIRECTORIES[setting.family]}/{name}")
        ask = asking(
            state, setting, ("hashlimit", name, text, whose), f"{what} is over {text}",
            f"{what} is within {text}", f"cat {listed}",
        )  # fmt: skip
        return ask._replace(holds_if=below is None)

    return inverted(holds, negated=rate.negated)


def _counted_together(mode: frozenset[str], state: State) -> str:
    """The packets that share a counter with this one, in words."""
    found = ""
    for side, word, address, port in (
        ("src", "from", state.source, state.source_port),
        ("dst", "to", state.destination, state.port),
    ):
        has_address, has_port = f"{side}ip" in mode, f"{side}port" in mode
        if has_address:
            found += f" {word} {with_port(address, port if has_port else None)}"
        elif has_port:
            found += f" {word} port {'of its choice' if port is None else port}"
    return found


def _value(match: Match, name: str, default: str) -> str:
    option = match.option(name)
    return default if option is None else option.value


LIMIT_MATCHES: Mapping[str, Callable[[Match, str], Condition]] = {
    "limit": _limit,
    "hashlimit": _hashlimit,
}
