"""What nft's own rules mean for whoever reads the tables of iptables: sentences about them.

`objects` are those of `nft -j list ruleset`, or of its parts: each a mapping with one key, such as
`chain` or `rule`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nptables.errors import printable
from nptables.family import Family
from nptables.iptables.ruleset import BUILT_IN_CHAINS

Objects = Iterable[Mapping[str, Any]]

NFT_FAMILIES: Mapping[Family, tuple[str, ...]] = {
    Family.IPV4: ("ip", "inet"),
    Family.IPV6: ("ip6", "inet"),
}
# The table of kube-proxy in mode nftables.
KUBE_PROXY_TABLE = "kube-proxy"


def named(objects: Objects, kind: str) -> Iterator[Mapping[str, Any]]:
    """The objects of one kind, such as `chain`."""
    for entry in objects:
        found = entry.get(kind)
        if isinstance(found, Mapping):
            yield found


def hooked_chains(objects: Objects, family: Family) -> list[Mapping[str, Any]]:
    """The chains that packets of a family come to by themselves, those of iptables among them."""
    found = named(objects, "chain")
    return [c for c in found if c.get("family") in NFT_FAMILIES[family] and "hook" in c]


def is_of_iptables(chain: Mapping[str, Any]) -> bool:
    """Whether a chain at a hook is one that iptables-nft keeps."""
    built_in = BUILT_IN_CHAINS.get(str(chain.get("table")), ())
    return chain.get("family") in ("ip", "ip6") and chain.get("name") in built_in


def native_tables(objects: Objects, family: Family) -> list[str]:
    """A sentence for each table with chains of its own that packets of a family come to."""
    hooked: dict[str, list[str]] = {}
    for chain in hooked_chains(objects, family):
        if not is_of_iptables(chain):
            table = f"{chain['family']} {chain.get('table')}"
            hooked.setdefault(table, []).append(str(chain["hook"]))
    return [
        printable(
            f"nft table {table} has chains of its own at {', '.join(sorted(set(hooks)))}, which "
            "are not followed"
        )
        for table, hooks in sorted(hooked.items())
    ]


def native_rules(objects: Objects, family: Family) -> list[str]:
    """A sentence for each rule in a family's tables of iptables that iptables prints wrongly.

    iptables-nft-save prints a native rule as if it had no match at all, so that a rule for the
    members of a set looks like one for everybody.
    """
    return [
        printable(
            f"{rule.get('table')} {rule.get('chain')} holds a native nft rule (handle "
            f"{rule.get('handle')}) that iptables prints wrongly: see it with "
            f"`nft -a list chain {rule.get('family')} {rule.get('table')} {rule.get('chain')}`"
        )
        for rule in named(objects, "rule")
        if rule.get("family") == NFT_FAMILIES[family][0]
        and str(rule.get("table")) in BUILT_IN_CHAINS
        and is_native(rule)
    ]


def kube_proxy_tables(objects: Objects) -> list[str]:
    """The families in which mode nftables of kube-proxy has its table, such as `ip`."""
    chains = named(objects, "chain")
    return sorted({str(c.get("family")) for c in chains if c.get("table") == KUBE_PROXY_TABLE})


def is_native(rule: Mapping[str, Any]) -> bool:
    """Whether iptables-nft cannot have made a rule: it counts always, and knows no sets."""
    expressions = rule.get("expr", [])
    if not isinstance(expressions, list):
        return True
    # iptables-nft puts a counter into every rule, since iptables shows one for each.
    if not any(isinstance(e, Mapping) and ("counter" in e or "xt" in e) for e in expressions):
        return True
    text = json.dumps(expressions)
    return any(sign in text for sign in ('"@', '"vmap"', '"map"', '{"set"'))
