"""The rules of a node in a bundle: each family from the best form that there is of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import attrs

from nptables.errors import InvalidInput, Problem, printable
from nptables.evidence import Evidence, Form, Gap
from nptables.evidence.rules import NOTHING_OF_THEM, tables_not_shown
from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables import Ruleset
from nptables.sources.bundles.finding import Bundle, Piece
from nptables.sources.bundles.layouts import Holds
from nptables.sources.text.files import decode

ReadText = Callable[[str, Family | None], Evidence]
_TITLE = re.compile(r"^Chain (\S+) \(")
_HEADINGS = re.compile(r"^(?:num +)?(?: *pkts +bytes )?target +prot +opt ")
# What eks-log-collector.sh puts behind a listing.
_TOTAL = re.compile(r"^=======\s+Total Number of Rules: *(\d+)\s*\Z", re.MULTILINE)
_ORDER = (Form.SAVED, Form.LISTING, Form.FRAGMENT)
_NAMED = 4


@frozen
class Rules:
    """The rulesets of a node, and what is not known of them; `written` is when, as seconds."""

    form: Form = Form.SAVED
    rulesets: tuple[Ruleset, ...] = ()
    native: tuple[Mapping[str, Any], ...] | None = None
    gaps: tuple[Gap, ...] = ()
    written: float | None = None


def rules_of(bundle: Bundle, read: ReadText) -> Rules:
    """The rules of both families in a bundle that has those of one node."""
    return _Rules(bundle, read).found()


@attrs.define
class _Rules:
    bundle: Bundle
    read: ReadText
    gaps: list[Gap] = attrs.field(factory=list)
    forms: list[Form] = attrs.field(factory=list)
    written: float | None = None

    def found(self) -> Rules:
        """The rules: dumps before listings, and these before what nft prints of them."""
        dumps, listings = self.bundle.of(Holds.DUMP), self.bundle.of(Holds.LISTING)
        found: dict[Family, list[Ruleset]] = {}
        for piece in dumps:
            self._add(piece, self._evidence(piece), found)
        for family in Family:
            mine = [piece for piece in listings if _family(piece) is family]
            if not mine:
                continue
            if family in found:
                self._compare(found[family], mine, family)
            else:
                self._add(mine[0], self._listed(mine, family), found)
        native = self._native(found)
        form = max(self.forms, key=_place) if self.forms else Form.SAVED
        rulesets = tuple(r for family in Family for r in found.get(family, ()))
        gaps = (*self._not_shown(rulesets, form), *self.gaps)
        return Rules(form, rulesets, native, gaps, self.written)

    def _not_shown(self, rulesets: tuple[Ruleset, ...], form: Form) -> Iterator[Gap]:
        """What is still unknown of tables once all forms are put together."""
        self.gaps = [gap for gap in self.gaps if not gap.why.endswith(NOTHING_OF_THEM)]
        unknown = {ruleset.unshown.tables for ruleset in rulesets}
        for ruleset in rulesets:
            if ruleset.unshown.tables:
                whose = f" of {ruleset.family.value}" if len(unknown) > 1 else ""
                yield tables_not_shown(ruleset.unshown.tables, form.value, whose)

    def _add(
        self, piece: Piece, evidence: Evidence | None, found: dict[Family, list[Ruleset]]
    ) -> None:
        """Keep what is not there yet: of each family and backend the tables of the first."""
        if evidence is None:
            return
        added = False
        for ruleset in evidence.rulesets:
            here = found.setdefault(ruleset.family, [])
            alike = (
                r.backend == ruleset.backend or not (r.backend and ruleset.backend) for r in here
            )
            number = next((n for n, same in enumerate(alike) if same), None)
            if number is not None:
                both = _completed(here[number], ruleset, ruleset.tables.keys())
                added = added or both.tables.keys() != here[number].tables.keys()
                here[number] = both
            elif ruleset.tables and len(here) < 2:
                here.append(ruleset)
                added = True
        for family in [family for family, rulesets in found.items() if not rulesets]:
            del found[family]
        if added:
            self.forms.append(evidence.form)
            self.gaps += evidence.gaps
            self.written = self.written or piece.modified

    def _evidence(self, piece: Piece, text: str | None = None) -> Evidence | None:
        """What a member shows, None where it shows nothing; why, is a gap."""
        what = f"{piece.part.holds.value} ({printable(piece.name.rpartition('/')[2], 80)})"
        if text is None:
            text = self._text(piece)
        if not text.strip():
            self.gaps.append(Gap(what, "it is empty: the collector could not run it, most likely"))
            return None
        try:
            return self.read(text, _family(piece))
        except InvalidInput as error:
            self.gaps.append(Gap(what, printable(error.problems[0].message, 300)))
            return None

    def _text(self, piece: Piece) -> str:
        source = decode(piece.name, piece.data)
        if isinstance(source, Problem):
            where = f" in line {source.line}" if source.line else ""
            name = printable(piece.name.rpartition("/")[2], 80)
            self.gaps.append(Gap(name, f"{source.message}{where}, and it is left out"))
            return ""
        return source.text

    def _listed(self, pieces: list[Piece], family: Family) -> Evidence | None:
        """The listings of all tables of a family, put together as one text."""
        parts, counts = [], {}
        program = "iptables" if family is Family.IPV4 else "ip6tables"
        for table, piece in _by_table(pieces).items():
            text = self._text(piece)
            total = _TOTAL.search(text)
            if total is not None:
                text = text[: total.start()]
                counts[table] = int(total[1])
            if _TITLE.search(text) or "\nChain " in text:
                named = f" -t {table}" if table else ""
                parts.append(f"$ {program}{named} -nvL\n{text}\n")
            elif text.strip():
                line = printable(text.strip().splitlines()[0], 200)
                self.gaps.append(Gap(f"the listing of {table or 'rules'} ({program})", line))
        if not parts:
            return None
        evidence = self._evidence(pieces[0], "".join(parts))
        if evidence is None or not counts:
            return evidence
        return attrs.evolve(
            evidence, rulesets=tuple(self._counted(r, counts) for r in evidence.rulesets)
        )

    def _counted(self, ruleset: Ruleset, counts: Mapping[str, int]) -> Ruleset:
        """The ruleset; a table of which fewer rules are there than were counted is open."""
        short = set()
        for name, count in counts.items():
            table = ruleset.tables.get(name)
            here = 0 if table is None else sum(map(len, table.chains.values()))
            if table is not None and here != count:
                self.gaps.append(
                    Gap(
                        f"all rules of table {name}", f"{here} are listed, and {count} were counted"
                    )
                )
                short.add(name)
        if not short:
            return ruleset
        unshown = attrs.evolve(ruleset.unshown, open=ruleset.unshown.open | short)
        return attrs.evolve(ruleset, unshown=unshown)

    def _compare(self, rulesets: list[Ruleset], listings: list[Piece], family: Family) -> None:
        """Say where a listing has other chains, or another number of rules, than the dump."""
        for table, piece in _by_table(listings).items():
            text = _TOTAL.sub("", piece.data.decode("utf-8", "replace"))
            listed = _counts(text)
            saved = [
                {name: len(lines) for name, lines in r.tables[table].chains.items()}
                for r in rulesets
                if table in r.tables
            ]
            if not listed or not saved or listed in saved:
                continue
            other = saved[0]
            names = [n for n in {**listed, **other} if listed.get(n) != other.get(n)]
            shown = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
            self.gaps.append(
                Gap(
                    f"table {table} of {family.value}",
                    f"the listing beside the dump has other rules in {shown}; the dump is used",
                )
            )

    def _native(self, found: dict[Family, list[Ruleset]]) -> tuple[Mapping[str, Any], ...] | None:
        """What nft shows: tables that are not iptables', and rules where nothing else has them."""
        native: list[Mapping[str, Any]] | None = None
        for piece in self.bundle.of(Holds.NFT):
            text = self._text(piece)
            if not text.strip():
                continue
            try:
                evidence = self.read(text, None)
            except InvalidInput as error:
                if not found:
                    name = printable(piece.name.rpartition("/")[2], 80)
                    self.gaps.append(Gap(name, printable(error.problems[0].message, 300)))
                continue
            if evidence.native is not None:
                native = [*(native or []), *evidence.native]
            self._besides(piece, evidence, found)
            if evidence.native is not None:
                self._close(evidence, found)
        return None if native is None else tuple(native)

    def _besides(
        self, piece: Piece, evidence: Evidence, found: dict[Family, list[Ruleset]]
    ) -> None:
        """Add tables of nft that nothing else shows, and those that are of another backend."""
        taken = False
        for ruleset in evidence.rulesets:
            here = found.setdefault(ruleset.family, [])
            fitting = next((n for n, r in enumerate(here) if _may_be_nft(r, ruleset)), None)
            if fitting is not None:
                both = _completed(here[fitting], ruleset, here[fitting].unshown.tables)
                taken = taken or both.tables.keys() != here[fitting].tables.keys()
                here[fitting] = both
            elif ruleset.tables and len(here) < 2:
                here[:] = [attrs.evolve(r, backend=r.backend or "legacy") for r in here]
                here.append(ruleset)
                taken = True
        for family in [family for family, rulesets in found.items() if not rulesets]:
            del found[family]
        if taken:
            self.forms.append(evidence.form)
            self.gaps += evidence.gaps
            self.written = self.written or piece.modified

    def _close(self, nft: Evidence, found: dict[Family, list[Ruleset]]) -> None:
        """Take tables for not there that neither nft shows nor the kernel names as legacy ones."""
        names = {_family(p): self._text(p).split() for p in self.bundle.of(Holds.LEGACY_NAMES)}
        for family, rulesets in found.items():
            if family not in names:
                continue
            shown = (name for r in nft.rulesets if r.family is family for name in r.tables)
            there = frozenset((*names[family], *shown))
            for number, ruleset in enumerate(rulesets):
                unshown = attrs.evolve(ruleset.unshown, tables=ruleset.unshown.tables & there)
                rulesets[number] = attrs.evolve(ruleset, unshown=unshown)


def _may_be_nft(ruleset: Ruleset, nft: Ruleset) -> bool:
    """Whether a ruleset is of the tables that nft shows: of tables in both the chains are alike."""
    if ruleset.backend:
        return ruleset.backend == nft.backend
    used = {t.name: t for t in ruleset.tables.values() if any(t.chains.values())}
    return all(
        name in nft.tables and set(table.chains) == set(nft.tables[name].chains)
        for name, table in used.items()
    )


def _completed(ruleset: Ruleset, other: Ruleset, wanted: Collection[str]) -> Ruleset:
    """A ruleset with those of some tables that only another one has.

    What neither knows of stays unknown.
    """
    added = {n: other.tables[n] for n in wanted if n in other.tables and n not in ruleset.tables}
    unshown = attrs.evolve(
        ruleset.unshown,
        tables=(ruleset.unshown.tables & other.unshown.tables).difference(added),
        open=ruleset.unshown.open | (other.unshown.open & added.keys()),
        interfaces=ruleset.unshown.interfaces | (other.unshown.interfaces & added.keys()),
    )
    tables, backend = {**ruleset.tables, **added}, ruleset.backend or other.backend
    return attrs.evolve(ruleset, tables=tables, unshown=unshown, backend=backend)


def _place(form: Form) -> int:
    return _ORDER.index(form) if form in _ORDER else len(_ORDER) - 1


def _family(piece: Piece) -> Family | None:
    six = piece.told.get("six")
    return None if six is None else Family.IPV6 if six else Family.IPV4


def _by_table(pieces: list[Piece]) -> dict[str, Piece]:
    """The first listing of each table."""
    found: dict[str, Piece] = {}
    for piece in pieces:
        found.setdefault(piece.told.get("table") or piece.part.table, piece)
    return found


def _counts(text: str) -> Counter[str]:
    """How many rules each chain of a listing has."""
    found: Counter[str] = Counter()
    chain = ""
    for line in text.splitlines():
        title = _TITLE.match(line)
        if title is not None:
            chain = title[1]
            found[chain] = 0
        elif chain and line.strip() and not _HEADINGS.match(line) and not line.startswith("#"):
            found[chain] += 1
    return found
