"""The command group; a command's module is imported when the command is called."""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING

import click

import nptables

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_AS_PLUGIN = "kubectl nptables"

# Command name and one line of help; the command is nptables.cli.commands.NAME.command.
COMMANDS = {
    "render": "Print the iptables rules of a node.",
    "name": "Print the chain names of a Service.",
    "whose": "Say which Service a chain belongs to.",
    "diff": "Compare a node, or two sets of manifests, with what the cluster says.",
    "apply": "Make this node's tables what the cluster says.",
    "confirm": "Keep what `apply --confirm` changed.",
    "cleanup": "Remove all that is ours from this node.",
    "trace": "Follow a packet: where it ends up, and why.",
    "reach": "Say which nodes answer where, and why the others do not.",
    "graph": "Draw a Service, or the way of a packet.",
    "report": "Write a page about a cluster, to look at.",
    "check": "Find mistakes in manifests, and on this node.",
    "rule": "Say what a check means.",
    "collect": "Read every node of a cluster into a folder.",
    "audit": "Say which nodes of a cluster do what it says, and why others do not.",
    "facts": "Print what only this node knows.",
    "snapshot": "Put all that this node has into one file.",
    "run": "Keep this node in sync with its cluster.",
    "status": "Ask the agent that runs on this node.",
    "completion": "Print a script that lets a shell complete commands and names.",
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None; its examples start with what the user typed."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"nptables.cli.commands.{cmd_name}").command
        program = ctx.info_name
        if program == _AS_PLUGIN and command.help is not None:
            command.help = re.sub(r"(?m)^(\s*)nptables ", rf"\1{program} ", command.help)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """The commands, without importing any of them."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only to complete

        return [
            CompletionItem(name, help=words)
            for name, words in COMMANDS.items()
            if name.startswith(incomplete)
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(nptables.__version__, prog_name="nptables")
def cli() -> None:
    """The iptables rules behind Kubernetes Services, exactly as kube-proxy makes them."""
