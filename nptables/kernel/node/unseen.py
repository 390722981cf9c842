"""Whose rules a packet on this node meets: those that can be read, and what there is besides.

The kernel walks the tables of iptables-legacy, those of iptables-nft and native nft tables,
whoever made them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

from nptables.errors import KernelError
from nptables.evidence.beside import in_use
from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.iptables.ruleset import BUILT_IN_CHAINS
from nptables.kernel.node.native import native_rules
from nptables.kernel.programs import Runner, find_program, run_program
from nptables.kernel.tables.choosing import choose, read_both
from nptables.kernel.tables.restoring import DEFAULT_WAIT, Patience, RestoreBackend
from nptables.kernel.tables.xtables import KINDS, Kind, legacy_tables
from nptables.translation import ownership

_NFT_FAMILIES = {Family.IPV4: ("ip", "inet"), Family.IPV6: ("ip6", "inet")}


@attrs.frozen
class Met:
    """What a packet meets on this node.

    `rulesets` has the tables of each backend that does anything, or of one where none does.
    `unread` is a backend that has tables which are not among them. `unseen` are sentences about
    everything else, and about those.
    """

    rulesets: tuple[Ruleset, ...]
    unread: str = ""
    unseen: tuple[str, ...] = ()


def rules_met(family: Family, backend: str = "auto", run: Runner = run_program) -> Met:
    """What a packet of a family meets on this node, as far as it can be read.

    With `auto` the tables of both backends are read, else those of the one alone. Raises
    KernelBusy, and BackendUnavailable where nothing can be read.
    """
    if backend == "auto":
        held, failures = read_both(family, DEFAULT_WAIT, run, Patience())
        if not held:
            raise failures[0]
        read = {kind: rules for kind, (rules, _) in held.items()}
        missing = [kind for kind in KINDS if kind not in held]
        second = unreadable_tables(missing[0], family, run) if missing else None
    else:
        chosen = choose(family, backend, run=run)
        read = {"legacy" if chosen.backend.name == "legacy" else "nft": chosen.current}
        second = other_tables(chosen.backend.name, family, run)
    known = [attrs.evolve(rules, backend=kind) for kind, rules in read.items()]
    acting = [rules for rules in known if in_use(rules)] or known[:1]
    told = [] if second is None else [f"{second.sentence}, which are not followed"]
    for rules in acting:
        if rules.backend == "nft":
            told += native_rules(rules, ownership())
    return Met(
        tuple(acting),
        "" if second is None else second.backend,
        (*told, *_native_tables(family, run)),
    )


@attrs.frozen
class OtherTables:
    """The tables of the backend that is not in use, where they do anything or nobody can tell.

    `rules` is None where they could not be read; `chains` are those at a hook, or the tables.
    """

    backend: Kind
    chains: tuple[str, ...]
    rules: Ruleset | None = None

    @property
    def sentence(self) -> str:
        """What there is, in words."""
        unread = "" if self.rules is not None else " (they could not be read)"
        return f"the {self.backend} tables hold rules too{unread}: {', '.join(self.chains)}"


def other_tables(backend: str, family: Family, run: Runner = run_program) -> OtherTables | None:
    """The tables of the backend that is not the one named; None where they do nothing."""
    kind: Kind = "nft" if backend in ("legacy", "iptc") else "legacy"
    if kind == "legacy" and not legacy_tables(family):
        return None
    try:
        rules = RestoreBackend(kind, family, run=run).read()
    except KernelError:
        return unreadable_tables(kind, family, run)
    chains = tuple(in_use(rules))
    return OtherTables(kind, chains, attrs.evolve(rules, backend=kind)) if chains else None


def unreadable_tables(kind: Kind, family: Family, run: Runner) -> OtherTables | None:
    """The tables of a backend that its own program does not show."""
    found = legacy_tables(family) if kind == "legacy" else _iptables_chains(family, run)
    return OtherTables(kind, found) if found else None


def unseen_rules(
    other: OtherTables | None, family: Family, run: Runner = run_program
) -> tuple[str, ...]:
    """Sentences about what there is besides the tables of one backend."""
    told = [] if other is None else [other.sentence]
    return (*told, *_native_tables(family, run))


def _native_tables(family: Family, run: Runner) -> list[str]:
    if find_program("nft") is None:
        return ["native nft tables were not looked at: the program nft is not installed"]
    chains = _hooked_chains(family, run)
    if chains is None:
        return ["native nft tables could not be looked at"]
    hooked: dict[str, list[str]] = {}
    for chain in chains:
        if _is_of_iptables(chain):
            continue
        table = f"{chain['family']} {chain.get('table')}"
        hooked.setdefault(table, []).append(str(chain["hook"]))
    return [
        f"nft table {table} has chains of its own at {', '.join(sorted(set(hooks)))}, which are "
        f"not followed"
        for table, hooks in sorted(hooked.items())
    ]


def _iptables_chains(family: Family, run: Runner) -> tuple[str, ...]:
    """The chains of iptables-nft that are at a hook, as far as nft can be asked."""
    return tuple(
        f"{chain.get('table')} {chain.get('name')}"
        for chain in _hooked_chains(family, run) or ()
        if _is_of_iptables(chain)
    )


def _is_of_iptables(chain: Mapping[str, Any]) -> bool:
    built_in = BUILT_IN_CHAINS.get(str(chain.get("table")), ())
    return chain["family"] != "inet" and chain.get("name") in built_in


def _hooked_chains(family: Family, run: Runner) -> list[dict[str, Any]] | None:
    """The nft chains of a family that are at a hook; None where nobody can be asked."""
    program = find_program("nft")
    if program is None:
        return None
    try:
        done = run([program, "-j", "list", "chains"], "", 60)
        listed = json.loads(done.stdout or "{}").get("nftables", [])
    except (KernelError, json.JSONDecodeError, AttributeError):
        return None
    chains = [entry.get("chain", {}) for entry in listed if isinstance(entry, dict)]
    return [c for c in chains if c.get("family") in _NFT_FAMILIES[family] and "hook" in c]
