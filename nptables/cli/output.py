"""Printing: data on standard output, words on standard error, colour on terminals only."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from nptables.errors import printable

WIDTH = 80


def coloured(stream: Any = None) -> bool:
    """Whether a stream (standard output by default) takes colour: a terminal, no NO_COLOR."""
    stream = sys.stdout if stream is None else stream
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def say(text: str, *, kind: str = "note", option: str = "") -> None:
    """One line for the reader on standard error, such as `warning: ...`.

    `option` is what would have it otherwise, and stands in parentheses.
    """
    text = f"{text} ({option})" if option else text
    shown = f"{kind}: {printable(text, 2000)}"
    if coloured(sys.stderr):
        shown = (
            click.style(kind, fg={"warning": "yellow", "error": "red"}.get(kind, "cyan"))
            + shown[len(kind) :]
        )
    click.echo(shown, err=True, color=coloured(sys.stderr))


def folded(text: str, *, indent: str = "", further: str = "    ") -> str:
    """`text` in lines of at most 80 columns, but for words that are longer.

    The first line begins with `indent`, those that follow with `further` as well.
    """
    import textwrap  # noqa: PLC0415 - for reports

    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + further,
        break_long_words=False,
        break_on_hyphens=False,
    )


def say_all(texts: Iterable[object], *, kind: str) -> None:
    """Several lines for the reader on standard error."""
    for text in texts:
        say(str(text), kind=kind)


def print_json(document: Any) -> None:
    """A document on standard output, indented on a terminal."""
    # Written piece by piece, as json.dump does, a large document takes several times as long.
    text = json.dumps(document, indent=2 if sys.stdout.isatty() else None, ensure_ascii=False)
    sys.stdout.write(text + "\n")


_TARGET = r" -([jg]) (\S+)"
_TARGET_COLOURS = {"ACCEPT": "green", "DROP": "red", "REJECT": "red", "DNAT": "magenta"}


def print_rules(pieces: Iterable[str]) -> None:
    """Save or restore text on standard output; coloured on a terminal, else byte for byte.

    `pieces` are whole lines, one or many of them in each.
    """
    if not coloured():
        sys.stdout.writelines(pieces)
        return
    for piece in pieces:
        for line in piece.splitlines():
            sys.stdout.write(_highlighted(line) + "\n")


def highlighted_rule(line: str) -> str:
    """A rule, however far it is indented, with its chain and its target in colour."""
    margin = len(line) - len(line.lstrip(" |"))
    return click.style(line[:margin], dim=True) + _highlighted(line[margin:])


def _highlighted(line: str) -> str:
    first = line[:1]
    if first == "#":
        return click.style(line, dim=True)
    if first in ("*", "C"):
        return click.style(line, bold=True)
    if first == ":":
        return click.style(line, fg="cyan")
    head, _, rest = line.partition(" ")
    chain, _, rest = rest.partition(" ")

    def paint(match: re.Match[str]) -> str:
        target = click.style(match[2], fg=_TARGET_COLOURS.get(match[2], "yellow"))
        return f" -{match[1]} {target}"

    return f"{head} {click.style(chain, fg='cyan')} {re.sub(_TARGET, paint, rest)}"


@contextmanager
def yaml_progress() -> Iterator[Callable[[str, int, int], None] | None]:
    """A progress bar for large files on a terminal; None where nobody would see it."""
    if not sys.stderr.isatty():
        yield None
        return
    bars: dict[str, Any] = {}

    def show(name: str, done: int, total: int) -> None:
        if name not in bars:
            for bar in bars.values():
                bar.render_finish()
            label = f"reading {printable(name, 40)}"
            bars[name] = click.progressbar(length=total, label=label, file=sys.stderr)
        bars[name].update(max(0, done - bars[name].pos))

    yield show
    for bar in bars.values():
        bar.render_finish()
