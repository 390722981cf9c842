"""SARIF, which code scanning reads: findings, and those that are ignored as suppressed results."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

import nptables
from nptables.checks.reports import DOCUMENTATION, to_sarif
from nptables.cli.forms.form import Findings, Form
from nptables.sources.checks_page import paragraphs

Command = TypeVar("Command", bound=Callable[..., Any])
_ADDRESS = "nptables.documentation"


def _address(context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        parts = urlsplit(value)
        if parts.scheme not in ("https", "http") or not parts.hostname or value.split() != [value]:
            raise click.BadParameter("it is not an address: write https://HOST/PATH")
        context.meta[_ADDRESS] = value
    return value


def docs_url_option(command: Command) -> Command:
    """`--docs-url`."""
    return click.option(
        "--docs-url",
        metavar="URL",
        expose_value=False,
        callback=_address,
        help="Where the documentation is published: with -o sarif each check links to its "
        "paragraph there.",
    )(command)


def _findings(found: Findings) -> Iterator[str]:
    context = click.get_current_context(silent=True)
    log = to_sarif(
        [*found.reported, *found.ignored],
        nptables.__version__,
        paragraphs=paragraphs(),
        documentation=DOCUMENTATION if context is None else context.meta.get(_ADDRESS, ""),
    )
    yield json.dumps(log, ensure_ascii=False)


FORM = Form(findings=_findings)
