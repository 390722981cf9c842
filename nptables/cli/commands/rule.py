"""`nptables rule`: what a check means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import click

from nptables.checks import CODES, Code
from nptables.cli.codes import codes_meant, complete_codes
from nptables.cli.output import folded, print_json
from nptables.sources.checks_page import paragraphs


@click.command("rule")
@click.argument("word", required=False, metavar="[CODE]", shell_complete=complete_codes)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
def command(*, word: str | None, output: str) -> None:
    """Say what a check looks for, what happens because of it, and what to do.

    CODE is a code or its name, such as NPT102 or local-policy-gap. The beginning of several, or
    none, lists the codes.
    """
    found = list(CODES.values()) if word is None else codes_meant(word)
    if output == "json":
        print_json({"rules": [_json(code) for code in found]})
    else:
        for line in _explained(found[0]) if len(found) == 1 else _table(found):
            click.echo(line)


def _json(code: Code) -> dict[str, Any]:
    return {
        "code": code.code,
        "name": code.name,
        "severity": code.severity.word,
        "effect": code.effect,
        "remedy": code.remedy,
        "text": paragraphs()[code.code],
    }


def _table(codes: Iterable[Code]) -> Iterator[str]:
    return (f"{code.code}  {code.severity.word:7}  {code.name}" for code in codes)


def _explained(code: Code) -> Iterator[str]:
    """The paragraph without the marks of Markdown that only a page needs."""
    severity, *rest = paragraphs()[code.code].split("\n\n")
    yield f"{code.code} {code.name} ({severity.strip('*')})"
    for text in rest:
        yield ""
        yield folded(" ".join(text.replace("**", "").split()), further="")
