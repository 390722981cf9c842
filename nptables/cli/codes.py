"""The codes of checks on the command line: which one is meant, and what to say where none is."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from nptables.checks import CODES, Code, Severity
from nptables.checks.finding import fits
from nptables.model.reading import nearest, quoted

SEVERITY_COLOURS = {Severity.INFO: "cyan", Severity.WARNING: "yellow", Severity.ERROR: "red"}


def codes_meant(word: str) -> list[Code]:
    """The codes that a word means: a code, its name, or the beginning of several.

    Raises BadParameter, with the code that was most likely meant.
    """
    found = [code for code in CODES.values() if fits(code, word)]
    if not found:
        raise click.BadParameter(f"there is no code {quoted(word)} ({_suggestion(word)})")
    return found


def listed_codes(
    context: click.Context,  # noqa: ARG001
    option: click.Parameter,  # noqa: ARG001
    values: tuple[str, ...],
) -> list[str]:
    """The codes of an option that may be repeated, and may hold commas; each must mean one."""
    words = [word.strip() for value in values for word in value.split(",")]
    for word in words:
        codes_meant(word)
    return words


def complete_codes(
    context: click.Context,  # noqa: ARG001
    option: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[CompletionItem[str]]:
    """The codes that a word is the beginning of, with their names."""
    return [
        CompletionItem(code.code, help=code.name)
        for code in CODES.values()
        if code.code.startswith(incomplete.upper())
    ]


def _suggestion(word: str) -> str:
    """A hint at the code that has all characters but one in common, or at a name like it."""
    for code in CODES:
        same = sum(one == other for one, other in zip(word.upper(), code, strict=False))
        if len(word) == len(code) == same + 1:
            return f"did you mean {code}?"
    names = [code.name for code in CODES.values()]
    return nearest(word, names) or "`nptables rule` lists them all"
