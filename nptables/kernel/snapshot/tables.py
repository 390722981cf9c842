"""The tables of both backends and both families, as far as they can be read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from nptables.errors import KernelBusy, KernelError, ReadingStarved
from nptables.evidence import Gap, Unread
from nptables.evidence.snapshot import TableText
from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.kernel.node.other_tables import chains_beside, unreadable_chains
from nptables.kernel.programs import Runner, find_program
from nptables.kernel.tables.parts import unprintable
from nptables.kernel.tables.restoring import DISTURBED, ReadTimeout, RestoreBackend
from nptables.kernel.tables.xtables import KINDS, Kind, legacy_tables, stem
from nptables.translation.owned import ever_owned

Tables = tuple[TableText | Ruleset, ...]

_LISTS = {Family.IPV4: "ip_tables_names", Family.IPV6: "ip6_tables_names"}


def read_tables(
    families: Sequence[Family],
    backend: str,
    *,
    wait: float,
    run: Runner,
    counters: bool,
    gaps: list[Gap],
    strict: bool = False,
) -> tuple[Tables, tuple[Unread, ...]]:
    """What was read, and what is there besides; `gaps` gets why.

    With `counters` as text, else parsed. Of a backend that was not asked for is only told that its
    tables do something. Looking creates no legacy table. `strict` raises KernelError where a
    family has no tables that can be read, and KernelBusy where those of a backend cannot be now.
    """
    failures: dict[Family, KernelError] = {}
    tables: list[TableText | Ruleset] = []
    unread: list[Unread] = []
    asked = {"auto": KINDS, "iptc": ("legacy",)}.get(backend, (backend,))
    for family in families:
        for kind in KINDS:
            if kind not in asked:
                if chains := chains_beside(kind, family, run):
                    unread.append(Unread(kind, family, chains))
                continue
            reader = RestoreBackend(
                kind, family, wait, run, ReadTimeout(disturbed=max(DISTURBED, wait))
            )
            try:
                found = _read(reader, counters=counters, gaps=gaps, strict=strict)
            except KernelError as error:
                if strict and isinstance(error, KernelBusy):
                    raise
                gaps.append(Gap(_called(reader), str(error)))
                failures.setdefault(family, error)
                if chains := unreadable_chains(kind, family, run):
                    unread.append(Unread(kind, family, chains))
                continue
            tables += [] if found is None else [found]
        # A node may well do without IPv6, for whoever did not ask for that alone.
        needed = strict and (family is Family.IPV4 or len(families) == 1)
        if needed and family in failures and not any(each.family is family for each in tables):
            raise failures[family]
    return tuple(tables), tuple(unread)


def _read(
    reader: RestoreBackend, *, counters: bool, gaps: list[Gap], strict: bool
) -> TableText | Ruleset | None:
    """The tables of a backend; None where there are none, and no program for them."""
    if reader.kind == "legacy" and not legacy_tables(reader.family):
        if why := _hidden(reader.family):
            gaps.append(Gap(_called(reader), why))
            return None
        # The module may not even be loaded; whether the program works is not asked.
        there = find_program(f"{stem(reader.family)}-legacy-restore")
        return _named(Ruleset(reader.family, {}), reader.kind) if there else None
    try:
        found = reader.read_text() if counters else reader.read()
    except ReadingStarved as error:
        if strict:
            raise
        found = reader.read_parts(ever_owned())
        gaps.append(Gap(_called(reader), f"only chains of fixed names were read: {error}"))
    if isinstance(found, str):
        return TableText(reader.kind, reader.family, found)
    gaps += [Gap(_called(reader), sentence) for sentence in unprintable(reader, found)]
    return _named(found, reader.kind)


def _named(ruleset: Ruleset, kind: Kind) -> Ruleset:
    return attrs.evolve(ruleset, backend=kind)


def _called(reader: RestoreBackend) -> str:
    return f"{reader.family.value} {reader.kind} tables"


def _hidden(family: Family, proc: Path = Path("/proc/net")) -> str:
    """Why it is unknown which legacy tables there are, or an empty string."""
    try:
        (proc / _LISTS[family]).read_bytes()
    except PermissionError:
        return f"{proc / _LISTS[family]} can be read by root alone"
    except OSError:
        pass
    return ""
