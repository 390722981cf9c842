"""Native nft rules in the tables that iptables-nft keeps: the dump shows them wrongly.

iptables-nft-save prints such a rule as if it had no match at all, so that a rule for the members
of a set looks like one for everybody.
"""

from __future__ import annotations

import json
from typing import Any

from nptables.errors import KernelError
from nptables.evidence import native
from nptables.iptables import Ownership, Ruleset
from nptables.kernel.programs import Runner, find_program, run_program

_MOST_CHAINS = 300


def native_rules(ruleset: Ruleset, ownership: Ownership, run: Runner = run_program) -> list[str]:
    """Sentences about native rules in the chains of a dump that are not the owner's.

    Empty where there are none, and where the nft program cannot be asked.
    """
    found = find_program("nft")
    chains = [
        (table, chain)
        for table, content in ruleset.tables.items()
        for chain, lines in content.chains.items()
        if lines and not ownership.owns_chain(table, chain) and _plain(chain)
    ]
    if found is None or not chains:
        return []
    family, _ = native.NFT_FAMILIES[ruleset.family]
    commands = "; ".join(f"list chain {family} {t} {c}" for t, c in chains[:_MOST_CHAINS])
    try:
        done = run([found, "-j", commands], "", 60)
    except KernelError:
        return []
    objects = [entry for line in done.stdout.splitlines() for entry in _entries(line)]
    return native.native_rules(objects, ruleset.family)


def _plain(chain: str) -> bool:
    """Whether nft takes a chain's name as it stands."""
    return chain.replace("-", "").replace("_", "").isalnum() and chain[0].isalpha()


def _entries(line: str) -> list[dict[str, Any]]:
    try:
        listed = json.loads(line).get("nftables", [])
    except (json.JSONDecodeError, AttributeError):
        return []
    return [entry for entry in listed if isinstance(entry, dict)]
