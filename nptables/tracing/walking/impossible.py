"""Values that no kernel can have taken: a dump that was typed, cut or mended by hand.

`iptables-restore` refuses a text with `--to-destination 300.233.64.5`, so what such a rule does is
nobody's knowledge. It is named where a packet comes to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables import values
from nptables.iptables.rule import Option, Rule
from nptables.iptables.values import Unsettled


@frozen
class Impossible:
    """What is wrong with a rule, in words: with what it asks for, and with what it does."""

    match: str = ""
    target: str = ""


def impossible_values(rule: Rule, family: Family) -> Impossible:
    """The first value of a rule that cannot be, in its matches and in its target."""
    target = rule.target.options if rule.target is not None else ()
    return Impossible(
        next(_wrong(_asked(rule), family), ""),
        next(_wrong(((option.name, option) for option in target), family), ""),
    )


def _asked(rule: Rule) -> Iterator[tuple[str, Option]]:
    if rule.source is not None:
        yield "-s", rule.source
    if rule.destination is not None:
        yield "-d", rule.destination
    for match in rule.matches:
        for option in match.options:
            yield option.name, option


def _wrong(options: Iterator[tuple[str, Option]], family: Family) -> Iterator[str]:
    for name, option in options:
        reader = _READERS.get(name)
        if reader is None:
            continue
        what, read = reader
        try:
            read(option.value, family)
        except (Unsettled, ValueError):
            yield f"{name} {option.value} is not {what.format(family.value)}"


def _nat(text: str, family: Family) -> None:
    """`ADDRESS[-ADDRESS][:PORT[-PORT[/PORT]]]`, either part alone."""
    whole, slash, offset = text.partition("/")
    if slash:
        if whole.rpartition("]")[2].count(":") != 1:
            raise ValueError(text)
        values.port(offset)
    if whole.startswith(":") and not whole.startswith("::"):
        values.nat_ports(whole[1:])
    else:
        values.nat_address(whole, family)


def _ports(text: str, _family: Family) -> None:
    values.nat_ports(text.partition("/")[0])


def _connection_ports(text: str, _family: Family) -> None:
    values.port_range(text)


def _icmp(text: str, family: Family) -> None:
    if text.lower() not in ("any", "255"):
        values.icmp_type(text, family)


Reader = Callable[[str, Family], object]
_NETWORK: tuple[str, Reader] = ("an {} address or network", values.network)
_READERS: Mapping[str, tuple[str, Reader]] = {
    "-s": _NETWORK,
    "-d": _NETWORK,
    "--ctorigsrc": _NETWORK,
    "--ctorigdst": _NETWORK,
    "--ctreplsrc": _NETWORK,
    "--ctrepldst": _NETWORK,
    "--src-range": ("a range of {} addresses", values.address_range),
    "--dst-range": ("a range of {} addresses", values.address_range),
    "--to-destination": ("an {} address, with or without a port", _nat),
    "--to-source": ("an {} address, with or without a port", _nat),
    "--to-ports": ("a port or a range of ports", _ports),
    "--ctorigsrcport": ("a port or a range of ports", _connection_ports),
    "--ctorigdstport": ("a port or a range of ports", _connection_ports),
    "--ctreplsrcport": ("a port or a range of ports", _connection_ports),
    "--ctrepldstport": ("a port or a range of ports", _connection_ports),
    "--icmp-type": ("an ICMP type", _icmp),
    "--icmpv6-type": ("an ICMP type", _icmp),
}
