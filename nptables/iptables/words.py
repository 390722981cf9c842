"""The words of a rule line: splitting them as `iptables-restore` does, quoting as `iptables-save`.

The rules are those of iptables 1.8.9: `add_param_to_argv` in iptables/xshared.c splits, and
`xtables_save_string` in libxtables/xtables.c quotes.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from nptables.errors import RuleSyntaxError

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_SPECIAL = re.compile(r"[\"\\']")
_STRING_SPECIAL = re.compile(r"[\"\\]")
_NEEDS_QUOTES = re.compile(r'[ \t"]')
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)

# A closing quote ends a word; an opening one may stand in the middle of it. A backslash is an
# escape between quotes only.
_WORD = re.compile(r'([^ \t"]*)"([^"\\]*(?:\\.[^"\\]*)*)"|([^ \t"]+)|(")', re.DOTALL)


class Word(NamedTuple):
    """One word of a line, without its quotes, and whether it had any."""

    text: str
    quoted: bool


def save_string(text: str) -> str:
    """`text` as `xtables_save_string` writes it: quoted unless it is letters, digits, `_` and `-`.

    >>> save_string("default/web:http")
    '"default/web:http"'
    >>> save_string("KUBE-MARK-MASQ")
    'KUBE-MARK-MASQ'
    """
    if _PLAIN.fullmatch(text):
        return text
    return f'"{_SPECIAL.sub(_escape, text)}"'


def always_quoted(text: str) -> str:
    """`text` in quotes, quotes and backslashes escaped: so the string match writes its pattern."""
    return f'"{_STRING_SPECIAL.sub(_escape, text)}"'


def bare(text: str) -> str:
    """`text` as it is, or quoted where `iptables-restore` would not read one word back."""
    if text and not _NEEDS_QUOTES.search(text):
        return text
    return always_quoted(text)


def split(line: str) -> list[str]:
    """The words of a rule line, unquoted, as `iptables-restore` reads them.

    Raises RuleSyntaxError for a quote without an end and for a NUL or a line break. (The real
    program takes a line without the closing quote; nobody has ever meant that.)
    """
    if '"' not in line:
        _refuse_breaks(line)
        return [word for word in line.replace("\t", " ").split(" ") if word]
    return [word.text for word in split_marked(line)]


def split_marked(line: str) -> list[Word]:
    """Like `split`, and says of each word whether it stood in quotes."""
    _refuse_breaks(line)
    if '"' not in line:
        return [Word(word, quoted=False) for word in line.replace("\t", " ").split(" ") if word]
    words: list[Word] = []
    for match in _WORD.finditer(line):
        head, inside, plain, stray = match.groups()
        if stray is not None:
            raise RuleSyntaxError("a quote is opened and never closed", line=line)
        if plain is not None:
            words.append(Word(plain, quoted=False))
        else:
            words.append(Word(head + _ESCAPE.sub(r"\1", inside), quoted=True))
    return words


def _refuse_breaks(line: str) -> None:
    if "\n" in line:
        raise RuleSyntaxError("a line break inside a rule", line=line)
    if "\0" in line:
        raise RuleSyntaxError("a NUL character inside a rule", line=line)


def _escape(match: re.Match[str]) -> str:
    return "\\" + match.group()
