"""Every form of output that is for other programs than a shell: one module each.

A command asks for the forms that can print what it has, and prints the lines that the form makes. A
new form is a module beside these with a FORM, and a line in FORMS below. Text and JSON are the
commands' own.
"""

from __future__ import annotations

from collections.abc import Iterable

import click

from nptables.cli.forms import github, markdown, sarif
from nptables.cli.forms.form import Form

FORMS: dict[str, Form] = {
    "sarif": sarif.FORM,
    "github": github.FORM,
    "markdown": markdown.FORM,
}


def forms_of(what: str) -> list[str]:
    """The names of the forms that can print `findings`, `effects` or `plans`."""
    return [name for name, form in FORMS.items() if getattr(form, what) is not None]


def print_lines(lines: Iterable[str]) -> None:
    """Print what a form made."""
    for line in lines:
        click.echo(line)
