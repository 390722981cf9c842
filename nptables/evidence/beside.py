"""What a packet meets on a node besides the rulesets that were read, and what is left of others."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from nptables.errors import printable
from nptables.evidence.node import Evidence, Unread
from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.iptables.ruleset import BUILT_IN_CHAINS

Entry = Mapping[str, Any]

_FAMILIES = {Family.IPV4: ("ip", "inet"), Family.IPV6: ("ip6", "inet")}


def in_use(rules: Ruleset) -> list[str]:
    """The built-in chains that do anything, such as `filter FORWARD`."""
    return [
        f"{table.name} {chain}"
        for table in rules.tables.values()
        for chain in BUILT_IN_CHAINS.get(table.name, ())
        if table.chains.get(chain) or table.policies.get(chain, "ACCEPT") != "ACCEPT"
    ]


def acting(evidence: Evidence, family: Family) -> tuple[Ruleset, ...]:
    """The rulesets of a family that do anything, or one where none does.

    Raises InvalidInput where there is none at all.
    """
    known = evidence.of(family)
    return tuple(rules for rules in known if in_use(rules)) or known[:1]


def unfollowed(evidence: Evidence, family: Family) -> tuple[str, ...]:
    """Sentences about what packets of a family meet besides the rulesets."""
    told = [_unread_sentence(each) for each in evidence.unread if each.family is family]
    if evidence.native is None:
        why = [gap.why for gap in evidence.gaps if gap.what == NATIVE]
        return (*told, f"{NATIVE} were not looked at" + (f": {why[0]}" if why else ""))
    return (*told, *_native_sentences(evidence.native, family))


# What a gap calls tables that are not those of iptables.
NATIVE = "native nft tables"


def _unread_sentence(unread: Unread) -> str:
    return (
        f"the {unread.backend} tables hold rules too (they were not read): "
        f"{', '.join(unread.chains)}, which are not followed"
    )


def _native_sentences(native: tuple[Entry, ...], family: Family) -> Iterator[str]:
    hooked: dict[str, set[str]] = {}
    rules = []
    for entry in native:
        chain, rule = entry.get("chain"), entry.get("rule")
        if isinstance(chain, Mapping) and "hook" in chain:
            if chain.get("family") in _FAMILIES[family]:
                table = f"{chain['family']} {chain.get('table')}"
                hooked.setdefault(table, set()).add(str(chain["hook"]))
        elif isinstance(rule, Mapping) and _is_in_iptables(rule, family) and is_native(rule):
            rules.append(native_rule_sentence(rule))
    yield from rules
    for table, hooks in sorted(hooked.items()):
        yield printable(
            f"nft table {table} has chains of its own at {', '.join(sorted(hooks))}, which are "
            "not followed"
        )


def _is_in_iptables(rule: Entry, family: Family) -> bool:
    """Whether a rule stands in a chain that the save program prints, if wrongly."""
    return rule.get("family") == _FAMILIES[family][0] and str(rule.get("table")) in BUILT_IN_CHAINS


def is_native(rule: Entry) -> bool:
    """Whether iptables-nft cannot have made a rule: it counts always, and knows no sets."""
    expressions = rule.get("expr", [])
    if not isinstance(expressions, list):
        return True
    if not any(isinstance(e, Mapping) and ("counter" in e or "xt" in e) for e in expressions):
        return True
    text = json.dumps(expressions)
    return any(sign in text for sign in ('"@', '"vmap"', '"map"', '{"set"'))


def native_rule_sentence(rule: Entry) -> str:
    """That iptables shows a rule wrongly, and how to see it."""
    family, table, chain = (rule.get(key) for key in ("family", "table", "chain"))
    return printable(
        f"{table} {chain} holds a native nft rule (handle {rule.get('handle')}) that iptables "
        f"prints wrongly: see it with `nft -a list chain {family} {table} {chain}`"
    )


def leftovers(evidence: Evidence) -> tuple[str, ...]:
    """What kube-proxy in mode ipvs or nftables leaves behind, in words."""
    found = []
    facts = evidence.facts
    if facts is not None and "kube-ipvs0" in (facts.interfaces or {}):
        found.append("interface kube-ipvs0 of mode ipvs is there")
    tables = [entry.get("table") for entry in evidence.native or ()]
    families = {
        str(table.get("family"))
        for table in tables
        if isinstance(table, Mapping) and table.get("name") == "kube-proxy"
    }
    found += [f"nft table {f} kube-proxy of mode nftables is there" for f in sorted(families)]
    return tuple(found)


def running_kube_proxy(evidence: Evidence) -> str:
    """The kube-proxy that runs, in words such as `kube-proxy (pid 12)`, or an empty string."""
    for process in evidence.processes or ():
        if process.name == "kube-proxy":
            return f"kube-proxy (pid {process.pid})" if process.pid else BY_ITS_PORTS
    return ""


# What stands for a kube-proxy whose process cannot be seen.
BY_ITS_PORTS = "a process that listens on ports 10256 and 10249 as kube-proxy does"
