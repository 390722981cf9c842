"""The tables and chains of a text that `nft list` printed, whole or in part."""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

from nptables.iptables.listing.tables import OMISSION
from nptables.iptables.pasted.cleaning import undressed

_TABLE = re.compile(r'table (ip|ip6|inet|arp|bridge|netdev) ("[^"]+"|[^\s{]+) ?\{(?: # .*)?')
_CHAIN = re.compile(r'chain ("[^"]+"|[^\s{]+) ?\{(?: # .*)?')
_BASE = re.compile(
    r"type (\w+) hook (\w+)(?: device[s]? [^;]+?)? priority ([^;]+?);?(?: policy (\w+);?)?"
    r"(?: comment .*)?"
)
_OTHER_BLOCK = re.compile(
    r"(?:set|map|flowtable|meter|counter|quota|limit|synproxy|secmark|ct (?:helper|timeout"
    r"|expectation)) [^{]*\{.*"
)
_NO_RULE = re.compile(r'(?:comment "[^"]*"|flags [a-z,]+;?|policy \w+;?|#(?!.*\bcounter\b).*)')
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"')
_COMMAND = re.compile(
    r"(?:\S*[@~:\]\w./-]*\s?)?(?:[$#%>]\s+)?(?:.*\s)?(?:\S*/)?nft(?: -[-a-zA-Z]+)* list "
    r"(ruleset|table|tables|chain|chains)\b(.*)"
)
_PIPED = re.compile(r"\|\s*(?:e?grep|head|tail|sed|awk|cut|less|more|fold)\b")
_NUMBERED = re.compile(r"\s*\d+[:-]?\s")
_NOISE = re.compile(r"(?:# )?Warning: .*|(?:# )?XT (?:match|target) .* not found")
# nft shows what it has no words for, and has all modules of iptables that it needs for words.
_SHOWS_ALL = re.compile(
    r"\bxt (?:match|target|watcher) \"?\w|\bmeta random & |\bmasquerade(?: to \S+)? fully-random\b"
)
_MODULES_MISSING = re.compile(r"\bXT (?:match|target) \S+ not found")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@attrs.define
class NftChain:
    """A chain, with its rules as they stand in the text, and the numbers of their lines.

    `base` is the type, hook, priority and policy of a chain at a hook.
    """

    name: str
    base: tuple[str, str, str, str] | None = None
    rules: list[tuple[int, str]] = attrs.field(factory=list)
    whole: bool = False


@attrs.define
class NftTable:
    """A table; its family and name are empty where the line that has them is not there."""

    family: str
    name: str
    chains: list[NftChain] = attrs.field(factory=list)
    whole: bool = False


@attrs.define
class NftText:
    """What was read of a text.

    `all_tables` tells that it has all tables of a node, `exact` that a statement of which nothing
    is printed can only be a comment, `no_modules` that it can be anything. `partly` tells that a
    program may have taken lines out. `width` is the length of the longest rule. `strays` are
    lines that are none of these.
    """

    tables: list[NftTable] = attrs.field(factory=list)
    strays: list[tuple[int, str]] = attrs.field(factory=list)
    all_tables: bool = False
    exact: bool = True
    no_modules: bool = False
    partly: bool = False
    width: int = 0


def is_nft_text(text: str) -> bool:
    """Whether a text has a line with which `nft list` begins a table or a chain."""
    return any(
        _TABLE.fullmatch(line) or _CHAIN.fullmatch(line)
        for line in (undressed(raw).strip() for raw in text.split("\n"))
    )


def read_tables(text: str) -> NftText:
    """The tables in a text."""
    text = _CONTROL.sub("?", text.replace("\r\n", "\n"))
    found = NftText(
        exact=bool(_SHOWS_ALL.search(text)), no_modules=bool(_MODULES_MISSING.search(text))
    )
    reader = _Reader(found)
    for number, line in _logical(text):
        reader.read(number, line)
    reader.end()
    rules = [raw for table in found.tables for chain in table.chains for _, raw in chain.rules]
    found.width = max((len(raw.rstrip()) for raw in rules), default=0)
    return found


def _logical(text: str) -> Iterator[tuple[int, str]]:
    """The lines without what others put around them; what braces hold together is one line."""
    lines = [undressed(raw) for raw in text.split("\n")]
    shown = [line for line in lines if line.strip()]
    if shown and all(map(_NUMBERED.match, shown)):
        lines = [_NUMBERED.sub("", line, count=1) for line in lines]
    begun: tuple[int, str] | None = None
    for number, line in enumerate(lines, 1):
        if begun is not None:
            begun = begun[0], f"{begun[1].rstrip()} {line.strip()}"
        elif _opens_set(line):
            begun = number, line
        else:
            yield number, line
            continue
        # A set that was cut off must not take the rest of the text with it.
        if not _opens_set(begun[1]) or line.strip() in ("}", "") or _CHAIN.fullmatch(line.strip()):
            yield begun
            begun = None
    if begun is not None:
        yield begun


def _opens_set(line: str) -> bool:
    """Whether a rule goes on in the next line, within the braces of a set."""
    plain = _QUOTED.sub("", line)
    stripped = plain.strip()
    if _TABLE.fullmatch(line.strip()) or _CHAIN.fullmatch(line.strip()):
        return False
    if _OTHER_BLOCK.fullmatch(stripped) and "}" not in stripped:
        return False
    return plain.count("{") > plain.count("}")


def _opened(line: str) -> int:
    """How many more braces a line opens than it closes."""
    plain = _QUOTED.sub("", line)
    return plain.count("{") - plain.count("}")


@attrs.define
class _Reader:
    found: NftText
    table: NftTable | None = None
    chain: NftChain | None = None
    skipping: int = 0
    lost: bool = False

    def read(self, number: int, raw: str) -> None:
        """Take a line."""
        line = raw.strip()
        if not line or _NOISE.fullmatch(line):
            return
        if self._is_skipped(line):
            return
        if (begun := _TABLE.fullmatch(line)) is not None:
            self._close_table(whole=False)
            self.table = NftTable(begun[1], begun[2].strip('"'))
            self.found.tables.append(self.table)
        elif (begun := _CHAIN.fullmatch(line)) is not None:
            self._begin_chain(begun[1].strip('"'))
        elif line.startswith("}"):
            self._close()
        elif (command := _COMMAND.fullmatch(line)) is not None:
            self._command(command)
        elif self.chain is None and _OTHER_BLOCK.fullmatch(line):
            self.skipping = max(_opened(line), 0)
        else:
            self._within(number, raw, line)

    def _is_skipped(self, line: str) -> bool:
        """Whether a line is within a set, a map or another object that is no chain."""
        if not self.skipping:
            return False
        self.skipping = max(self.skipping + _opened(line), 0)
        if _TABLE.fullmatch(line) or _CHAIN.fullmatch(line):
            self.skipping = 0
            return False
        return True

    def _within(self, number: int, raw: str, line: str) -> None:
        """Take a line that neither begins nor ends anything."""
        if self.chain is not None and (base := _BASE.fullmatch(line)) is not None:
            self.chain.base = (base[1], base[2], base[3].strip(), base[4] or "accept")
        elif _NO_RULE.fullmatch(line):
            return
        elif OMISSION.fullmatch(line):
            self._something_is_missing()
        elif self.chain is not None:
            self.chain.rules.append((number, raw))
        else:
            self.found.strays.append((number, line))
            self._something_is_missing()

    def _begin_chain(self, name: str) -> None:
        if self.chain is not None:
            self._something_is_missing()
        if self.table is None:
            self.table = NftTable("", "")
            self.found.tables.append(self.table)
        self.chain = NftChain(name)
        self.table.chains.append(self.chain)

    def _close(self) -> None:
        if self.chain is not None:
            self.chain.whole = not self.lost
            self.chain = None
        else:
            self._close_table(whole=self.table is not None and not self.lost)

    def _close_table(self, *, whole: bool) -> None:
        if self.table is not None:
            self.table.whole = whole and self.chain is None and bool(self.table.name)
        self.table = self.chain = None
        self.lost = False

    def _something_is_missing(self) -> None:
        self.lost = self.table is not None

    def _command(self, command: re.Match[str]) -> None:
        self._close_table(whole=False)
        what, rest = command.groups()
        self.found.partly = self.found.partly or bool(_PIPED.search(rest))
        if what == "ruleset" and not self.found.partly:
            self.found.all_tables = True

    def end(self) -> None:
        """Tables and chains that are not closed are incomplete."""
        self._close_table(whole=False)
