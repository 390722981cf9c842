"""What a packet on this node meets besides the tables that were read.

The kernel walks the tables of iptables-legacy, those of iptables-nft and native nft tables,
whoever made them.
"""

from __future__ import annotations

import json
from typing import Any

from nptables.errors import KernelError
from nptables.evidence import native
from nptables.evidence.serving import chains_in_use
from nptables.family import Family
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
        for chain in native.hooked_chains(_nft_chains(run) or (), family)
        if native.is_of_iptables(chain)
    )


def _nft_chains(run: Runner) -> list[dict[str, Any]] | None:
    """All chains as nft lists them, without rules; None if there is no program to ask.

    Tables are listed with all their rules, which may take for ever while others commit.
    """
    program = find_program("nft")
    if program is None:
        return None
    try:
        done = run([program, "-j", "list", "chains"], "", 60)
        listed = json.loads(done.stdout or "{}").get("nftables", [])
    except (KernelError, json.JSONDecodeError, AttributeError):
        return None
    return [entry for entry in listed if isinstance(entry, dict)]
