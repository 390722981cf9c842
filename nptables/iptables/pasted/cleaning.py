"""What people and their programs put around rules when they show them to somebody.

Marks of a quotation, fences, indentation and the line numbers of `grep -n` are taken off. A line
with a prompt, or with a command, tells whose words follow.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import attrs

from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables.listing.tables import OMISSION

_QUOTE = re.compile(r"^\s*(?:>\s?)+")
_FENCE = re.compile(r"^\s*(?:```|~~~)\S*\s*$")
# `12:` of `grep -n`, `name:` or `name:12:` of `grep -H`, before what a rule's line begins with.
_GREP = re.compile(
    r"^\s*(?:[\w./-]+[:-])??(?:\d+[:-])?"
    r"(?=-[APN] |\[\d+:\d+\] -A |\*[a-z]+$|COMMIT$|:\S+ [A-Z-]+ ?|Chain \S+ \()"
)
_PROGRAM = r"(?:\S*/)?(ip6?tables)(-legacy|-nft)?(-save)?"
_WRAPPERS = r"sudo|kubectl|docker|podman|nerdctl|crictl|nsenter|ssh|chroot|ip netns exec|watch"
_PROMPT = r"(?:(?:\[?[\w.-]+@[\w.-]+[^$#%]*?\]?|[\w.-]+(?: [~/]\S*)?)?\s*[$#%]\s+)"
_COMMAND = re.compile(rf"\s*{_PROMPT}?(?:(?:{_WRAPPERS})\b.*?\s)?{_PROGRAM}(?=\s|$)(.*)")
_OTHER_COMMAND = re.compile(r"\s*\[?[\w.-]+@[\w.-]+[^$#%]*?\]?\s*[$#%](?: .*)?")
_LISTS = re.compile(r" (?:-[a-zA-Z]*[LS][a-zA-Z]*|--list(?:-rules)?) ")
_PIPE = re.compile(r"\s*(?:\||&&|;|>).*")


@frozen
class Command:
    """What a command in front of its output tells of it.

    `family`, `backend` and `table` are empty or None where the command leaves them open, `partly`
    where something may have taken lines out, or it asked for one chain.
    """

    family: Family | None = None
    backend: str = ""
    table: str = ""
    partly: bool = False


@attrs.define
class Block:
    """The lines behind one command, with their numbers from 1."""

    command: Command
    lines: list[str] = attrs.field(factory=list)
    numbers: list[int] = attrs.field(factory=list)

    @property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join([*self.lines, ""])


def undressed(raw: str) -> str:
    """A line without marks of a quotation, fences and the quotes of an editor."""
    # What web pages and word processors put in the place of blanks and quotes.
    line = raw.replace("\u00a0", " ").replace("\u201c", '"').replace("\u201d", '"')
    line = _QUOTE.sub("", line)
    return "" if _FENCE.match(line) else line.rstrip("\r\n")


def is_dressing(line: str) -> bool:
    """Whether a line is not as a program prints it: quoted, indented, a command, an omission."""
    clean = _clean(line)
    return (
        line[:1].isspace()
        or clean != line.rstrip()
        or bool(OMISSION.fullmatch(clean))
        or bool(_command(clean))
    )


def _clean(raw: str) -> str:
    """A line without what others put before it, blanks included; a fence is nothing."""
    return _GREP.sub("", undressed(raw)).rstrip("\r")


def blocks(text: str) -> Iterator[Block]:
    """The text in pieces, one for each command that is shown; empty pieces are left out."""
    block = Block(Command())
    for number, raw in enumerate(text.split("\n"), 1):
        line = _clean(raw)
        command = _command(line)
        if command is None:
            block.lines.append(line)
            block.numbers.append(number)
            continue
        if block.lines:
            yield block
        block = Block(command)
    if block.lines:
        yield block


def _command(line: str) -> Command | None:
    """What a line says of those behind it, None where it is no command."""
    if line.startswith(("-", "*", ":", "[")) and "@" not in line:
        return None
    found = _COMMAND.fullmatch(line)
    if found is None:
        return Command() if _OTHER_COMMAND.fullmatch(line) else None
    program, backend, save, rest = found.groups()
    family = Family.IPV6 if program == "ip6tables" else Family.IPV4
    plain = _PIPE.sub("", rest)
    partly = bool(re.search(r"\|\s*(?:e?grep|head|tail|sed|awk|cut|less|more|fold)\b", rest))
    try:
        words = shlex.split(plain)
    except ValueError:
        words = plain.split()
    table, chain = _options(words)
    if not save and not _LISTS.search(f" {plain} "):
        return None
    # The table that a command without -t is about (iptables(8)).
    if not save and not table:
        table = "filter"
    return Command(family, (backend or "").lstrip("-"), table, partly or chain)


def _options(words: list[str]) -> tuple[str, bool]:
    """The table that a command names, and whether it asks for one chain."""
    table, chain = "", False
    for position, word in enumerate(words):
        behind = words[position + 1] if position + 1 < len(words) else ""
        if word == "--table" or (re.fullmatch(r"-[a-zA-Z]*t", word) and behind.islower()):
            table = behind
        elif word.startswith("--table="):
            table = word.partition("=")[2]
        elif re.fullmatch(r"-[a-zA-Z]*[LS][a-zA-Z]*|--list(?:-rules)?", word):
            chain = chain or behind[:1].isalpha()
    return table, chain
