"""Native nft rules in the tables that iptables-nft keeps: the dump shows them wrongly.

iptables-nft-save prints such a rule as if it had no match at all, so that a rule for the members
of a set looks like one for everybody.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from nptables.errors import KernelError
from nptables.evidence import native
from nptables.family import Family
from nptables.iptables import Ownership, Ruleset
from nptables.kernel import netlink
from nptables.kernel.programs import Runner, find_program, run_program

# At some 5 ms each.
# The families of linux/netfilter.h, as nft calls them.
NFT_FAMILIES = {"ip": 2, "ip6": 10, "inet": 1, "arp": 3, "bridge": 7, "netdev": 5}

_MOST_CHAINS = 300
_SUBSYSTEM, _GET_TABLE, _TABLE_NAME = 10, 1, 1
_SECONDS = 60.0


def native_rules(ruleset: Ruleset, ownership: Ownership, run: Runner = run_program) -> list[str]:
    """Sentences about native rules in the chains of a dump that are not the owner's.

    Empty where there are none, and where the nft program cannot be asked.
    """
    chains = [
        (table, chain)
        for table, content in ruleset.tables.items()
        for chain, lines in content.chains.items()
        if lines and not ownership.owns_chain(table, chain)
    ]
    found = find_native_rules(chains, ruleset.family, run)
    return native.native_rules([{"rule": rule} for rule in found], ruleset.family)


def find_native_rules(
    chains: Sequence[tuple[str, str]], family: Family, run: Runner = run_program
) -> list[Mapping[str, Any]]:
    """The native rules in some chains of iptables-nft, as nft has them, by table and chain.

    Of more than 300 chains the first are asked for. Empty where nft cannot be asked.
    """
    found = find_program("nft")
    chains = [(table, chain) for table, chain in chains if is_plain(chain)]
    if found is None or not chains:
        return []
    nft_family, _ = native.NFT_FAMILIES[family]
    rules: list[Mapping[str, Any]] = []
    for table, chain in chains[:_MOST_CHAINS]:
        # Of several commands at once nft 1.0.6 sees the chain of the last alone.
        argv = [found, "-j", "list", "chain", nft_family, table, chain]
        try:
            done = run(argv, "", _SECONDS)
        except KernelError:
            return rules
        listed = native.named(_entries(done.stdout), "rule")
        rules += [rule for rule in listed if native.is_native(rule)]
    return rules


def table_names() -> list[tuple[str, str]]:
    """Family and name of every nft table, as the kernel tells. Raises OSError.

    `nft list tables` reads all that is in them first, which takes minutes beside 120,000 chains.
    """
    return [
        (
            family,
            (attributes.get(_TABLE_NAME) or b"").rstrip(b"\0").decode(errors="surrogateescape"),
        )
        for family, number in NFT_FAMILIES.items()
        for _, attributes in netlink.ask(_SUBSYSTEM, _GET_TABLE, netlink.DUMP, family=number)
    ]


def is_plain(name: str) -> bool:
    """Whether nft takes a name as it stands."""
    return name.replace("-", "").replace("_", "").isalnum() and name[0].isalpha()


def _entries(text: str) -> list[dict[str, Any]]:
    try:
        listed = json.loads(text).get("nftables", [])
    except (json.JSONDecodeError, AttributeError):
        return []
    return [entry for entry in listed if isinstance(entry, dict)]
