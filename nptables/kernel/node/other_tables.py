"""What a packet on this node meets besides the tables that were read, and what these show wrongly.

The kernel walks the tables of iptables-legacy, those of iptables-nft and native nft tables, whoever
made them. A native rule in a table of iptables-nft is printed by iptables-nft-save as if it had no
match at all, so that a rule for the members of a set looks like one for everybody.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from nptables.errors import KernelError
from nptables.evidence import native
from nptables.evidence.backends import chains_in_use
from nptables.family import Family
from nptables.iptables import Ownership, Ruleset
from nptables.kernel import netlink
from nptables.kernel.programs import Runner, find_program, run_program
from nptables.kernel.tables.restoring import RestoreBackend
from nptables.kernel.tables.xtables import Kind, legacy_tables


def chains_beside(kind: Kind, family: Family, run: Runner = run_program) -> tuple[str, ...]:
    """The chains of a backend, which is not the one in use, that do anything.

    Where its tables cannot be read, those that may.
    """
    if kind == "legacy" and not legacy_tables(family):
        return ()
    try:
        return tuple(chains_in_use(RestoreBackend(kind, family, run=run).read()))
    except KernelError:
        return unreadable_chains(kind, family, run)


def unreadable_chains(kind: Kind, family: Family, run: Runner) -> tuple[str, ...]:
    """The chains at a hook of a backend that its own program does not show, or its tables."""
    return legacy_tables(family) if kind == "legacy" else _iptables_chains(family, run)


def _iptables_chains(family: Family, run: Runner) -> tuple[str, ...]:
    """The chains of iptables-nft that are at a hook, as far as nft can be asked."""
    return tuple(
        f"{chain.get('table')} {chain.get('name')}"
        for chain in native.hooked_chains(_nft_chains(run), family)
        if native.is_of_iptables(chain)
    )


def _nft_chains(run: Runner) -> list[dict[str, Any]]:
    """All chains as nft lists them, without rules; none if it cannot be asked.

    Tables are listed with all their rules, which may take for ever while others commit.
    """
    program = find_program("nft")
    if program is None:
        return []
    try:
        return _entries(run([program, "-j", "list", "chains"], "", _SECONDS).stdout)
    except KernelError:
        return []


# The families of linux/netfilter.h, as nft calls them.
NFT_FAMILIES = {"ip": 2, "ip6": 10, "inet": 1, "arp": 3, "bridge": 7, "netdev": 5}

# At some 5 ms each.
_MOST_CHAINS = 300
# NFNL_SUBSYS_NFTABLES, NFT_MSG_GETTABLE and NFTA_TABLE_NAME.
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
    # The kernel allows more names than nft's grammar, which would read some as more of the command.
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
        (family, netlink.text(attributes.get(_TABLE_NAME)))
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
