"""Matches on how much traffic came before.

Whether a packet is within a rate depends on every other packet that met the rule, so the answer is
a hypothesis. That it is within the rate goes before: it is so for the first packet of a
conversation on a node that is not flooded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from shlex import quote

from nptables.family import Family
from nptables.iptables.rule import Match
from nptables.tracing.matching.answers import Answer, Condition, Setting, asking, inverted
from nptables.tracing.state import State
from nptables.tracing.surroundings.addressing import with_port

# What `limit` and `hashlimit` take where a rule does not say (libxt_limit.c, libxt_hashlimit.c).
_RATE = "3/hour"
_BURST = "5"
_DIRECTORIES = {Family.IPV4: "ipt_hashlimit", Family.IPV6: "ip6t_hashlimit"}


def _limit(match: Match, where: str) -> Condition:
    """`limit` holds while its rule, whatever it is met by, is below the rate."""
    if any(option.negated for option in match.options):
        raise ValueError("! before --limit")
    rate, burst = _value(match, "--limit", _RATE), _value(match, "--limit-burst", _BURST)
    place, position = where.rsplit(" ", 1)
    what = f"the traffic at rule {int(position) + 1} of {place}"
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
