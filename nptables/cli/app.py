"""The command group; a command's module is imported when the command is called."""

from __future__ import annotations

import copy
import re
from importlib import import_module
from typing import TYPE_CHECKING

import click

import nptables
from nptables.cli.memory import made_old

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_AS_PLUGIN = "kubectl nptables"

# Command name and one line of help; the command is nptables.cli.commands.NAME.command.
COMMANDS = {
    "render": "Print the iptables rules of a node.",
    "name": "Print the chain names of a Service.",
    "whose": "Say which Service a chain belongs to.",
    "diff": "Compare the rules of a node with its cluster, or two sets of manifests.",
    "apply": "Write the rules that the cluster asks for to this node's tables.",
    "confirm": "Keep the changes of `apply --confirm`.",
    "cleanup": "Remove the rules of kube-proxy and nptables from this node.",
    "trace": "Follow a packet: where it ends up, and why.",
    "reach": "Show which nodes answer at which addresses, and why others do not.",
    "graph": "Draw a Service, or the path of a packet.",
    "report": "Write an HTML page about a cluster.",
    "check": "Find mistakes in manifests, in a cluster and on a node.",
    "rule": "Say what a check means, and how to fix what it finds.",
    "collect": "Save the tables of every node of a cluster to a folder.",
    "audit": "Find the nodes of a cluster whose rules are wrong, and say why.",
    "facts": "Print what only this node knows.",
    "snapshot": "Save the tables, addresses and settings of this node to one file.",
    "run": "Keep this node's rules in sync with its cluster.",
    "status": "Show the state of the agent that runs on this node.",
    "completion": "Print the shell script that completes commands and names.",
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
        with made_old():
            module = import_module(f"nptables.cli.commands.{cmd_name}")
        command: click.Command = module.command
        if ctx.info_name == _AS_PLUGIN:
            command = copy.copy(command)
            command.help = re.sub(r"(?m)^(\s*)nptables ", rf"\1{_AS_PLUGIN} ", command.help or "")
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


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["--help", "-h"]})
@click.version_option(nptables.__version__, prog_name="nptables")
def cli() -> None:
    """Print, explain, compare and apply the iptables rules that kube-proxy makes for Services.

    Commands read manifests (FILE), standard input if something is piped in, or else the cluster of
    kubectl's current context.
    """
