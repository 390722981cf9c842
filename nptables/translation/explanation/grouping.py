"""Which Service a rule belongs to, told from rulesets alone: by comments and chain names."""

from __future__ import annotations

import re
from collections.abc import Callable

import attrs

from nptables.iptables.changes.report import chain_or_target
from nptables.iptables.ruleset import Ruleset
from nptables.translation.assembly import Translation
from nptables.translation.owned import is_of_service_port

_COMMENT = re.compile(
    r' --comment "?(?:(?:masquerade|pod|route LOCAL|masquerade LOCAL) traffic for '
    r"|other traffic to )?([a-z0-9](?:[a-z0-9.-]*)/[a-z0-9](?:[a-z0-9.-]*))(?::[a-z0-9-]+)?[\" ]"
)


def service_of(line: str) -> str:
    """The Service that a rule names in its comment, as `namespace/name`; or an empty string."""
    said = _COMMENT.search(line)
    return "" if said is None else said[1]


def service_groups(*rulesets: Ruleset) -> Callable[[str, str], str]:
    """A function of a table and a line that gives `namespace/name` of the line's Service.

    It knows the Services of translations among the rulesets, and otherwise what comments say;
    a chain without a comment belongs where the rule that leads to it belongs. An empty string
    for rules of no Service.
    """
    owners: dict[str, str] = {}
    for ruleset in rulesets:
        if not isinstance(ruleset, Translation):
            _learn_from_comments(ruleset, owners)

    def owner_of(chain: str) -> str:
        for ruleset in rulesets:
            if isinstance(ruleset, Translation):
                name = ruleset.owner_of_chain(chain)
                if name is not None:
                    return f"{name.namespace}/{name.name}"
        return owners.get(chain, "")

    def group_of(table: str, line: str) -> str:
        if said := service_of(line):
            return said
        if table != "nat":
            return ""
        chain, target = chain_or_target(line)
        return owner_of(chain) or owner_of(target)

    return group_of


def without_services(
    ruleset: Ruleset, is_left_out: Callable[[str], bool]
) -> tuple[Ruleset, frozenset[str]]:
    """The ruleset without the rules and chains of some Services, and which these were.

    `is_left_out` is asked with `namespace/name`.
    """
    group_of = service_groups(ruleset)
    left_out: set[str] = set()

    def belongs(table: str, line: str) -> bool:
        service = group_of(table, line)
        if not service or not is_left_out(service):
            return False
        left_out.add(service)
        return True

    tables = {}
    for name, table in ruleset.tables.items():
        chains = {
            chain: tuple(line for line in lines if not belongs(name, line))
            for chain, lines in table.chains.items()
            if not (is_of_service_port(chain) and belongs(name, f"-A {chain}"))
        }
        tables[name] = attrs.evolve(table, chains=chains, line_counters={}, order=())
    if not left_out:
        return ruleset, frozenset()
    return attrs.evolve(ruleset, tables=tables, comments=()), frozenset(left_out)


def _learn_from_comments(ruleset: Ruleset, owners: dict[str, str]) -> None:
    """Find whose the hashed chains are: by a comment in them, or in a rule that leads there."""
    table = ruleset.tables.get("nat")
    if table is None:
        return
    leads: dict[str, list[str]] = {}
    for chain, lines in table.chains.items():
        for line in lines:
            said = service_of(line)
            _, target = chain_or_target(line)
            if is_of_service_port(target):
                leads.setdefault(chain, []).append(target)
                if said:
                    # Not overwritten: a rule inside the chain says it better than one that leads
                    # there.
                    owners.setdefault(target, said)
            if said and is_of_service_port(chain):
                owners.setdefault(chain, said)
    # From external to service to endpoint chains: two steps are the longest way.
    for _ in range(2):
        for chain, targets in leads.items():
            if chain in owners:
                for target in targets:
                    owners.setdefault(target, owners[chain])
