"""What a packet on this node meets besides the tables that were read."""

from __future__ import annotations

import json

from nptables.errors import KernelError
from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.iptables.ruleset import BUILT_IN_CHAINS
from nptables.kernel.programs import Runner, find_program, run_program
from nptables.kernel.tables.restoring import RestoreBackend
from nptables.kernel.tables.xtables import legacy_tables

_NFT_FAMILIES = {Family.IPV4: ("ip", "inet"), Family.IPV6: ("ip6", "inet")}


def unseen_rules(backend: str, family: Family, run: Runner = run_program) -> list[str]:
    """Sentences about rules that a packet meets and that `backend` does not show.

    The kernel walks the tables of iptables-legacy, those of iptables-nft and native nft tables,
    whoever made them. Empty where there is nothing else.
    """
    return [*_other_backend(backend, family, run), *_native_tables(family, run)]


def _other_backend(backend: str, family: Family, run: Runner) -> list[str]:
    other = "nft" if backend in ("legacy", "iptc") else "legacy"
    if other == "legacy" and not legacy_tables(family):
        return []
    try:
        rules = RestoreBackend("nft" if other == "nft" else "legacy", family, run=run).read()
    except KernelError:
        return []
    held = _in_use(rules)
    if not held:
        return []
    return [f"the {other} tables hold rules too, which are not followed: {', '.join(held)}"]


def _in_use(rules: Ruleset) -> list[str]:
    """The built-in chains that do anything."""
    return [
        f"{table.name} {chain}"
        for table in rules.tables.values()
        for chain in BUILT_IN_CHAINS.get(table.name, ())
        if table.chains.get(chain) or table.policies.get(chain, "ACCEPT") != "ACCEPT"
    ]


def _native_tables(family: Family, run: Runner) -> list[str]:
    found = find_program("nft")
    if found is None:
        return ["native nft tables were not looked at: the program nft is not installed"]
    try:
        done = run([found, "-j", "list", "chains"], "", 60)
        listed = json.loads(done.stdout or "{}").get("nftables", [])
    except (KernelError, json.JSONDecodeError, AttributeError):
        return ["native nft tables could not be looked at"]
    hooked: dict[str, list[str]] = {}
    for entry in listed:
        chain = entry.get("chain", {}) if isinstance(entry, dict) else {}
        if chain.get("family") not in _NFT_FAMILIES[family] or "hook" not in chain:
            continue
        if chain["family"] != "inet" and chain.get("table") in BUILT_IN_CHAINS:
            continue
        table = f"{chain['family']} {chain.get('table')}"
        hooked.setdefault(table, []).append(str(chain["hook"]))
    return [
        f"nft table {table} has chains of its own at {', '.join(sorted(set(hooks)))}, which are "
        f"not followed"
        for table, hooks in sorted(hooked.items())
    ]
