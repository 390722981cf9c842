"""Random targets: every one that the tracer follows, and those that make no difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nptables.family import Family
from tests.lab.walks.places import PORTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab.walks.matches import Chooser, Spot

_WITH_PORTS = ("tcp", "udp", "sctp")


def _mark(choose: Chooser, _spot: Spot) -> str:
    option = choose.rng.choice(("--set-xmark", "--set-mark"))
    if choose.maybe(0.3):
        option = choose.rng.choice(("--and-mark", "--or-mark", "--xor-mark"))
        return f"MARK {option} {choose.mark().partition('/')[0]}"
    return f"MARK {option} {choose.mark()}"


def _connection_mark(choose: Chooser, _spot: Spot) -> str:
    if choose.maybe(0.4):
        return f"CONNMARK --set-xmark {choose.mark()}"
    masks = ""
    if choose.maybe(0.5):
        masks = f" --nfmask {choose.rng.choice(('0x1', '0x4003'))} --ctmask 0x4003"
    return f"CONNMARK {choose.rng.choice(('--save-mark', '--restore-mark'))}{masks}"


def _no_tracking(choose: Chooser, _spot: Spot) -> str:
    return choose.rng.choice(("CT --notrack", "CT --notrack", "NOTRACK"))


def _template(choose: Chooser, _spot: Spot) -> str:
    return choose.rng.choice(("CT --zone 7", "CT --ctevents new,destroy"))


def _reject(choose: Chooser, spot: Spot) -> str:
    if spot.protocol == "tcp" and choose.maybe(0.3):
        return "REJECT --reject-with tcp-reset"
    kind = "icmp-port-unreachable" if spot.family is Family.IPV4 else "icmp6-port-unreachable"
    return f"REJECT --reject-with {kind}"


def _indifferent(choose: Chooser, spot: Spot) -> str:
    found = ["LOG --log-prefix walk", "NFLOG --nflog-group 5"]
    if spot.table == "mangle":
        found += ["TOS --set-tos 0x10", "DSCP --set-dscp 0x08", "CHECKSUM --checksum-fill"]
        found.append("TTL --ttl-set 60" if spot.family is Family.IPV4 else "HL --hl-set 60")
    if spot.table == "raw":
        found.append("TRACE")
    return choose.rng.choice(found)


def _to(choose: Chooser, spot: Spot, address: str) -> str:
    text = f"[{address}]" if spot.family is Family.IPV6 else address
    if spot.protocol not in _WITH_PORTS or choose.maybe(0.4):
        return address
    port = choose.rng.choice(PORTS)
    return f"{text}:{port}-{port + 9}" if choose.maybe(0.15) else f"{text}:{port}"


def _new_destination(choose: Chooser, spot: Spot) -> str:
    places = choose.places
    target = choose.rng.choice((*places.pods, *places.pods, *places.own, *places.outside))
    if choose.maybe(0.1):
        return f"DNAT --to-destination {places.pods[0]}-{places.pods[1]}"
    return f"DNAT --to-destination {_to(choose, spot, target)}{_option(choose)}"


def _option(choose: Chooser) -> str:
    return choose.rng.choice(("", "", "", " --random", " --persistent"))


def _new_source(choose: Chooser, spot: Spot) -> str:
    places = choose.places
    source = choose.rng.choice((*places.own[:-1], *places.clients, places.pods[1]))
    if choose.maybe(0.15):
        return f"SNAT --to-source {places.node[0]}-{places.node[1]}"
    return f"SNAT --to-source {_to(choose, spot, source)}{_option(choose)}"


def _masquerade(choose: Chooser, spot: Spot) -> str:
    options = ["", "", " --random-fully"]
    if spot.protocol in _WITH_PORTS:
        options.append(" --to-ports 30000-30009")
    return f"MASQUERADE{choose.rng.choice(options)}"


def _redirect(choose: Chooser, spot: Spot) -> str:
    with_port = spot.protocol in _WITH_PORTS and choose.maybe(0.6)
    return f"REDIRECT --to-ports {choose.rng.choice(PORTS)}" if with_port else "REDIRECT"


def target(choose: Chooser, spot: Spot, chains: tuple[str, ...], *, templates: bool) -> str:
    """What stands behind the matches; empty for a rule that only counts.

    `chains` are those that the rule may lead to. In a ruleset with `templates` no rule of raw
    marks the connection: that would mark the template, for all packets to come.
    """
    found: list[Callable[[Chooser, Spot], str]] = [_mark, _mark, _indifferent]
    if spot.table != "raw" or not templates:
        found.append(_connection_mark)
    if spot.table == "raw":
        found += [_no_tracking, _no_tracking]
        if templates:
            found.append(_template)
    if spot.table == "filter":
        found.append(_reject)
    if spot.table == "nat":
        if set(spot.hooks) <= {"PREROUTING", "OUTPUT"}:
            found += [_new_destination, _new_destination, _redirect]
        elif spot.hooks == ("POSTROUTING",):
            found += [_new_source, _masquerade]
        elif spot.hooks == ("INPUT",):
            found.append(_new_source)
    words = [f"-j {function(choose, spot)}" for function in found]
    words += ["-j ACCEPT", "-j RETURN", "", *(f"-j {chain}" for chain in (*chains, *chains))]
    words += [f"-g {chain}" for chain in chains]
    if spot.table != "nat":
        words.append("-j DROP")
    return choose.rng.choice(words)
