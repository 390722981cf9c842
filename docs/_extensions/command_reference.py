"""The directive `nptables-commands`: every command with its options, as its `--help` has them."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

import click
from sphinx.util.docutils import SphinxDirective

from nptables.cli.app import COMMANDS, cli

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx


EXAMPLE = re.compile(r"(sudo )?(nptables|kubectl|iptables-save) ")


class Commands(SphinxDirective):
    """A section for each command."""

    def run(self) -> list[nodes.Node]:
        """The sections, from Markdown as the page itself is written in."""
        group = click.Context(cli, info_name="nptables")
        commands = {name: cli.get_command(group, name) for name in COMMANDS}
        text = "\n".join(_section(name, each, group) for name, each in commands.items() if each)
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def _section(name: str, command: click.Command, group: click.Context) -> str:
    context = click.Context(command, info_name=name, parent=group)
    usage = context.get_usage().removeprefix("Usage: ")
    usage = re.sub(r"\s+", " ", usage)
    parts = [f"## nptables {name}", f"```text\n{usage}\n```", *_paragraphs(command.help or "")]
    parts.append(f"```{{program}} nptables {name}\n```")
    parts += map(_option, _records(command, context))
    return "\n\n".join(parts) + "\n"


def _paragraphs(text: str) -> list[str]:
    """The paragraphs of a help text; examples are code."""
    found = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        words = paragraph.removeprefix("\b").strip()
        if EXAMPLE.match(words):
            found.append(f"```sh\n{words}\n```")
        else:
            found.append(_escaped(words))
    return found


def _records(command: click.Command, context: click.Context) -> list[tuple[str, str]]:
    """The names and the text of every option that `--help` shows."""
    options = [each for each in command.get_params(context) if isinstance(each, click.Option)]
    return [record for each in options if (record := each.get_help_record(context))]


def _option(record: tuple[str, str]) -> str:
    names, text = record
    return f"````{{option}} {names.replace(' / ', ', ')}\n{_escaped(text)}\n````"


def _escaped(text: str) -> str:
    """Text in which Markdown finds no markup but code in backticks."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if part.startswith("`") else re.sub(r"([\\*_<>\[\]{}#|])", r"\\\1", part)
        for part in parts
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("nptables-commands", Commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
