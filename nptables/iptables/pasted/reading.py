"""Rules in whatever form somebody shows them: dumps, parts of dumps, `iptables -S`, listings."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Sequence

import attrs

from nptables.errors import SaveSyntaxError
from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables.dumps import OTHER_BACKEND, read_all_dumps
from nptables.iptables.families import family_of_lines, family_of_rules
from nptables.iptables.listing import is_title, read_listing
from nptables.iptables.listing.rows import family_of_row
from nptables.iptables.pasted.cleaning import Block, Command, blocks, is_dressing
from nptables.iptables.pasted.placing import Homes
from nptables.iptables.pasted.rules import Section, pieces, sections
from nptables.iptables.ruleset import BUILT_IN_CHAINS, Ruleset, Table
from nptables.iptables.unshown import Unshown

_RULE_BEGINS = re.compile(r"\s*(?:-[APN] \S|\[\d+:\d+\] -A |\*[a-z]+$|:\S+ (?:-|[A-Z]+) \[)")
# What is wrong with a dump of which lines were left away.
_OF_A_PART = ("stands outside a table", "has no COMMIT", "which is not declared", "never closed")
# The prompt of root makes a command look like a remark of a dump.
_OF_ONE_TABLE = re.compile(
    r"^#\s+(?:sudo\s+)?\S*ip6?tables\S*-save\b.* (?:-[a-zA-Z]*t|--table)\b", re.MULTILINE
)
_REMARK = re.compile(r"# (?:Warning: ip6?tables-legacy tables present|Table `)")


class Kind(enum.Enum):
    """How rules were written down: the value is what a message calls it."""

    SAVED = "dump"
    FRAGMENT = "fragment"
    LISTING = "listing"


@frozen
class Pasted:
    """What was read.

    `kind` is the one that says least of all that were found. `guessed` are the numbers of lines
    whose table nothing tells, `unread` what nobody understands, each with the number of its line,
    and `strays` lines that are no rules.
    """

    kind: Kind
    rulesets: tuple[Ruleset, ...]
    guessed: tuple[int, ...] = ()
    unread: tuple[tuple[int, str], ...] = ()
    strays: tuple[tuple[int, str], ...] = ()


@attrs.define
class _Part:
    """A table, or several of one dump, and what is known of whose they are."""

    kind: Kind
    family: Family | None
    backend: str
    tables: dict[str, Table]
    open: set[str] = attrs.field(factory=set)
    interfaces: set[str] = attrs.field(factory=set)
    comments: tuple[tuple[int, str], ...] = ()
    remarks: tuple[str, ...] = ()
    closed: bool = False


def read_pasted(text: str, homes: Homes, family: Family | None = None) -> Pasted | None:
    """The rulesets that a text shows, of both families, and what it does not show of them.

    `homes` says which table chains of a name are in. `family` is that of rules that do not tell.
    None where there is no rule and no table in it. Raises SaveSyntaxError for a dump that cannot
    be read, and where more rulesets follow one another than a node has.
    """
    try:
        if "\n*" in f"\n{text}" and _OF_ONE_TABLE.search(text) is None:
            return Pasted(Kind.SAVED, read_all_dumps(text, family))
    except SaveSyntaxError as error:
        # Only what was begun as a dump and is one can be told where it is wrong.
        if not _is_a_part(error):
            raise
    reader = _Reader(homes, family)
    for block in blocks(text):
        for piece in _of_one_kind(block):
            reader.read(piece)
    return reader.result()


def _is_a_part(error: SaveSyntaxError) -> bool:
    """Whether a dump is wrong in a way that copying a part of one, or quoting it, explains."""
    line = error.line
    return any(words in error.message for words in _OF_A_PART) or is_dressing(line.split("\n")[0])


def _of_one_kind(block: Block) -> Iterator[Block]:
    """The block in pieces that are a listing, or that are none."""
    part = Block(block.command)
    listing = False
    for number, line in zip(block.numbers, block.lines, strict=True):
        begins = is_title(line.strip())
        if (begins and not listing) or (listing and _RULE_BEGINS.match(line)):
            if part.lines:
                yield part
            part = Block(block.command if not part.lines else attrs.evolve(block.command, table=""))
            listing = begins
        part.numbers.append(number)
        part.lines.append(line)
    if part.lines:
        yield part


@attrs.define
class _Reader:
    homes: Homes
    asked: Family | None
    parts: list[_Part] = attrs.field(factory=list)
    guessed: list[int] = attrs.field(factory=list)
    unread: list[tuple[int, str]] = attrs.field(factory=list)
    strays: list[tuple[int, str]] = attrs.field(factory=list)

    def read(self, block: Block) -> None:
        """Take the lines behind one command."""
        if any(is_title(line.strip()) for line in block.lines):
            self._listing(block)
        elif any(line.startswith("*") for line in block.lines) and not block.command.partly:
            tables, prose = _tables_alone(block)
            try:
                self._saved(block.command, read_all_dumps(tables, self.asked))
                self.strays += prose
            except SaveSyntaxError:
                self._rules(block)
        else:
            self._rules(block)

    def _saved(self, command: Command, rulesets: Sequence[Ruleset]) -> None:
        usual = self.asked or Family.IPV4
        for ruleset in rulesets:
            told = ruleset.family if ruleset.family is not usual else family_of_rules(ruleset)
            self.parts.append(
                _Part(
                    Kind.SAVED,
                    told or command.family or (usual if len(rulesets) > 1 else None),
                    ruleset.backend or command.backend,
                    dict(ruleset.tables),
                    comments=ruleset.comments,
                    # Of other tables than the one that was asked for nothing is known.
                    closed=bool(command.table),
                )
            )

    def _listing(self, block: Block) -> None:
        indent = next(len(s) - len(s.lstrip()) for s in block.lines if is_title(s.strip()))
        lines = [line[indent:] if not line[:indent].strip() else line for line in block.lines]
        rows = (family_of_row(line) for line in lines if not is_title(line))
        family = next((found for found in rows if found), None) or block.command.family
        listed = read_listing(
            lines, block.numbers, family or self.asked or Family.IPV4, block.command.table
        )
        remarks = tuple(line for line in block.lines if _REMARK.match(line))
        for found in listed:
            self.unread += found.unread
            self.strays += found.strays
            table, guessed = self._named(found.table)
            part = _Part(
                Kind.LISTING, family, block.command.backend, {table.name: table}, remarks=remarks
            )
            if not found.whole or block.command.partly:
                part.open.add(table.name)
            if not found.interfaces:
                part.interfaces.add(table.name)
            self.guessed += guessed
            self.parts.append(part)

    def _named(self, table: Table) -> tuple[Table, list[int]]:
        """A listed table under the name that its rules tell, where nothing else does."""
        if table.name:
            return table, []
        section = Section("")
        section.policies = {name: table.policies.get(name, "") for name in table.chains}
        section.rules = [(0, line) for lines in table.chains.values() for line in lines]
        found = [piece.table.name for piece in pieces(section, self.homes, partly=True)]
        fitting = [name for name in found if _has_chains(name, table)]
        name = max(fitting, key=found.count, default="") or next(
            (name for name in ("filter", "nat", "mangle", "raw") if _has_chains(name, table)),
            "filter",
        )
        return attrs.evolve(table, name=name), []

    def _rules(self, block: Block) -> None:
        if not any(map(_RULE_BEGINS.match, block.lines)):
            self.strays += [
                (number, line.strip())
                for number, line in zip(block.numbers, block.lines, strict=True)
                if line.strip() and not line.lstrip().startswith("#")
            ]
            return
        remarks = tuple(line for line in block.lines if _REMARK.match(line))
        for section in sections(block.lines, block.numbers, block.command.table):
            self.strays += section.strays
            if section.is_empty:
                continue
            for family, part in _by_family(section, block.command.family):
                self._section(part, family, block.command, remarks)

    def _section(
        self, section: Section, family: Family | None, command: Command, remarks: tuple[str, ...]
    ) -> None:
        found = pieces(section, self.homes, partly=command.partly)
        part = _Part(
            Kind.SAVED if all(piece.whole for piece in found) else Kind.FRAGMENT,
            family,
            command.backend,
            {piece.table.name: piece.table for piece in found},
            remarks=remarks,
            closed=True,
        )
        part.open |= {piece.table.name for piece in found if not piece.whole}
        self.guessed += [number for piece in found for number in piece.guessed]
        self.parts.append(part)

    def result(self) -> Pasted | None:
        """Everything that was read."""
        if not self.parts:
            return None
        kinds = {part.kind for part in self.parts}
        is_open = any(part.open for part in self.parts)
        plain = Kind.FRAGMENT if is_open else Kind.SAVED
        return Pasted(
            Kind.LISTING if Kind.LISTING in kinds else plain,
            tuple(_rulesets(self.parts, self.asked)),
            tuple(sorted(self.guessed)),
            tuple(self.unread),
            tuple(self.strays),
        )


def _tables_alone(block: Block) -> tuple[str, list[tuple[int, str]]]:
    """The text of a block without what stands between its tables, and that."""
    kept, prose = [], []
    inside = False
    for number, raw in zip(block.numbers, block.lines, strict=True):
        line = raw.lstrip()
        inside = inside or line.startswith("*")
        if inside or not line or line.startswith("#"):
            kept.append(line)
        else:
            prose.append((number, line.strip()))
        inside = inside and line != "COMMIT"
    return "\n".join([*kept, ""]), prose


def _has_chains(name: str, table: Table) -> bool:
    """Whether a table has the built-in chains of a listed one."""
    return set(table.policies) <= set(BUILT_IN_CHAINS[name])


def _by_family(section: Section, told: Family | None) -> Iterator[tuple[Family | None, Section]]:
    """A section, or where its lines are of both families, one for each.

    A line that does not tell is of the family of the one before it.
    """
    lines = [line for _, line in section.rules]
    found = [family_of_lines([line]) for line in lines]
    families = {family for family in found if family}
    if len(families) < 2:
        yield next(iter(families), told), section
        return
    here = next(family for family in found if family)
    whose = [here := family or here for family in found]
    for family in sorted(families, key=lambda each: each.value):
        rules = [rule for rule, mine in zip(section.rules, whose, strict=True) if mine is family]
        yield family, attrs.evolve(section, rules=rules, begun=False, ended=True)


@attrs.define
class _Node:
    """The tables of one backend and family."""

    family: Family
    backend: str
    parts: list[_Part] = attrs.field(factory=list)
    tables: dict[str, Table] = attrs.field(factory=dict)
    open: set[str] = attrs.field(factory=set)

    def takes(self, part: _Part) -> bool:
        """Whether a part may be of the same backend: it has other tables, or more of an open."""
        if part.backend and self.backend and part.backend != self.backend:
            return False
        both = part.tables.keys() & self.tables.keys()
        return all(
            name in part.open or name in self.open or part.tables[name] == self.tables[name]
            for name in both
        )

    def take(self, part: _Part) -> None:
        """Add a part. Where a whole table is there, what is known of a part of it adds nothing."""
        self.parts.append(part)
        self.backend = self.backend or part.backend
        for name, table in part.tables.items():
            here = self.tables.get(name)
            if here is None or (name in self.open and name not in part.open):
                self.tables[name] = table
                self.open.discard(name)
                self.open |= part.open & {name}
            # Two views of a table that neither shows whole: together they are more of it.
            elif name in self.open:
                self.tables[name] = _both(here, table)

    def ruleset(self) -> Ruleset:
        """The tables, and what is not shown of them."""
        saved = all(part.kind is Kind.SAVED and not part.closed for part in self.parts)
        interfaces = {name for part in self.parts for name in part.interfaces}
        unshown = Unshown(
            frozenset() if saved else frozenset(BUILT_IN_CHAINS.keys() - self.tables.keys()),
            frozenset(self.open),
            frozenset(interfaces & self.tables.keys()),
        )
        remarks = dict.fromkeys(line.strip() for part in self.parts for line in part.remarks)
        comments = tuple(enumerate(remarks))
        if saved and len(self.parts) == 1:
            comments = self.parts[0].comments
        return Ruleset(self.family, self.tables, comments, backend=self.backend, unshown=unshown)


def _both(first: Table, second: Table) -> Table:
    """What two parts show of one table; a line that both show is there once."""
    chains = {
        name: tuple(dict.fromkeys((*first.chains.get(name, ()), *second.chains.get(name, ()))))
        for name in dict.fromkeys((*first.chains, *second.chains))
    }
    return Table(first.name, chains, {**first.policies, **second.policies})


def _rulesets(parts: Sequence[_Part], asked: Family | None) -> Iterator[Ruleset]:
    nodes: list[_Node] = []
    known = [part.family for part in parts]
    for position, part in enumerate(parts):
        # What does not tell is most likely of the family of what stands before it, else of what
        # follows.
        near = [part.family, *reversed(known[:position]), *known[position:]]
        family = next((each for each in near if each), None) or asked or Family.IPV4
        node = next((n for n in nodes if n.family is family and n.takes(part)), None)
        if node is None:
            node = _Node(family, part.backend)
            nodes.append(node)
        node.take(part)
    for family in Family:
        found = [node for node in nodes if node.family is family]
        if len(found) > 2:
            raise SaveSyntaxError(
                "there are more than two of the same tables: a node has those of legacy and "
                "those of nft",
                line_number=1,
                line="",
            )
        for node, other in zip(found, found[::-1], strict=True):
            if len(found) > 1 and not node.backend:
                node.backend = OTHER_BACKEND.get(other.backend, "")
            yield node.ruleset()
