"""Dumps of iptables-save on the command line."""

from __future__ import annotations

import attrs

from nptables.cli.output import say
from nptables.errors import InvalidInput, Problem
from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.iptables.families import family_of_rules
from nptables.sources import read_text

_OPTIONS = {Family.IPV4: "-4", Family.IPV6: "-6"}


def read_dump(path: str, asked: Family | None) -> Ruleset:
    """The ruleset in a file (`-` is standard input), in the family that its rules are of.

    `asked` is the family that the rest of the command line names. Without it, IPv6 rules are
    known for what they are, and that is said; rules that do not tell are IPv4.

    Raises InvalidInput where the rules are of another family than the one that was asked for.
    """
    ruleset = Ruleset.from_save(read_text(path), family=asked or Family.IPV4)
    found = family_of_rules(ruleset)
    if found is None or found is ruleset.family:
        return ruleset
    if asked is not None:
        raise InvalidInput([
            Problem(
                f"these are rules of {found.value}, and {asked.value} was asked for",
                hint=f"{_OPTIONS[found]}, and addresses of {found.value}, go with this dump",
                file=path,
            )
        ])  # fmt: skip
    say(f"{path}: these are rules of ip6tables: read as {found.value} ({_OPTIONS[found]})")
    return attrs.evolve(ruleset, family=found)
