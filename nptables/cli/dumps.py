"""Dumps of iptables-save on the command line."""

from __future__ import annotations

from nptables.cli.output import say
from nptables.errors import InvalidInput, Problem
from nptables.family import Family
from nptables.iptables import Ruleset, read_dumps
from nptables.sources import read_text
from nptables.translation.owned import holds_service_chains

_OPTIONS = {Family.IPV4: "-4", Family.IPV6: "-6"}


def read_dump(path: str, asked: Family | None) -> tuple[Ruleset, ...]:
    """The rulesets in a file (`-` is standard input), one for each backend that is in it.

    `asked` is the family that the rest of the command line names. Without it, IPv6 rules are
    known for what they are, and that is said; rules that do not tell are IPv4.

    Raises InvalidInput where the rules are of another family than the one that was asked for.
    """
    rulesets = read_dumps(read_text(path), asked)
    found = rulesets[0].family
    if asked not in (None, found):
        raise InvalidInput([
            Problem(
                f"these are rules of {found.value}, and {found.other.value} was asked for",
                hint=f"{_OPTIONS[found]}, and addresses of {found.value}, go with this dump",
                file=path,
            )
        ])  # fmt: skip
    if asked is None and found is Family.IPV6:
        say(f"{path}: these are rules of ip6tables: read as {found.value} ({_OPTIONS[found]})")
    return rulesets


def read_current(path: str, asked: Family | None) -> Ruleset:
    """The ruleset in a file as `read_dump` reads it, of two backends' the one for Services.

    Raises InvalidInput where both have rules for Services, or neither, too.
    """
    return read_current_and_others(path, asked)[0]


def read_current_and_others(path: str, asked: Family | None) -> tuple[Ruleset, tuple[Ruleset, ...]]:
    """The ruleset of `read_current`, and that of the other backend if there is one."""
    rulesets = read_dump(path, asked)
    if len(rulesets) == 1:
        if rulesets[0].remarks.legacy_left_out:
            say(f"{path} leaves out the legacy tables, which are not looked at", kind="warning")
        return rulesets[0], ()
    chosen = [ruleset for ruleset in rulesets if holds_service_chains(ruleset)]
    if len(chosen) == 1:
        return chosen[0], tuple(each for each in rulesets if each is not chosen[0])
    which = "both have" if chosen else "neither has"
    raise InvalidInput(
        [
            Problem(
                f"two dumps one behind the other, and {which} rules for Services",
                file=path,
                hint="give the one that kube-proxy writes",
            )
        ]
    )
