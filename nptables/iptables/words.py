"""The words of a rule line: splitting them as `iptables-restore` does, quoting as `iptables-save`.

The rules are those of iptables 1.8.9: `add_param_to_argv` in iptables/xshared.c splits, and
`xtables_save_string` in libxtables/xtables.c quotes.
"""

from __future__ import annotations

import re

from nptables.errors import RuleSyntaxError

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_SPECIAL = re.compile(r"[\"\\']")
_STRING_SPECIAL = re.compile(r"[\"\\]")
_NEEDS_QUOTES = re.compile(r'[ \t"]')
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)

# A closing quote ends a word; an opening one may stand in the middle of it. A backslash is an
# escape between quotes only.
_WORD = re.compile(r'([^ \t"]*)"([^"\\]*(?:\\.[^"\\]*)*)"|([^ \t"]+)|(")', re.DOTALL)


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

    Raises RuleSyntaxError for a quote without an end, for a NUL, and for a line break outside
    quotes: within them a rule of the kernel may have one. (The real program takes a line without
    the closing quote; nobody has ever meant that.)
    """
    return split_marked(line)[0]


def split_marked(line: str) -> tuple[list[str], set[int]]:
    """Like `split`, and says by index which words stood in quotes."""
    if "\0" in line:
        raise RuleSyntaxError("a NUL character inside a rule", line=line)
    if "\n" in line:
        return _split_slowly(line)
    if '"' not in line:
        return _plain_words(line), set()
    # The quick way first: a large node has hundreds of thousands of lines with a quoted comment.
    found = _split_at_quotes(line) if "\\" not in line else None
    return _split_slowly(line) if found is None else found


def _plain_words(text: str) -> list[str]:
    words = (text.replace("\t", " ") if "\t" in text else text).split(" ")
    return [word for word in words if word] if "" in words else words


def _split_at_quotes(line: str) -> tuple[list[str], set[int]] | None:
    """The words where nothing is escaped and no quote begins inside a word, as is usual."""
    words: list[str] = []
    quoted: set[int] = set()
    parts = line.split('"')
    last = len(parts) - 1
    for index, part in enumerate(parts):
        if index % 2:
            quoted.add(len(words))
            words.append(part)
        elif index < last and part and part[-1] not in " \t":
            return None
        elif part:
            words += _plain_words(part)
    return (words, quoted) if last % 2 == 0 else None


def _split_slowly(line: str) -> tuple[list[str], set[int]]:
    words: list[str] = []
    quoted: set[int] = set()
    for match in _WORD.finditer(line):
        head, inside, plain, stray = match.groups()
        if stray is not None:
            raise RuleSyntaxError("a quote is opened and never closed", line=line)
        if "\n" in (head or plain or ""):
            raise RuleSyntaxError("a line break inside a rule", line=line)
        if plain is not None:
            words.append(plain)
        else:
            quoted.add(len(words))
            words.append(head + _ESCAPE.sub(r"\1", inside))
    return words, quoted


def _escape(match: re.Match[str]) -> str:
    return "\\" + match.group()
