"""What stands in the nft tables of this node and is not iptables'.

`nft list tables` takes minutes beside 120,000 chains of iptables-nft, so the kernel is asked for
the names of tables, and nft for the native ones alone.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nptables.errors import KernelError, printable
from nptables.evidence import Gap
from nptables.evidence.other_rules import NATIVE
from nptables.evidence.snapshot import TableText
from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.iptables.ruleset import BUILT_IN_CHAINS
from nptables.kernel import netlink
from nptables.kernel.node.other_tables import (
    NFT_FAMILIES,
    find_native_rules,
    is_plain,
    table_names,
)
from nptables.kernel.programs import Runner, find_program
from nptables.kernel.snapshot.tables import Tables
from nptables.translation import ownership

# NFNL_SUBSYS_NFTABLES, NFT_MSG_GETCHAIN, and NFTA_CHAIN_TABLE, _NAME and _HOOK.
_SUBSYSTEM = 10
_GET_CHAIN = 4
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_HOOK = 1, 3, 4
_OF_IPTABLES = {"ip": Family.IPV4, "ip6": Family.IPV6}
_SECONDS = 60.0

Objects = tuple[Mapping[str, Any], ...]


def native_objects(
    tables: Tables, families: Iterable[Family], run: Runner, gaps: list[Gap]
) -> Objects | None:
    """Native tables with all that is in them, and native chains and rules in iptables' tables.

    `tables` are those that iptables printed. None, with a gap, where it cannot be looked for.
    """
    if find_program("nft") is None:
        gaps.append(Gap(NATIVE, "the program nft is not installed"))
        return None
    try:
        names = table_names()
        own = [
            f"list chain {family} {table} {chain}"
            for family, table in names
            if _is_iptables(family, table) and _has_own_chains(tables, family, table)
            for chain in _own_chains(family, table)
        ]
    except OSError as error:
        # A kernel without nf_tables does not know the question.
        if error.errno in (errno.EINVAL, errno.EPROTONOSUPPORT, errno.EOPNOTSUPP):
            return ()
        why = "it takes root" if error.errno == errno.EPERM else str(error)
        gaps.append(Gap(NATIVE, why))
        return None
    lists = [f"list table {f} {t}" for f, t in names if not _is_iptables(f, t)]
    found = _listed([*lists, *own], run, gaps)
    for family in families:
        chains = _foreign_chains(tables, family)
        rules = find_native_rules(chains, family, run) if chains else []
        found += [{"rule": rule} for rule in rules if {"rule": rule} not in found]
    return tuple(found)


def _is_iptables(family: str, table: str) -> bool:
    return family in _OF_IPTABLES and table in BUILT_IN_CHAINS


def _has_own_chains(tables: Tables, family: str, table: str) -> bool:
    """Whether a table of iptables has chains of nft's own: the save program says so."""
    read = [each for each in tables if _is_nft(each) and each.family is _OF_IPTABLES[family]]
    if not read:
        return True
    remark = f"# Table `{table}' contains incompatible base-chains"
    return any(
        remark in each.text
        if isinstance(each, TableText)
        else table in (*each.remarks.native_chains, *each.remarks.unreadable)
        for each in read
    )


def _is_nft(tables: TableText | Ruleset) -> bool:
    return tables.backend == "nft"


def _own_chains(family: str, table: str) -> list[str]:
    """The chains at a hook that are none of iptables'. Raises OSError."""
    answer = netlink.ask(_SUBSYSTEM, _GET_CHAIN, netlink.DUMP, family=NFT_FAMILIES[family])
    return [
        name
        for _, attributes in answer
        if _CHAIN_HOOK in attributes and netlink.text(attributes.get(_CHAIN_TABLE)) == table
        if (name := netlink.text(attributes.get(_CHAIN_NAME))) not in BUILT_IN_CHAINS[table]
    ]


def _listed(commands: Sequence[str], run: Runner, gaps: list[Gap]) -> list[Mapping[str, Any]]:
    """The objects that nft prints for some commands."""
    plain = [each for each in commands if all(map(is_plain, each.split()))]
    if strange := [each for each in commands if each not in plain]:
        gaps.append(Gap(NATIVE, f"nft does not accept the name {printable(strange[0])}"))
    return [entry for each in plain for entry in _objects(each, run, gaps)]


def _objects(words: str, run: Runner, gaps: list[Gap]) -> list[Mapping[str, Any]]:
    """The objects that nft prints for a command; of several at once it may see the last alone."""
    try:
        done = run(["nft", "-j", words], "", _SECONDS)
        if done.code:
            said = printable(done.stderr.strip()) or f"exit code {done.code}"
            gaps.append(Gap(NATIVE, f"{words}: {said}"))
            return []
        listed = json.loads(done.stdout)["nftables"]
    except (KernelError, ValueError, KeyError, TypeError, RecursionError) as error:
        gaps.append(Gap(NATIVE, f"{words}: {printable(str(error))}"))
        return []
    return [entry for entry in listed if isinstance(entry, dict) and "metainfo" not in entry]


def _foreign_chains(tables: Tables, family: Family) -> list[tuple[str, str]]:
    """The chains of iptables-nft that are not kube-proxy's, those at hooks first."""
    owner = ownership()
    found: dict[tuple[str, str], None] = {}
    for each in tables:
        if _is_nft(each) and each.family is family:
            names = _with_rules(each.text) if isinstance(each, TableText) else _chains(each)
            found |= dict.fromkeys(n for n in names if not owner.owns_chain(*n))
    return sorted(found, key=lambda name: (name[1] not in BUILT_IN_CHAINS.get(name[0], ()), name))


def _with_rules(text: str) -> Iterable[tuple[str, str]]:
    """The chains of a dump with counters that have rules; the kernel may lack the others."""
    for part in f"\n{text}".split("\n*")[1:]:
        lines = part.split("\n")
        rules = (line.partition(" -A ")[2] for line in lines if line[:1] == "[")
        yield from ((lines[0], name) for name in {rule.partition(" ")[0] for rule in rules})


def _chains(ruleset: Ruleset) -> Iterable[tuple[str, str]]:
    return (
        (table.name, chain)
        for table in ruleset.tables.values()
        for chain in (*(c for c, lines in table.chains.items() if lines), *table.unread)
    )
